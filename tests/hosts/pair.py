"""Puts another key and certificate in the place of the registry's, on a test host: `python -m tests.hosts.pair …`."""

import argparse
import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from runbook.system.certificates import tls

CA = Path("/etc/registry-runbook/ca")
PAIR = Path("/etc/docker/registry/ssl/registry.test.pem")


def main() -> None:
    """Issue a certificate as the options say, and write it with its key."""
    options = argparse.ArgumentParser()
    options.add_argument("--names", nargs="*", default=["registry.test"])
    options.add_argument("--addresses", nargs="*", default=None)
    options.add_argument("--begins", type=int, default=0, help="days from now")
    options.add_argument("--days", type=int, default=366)
    options.add_argument("--other-authority", action="store_true")
    options.add_argument("--other-key", action="store_true", help="leave the certificate, and put another key beside")
    options.add_argument("--no-san", action="store_true")
    given = options.parse_args()
    authority = tls.load_key(CA / "ca.key", None), x509.load_pem_x509_certificate((CA / "ca.crt").read_bytes())
    now, key = datetime.datetime.now(datetime.UTC), tls.generate_key("ecdsa-p256")
    old = x509.load_pem_x509_certificate(PAIR.read_bytes())
    if given.other_authority:
        stranger = tls.generate_key("ecdsa-p256")
        authority = stranger, tls.issue_authority(stranger, authority[1].subject, now=now, validity_days=400)
    begins = now + datetime.timedelta(days=given.begins)
    if given.other_key:
        issued = old
    elif given.no_san:
        issued = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry.test")]))
            .issuer_name(authority[1].subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + datetime.timedelta(days=given.days))
            .sign(authority[0], hashes.SHA256())
        )
    else:
        addresses = tls.describe(old).addresses if given.addresses is None else tuple(given.addresses)
        issued = tls.issue_server(
            *(key, (("CN", "registry.test"),)),
            dns_names=tuple(given.names),
            addresses=addresses,
            authority=authority,
            now=begins,
            validity_days=given.days,
        )
    PAIR.write_bytes(tls.key_text(key) + issued.public_bytes(serialization.Encoding.PEM))


if __name__ == "__main__":
    main()
