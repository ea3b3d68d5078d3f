"""A certificate that was brought along: its key, chain and authority, read as facts."""

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from runbook.errors import HostError
from runbook.outside import files, tls

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
        handshake=_handshake(key_path, chain_path, authority, name) if place == 0 and authority else "not tried",
        text_fits=text is not None and text.encode() == pair_text(key, chain),
    )


def pair_text(key: tls.PrivateKey, chain: Sequence[x509.Certificate]) -> bytes:
    """Return what the registry's one file holds: the key, then the chain in its order."""
    return tls.key_text(key) + b"".join(tls.certificate_text(certificate) for certificate in chain)


def _read(path: Path) -> bytes:
    """Return the content of a file of the operator's, who may have put a link there (as certbot does)."""
    text = files.read_text(Path(os.path.realpath(path)))
    if text is None:
        raise HostError(f"a file at {path}", "no such file", "correct the path, or bring the file there")
    return text.encode()


def load_key(path: Path) -> tls.PrivateKey:
    """Return the key; raises HostError where others can read it, it is encrypted, or it is none that can be served."""
    data = _read(path)
    mode = files.mode_of(Path(os.path.realpath(path)))
    if mode is not None and mode & 0o077:
        raise HostError(f"{path} to be for its owner alone (0600)", f"mode {mode:04o}", f"run `chmod 600 {path}`")
    try:
        key = serialization.load_pem_private_key(data, None)
    except TypeError as error:
        remedy = f"take the passphrase off: `openssl pkey -in {path} -out NEW`, under umask 077"
        raise HostError(f"a key without a passphrase in {path}", "it is encrypted", remedy) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise HostError(f"a private key in PEM in {path}", str(error), "bring the right file there") from error
    if not isinstance(key, tls.PrivateKey):
        raise HostError(f"{KEY_TYPES} in {path}", tls.key_type_of(key), "ask for a certificate with such a key")
    return key


def load_chain(path: Path) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a file in their order; raises HostError where there is none in it."""
    try:
        return tuple(x509.load_pem_x509_certificates(_read(path)))
    except ValueError as error:
        raise HostError(f"certificates in PEM in {path}", str(error), "bring the right file there") from error


def _load_authority(path: Path) -> x509.Certificate:
    found = load_chain(path)
    if len(found) != 1:
        raise HostError(
            f"one certificate in {path}, that of the authority", f"{len(found)} of them", "leave only the root there"
        )
    return found[0]


def _handshake(key_path: Path, chain_path: Path, authority: x509.Certificate, name: str) -> str:
    answering = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        answering.load_cert_chain(chain_path, key_path, password="")  # the key has none, and nobody is to be asked
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
