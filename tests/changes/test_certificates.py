"""The executor on keys and certificates: an authority, a server's pair in one file, and a run that was cut off."""

import dataclasses
import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from runbook.changes.apply import apply
from runbook.changes.certificates import IssueAuthority, IssueCertificate
from runbook.model.errors import ApplyError, HostError
from runbook.system.certificates import tls, validation
from runbook.system.host import file_state

NAME = "registry.test"


def authority_in(folder: Path) -> IssueAuthority:
    """Return the change that makes an authority in a folder."""
    return IssueAuthority(
        key_path=folder / "ca.key",
        certificate_path=folder / "ca.crt",
        subject=(("O", "Ours"), ("CN", "Our CA")),
        key_type="ecdsa-p256",
        validity_days=3650,
        passphrase_file=None,
    )


def certificate_in(folder: Path) -> IssueCertificate:
    """Return the change that issues a server certificate, signed by the authority in the same folder."""
    return IssueCertificate(
        path=folder / "server.pem",
        subject=(("CN", NAME),),
        dns_names=(NAME,),
        addresses=("192.168.1.2",),
        key_type="ecdsa-p256",
        validity_days=366,
        authority_key_path=folder / "ca.key",
        authority_certificate_path=folder / "ca.crt",
        passphrase_file=None,
        reason="there is none",
        before=file_state.fingerprint(folder / "server.pem"),
    )


def load(path: Path) -> x509.Certificate:
    """Return the certificate in a PEM file, whatever else is in it."""
    return x509.load_pem_x509_certificate(path.read_bytes())


def modes(folder: Path) -> dict[str, int]:
    """Return the permission bits of each file in a folder."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_issued_pair_is_one_that_a_client_accepts(tmp_path: Path) -> None:
    """Fails if key and certificate do not belong together, or a client that verifies refuses them."""
    apply([authority_in(tmp_path), certificate_in(tmp_path)])
    assert modes(tmp_path) == {"ca.key": 0o600, "ca.crt": 0o644, "server.pem": 0o600}
    server, authority = load(tmp_path / "server.pem"), load(tmp_path / "ca.crt")
    assert tls.load_key(tmp_path / "server.pem", None).public_key() == server.public_key()
    now = datetime.datetime.now(datetime.UTC)
    found = [validation.why_refused(server, authority, name, now) for name in (NAME, "192.168.1.2")]
    assert found == [None, None]
    assert validation.why_refused(server, authority, "127.0.0.1", now) is not None
    assert (tls.describe(server).lifetime_days, tls.describe(authority).lifetime_days) == (366, 3650)


def test_issue_certificate_makes_a_new_key_each_time(tmp_path: Path) -> None:
    """Fails if a renewed certificate keeps a key that may have leaked, or the authority is touched by it."""
    apply([authority_in(tmp_path), certificate_in(tmp_path)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    apply([certificate_in(tmp_path)])
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert [name for name, data in after.items() if data != before[name]] == ["server.pem"]
    first = serialization.load_pem_private_key(before["server.pem"], None)
    assert first.public_key() != tls.load_key(tmp_path / "server.pem", None).public_key()


def test_issue_authority_keeps_the_key_of_a_run_that_was_cut_off(tmp_path: Path) -> None:
    """Fails if a key that may have signed already is made anew."""
    apply([authority_in(tmp_path)])
    key = (tmp_path / "ca.key").read_bytes()
    (tmp_path / "ca.crt").unlink()
    apply([authority_in(tmp_path), certificate_in(tmp_path)])
    assert key == (tmp_path / "ca.key").read_bytes()
    assert load(tmp_path / "ca.crt").public_key() == tls.load_key(tmp_path / "ca.key", None).public_key()
    assert sorted(modes(tmp_path)) == ["ca.crt", "ca.key", "server.pem"]


def test_issue_authority_makes_no_key_where_its_certificate_has_no_place(tmp_path: Path) -> None:
    """Fails if a change is begun that cannot be ended."""
    (tmp_path / "ca.crt").mkdir()
    with pytest.raises(ApplyError, match=f"a regular file at {tmp_path}/ca.crt; found a folder"):
        apply([authority_in(tmp_path), certificate_in(tmp_path)])
    assert sorted(modes(tmp_path)) == ["ca.crt"]


@pytest.mark.parametrize("source", ["variable", "file"])
def test_issue_authority_encrypts_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """Fails if the key lies in clear although a passphrase was given, or a wrong one can sign."""
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("right\n", encoding="utf-8")
    passphrase.chmod(0o600)
    given = passphrase if source == "file" else None
    if source == "variable":
        monkeypatch.setenv("RUNBOOK_CA_PASSPHRASE", "right")
    issue = dataclasses.replace(certificate_in(tmp_path), passphrase_file=given)
    apply([dataclasses.replace(authority_in(tmp_path), passphrase_file=given), issue])
    text = (tmp_path / "ca.key").read_text(encoding="ascii")
    assert text.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    pair = (tmp_path / "server.pem").read_bytes()
    issue = dataclasses.replace(certificate_in(tmp_path), passphrase_file=given)
    monkeypatch.setenv("RUNBOOK_CA_PASSPHRASE", "wrong")
    with pytest.raises(ApplyError, match=f"the passphrase of {tmp_path}/ca.key") as caught:
        apply([issue])
    assert isinstance(caught.value.__cause__, HostError)
    assert pair == (tmp_path / "server.pem").read_bytes()
