"""30-certificates: when a certificate is issued, and when the runbook refuses to sign."""

import dataclasses
import datetime
from pathlib import Path

import pytest

from runbook.changes.base import Change
from runbook.changes.certificates import IssueAuthority, IssueCertificate
from runbook.changes.files import CopyFile, MakeDirectory, SetMode
from runbook.changes.manual import LeftToUser
from runbook.model.errors import HostError
from runbook.model.parameters import Parameters, read
from runbook.sections import certificates
from runbook.sections.certificates import CertificateFacts
from runbook.system.certificates import tls
from runbook.system.certificates.tls import Certificate

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
ADDRESS = "192.168.1.2"
PRIVATE, CA, SSL = Path("/etc/registry-runbook"), Path("/etc/registry-runbook/ca"), Path("/etc/docker/registry/ssl")
AUTHORITY = Certificate(
    subject="CN=Registry Runbook CA,O=Registry Runbook",
    fingerprint="0a",
    dns_names=(),
    addresses=(),
    key_type="ecdsa-p256",
    not_before=NOW - 10 * DAY,
    not_after=NOW + 3640 * DAY,
)
SERVER = dataclasses.replace(
    AUTHORITY, dns_names=("registry.test",), addresses=("127.0.0.1", ADDRESS), not_after=NOW + 356 * DAY
)
MODES = {PRIVATE: 0o700, CA: 0o700, CA / "ca.key": 0o600, SSL: 0o700, SSL / "registry.test.pem": 0o600}
MADE = CertificateFacts(
    now=NOW,
    address=ADDRESS,
    authority=AUTHORITY,
    authority_text="PEM",
    authority_key="fits",
    server=SERVER,
    server_fits=True,
    trusted="PEM",
    modes=tuple(MODES.items()),
)
NEW = CertificateFacts(
    now=NOW,
    address=ADDRESS,
    authority=None,
    authority_text=None,
    authority_key="absent",
    server=None,
    server_fits=False,
    trusted=None,
    modes=tuple(dict.fromkeys(MODES).items()),
)
DESKTOP = dataclasses.replace(MADE, is_desktop=True, trusted="other")
ISSUE = IssueCertificate(
    path=SSL / "registry.test.pem",
    subject=(("O", "Registry Runbook"), ("CN", "registry.test")),
    dns_names=("registry.test",),
    addresses=(ADDRESS, "127.0.0.1"),
    key_type="ecdsa-p256",
    validity_days=366,
    authority_key_path=CA / "ca.key",
    authority_certificate_path=CA / "ca.crt",
    passphrase_file=None,
    reason="there is none",
)
FOUND = IssueAuthority(
    key_path=CA / "ca.key",
    certificate_path=CA / "ca.crt",
    subject=(("O", "Registry Runbook"), ("CN", "Registry Runbook CA")),
    key_type="ecdsa-p256",
    validity_days=3650,
    passphrase_file=None,
)
TRUST = CopyFile(source=CA / "ca.crt", path=Path("/etc/docker/certs.d/registry.test/ca.crt"), mode=0o444)
FOLDERS = [MakeDirectory(path=path, mode=0o700) for path in (PRIVATE, CA, SSL)]


