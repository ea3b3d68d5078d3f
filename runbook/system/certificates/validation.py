"""Validation of certificates by the rules of the engine, curl and the registry: what any of them refuses, no more.

Source: Go, crypto/x509 (parser.go, and `isValid` and `CheckSignatureFrom` of verify.go) and crypto/tls; OpenSSL,
X509_check_purpose(3) and security level 2. RFC 5280 section 6.1 defines a path. tests/hosts/test_certificate_matrix.py
compares this module with all three.
"""

import datetime
import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, SignatureAlgorithmOID

from runbook.model.errors import HostError
from runbook.system.certificates import tls

Path = tuple[x509.Certificate, ...]
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

# Key types that the registry serves and clients accept; the minimum for RSA is from RFC 9325 section 4.5.
RSA_BITS = 2048
_CURVES = ("ecdsa-p256", "ecdsa-p384", "ecdsa-p521")
KEY_TYPES = f"a key of type {', '.join(_CURVES)} or ed25519, or RSA of {RSA_BITS} bits or more"
_OF_AUTHORITIES = (*_CURVES, "ecdsa-p224", "ed25519")
_DIGESTS = ("sha256", "sha384", "sha512")
_KNOWN = {  # extensions that all of them process, so they may be critical
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
}
_LONGEST_DAYS = 825  # support.apple.com/en-us/103769, "Requirements for trusted certificates in iOS 13 and macOS 10.15"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """The reason why a certificate is refused: the certificate, what is expected, what was found, and the remedy."""

    certificate: x509.Certificate
    expected: str
    found: str
    remedy: str

    def __str__(self) -> str:
        """Return certificate and reason in one line, without the remedy."""
        return f"{subject(self.certificate)}: {self.found}"

    def error(self) -> HostError:
        """Return the error to raise."""
        return HostError(f"{subject(self.certificate)} {self.expected}", self.found, self.remedy)


def subject(certificate: x509.Certificate) -> str:
    """Return the name of a certificate for messages: its subject, or its serial number."""
    return certificate.subject.rfc4514_string() or f"(no subject, serial {certificate.serial_number:x})"


