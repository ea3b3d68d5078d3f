"""30-certificates on real files: planned, made, looked at again; but for the engine's trust, whose place is fixed."""

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.changes.apply import apply
from runbook.changes.certificates import IssueCertificate
from runbook.changes.files import CopyFile, SetMode
from runbook.model.errors import HostError, SecretError
from runbook.model.parameters import Parameters
from runbook.sections import certificates
from runbook.system.certificates import tls

DOMAIN = "never-trusted.registry-runbook.test"


@pytest.fixture
def parameters(make_parameters: Callable[..., Parameters]) -> Parameters:
    """Return parameters whose folders are the test's own, for a name that this machine's engine does not trust."""
    return make_parameters(domain=DOMAIN)


def make(parameters: Parameters) -> list[str]:
    """Plan and make all but the trust, and return the kinds of the changes made."""
    planned = certificates.plan(parameters, certificates.gather(parameters))
    changes = [change for change in planned if not isinstance(change, CopyFile)]
    apply(changes)
    return [type(change).__name__ for change in changes]


def contents(parameters: Parameters) -> dict[str, tuple[int, bytes]]:
    """Return mode and content of each file below the two folders."""
    folders = (Path(parameters.private_directory), Path(parameters.configuration_directory))
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path.name: (path.stat().st_mode & 0o777, path.read_bytes()) for path in paths}


def test_second_run_changes_nothing(parameters: Parameters) -> None:
    """Fails if randomness breaks idempotence: a certificate is judged by its facts."""
    assert make(parameters) == [*["MakeDirectory"] * 3, "IssueAuthority", "IssueCertificate"]
    before = contents(parameters)
    assert {name: mode for name, (mode, _) in before.items()} == {
        "ca.key": 0o600,
        "ca.crt": 0o644,
        f"{DOMAIN}.pem": 0o600,
    }
    [trust] = certificates.plan(parameters, certificates.gather(parameters))
    assert trust == CopyFile(source=parameters.ca_certificate_path, path=parameters.trust_path, mode=0o444)
    assert make(parameters) == []
    assert before == contents(parameters)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        pytest.param({"extra_names": ["b.test"]}, "its names differ", id="name"),
        pytest.param({"extra_addresses": ["2001:db8::1"]}, "its names differ", id="address"),
        pytest.param({"key_type": "ecdsa-p384"}, "its key is ecdsa-p256", id="key"),
        pytest.param({"validity_days": 90}, "it is valid for 366 days", id="validity"),
    ],
)
def test_change_of_a_parameter_reissues_the_server_alone(
    make_parameters: Callable[..., Parameters], parameters: Parameters, values: dict[str, object], reason: str
) -> None:
    """Fails if the authority is made anew with the server's certificate, or a later run issues again."""
    make(parameters)
    before = contents(parameters)
    wanted = make_parameters(domain=DOMAIN, **values)
    issue, _ = certificates.plan(wanted, certificates.gather(wanted))
    assert isinstance(issue, IssueCertificate)
    assert reason == issue.reason
    assert make(wanted) == ["IssueCertificate"]
    after = contents(wanted)
    assert [f"{DOMAIN}.pem"] == [name for name in before if before[name] != after[name]]
    assert make(wanted) == []


def test_lost_certificate_of_the_authority_keeps_its_key(parameters: Parameters) -> None:
    """Fails if a run that was cut off before the certificate ends in another authority."""
    make(parameters)
    key = contents(parameters)["ca.key"]
    parameters.ca_certificate_path.unlink()
    assert make(parameters) == ["IssueAuthority", "IssueCertificate"]
    assert key == contents(parameters)["ca.key"]
    assert make(parameters) == []


def test_mismatched_pair_is_issued_anew(parameters: Parameters) -> None:
    """Fails if key and certificate of two runs stay together: no registry starts with them."""
    make(parameters)
    first = parameters.certificate_path.read_text(encoding="ascii")
    parameters.certificate_path.unlink()
    make(parameters)
    second = parameters.certificate_path.read_text(encoding="ascii")
    key, _, _ = first.partition("-----BEGIN CERTIFICATE-----")
    certificate = second[second.index("-----BEGIN CERTIFICATE-----") :]
    parameters.certificate_path.write_text(key + certificate, encoding="ascii")
    assert make(parameters) == ["IssueCertificate"]
    parameters.certificate_path.write_text(certificate, encoding="ascii")
    assert make(parameters) == ["IssueCertificate"]
    assert make(parameters) == []


def test_modes_are_repaired(parameters: Parameters) -> None:
    """Fails if a key that others can read is not found, or its repair is not shown."""
    make(parameters)
    before = contents(parameters)
    parameters.ca_key_path.chmod(0o644)
    parameters.certificate_path.parent.chmod(0o755)
    expected = [
        SetMode(path=parameters.ca_key_path, before=0o644, after=0o600),
        SetMode(path=parameters.certificate_path.parent, before=0o755, after=0o700),
    ]
    assert expected == certificates.plan(parameters, certificates.gather(parameters))[:-1]
    make(parameters)
    assert before == contents(parameters)


