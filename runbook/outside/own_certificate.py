"""A certificate that was brought along: its key, chain and authority, read as facts."""

import os
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from runbook.errors import HostError
from runbook.outside import files, temporary, tls

# What the registry serves and a verifying client takes; RSA of at least this many bits (RFC 9325 section 4.5).
CURVES = ("ecdsa-p256", "ecdsa-p384", "ecdsa-p521")
RSA_BITS = 2048
KEY_TYPES = f"a key of type {', '.join(CURVES)}, or RSA of {RSA_BITS} bits or more"


@dataclass(frozen=True, kw_only=True, slots=True)
class BroughtCertificate:
    """What was brought along, without the key; `key_place` is the place in the chain of the certificate it belongs to.

    `authority` is the one that clients should trust, None where neither its file nor the chain holds it. `handshake` is
    what a client that trusts it says of the files; `text_fits` whether the registry's file holds this pair already.
    """

    key_path: Path
    chain_path: Path
    authority_path: Path
    key_place: int | None
    chain: tuple[x509.Certificate, ...]
    authority: x509.Certificate | None
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
) -> BroughtCertificate:
    """Return the facts of what was brought along for a server of this name, whose file holds `text` now.

    Raises HostError for a file that is not there, cannot be read as what it is, or holds a key that is not safe.
    """
    key, chain = load_key(key_path), load_chain(chain_path)
    authority = chain[-1] if is_issued(chain[-1], chain[-1]) else None
    if authority_path is not None:
        authority = _load_authority(authority_path)
    public = [certificate.public_key() for certificate in chain]
    place = public.index(key.public_key()) if key.public_key() in public else None
    return BroughtCertificate(
        key_path=key_path,
        chain_path=chain_path,
        authority_path=authority_path or chain_path,
        key_place=place,
        chain=chain,
        authority=authority,
        handshake=_handshake(key, chain, authority, name) if place == 0 and authority else "not tried",
        text_fits=text is not None and text.encode() == pair_text(key, chain),
    )


def pair_text(key: tls.PrivateKey, chain: Sequence[x509.Certificate]) -> bytes:
    """Return what the registry's one file holds: the key, then the chain in its order."""
    return tls.key_text(key) + b"".join(tls.certificate_text(certificate) for certificate in chain)


def _read(path: Path) -> bytes:
    """Return the content of a file of the operator's, who may have put a link there (as certbot does)."""
    found = files.read_bytes(Path(os.path.realpath(path)))
    if found is None:
        raise HostError(f"a file at {path}", "no such file", "correct the path, or bring the file there")
    return found


def _blocks(data: bytes, kind: str) -> bytes:
    """Return the blocks of a PEM file whose label ends with `kind`, each on lines of its own.

    What stands outside of them does not count, in whatever encoding, and two files may have been joined without a line
    between (RFC 7468 section 2).
    """
    found = re.finditer(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", data, re.DOTALL)
    return b"".join(block[0] + b"\n" for block in found if block[1].decode().endswith(kind))


def _other_form(data: bytes, path: Path) -> tuple[str, str]:
    """Return what a file is that is no PEM of the wanted kind, and the command that makes one of it."""
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


def load_key(path: Path) -> tls.PrivateKey:
    """Return the key; raises HostError where others can read it, it is encrypted, or it is none that can be served."""
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
    if not isinstance(key, tls.PrivateKey):
        raise HostError(f"{KEY_TYPES} in {path}", tls.key_type_of(key), "ask for a certificate with such a key")
    return key


def load_chain(path: Path) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a file in their order; raises HostError where there is none in it.

    A file of another form is named, with the command that makes PEM of it.
    """
    data = _read(path)
    if not (blocks := _blocks(data, "CERTIFICATE")):
        raise _not_in_pem("certificates", data, path)
    try:
        return tuple(x509.load_pem_x509_certificates(blocks))
    except ValueError as error:
        raise HostError(f"certificates in PEM in {path}", str(error), "bring the right file there") from error


def _load_authority(path: Path) -> x509.Certificate:
    found = load_chain(path)
    if len(found) != 1:
        raise HostError(
            f"one certificate in {path}, that of the authority", f"{len(found)} of them", "leave only the root there"
        )
    return found[0]


def _handshake(key: tls.PrivateKey, chain: Sequence[x509.Certificate], authority: x509.Certificate, name: str) -> str:
    answering = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        with temporary.folder() as folder:
            files.write(folder / "pair", pair_text(key, chain), 0o600)
            answering.load_cert_chain(folder / "pair")
        return tls.handshake(answering, tls.trusting(tls.certificate_text(authority).decode()), name)
    except ssl.SSLError as error:  # of the server's side: a key or a signature that it does not serve
        return str(error)


def is_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether `issuer` has signed a certificate, by name and by signature."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