def is_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether `issuer` issued a certificate: its name and its signature match."""
    with suppress(ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        digest = certificate.signature_hash_algorithm
        if isinstance(digest, hashes.MD5 | hashes.SHA1):  # the library no longer verifies these itself
            return certificate.issuer == issuer.subject and _is_signed(certificate, issuer.public_key(), digest)
        certificate.verify_directly_issued_by(issuer)
        return True
    return False


def _is_signed(certificate: x509.Certificate, key: object, digest: hashes.HashAlgorithm) -> bool:
    """Return whether an RSA or ECDSA key signed a certificate; raises InvalidSignature if another key did."""
    signed = certificate.signature, certificate.tbs_certificate_bytes
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(*signed, padding.PKCS1v15(), digest)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(*signed, ec.ECDSA(digest))
    else:
        return False
    return True


def paths(
    server: x509.Certificate, others: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate]
) -> list[Path]:
    """Return the paths from a server's certificate through `others`, in any order, to a trusted one.

    A trusted certificate ends a path, self-signed or not: engine and curl also accept a trusted intermediate and the
    trusted certificate of the server itself.
    """
    if server in trusted:
        return [(server,)]
    found: list[Path] = [(server, end) for end in trusted if is_issued(server, end)]
    for issuer in dict.fromkeys(others):
        if issuer != server and issuer not in trusted and is_issued(server, issuer):
            rest = [other for other in others if other not in (server, issuer)]
            found.extend((server, *path) for path in paths(issuer, rest, trusted))
    return found


def why_refused(
    server: x509.Certificate,
    authority: x509.Certificate,
    name: str,
    at: datetime.datetime,
    *,
    chain: Sequence[x509.Certificate] = (),
) -> str | None:
    """Return why a client that trusts only `authority` refuses `server` for a name or address at a time, or None.

    `chain` are the intermediates that the server sends after its own certificate.
    """
    found = paths(server, chain, [authority])
    if not found:
        return f"{subject(server)} does not lead to {subject(authority)}: no signature of it"
    if fault := first_fault(found, at):
        return str(fault)
    facts = tls.describe(server)
    if tls.covers(facts, name):
        return None
    return f"{name} is not among its names: {', '.join(facts.names) or 'it has none'}"


def first_fault(found: Sequence[Path], at: datetime.datetime) -> Fault | None:
    """Return the fault of the first path, or None if clients accept one of the paths."""
    faults = [next(_faults(path, at), None) for path in found]
    return None if None in faults else faults[0]


def _faults(path: Path, at: datetime.datetime) -> Iterator[Fault]:
    for certificate in path:
        yield from _date(certificate, at)
    for certificate in path:
        yield from _form(certificate)
    for place, certificate in enumerate(path):
        yield from _key(certificate, signs=place > 0)
        if place > 0:
            yield from _signer(certificate, below=place - 1, is_last=place == len(path) - 1)
        yield from _usage(certificate, signs=place > 0)
    for certificate, issuer in itertools.pairwise(path):
        yield from _signature(certificate, issuer)


def _date(certificate: x509.Certificate, at: datetime.datetime) -> Iterator[Fault]:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    expected = f"to be valid now, {at:%Y-%m-%d %H:%M} UTC"
    if end <= at:
        remedy = "have it renewed, then bring it again; or, where it is the clock that is wrong, set it right"
        yield Fault(
            certificate=certificate, expected=expected, found=f"it expired on {end:%Y-%m-%d %H:%M} UTC", remedy=remedy
        )
    if begin > at:
        remedy = "set this host's clock right; or, if the clock is right, wait until then"
        yield Fault(
            certificate=certificate,
            expected=expected,
            found=f"it is valid from {begin:%Y-%m-%d %H:%M} UTC",
            remedy=remedy,
        )


def _form(certificate: x509.Certificate) -> Iterator[Fault]:
    """Yield what a client cannot process: a negative serial number (Go since 1.23) or an extension."""
    if certificate.serial_number < 0:
        remedy = (
            "have it issued anew; say which number to an authority of your own: `openssl x509 -req -set_serial 1 …`"
        )
        yield Fault(certificate=certificate, expected="to have a serial number", found="a negative one", remedy=remedy)
    try:
        unknown = [item.oid for item in certificate.extensions if item.critical and item.oid not in _KNOWN]
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        found, remedy = str(error), "have it issued anew"
        yield Fault(certificate=certificate, expected="to have extensions that can be read", found=found, remedy=remedy)
        return
    for oid in unknown:
        yield Fault(
            certificate=certificate,
            expected="to have no critical extension that a client does not know",
            found=f"the critical extension {oid.dotted_string} ({oid._name})",  # noqa: SLF001 (the only name)
            remedy="have it issued anew, with that extension not critical or left out",
        )


def _key(certificate: x509.Certificate, *, signs: bool) -> Iterator[Fault]:
    try:
        found = tls.key_type_of(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm) as error:
        found = str(error)
    family, _, bits = found.partition("-")
    accepted = _OF_AUTHORITIES if signs else (*_CURVES, "ed25519")
    if found not in accepted and not (family == "rsa" and int(bits) >= RSA_BITS):
        yield Fault(
            certificate=certificate,
            expected=f"to have {KEY_TYPES}",
            found=found,
            remedy="have it issued anew, for such a key",
        )


def _signer(certificate: x509.Certificate, *, below: int, is_last: bool) -> Iterator[Fault]:
    """Yield why a certificate must not sign the one below it; the last of a path may be X.509 version 1."""
    constraints = _extension(certificate, x509.BasicConstraints)
    anew = f"have {subject(certificate)} issued anew, for the same key, with"
    if not (constraints and constraints.ca) and not (is_last and certificate.version is x509.Version.v1):
        yield Fault(
            certificate=certificate,
            expected="to be an authority's certificate (basicConstraints CA:TRUE)",
            found="basicConstraints CA:FALSE" if constraints else "no basicConstraints",
            remedy=f"{anew} `basicConstraints=critical,CA:TRUE`",
        )
    if constraints and constraints.path_length is not None and below > constraints.path_length:
        yield Fault(
            certificate=certificate,
            expected=f"to let {below} intermediate authorities stand below it (basicConstraints pathLen)",
            found=f"pathLen {constraints.path_length}",
            remedy=f"have it sign the server's certificate itself; or {anew} a pathLen of {below} or none",
        )
    usage = _extension(certificate, x509.KeyUsage)
    if usage and not usage.key_cert_sign:
        yield Fault(
            certificate=certificate,
            expected="to be for signing certificates (keyUsage keyCertSign)",
            found="a keyUsage without keyCertSign",
            remedy=f"{anew} `keyUsage=critical,keyCertSign,cRLSign`",
        )


def _usage(certificate: x509.Certificate, *, signs: bool) -> Iterator[Fault]:
    """Yield why a certificate is not for a server; an issuer's extendedKeyUsage limits the certificates below it."""
    usage = _extension(certificate, x509.KeyUsage)
    if usage and not signs and not (usage.digital_signature or usage.key_encipherment or usage.key_agreement):
        yield Fault(
            certificate=certificate,
            expected="to be for a server's key (keyUsage digitalSignature)",
            found="a keyUsage without it",
            remedy="have it issued anew with `keyUsage=critical,digitalSignature`",
        )
    extended = _extension(certificate, x509.ExtendedKeyUsage)
    if extended and ExtendedKeyUsageOID.SERVER_AUTH not in extended:
        found = ", ".join(oid._name for oid in extended)  # noqa: SLF001 (the only name)
        yield Fault(
            certificate=certificate,
            expected="to be for servers (extendedKeyUsage serverAuth)",
            found=f"extendedKeyUsage {found}",
            remedy="have it issued anew with `extendedKeyUsage=serverAuth`, or without that extension",
        )