def lasting(days: int) -> CertificateFacts:
    """Return the facts of a server certificate of 366 days, so many of which are left."""
    server = dataclasses.replace(SERVER, not_before=NOW + (days - 366) * DAY, not_after=NOW + days * DAY)
    return dataclasses.replace(MADE, server=server)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(MADE, [], id="complies"),
        pytest.param(NEW, [*FOLDERS, FOUND, ISSUE, TRUST], id="nothing-there"),
        pytest.param(
            dataclasses.replace(NEW, authority_key="fits", modes=MADE.modes), [FOUND, ISSUE, TRUST], id="cut-off"
        ),
        pytest.param(dataclasses.replace(MADE, server=None, server_fits=False), [ISSUE], id="no-server-certificate"),
        pytest.param(dataclasses.replace(MADE, trusted=None), [TRUST], id="not-trusted"),
        pytest.param(dataclasses.replace(MADE, trusted="other"), [TRUST], id="another-authority-trusted"),
        pytest.param(lasting(30), [], id="renewed-on-the-day-after"),
        pytest.param(dataclasses.replace(MADE, authority_key="absent"), [], id="key-of-the-authority-kept-elsewhere"),
    ],
)
def test_plan_brings_what_is_missing(facts: CertificateFacts, expected: list[Change]) -> None:
    """Fails if something that is right is made anew, or something that is missing is not made (A8, A9, A10)."""
    assert expected == certificates.plan(Parameters(), facts)


@pytest.mark.parametrize("facts", [NEW, MADE])
def test_plan_refuses_trust_that_the_engine_would_not_read(facts: CertificateFacts) -> None:
    """Fails if anything is planned for an engine that reads another file in place of the authority's certificate."""
    overruling = Path("/etc/docker/certs.d/registry.test/hosts.toml")
    with pytest.raises(HostError, match=f"image store, containerd's, reads {overruling} instead"):
        certificates.plan(Parameters(), dataclasses.replace(facts, overruling=overruling))


@pytest.mark.parametrize(
    ("facts", "values", "reason"),
    [
        pytest.param(dataclasses.replace(MADE, server_fits=False), {}, "its key or its issuer does not fit", id="pair"),
        pytest.param(MADE, {"extra_names": ["b.test"]}, "its names differ", id="one-more-name"),
        pytest.param(MADE, {"extra_addresses": ["2001:db8::1"]}, "its names differ", id="one-more-address"),
        pytest.param(dataclasses.replace(MADE, address="192.168.1.3"), {}, "its names differ", id="address-changed"),
        pytest.param(MADE, {"key_type": "rsa-2048"}, "its key is ecdsa-p256", id="other-key"),
        pytest.param(MADE, {"validity_days": 90}, "it is valid for 366 days", id="other-validity"),
        pytest.param(lasting(29), {}, "it expires on 2026-01-30", id="expires-soon"),
        pytest.param(lasting(-1), {}, "it expires on 2025-12-31", id="expired"),
        pytest.param(MADE, {"renew_before_days": 357, "validity_days": 366}, "it expires on 2026-12-23", id="earlier"),
    ],
)
def test_plan_issues_anew_what_is_not_as_wanted(
    facts: CertificateFacts, values: dict[str, object], reason: str
) -> None:
    """Fails if a certificate that clients will refuse stays, or one is issued for no reason."""
    parameters = read(values, where="a test")
    [issue] = certificates.plan(parameters, facts)
    assert isinstance(issue, IssueCertificate)
    assert reason == issue.reason
    expected = (("registry.test", *parameters.extra_names), parameters.key_type, parameters.validity_days)
    assert expected == (issue.dns_names, issue.key_type, issue.validity_days)
    assert (facts.address, "127.0.0.1", *parameters.extra_addresses) == issue.addresses


def test_plan_takes_each_name_once() -> None:
    """Fails if a name or address that is given twice stands twice in the certificate, or is issued again and again."""
    parameters = Parameters(extra_names=["registry.test"], extra_addresses=["127.0.0.1", ADDRESS])
    assert certificates.plan(parameters, MADE) == []
    *_, issue, _ = certificates.plan(parameters, NEW)
    assert issue == ISSUE


