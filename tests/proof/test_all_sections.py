"""The proof of all sections: what goes wrong is a row, nothing is claimed twice, nothing is lost."""

import datetime
import threading
from collections.abc import Callable

import pytest

from runbook.changes.files import WriteFile
from runbook.model.errors import CheckError
from runbook.model.parameters import Parameters
from runbook.model.results import Result, refused, works
from runbook.proof import all_sections
from runbook.proof.all_sections import ProveFacts
from runbook.proof.baseline import Baseline
from runbook.sections import certificates
from runbook.system.certificates.tls import Certificate
from runbook.system.host.patience import Patience
from tests.conftest import without_engine

NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def certificate(first: int, last: int) -> Certificate:
    """Return a certificate that is valid from and to so many days after NOW."""
    return Certificate(
        subject="CN=r.test",
        fingerprint="ab",
        dns_names=("r.test",),
        addresses=(),
        key_type="ecdsa-p256",
        not_before=NOW + first * DAY,
        not_after=NOW + last * DAY,
    )


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        pytest.param(-1, 30, True, id="enough"),
        pytest.param(-1, 29, False, id="renewed-too-late"),
        pytest.param(-9, -1, False, id="expired"),
        pytest.param(1, 99, False, id="not-yet-valid"),
    ],
)
def test_check_days_counts_what_is_left(first: int, last: int, *, expected: bool) -> None:
    """Fails if a certificate passes that clients refuse, or that will expire before anybody looks again."""
    row = all_sections.check_days("it", certificate(first, last), days=30, now=NOW, remedy="renew it")
    assert expected is row.passed
    assert f"{last} days left" in row.found


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param("fits", True, id="fits"),
        pytest.param("Password was not given but private key is encrypted", True, id="locked"),
        pytest.param("absent", False, id="absent"),
        pytest.param(certificates.KEY_OF_ANOTHER, False, id="of-another"),
    ],
)
def test_check_key_finds_what_keeps_from_the_next_renewal(state: str, *, expected: bool) -> None:
    """Fails if a key passes that signs nothing its authority vouches for, or one fails that a passphrase locks."""
    row = all_sections.check_key(state, "here")
    assert (expected, state) == (row.passed, row.found)


def test_prove_makes_a_row_of_whatever_goes_wrong(
    make_parameters: Callable[..., Parameters], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if a host without an engine and without files ends the proof, or a section is left out."""
    without_engine(monkeypatch)
    found = all_sections.prove(make_parameters(domain="r.test", port=44300, timeout_seconds=1))
    names = ["10-host", "20-basic-registry", "30-certificates", "40-configuration", "50-compose", "60-push-pull"]
    assert [*names, all_sections.LASTING] == list(found)
    for name, rows in found.items():
        failed = [row for row in rows if not row.passed]
        assert failed, name
        assert all(row.remedy for row in failed)
    [waiting] = [row for row in found["50-compose"] if row.claim == "planning again finds nothing to change"]
    assert (waiting.expected, waiting.found) == ("a Docker Engine that answers", "none")
    assert "this notebook" not in " ".join(row.remedy for rows in found.values() for row in rows)


def test_prove_shows_once_what_two_sections_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a row stands twice, or one is lost that differs, or is of the basic registry."""
    login = works("the login", expected=200, found=200, remedy="")
    wrong = works("the login", expected=200, found=401, remedy="")
    push = works("docker push", expected="a digest", found="a digest", remedy="")
    rows: dict[str, list[Result]] = {
        "20-basic-registry": [push],
        "50-compose": [login],
        "60-push-pull": [login, wrong, push],
    }
    monkeypatch.setattr("runbook.display.overview.sections", lambda _parameters: list(rows))
    monkeypatch.setattr(all_sections, "_plan_again", lambda _name, _parameters: [])
    monkeypatch.setattr(all_sections, "_check_again", lambda name, _parameters: rows[name])
    monkeypatch.setattr(all_sections, "_lasting", lambda _parameters: {})
    found = all_sections.prove(Parameters(), images=False)
    assert {**rows, "60-push-pull": [wrong, push], all_sections.LASTING: []} == found


def test_prove_ends_whatever_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a check that never ends keeps the others from being told, or an image is pushed to what hangs."""
    ends = threading.Event()
    row = works("the login", expected=200, found=200, remedy="")
    monkeypatch.setattr("runbook.display.overview.sections", lambda _parameters: ["10-host", "60-push-pull"])
    monkeypatch.setattr(all_sections, "_plan_again", lambda _name, _parameters: [])
    monkeypatch.setattr(
        all_sections, "_check_again", lambda name, _p: [row] if name == "10-host" else [row] * ends.wait()
    )
    monkeypatch.setattr(all_sections, "_lasting", lambda _parameters: {})
    try:
        found = all_sections.prove(Parameters(), patience=Patience(3.5))
    finally:
        ends.set()
    hung = found["60-push-pull"][0]
    assert (hung.claim, hung.found) == ("its own checks can be made", "none: something hangs")
    told = "not tried, since this hangs: 60-push-pull, its own checks can be made"
    assert [row.found for row in found["10-host"]] == ["200", told]


def test_require_names_each_row_that_fails_with_its_section() -> None:
    """Fails if a state is accepted although a proof fails, or nobody learns which."""
    good = works("a login", expected=200, found=200, remedy="")
    all_sections.require({"x": [good]})
    bad = refused("no login", expected=401, found=200, remedy="look at auth")
    with pytest.raises(CheckError, match=r"found x, no login: expected 401, found 200\. To repair: look at auth"):
        all_sections.require({"w": [good], "x": [good, bad]})


def test_plan_accepts_only_where_it_is_asked_to() -> None:
    """Fails if a proof writes a state that nobody has accepted, or accepting writes none."""
    facts = ProveFacts(kept=None, state=None, now=NOW)
    assert all_sections.plan(Parameters(), facts) == []
    asked = ProveFacts(kept=None, state={"the engine": "26"}, now=NOW)
    [change] = all_sections.plan(Parameters(accept_proof=True), asked)
    assert isinstance(change, WriteFile)
    kept = ProveFacts(kept=change.after, state={"the engine": "26"}, now=NOW + DAY)
    assert all_sections.plan(Parameters(accept_proof=True), kept) == []


def test_compare_takes_a_file_that_it_cannot_read_for_a_failure(make_parameters: Callable[..., Parameters]) -> None:
    """Fails if no accepted state is a failure, or a broken file passes for none."""
    path = make_parameters().baseline_path
    assert all_sections.compare(path, dict) == {}
    path.parent.mkdir()
    path.write_text("{", encoding="ascii")
    [row] = all_sections.compare(path, dict)[all_sections.COMPARED]
    assert (row.passed, row.expected) == (False, "an accepted state in version 1")
    kept = Baseline(registry="r.test", accepted=NOW, state={"a": "b"})
    path.write_text(kept.model_dump_json(), encoding="ascii")
    assert [row.passed for row in all_sections.compare(path, lambda: {"a": "b"})[all_sections.COMPARED]] == [True]
