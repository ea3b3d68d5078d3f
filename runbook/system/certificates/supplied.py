"""A certificate supplied by the operator: its key, chain and authority, read as facts."""

import os
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from runbook.model.errors import HostError
from runbook.system.certificates import tls, validation
from runbook.system.host import files, temporary


@dataclass(frozen=True, kw_only=True, slots=True)
class SuppliedCertificate:
    """A supplied certificate without its key; `key_place` is the index in the chain of the certificate for that key.

    `authorities` are those that clients can trust, from their file or the chain. `handshake` is `accepted`, the error
    of a client that trusts them, or `not tried`. `text_fits` is whether the registry's file has this pair.
    """

    key_path: Path
    chain_path: Path
    authority_path: Path
    key_place: int | None
    chain: tuple[x509.Certificate, ...]
    authorities: tuple[x509.Certificate, ...]
    handshake: str
    text_fits: bool

    @property
    def server(self) -> x509.Certificate:
        """The server's certificate."""
        return self.chain[0]

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprint of each certificate of the chain, in its order."""
        return tuple(tls.fingerprint(certificate) for certificate in self.chain)


def gather(
    *, key_path: Path, chain_path: Path, authority_path: Path | None, name: str, text: str | None
) -> SuppliedCertificate:
    """Return the facts of a supplied certificate for a server with this name, whose file now has the text `text`.

    Raises HostError for a missing or invalid file, and for a key that other users can read.
    """
    key, chain = load_key(key_path), load_chain(chain_path)
    authorities = tuple(found for found in chain if validation.is_issued(found, found))
    if authority_path is not None:
        authorities = load_chain(authority_path)
    place = next((place for place, found in enumerate(chain) if _has_key(found, key)), None)
    return SuppliedCertificate(
        key_path=key_path,
        chain_path=chain_path,
        authority_path=authority_path or chain_path,
        key_place=place,
        chain=chain,
        authorities=authorities,
        handshake=_handshake(key, chain, authorities, name) if place == 0 and authorities else "not tried",
        text_fits=text is not None and text.encode() == pair_text(key, chain),
    )


def pair_text(key: tls.ServedKey, chain: Sequence[x509.Certificate]) -> bytes:
    """Return the content of the registry's file: the key, then the chain in order."""
    return tls.key_text(key) + b"".join(tls.certificate_text(certificate) for certificate in chain)


def _read(path: Path) -> bytes:
    """Return the content of an operator's file or link (as with certbot); raises HostError if it is missing."""
    found = files.read_bytes(Path(os.path.realpath(path)))
    if found is None:
        raise HostError(f"a file at {path}", "no such file", "correct the path, or bring the file there")
    return found


def _blocks(data: bytes, kind: str) -> bytes:
    """Return the blocks of a PEM file whose label ends with `kind`, each followed by a newline.

    Text outside of them is ignored, in any encoding. Two files may have been joined without a newline between them
    (RFC 7468 section 2).
    """
    found = re.finditer(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", data, re.DOTALL)
    return b"".join(block[0] + b"\n" for block in found if block[1].decode().endswith(kind))


def _other_form(data: bytes, path: Path) -> tuple[str, str]:
    """Return the actual format of a file that is not the expected PEM, and the command to convert it."""
    labels = re.findall(rb"-----BEGIN ([A-Z0-9 ]+)-----", data)
    if labels:
        form = labels[0].decode()
        commands = {
            "PKCS7": f"openssl pkcs7 -in {path} -print_certs -out NEW",
            "CERTIFICATE REQUEST": "",
            "OPENSSH PRIVATE KEY": "",
        }
        return f"PEM of a {form}", commands.get(form, "")
    for form, load, command in (
        ("a certificate in DER", x509.load_der_x509_certificate, f"openssl x509 -inform DER -in {path} -out NEW"),
        (
            "certificates in PKCS #7 (P7B)",
            pkcs7.load_der_pkcs7_certificates,
            f"openssl pkcs7 -inform DER -in {path} -print_certs -out NEW",
        ),
        (
            "a private key in DER",
            lambda found: serialization.load_der_private_key(found, None),
            f"(umask 077; openssl pkey -inform DER -in {path} -out NEW)",
        ),
    ):
        with suppress(ValueError, TypeError, UnsupportedAlgorithm):
            load(data)
            return form, command
    if re.match(rb"\x30(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x80)\x02\x01\x03", data, re.DOTALL):  # RFC 7292 section 4
        key = f"(umask 077; openssl pkcs12 -in {path} -nocerts -nodes -out KEY)"
        return "PKCS #12 (PFX)", f"openssl pkcs12 -in {path} -nokeys -out CHAIN; {key}"
    return "no PEM", ""


def _not_in_pem(what: str, data: bytes, path: Path) -> HostError:
    form, command = _other_form(data, path)
    remedy = f"convert it: `{command}`" if command else "bring the right file there"
    return HostError(f"{what} in PEM in {path}", form, remedy)


def load_key(path: Path) -> tls.ServedKey:
    """Return the key; raises HostError if other users can read it, it is encrypted, or its type is not supported."""
    data = _read(path)
    mode = files.mode_of(Path(os.path.realpath(path)))
    if mode is not None and mode & 0o077:
        raise HostError(f"{path} to be for its owner alone (0600)", f"mode {mode:04o}", f"run `chmod 600 {path}`")
    block = _blocks(data, "PRIVATE KEY")
    if not block or b"OPENSSH" in block:
        raise _not_in_pem("a private key", data, path)
    try:
        key = serialization.load_pem_private_key(block, None)
    except TypeError as error:
        remedy = f"take the passphrase off: `openssl pkey -in {path} -out NEW`, under umask 077"
        raise HostError(f"a key without a passphrase in {path}", "it is encrypted", remedy) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise HostError(f"a private key in PEM in {path}", str(error), "bring the right file there") from error
    if not isinstance(key, tls.ServedKey):
        raise HostError(
            f"{validation.KEY_TYPES} in {path}", tls.key_type_of(key), "ask for a certificate with such a key"
        )
    return key


def load_chain(path: Path) -> tuple[x509.Certificate, ...]:
    """Return the certificates in a file, in order; raises HostError if it has none.

    For a file of another format, the error has the command to convert it.
    """
    data = _read(path)
    if not (blocks := _blocks(data, "CERTIFICATE")):
        raise _not_in_pem("certificates", data, path)
    try:
        return tuple(x509.load_pem_x509_certificates(blocks))
    except ValueError as error:
        raise HostError(f"certificates in PEM in {path}", str(error), "bring the right file there") from error


def _has_key(certificate: x509.Certificate, key: tls.ServedKey) -> bool:
    """Return whether a certificate is for a key; False if its public key cannot be read."""
    with suppress(ValueError, UnsupportedAlgorithm):
        return certificate.public_key() == key.public_key()
    return False


def _handshake(
    key: tls.ServedKey, chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate], name: str
) -> str:
    try:
        with temporary.folder() as folder:
            files.write(folder / "pair", pair_text(key, chain), 0o600)
            server = tls.server_context(folder / "pair")
        trusted = b"".join(tls.certificate_text(authority) for authority in authorities).decode()
        return tls.handshake(server, tls.client_context(trusted), name)
    except ssl.SSLError as error:  # on the server's side: a key or signature that is not supported
        return str(error)