def test_run_refuses_an_authority_s_key_that_does_not_fit(parameters: Parameters, tmp_path: Path) -> None:
    """Fails if a wrong or missing key is overwritten, or signs; nothing may be changed."""
    make(parameters)
    parameters.certificate_path.unlink()
    kept = parameters.ca_key_path.rename(tmp_path / "kept")
    before = contents(parameters)
    with pytest.raises(HostError, match=r"ca\.key; found no such file, though it has signed already"):
        make(parameters)
    parameters.ca_key_path.write_bytes(b"no key")
    with pytest.raises(HostError, match=r"the authority's key in .*ca\.key"):
        make(parameters)
    parameters.ca_key_path.unlink()
    assert before == contents(parameters)
    kept.rename(parameters.ca_key_path)
    assert make(parameters) == ["IssueCertificate"]


@pytest.mark.parametrize(
    ("begun", "days", "expected"),
    [
        pytest.param(
            -100, 99, "found it expired on .* set the clock right where it is wrong; else bring", id="expired"
        ),
        pytest.param(-100, 300, "outlives the server certificate of 366 days; found it expires on", id="outlived"),
        pytest.param(
            2, 3650, "by this host's clock; found it is valid from .* set the clock right", id="not-valid-yet"
        ),
    ],
)
@pytest.mark.parametrize("with_server", [True, False], ids=["with-its-server", "nothing-signed"])
def test_run_refuses_an_authority_at_its_end(
    parameters: Parameters, begun: int, days: int, expected: str, *, with_server: bool
) -> None:
    """Fails if an authority that clients trust is made anew by itself, or anything is signed that outlives it."""
    make(parameters)
    key = tls.load_key(parameters.ca_key_path, None)
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=begun)
    subject = tls.require_certificate(parameters.ca_certificate_path).subject
    authority = tls.issue_authority(key, subject, now=now, validity_days=days)
    parameters.ca_certificate_path.write_bytes(tls.certificate_text(authority))
    if not with_server or "outlives" in expected:
        parameters.certificate_path.unlink()
    before = contents(parameters)
    with pytest.raises(HostError, match=expected):
        make(parameters)
    assert before == contents(parameters)


def test_run_refuses_a_key_of_another_authority(
    make_parameters: Callable[..., Parameters], parameters: Parameters, tmp_path: Path
) -> None:
    """Fails if a server certificate is signed by a key that is not the authority's."""
    other = make_parameters(
        domain=DOMAIN, private_directory=f"{tmp_path}/other", configuration_directory=f"{tmp_path}/o"
    )
    make(other)
    make(parameters)
    parameters.ca_key_path.write_bytes(other.ca_key_path.read_bytes())
    parameters.certificate_path.unlink()
    with pytest.raises(HostError, match="found it is not the key of the authority's certificate"):
        make(parameters)


def test_run_refuses_another_passphrase(parameters: Parameters, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a wrong passphrase makes a new authority, or a right one is asked for where nothing is to be signed."""
    monkeypatch.setenv("RUNBOOK_CA_PASSPHRASE", "right")
    make(parameters)
    monkeypatch.setenv("RUNBOOK_CA_PASSPHRASE", "wrong")
    assert make(parameters) == []
    parameters.certificate_path.unlink()
    with pytest.raises(HostError, match=r"the passphrase of .*ca\.key; found Incorrect password"):
        make(parameters)


def test_run_refuses_before_the_first_change_without_its_passphrase(
    make_parameters: Callable[..., Parameters], tmp_path: Path
) -> None:
    """Fails if a passphrase's file that is not there is found only when the key is to be made."""
    parameters = make_parameters(domain=DOMAIN, ca_passphrase_file=f"{tmp_path}/absent")
    with pytest.raises(SecretError, match=f"a passphrase in {tmp_path}/absent; found no such file"):
        make(parameters)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["ca_certificate_path", "certificate_path"])
def test_gather_refuses_a_file_that_holds_no_certificate(parameters: Parameters, name: str) -> None:
    """Fails if something that the runbook does not understand is overwritten."""
    path: Path = getattr(parameters, name)
    path.parent.mkdir(parents=True)
    path.write_text("no certificate", encoding="ascii")
    with pytest.raises(HostError, match=f"a certificate in {path}; found .*move the file away"):
        certificates.gather(parameters)


def test_gather_tells_what_others_have_in_the_private_folder(make_parameters: Callable[..., Parameters]) -> None:
    """Fails if a file of somebody else's is overlooked, or the folder of another deployment taken for one."""
    parameters = make_parameters()
    private = Path(parameters.private_directory)
    for own in ("ca", "secrets", "document/ca", "document/secrets"):
        (private / own).mkdir(parents=True)
    assert certificates.gather(parameters).others == ()
    (private / "notes").touch()
    (private / "empty").mkdir()
    assert certificates.gather(parameters).others == ("empty", "notes")
