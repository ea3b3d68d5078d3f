"""The deployment of a host: what is kept of a run, what stands until another registry has started, and who may read."""

from pathlib import Path

import pytest

from runbook.changes import deployment, ledger
from runbook.model.errors import ParameterError
from runbook.model.parameters import Parameters, read
from runbook.system.host import files
from tests.conftest import let_others_reach, somebody_else

FIRST = {"domain": "a.test", "port": 443, "compose_project": "registry"}
OTHER = FIRST | {"domain": "b.test"}


@pytest.fixture(autouse=True)
def _ledger() -> None:
    """Begin a ledger, as a run does."""
    files.make_directory(ledger.FOLDER, 0o700)


def kept() -> list[str]:
    """Return the files with parameters, and what each says."""
    return [
        f"{path.name} {line}"
        for path in sorted(ledger.FOLDER.glob("*.yml"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]


def test_host_without_a_ledger_keeps_nothing() -> None:
    """Fails if a ledger seems to be begun where none is, or a host that was never set up has a deployment."""
    ledger.FOLDER.rmdir()
    deployment.update(FIRST, has_started=True)
    assert not ledger.is_begun()
    assert (deployment.path(), deployment.values(), deployment.name()) == (None, {}, "")


def test_each_section_adds_what_differs_from_the_defaults() -> None:
    """Fails if a default, or what counts for one run alone, is kept, or a value that went back to its default stays."""
    deployment.update({"domain": "a.test", "mode": "apply", "basic_port": 5001}, has_started=True)
    deployment.update({"domain": "a.test", "also_remove": ["data"], "timeout_seconds": 3, "extra_names": ["c.test"]})
    assert deployment.values() == {"domain": "a.test", "basic_port": 5001, "extra_names": ["c.test"]}
    deployment.update({"basic_port": 5000, "accept_proof": True})
    assert kept() == ['deployment.yml domain: "a.test"', 'deployment.yml extra_names: ["c.test"]']


def test_what_is_kept_already_is_not_written_again() -> None:
    """Fails if a run that changes nothing writes."""
    deployment.update(FIRST, has_started=True)
    found = deployment.path()
    assert found
    before = found.stat()
    deployment.update(FIRST, has_started=True)
    after = found.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_first_deployment_counts_before_its_registry_has_started() -> None:
    """Fails if a run that failed on the way is followed by one for another registry, or seems to stand."""
    deployment.update({"domain": "a.test", "key_type": "rsa-2048"})
    assert deployment.values() == {"domain": "a.test", "key_type": "rsa-2048"}
    assert deployment.name() == ""
    assert deployment.replaced_by(Parameters()) == ""
    deployment.update({"domain": "b.test"})
    deployment.update({"domain": "b.test", "realm": "r"}, has_started=True)
    assert kept() == [f"deployment.yml {line}" for line in ('domain: "b.test"', 'key_type: "rsa-2048"', 'realm: "r"')]


def test_deployment_stands_until_another_registry_has_started() -> None:
    """Fails if a run that fails on the way changes what commands are about, or leaves a part of the earlier one."""
    deployment.update(FIRST | {"realm": "first", "key_type": "ecdsa-p384", "basic_port": 5001}, has_started=True)
    deployment.update(OTHER | {"key_type": "ecdsa-p256"})
    deployment.update({"basic_port": 5002})  # of a section that has no name
    assert deployment.values() == {"domain": "a.test", "basic_port": 5002, "key_type": "ecdsa-p384", "realm": "first"}
    assert "a.test" in deployment.replaced_by(read(OTHER, where="a test"))
    deployment.update(OTHER, has_started=True)
    assert deployment.values() == {"domain": "b.test", "basic_port": 5002, "realm": "first"}
    assert deployment.name() == "b.test"
    assert deployment.replaced_by(read(OTHER, where="a test")) == ""
    assert "b.test" in deployment.replaced_by(read(FIRST, where="a test"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            {"port": 5443},
            (
                "here: a.test.",
                "50-compose replaces its container, with its images as those of a.test:5443",
                "tear-down",
            ),
            id="port",
        ),
        pytest.param(
            {"data_volume": "v"}, ("here: a.test.", "its images stay in the volume registry-data"), id="volume"
        ),
        pytest.param({"compose_project": "p"}, ("stays beside b.test, as the Compose project registry",), id="project"),
    ],
)
def test_plan_says_what_becomes_of_another_deployment(given: dict[str, object], expected: tuple[str, ...]) -> None:
    """Fails if an operator is not told which registry goes, or what of it stays."""
    deployment.update(FIRST, has_started=True)
    values = (FIRST if "port" in given else OTHER) | given
    told = deployment.replaced_by(read(values, where="a test"))
    assert [words for words in (*expected, str(deployment.path())) if words not in told] == []


def test_section_without_a_name_is_of_no_other_deployment() -> None:
    """Fails if a notebook that has no domain among its parameters is taken for another registry's."""
    deployment.update(FIRST, has_started=True)
    given: dict[str, object] = {"basic_port": 5001}
    assert deployment.replaced_by(read(given, where="a test"), given) == ""
    assert deployment.replaced_by(read(given, where="a test")) != ""
    deployment.update(given)
    assert deployment.values() == {"domain": "a.test", "basic_port": 5001}


def test_tear_down_forgets_both() -> None:
    """Fails if a host without a registry has a deployment, or a part of a killed write stays."""
    deployment.update(FIRST, has_started=True)
    deployment.update(OTHER)
    files.temporary_path(ledger.FOLDER / "deployment.yml").touch()
    deployment.update(None)
    assert list(ledger.FOLDER.iterdir()) == []
    assert deployment.values() == {}


def test_every_user_may_read_it_and_not_the_ledger() -> None:
    """Fails if commands of a user other than root are about another registry than root's."""
    (ledger.FOLDER / "ledger.json").write_text("[]", encoding="ascii")
    (ledger.FOLDER / "ledger.json").chmod(0o600)
    deployment.update(FIRST, has_started=True)
    assert (files.mode_of(ledger.FOLDER), files.mode_of(ledger.FOLDER / "deployment.yml")) == (0o711, 0o644)
    let_others_reach(ledger.FOLDER)
    with somebody_else():
        assert deployment.values() == {"domain": "a.test"}
        assert (ledger.FOLDER / "ledger.json").stat().st_mode & 0o77 == 0


def test_file_that_somebody_has_written_in_yaml_counts() -> None:
    """Fails if an edit by hand is refused, or read as another value than a parameter file's."""
    deployment.update(FIRST | {"extra_names": ["c.test"]}, has_started=True)
    path = Path(ledger.FOLDER, "deployment.yml")
    path.write_text("# mine\ndomain: b.test\nextra_names:\n  - 'd.test'\n", encoding="utf-8")
    assert deployment.values() == {"domain": "b.test", "extra_names": ["d.test"]}
    deployment.update({"realm": "r"})
    assert deployment.values() == {"domain": "b.test", "extra_names": ["d.test"], "realm": "r"}


def test_file_that_somebody_has_broken_is_named() -> None:
    """Fails if it ends in a traceback, or counts as no deployment; the note in a plan is left out."""
    path = Path(ledger.FOLDER, "deployment.yml")
    path.write_text("domian: a.test\n", encoding="ascii")
    with pytest.raises(ParameterError, match=rf"domian = 'a.test' \(set in {path}\).*write domain"):
        deployment.values()
    assert (deployment.name(), deployment.replaced_by(Parameters())) == ("", "")