def test_plan_follows_the_document_s_values() -> None:
    """Fails if a part of the subject, the port or the passphrase's file does not reach the certificates."""
    parameters = Parameters(
        domain="docker.funet8.com",
        port=8443,
        subject_country="CN",
        subject_state="Shanxi",
        subject_locality="Datong",
        subject_organization="Your Company Name",
        ca_common_name="Your Company Name Docker Registry CA",
        ca_passphrase_file="/root/p",  # noqa: S106 (a path)
    )
    path = SSL / "docker.funet8.com.pem"
    places = [place for place in MODES if place.name != "registry.test.pem"]
    changes = certificates.plan(
        parameters, dataclasses.replace(NEW, modes=tuple(dict.fromkeys([*places, path]).items()))
    )
    *_, authority, issue, trust = changes
    subject = (("C", "CN"), ("ST", "Shanxi"), ("L", "Datong"), ("O", "Your Company Name"))
    assert isinstance(authority, IssueAuthority)
    assert isinstance(issue, IssueCertificate)
    assert (*subject, ("CN", "Your Company Name Docker Registry CA")) == authority.subject
    assert (*subject, ("CN", "docker.funet8.com")) == issue.subject
    assert (Path("/root/p"), Path("/root/p"), path) == (authority.passphrase_file, issue.passphrase_file, issue.path)
    assert dataclasses.replace(TRUST, path=Path("/etc/docker/certs.d/docker.funet8.com:8443/ca.crt")) == trust


@pytest.mark.parametrize(
    ("domain", "named"),
    [
        pytest.param(f"{'a' * 59}.test", True, id="64-characters"),
        pytest.param(f"{'a' * 60}.test", False, id="65-characters"),
        pytest.param(f"{'a' * 63}.{'b' * 63}.test", False, id="many"),
    ],
)
def test_plan_leaves_a_long_domain_out_of_the_subject(domain: str, *, named: bool) -> None:
    """Fails if a domain over 64 characters ends in an error: it stands in the SAN alone."""
    parameters = Parameters(domain=domain, subject_organization="")
    modes = (*NEW.modes, (parameters.certificate_path, None))
    *_, issue, _ = certificates.plan(parameters, dataclasses.replace(NEW, modes=modes))
    assert isinstance(issue, IssueCertificate)
    assert ((("CN", domain),) if named else (), (domain,)) == (issue.subject, issue.dns_names)


@pytest.mark.parametrize(
    ("path", "mode", "expected"),
    [
        pytest.param(CA, 0o755, SetMode(path=CA, before=0o755, after=0o700), id="folder-of-the-authority"),
        pytest.param(CA / "ca.key", 0o644, SetMode(path=CA / "ca.key", before=0o644, after=0o600), id="its-key"),
        pytest.param(SSL, 0o777, SetMode(path=SSL, before=0o777, after=0o700), id="folder-of-the-server"),
        pytest.param(ISSUE.path, 0o400, SetMode(path=ISSUE.path, before=0o400, after=0o600), id="its-pair"),
        pytest.param(PRIVATE, 0o755, SetMode(path=PRIVATE, before=0o755, after=0o700), id="private-folder"),
    ],
)
def test_plan_repairs_a_mode(path: Path, mode: int, expected: SetMode) -> None:
    """Fails if a key that others can read stays so, or its repair is not shown."""
    assert [expected] == certificates.plan(
        Parameters(), dataclasses.replace(MADE, modes=tuple((MODES | {path: mode}).items()))
    )