def _signature(certificate: x509.Certificate, issuer: x509.Certificate) -> Iterator[Fault]:
    """Yield the faults of a certificate's signature; clients ignore that of the last one in a path."""
    digest = certificate.signature_hash_algorithm
    digest_name = digest.name if digest else "none"
    if digest_name not in _DIGESTS and certificate.signature_algorithm_oid != SignatureAlgorithmOID.ED25519:
        yield Fault(
            certificate=certificate,
            expected="to be signed with SHA-256, SHA-384 or SHA-512",
            found=f"the digest {digest_name.upper().replace('SHA', 'SHA-')}",
            remedy="have it issued anew, signed with SHA-256 (`openssl x509 -req -sha256 …`)",
        )
    identifier = _extension(certificate, x509.AuthorityKeyIdentifier)
    own = _extension(issuer, x509.SubjectKeyIdentifier)
    is_other_key = identifier and own and identifier.key_identifier not in (None, own.digest)
    if identifier and (is_other_key or identifier.authority_cert_serial_number not in (None, issuer.serial_number)):
        yield Fault(
            certificate=certificate,
            expected=f"to name {subject(issuer)}, as it is there, by its authorityKeyIdentifier",
            found="an authorityKeyIdentifier of another key or serial number",
            remedy="bring the authority's certificate that it was signed with, or have it issued anew by this one",
        )


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def stricter(server: x509.Certificate, strict: str) -> list[tuple[str, str]]:
    """Return the clients that refuse a certificate that engine, curl and the registry accept, each with the reason.

    `strict` is the result of a handshake in which OpenSSL applies all checks of RFC 5280.
    """
    days = tls.describe(server).lifetime_days
    clients = (
        ("Python 3.13 and later, and others that hold to all of RFC 5280", strict, strict != "accepted"),
        ("Apple's systems", f"it is valid for {days} days, more than {_LONGEST_DAYS}", days > _LONGEST_DAYS),
    )
    return [(client, why) for client, why, refuses in clients if refuses]
