"""X.509 certificates (issued, or read as facts) and the TLS contexts and handshakes that use them.

Source: RFC 5280 section 4.2 (extensions, and which are critical), RFC 6125 section 6.4 (names are matched in the SAN).
"""

import datetime
import ipaddress
import ssl
import warnings
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runbook.model.errors import HostError, MissingError

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
ServedKey = PrivateKey | ed25519.Ed25519PrivateKey  # of a supplied certificate
Subject = tuple[tuple[str, str], ...]

# RFC 5280 forbids a serial number of 0, but each client accepts it: users do not need the library's warning.
warnings.filterwarnings("ignore", message="Parsed a serial number")
# So a client whose clock is slightly behind accepts a new certificate.
_BACKDATED = datetime.timedelta(hours=1)
_ATTRIBUTES = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "CN": NameOID.COMMON_NAME,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """The fields of a certificate: `fingerprint` is SHA-256 in hexadecimal, the dates are in UTC."""

    subject: str
    fingerprint: str
    dns_names: tuple[str, ...]
    addresses: tuple[str, ...]
    key_type: str
    not_before: datetime.datetime
    not_after: datetime.datetime

    @property
    def names(self) -> tuple[str, ...]:
        """The host names and addresses that the certificate is for."""
        return (*self.dns_names, *self.addresses)

    @property
    def lifetime_days(self) -> int:
        """The validity period in whole days."""
        return (self.not_after - self.not_before).days


def key_type_of(key: object) -> str:
    """Return a key's type as in the parameter `key_type`; the name of the class for other types."""
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return f"ecdsa-{key.curve.name.replace('secp', 'p').removesuffix('r1')}"
    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return "ed25519"
    return type(key).__name__