ENDS = dataclasses.replace(AUTHORITY, not_after=NOW + 366 * DAY)
WITHOUT_SERVER = dataclasses.replace(MADE, server=None, server_fits=False)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(
            dataclasses.replace(WITHOUT_SERVER, authority_key="it is not the key"),
            "the authority's key in .*ca.key; found it is not the key",
            id="key-does-not-fit",
        ),
        pytest.param(
            dataclasses.replace(NEW, authority_key=tls.WRONG_PASSPHRASE),
            "give the right one in RUNBOOK_CA_P",
            id="passphrase",
        ),
        pytest.param(
            dataclasses.replace(WITHOUT_SERVER, authority_key="absent"), "no such file, though it has", id="key-lost"
        ),
        pytest.param(
            dataclasses.replace(NEW, server=SERVER), "no such file, though it has signed already", id="both-lost"
        ),
        pytest.param(
            dataclasses.replace(WITHOUT_SERVER, authority=dataclasses.replace(AUTHORITY, not_after=NOW)),
            "valid now, 2026-01-01 00:00 UTC by this host's clock; found it expired on 2026-01-01 00:00 UTC",
            id="expired",
        ),
        pytest.param(
            dataclasses.replace(MADE, authority=dataclasses.replace(AUTHORITY, not_after=NOW)),
            "found it expired on 2026-01-01 00:00 UTC.* bring the right one back",
            id="expired-with-nothing-to-sign",
        ),
        pytest.param(
            dataclasses.replace(MADE, authority=dataclasses.replace(AUTHORITY, not_before=NOW + 2 * DAY)),
            "ca.crt that is valid now, 2026-01-01 00:00 UTC by this host's clock; found it is valid from 2026-01-03",
            id="not-valid-yet",
        ),
        pytest.param(
            dataclasses.replace(MADE, server=dataclasses.replace(SERVER, not_before=NOW + DAY)),
            r"registry.test.pem that is valid now, 2026-01-01 .*found it is valid from 2026-01-02 .*clock right",
            id="server-not-valid-yet",
        ),
        pytest.param(
            dataclasses.replace(WITHOUT_SERVER, authority=dataclasses.replace(ENDS, not_after=NOW + 365 * DAY)),
            "an authority that outlives the server certificate of 366 days; found it expires on 2027-01-01",
            id="outlived",
        ),
        pytest.param(
            dataclasses.replace(MADE, authority=dataclasses.replace(AUTHORITY, subject="CN=Other")),
            "the authority CN=Registry Runbook CA,O=Registry Runbook in .*ca.crt; found CN=Other",
            id="another-authority",
        ),
    ],
)
def test_plan_refuses_to_sign_with_what_does_not_fit(facts: CertificateFacts, expected: str) -> None:
    """Fails if an authority is made anew by itself, which would cut off every client that trusts it."""
    with pytest.raises(HostError, match=expected):
        certificates.plan(Parameters(), facts)


def test_plan_signs_up_to_the_authority_s_last_day() -> None:
    """Fails if an authority is refused that lives exactly as long as the server certificate."""
    assert certificates.plan(Parameters(), dataclasses.replace(WITHOUT_SERVER, authority=ENDS)) == [ISSUE]


def test_is_made_looks_at_the_server_certificate() -> None:
    """Fails if a host without certificates counts as one whose certificates differ."""
    assert (certificates.is_made(MADE), certificates.is_made(NEW)) == (True, False)


def test_plan_shows_on_docker_desktop_how_to_trust() -> None:
    """Fails if the trust is placed where Docker Desktop does not look, or is asked for though it is there."""
    [left] = certificates.plan(Parameters(), DESKTOP)
    assert isinstance(left, LeftToUser)
    assert "cp /etc/registry-runbook/ca/ca.crt ~/.docker/certs.d/registry.test/ca.crt" in left.text
    assert certificates.plan(Parameters(), dataclasses.replace(DESKTOP, trusted="PEM")) == []


@pytest.mark.parametrize("others", [(), ("notes", "shared")])
def test_plan_makes_no_folder_private_that_others_use(others: tuple[str, ...]) -> None:
    """Fails if `private_directory: /home` shuts every user out, or a folder of its own is not made private."""
    private = Path(Parameters().private_directory)
    facts = dataclasses.replace(MADE, modes=tuple((MODES | {private: 0o755}).items()), others=others)
    if others:
        with pytest.raises(HostError, match=r"mode 0755, and in it notes, shared.*a folder of its own"):
            certificates.plan(Parameters(), facts)
    else:
        assert certificates.plan(Parameters(), facts) == [SetMode(path=private, before=0o755, after=0o700)]
    assert certificates.plan(Parameters(), dataclasses.replace(MADE, others=others)) == []
