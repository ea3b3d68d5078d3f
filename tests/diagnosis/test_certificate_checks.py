"""Checks of certificates that a test has made."""

import pytest
from cryptography import x509

from runbook.diagnosis import certificate_checks
from runbook.diagnosis.situation import look
from tests.odd_certificates import CLIENT, LEAF, RSA_ROOT, SHA1, Row, but

from .situations import situation

ROWS = {
    "plain": (Row(title="plain"), ()),
    "signed with SHA-1": (Row(title="sha1", chain=(but(LEAF, signature=SHA1),), above=(RSA_ROOT,)), ("weak",)),
    "a short key": (Row(title="short", chain=(but(LEAF, kind="rsa-1024"),)), ("weak",)),
    "for clients": (Row(title="clients", chain=(but(LEAF, (CLIENT, False)),)), ("not_for_servers",)),
    "the server's own trusted": (Row(title="leaf", trusted=0), ("authority_may_not_sign",)),
}


@pytest.mark.parametrize("name", ROWS)
def test_certificates_that_clients_refuse_are_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Fails if a certificate's fault is not confirmed, or one that it does not have is."""
    row, wrong = ROWS[name]
    _, served, authority = row.files()
    chain = x509.load_pem_x509_certificates(served.encode())
    given = situation(chain=chain, served=None, authority=x509.load_pem_x509_certificate(authority.encode()))
    monkeypatch.setattr(given, "text", lambda _: authority)
    for check in ("weak", "not_for_servers", "authority_may_not_sign"):
        assert look(getattr(certificate_checks, check), given).confirmed is (check in wrong), check