def describe(certificate: x509.Certificate) -> Certificate:
    """Return the fields of a certificate; no names if they cannot be read."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns_names = tuple(names.get_values_for_type(x509.DNSName))
        addresses = tuple(str(address) for address in names.get_values_for_type(x509.IPAddress))
    except (x509.ExtensionNotFound, ValueError):
        dns_names = addresses = ()
    return Certificate(
        subject=certificate.subject.rfc4514_string(),
        fingerprint=fingerprint(certificate),
        dns_names=dns_names,
        addresses=addresses,
        key_type=key_type_of(certificate.public_key()),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def require_certificate(path: Path) -> x509.Certificate:
    """Return the server certificate in a regular file; raises MissingError if it cannot be read."""
    remedy = "run the notebook 30-certificates"
    if path.exists() and not path.is_file():
        raise MissingError(f"a server certificate in {path}", "no regular file", remedy)
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise MissingError(f"a server certificate in {path}", str(error), remedy) from error


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 fingerprint in lower-case hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def generate_key(key_type: str) -> PrivateKey:
    """Return a new private key of a type that the parameter `key_type` accepts."""
    family, _, size = key_type.partition("-")
    if family == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=int(size))
    return ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}[size])


WRONG_PASSPHRASE = "Incorrect password, could not decrypt key"  # noqa: S105 (an error)


def load_key(path: Path, passphrase: bytes | None) -> PrivateKey:
    """Return the private key in a PEM file; raises HostError for a wrong passphrase or another key type."""
    text = path.read_bytes()
    try:
        key = serialization.load_pem_private_key(text, passphrase)
    except (TypeError, ValueError) as error:
        # About one in 256 wrong passphrases gives valid padding (RFC 8018, 6.1.1), and an error about an invalid key.
        is_wrong = passphrase is not None and b"ENCRYPTED PRIVATE KEY" in text
        raise HostError(
            f"the passphrase of {path} (RUNBOOK_CA_PASSPHRASE or ca_passphrase_file)",
            WRONG_PASSPHRASE if is_wrong else str(error),
            "give the right one",
        ) from error
    if not isinstance(key, PrivateKey):
        raise HostError(f"an RSA or ECDSA key in {path}", key_type_of(key), "move it away, or use another folder")
    return key


def key_text(key: ServedKey, passphrase: bytes | None = None) -> bytes:
    """Return a private key as PEM (PKCS #8), encrypted if there is a passphrase."""
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def certificate_text(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def covers(certificate: Certificate, name: str) -> bool:
    """Return whether a certificate is for a host name or an address.

    `*` matches the first label if at least two others follow: curl does not accept `*.test`.
    """
    _, _, domain = name.partition(".")
    wildcard = f"*.{domain}" if "." in domain else None
    return name in certificate.addresses or any(known.lower() in (name, wildcard) for known in certificate.dns_names)


def _name(subject: Subject | x509.Name) -> x509.Name:
    if isinstance(subject, x509.Name):
        return subject
    return x509.Name([x509.NameAttribute(_ATTRIBUTES[name], value) for name, value in subject])


def subject_text(subject: Subject) -> str:
    """Return a subject as in `Certificate.subject` (RFC 4514: the last part first)."""
    return _name(subject).rfc4514_string()


def _builder(
    subject: Subject | x509.Name, issuer: x509.Name, key: PrivateKey, now: datetime.datetime, validity_days: int
) -> x509.CertificateBuilder:
    not_before = now.replace(microsecond=0) - _BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_before + datetime.timedelta(days=validity_days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool, enciphers_keys: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_encipherment=enciphers_keys,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def issue_authority(
    key: PrivateKey, subject: Subject | x509.Name, *, now: datetime.datetime, validity_days: int
) -> x509.Certificate:
    """Return the self-signed certificate of an authority that may sign server certificates, but no other authority."""
    return (
        _builder(subject, _name(subject), key, now, validity_days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True, enciphers_keys=False), critical=True)
        .sign(key, hashes.SHA256())
    )


def untrusted_authority(subject: Subject | x509.Name = (("CN", "stranger"),)) -> x509.Certificate:
    """Return the certificate of a new authority that nobody trusts and that has signed nothing; its key is lost."""
    now = datetime.datetime.now(datetime.UTC)
    return issue_authority(generate_key("ecdsa-p256"), subject, now=now, validity_days=1)


def issue_server(  # noqa: PLR0913 (the fields of a certificate)
    key: PrivateKey,
    subject: Subject,
    *,
    dns_names: tuple[str, ...],
    addresses: tuple[str, ...],
    authority: tuple[PrivateKey, x509.Certificate],
    now: datetime.datetime,
    validity_days: int,
) -> x509.Certificate:
    """Return a server certificate for host names (A-labels) and IP addresses, signed by `authority` (key, certificate).

    keyEncipherment is only for RSA (RFC 8422 section 5.3). The SAN is critical if the subject is empty (RFC 5280
    section 4.2.1.6).
    """
    authority_key, authority_certificate = authority
    names = [
        *(x509.DNSName(name) for name in dns_names),
        *(x509.IPAddress(ipaddress.ip_address(text)) for text in addresses),
    ]
    identifier = authority_certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _builder(subject, authority_certificate.subject, key, now, validity_days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            _usage(signs_certificates=False, enciphers_keys=isinstance(key, rsa.RSAPrivateKey)), critical=True
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=not subject)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def client_context(authority: str | None, *, strict: bool = False) -> ssl.SSLContext:
    """Return a client context that trusts only `authority` (PEM), verifies the name, and requires TLS 1.2 or later.

    Without an authority, it trusts those of this system. With every version of Python it verifies as curl does: a
    trusted certificate need not be self-signed, and full RFC 5280 checks apply only if `strict` (the default since
    Python 3.13). Like the engine, it ignores the common name.
    """
    context = ssl.create_default_context(cadata=authority)
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    if not strict:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def server_context(pair: Path) -> ssl.SSLContext:
    """Return a server context with the key and chain in a file; like the registry, it accepts weak ones.

    Raises SSLError if the key does not match the certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(pair)
    return context


def unverified_context() -> ssl.SSLContext:
    """Return a client context that verifies nothing: only to read a server's certificate, never to send a secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """Perform a TLS handshake in memory; return `accepted`, or the client's error about the certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_side = client.wrap_bio(to_client, to_server, server_hostname=name)
    waiting = [client_side, server_side]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
    return "accepted"
