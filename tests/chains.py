"""Certificates as a company's authority gives them: a root, an intermediate, and a server's, with its key."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from runbook.system.certificates import tls

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """A server's key and certificate, the intermediate that signed it, and the root that signed that one."""

    key: tls.PrivateKey
    server: x509.Certificate
    intermediate: x509.Certificate
    root: x509.Certificate


def issue(
    *names: str,
    addresses: tuple[str, ...] = (),
    key_type: str = "ecdsa-p256",
    since: datetime.datetime | None = None,
    validity_days: int = 90,
) -> Chain:
    """Return a chain whose server certificate is for these names, `since` a time that is now unless it is given."""
    now = datetime.datetime.now(datetime.UTC)
    root_key, intermediate_key = tls.generate_key("ecdsa-p256"), tls.generate_key("ecdsa-p256")
    root = _authority("Company Root", root_key, root_key, None, now)
    intermediate = _authority("Company Issuing CA", intermediate_key, root_key, root, now)
    key = tls.generate_key(key_type)
    server = tls.issue_server(
        key,
        (("CN", "server"),),
        dns_names=names,
        addresses=addresses,
        authority=(intermediate_key, intermediate),
        now=since or now,
        validity_days=validity_days,
    )
    return Chain(key=key, server=server, intermediate=intermediate, root=root)


def _authority(
    name: str, key: tls.PrivateKey, signer: tls.PrivateKey, issuer: x509.Certificate | None, now: datetime.datetime
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = tls.issue_authority(key, subject, now=now, validity_days=1).extensions.get_extension_for_class(
        x509.KeyUsage
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 400 * DAY)
        .not_valid_after(now + 3650 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage.value, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return builder.sign(signer, hashes.SHA256())


def text(*certificates: x509.Certificate) -> str:
    """Return certificates as one text in PEM, in this order."""
    return b"".join(tls.certificate_text(certificate) for certificate in certificates).decode()


def write(path: Path, content: str, *, mode: int = 0o600) -> None:
    """Put a text into a file, with this mode."""
    path.write_text(content, encoding="utf-8")
    path.chmod(mode)
