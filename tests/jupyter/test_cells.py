"""What the cells call, with a section on files of the test's own: shown, made, proven."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import cast

import docker
import pytest

from runbook.changes import deployment, ledger
from runbook.changes.base import Change, as_json
from runbook.changes.contract import Operation
from runbook.changes.files import MakeDirectory, SetMode
from runbook.diagnosis import answer
from runbook.diagnosis.catalogue import Cause
from runbook.diagnosis.situation import no, yes
from runbook.display import pictures, tables
from runbook.jupyter import cells, origins, steps
from runbook.model import results
from runbook.model.errors import ApplyError, CheckError, HostError, MissingError, ParameterError
from runbook.model.parameters import Parameters
from runbook.operations import tear_down
from runbook.sections import compose, configuration, push_pull
from runbook.system.host import headless
from tests.conftest import without_engine


def loaded(parameters: Parameters) -> Parameters:
    """Return parameters as a Load cell has left them, for the cells after it."""
    steps.begin_load({})
    steps.end_load(parameters)
    return parameters


def applied(parameters: Parameters) -> Parameters:
    """Return parameters whose plan was empty, and applied."""
    steps.begin_plan(loaded(parameters))
    changes: list[Change] = []
    steps.end_plan(changes)
    steps.begin_apply(changes, parameters)
    steps.end_apply()
    return parameters


@pytest.fixture
def parameters(make_parameters: Callable[..., Parameters]) -> Parameters:
    """Return parameters whose folders are the test's own, loaded."""
    return loaded(make_parameters(bcrypt_cost=4))


@pytest.fixture(autouse=True)
def _without_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask an engine that is not there, whatever this machine has."""
    without_engine(monkeypatch)


def test_cells_plan_make_and_prove(parameters: Parameters, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if planning changes something, applying leaves something, or the proof is not shown."""
    changes = cells.plan(configuration, parameters)
    assert not Path(parameters.private_directory).exists()
    cells.apply(changes, parameters)
    cells.verify(configuration, parameters)
    assert cells.plan(configuration, parameters) == []
    shown = capsys.readouterr().out
    assert "FAILED" not in shown
    assert "planning again finds nothing to change" in shown
    assert str(changes[0]) in shown


def test_apply_that_fails_shows_what_was_made_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the record of a run that ended in a failed change says that nothing was made, or what never was."""
    shown: list[object] = []
    monkeypatch.setattr(cells, "show", shown.append)
    changes: list[Change] = [
        MakeDirectory(path=tmp_path / "made", mode=0o700),
        SetMode(path=tmp_path / "gone", before=0o644, after=0o600),
        MakeDirectory(path=tmp_path / "not-reached", mode=0o700),
    ]
    parameters = loaded(Parameters())
    steps.end_plan(changes)
    with pytest.raises(ApplyError, match=r"failed: set the mode of .*/gone"):
        cells.apply(changes, parameters)
    [table] = shown
    assert isinstance(table, tables.Table)
    assert [("1", str(changes[0]), "done", "")] == list(table.rows)
    [outcome] = cast("list[dict[str, object]]", table.record["outcomes"])
    assert (as_json(changes[0]), "done") == (outcome["change"], outcome["state"])


def test_mode_plan_changes_nothing(
    make_parameters: Callable[..., Parameters], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails if a dry run makes a change, or says that it has proven something."""
    parameters = loaded(make_parameters(mode="plan"))
    cells.apply(cells.plan(configuration, parameters), parameters)
    cells.verify(configuration, parameters)
    assert list(tmp_path.iterdir()) == []
    shown = capsys.readouterr().out
    assert "Nothing was changed: the mode is plan." in shown
    assert "Nothing was checked, since nothing was applied." in shown


def test_plan_to_be_confirmed_is_left_where_nobody_can_be_asked(
    make_parameters: Callable[..., Parameters], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails if a run of all notebooks takes a registry down, or one that was told to does not."""
    parameters = loaded(make_parameters(bcrypt_cost=4))
    cells.apply(cells.plan(configuration, parameters), parameters, typed=parameters.domain)
    cells.verify(configuration, parameters)
    assert list(tmp_path.iterdir()) == []
    shown = capsys.readouterr().out
    assert "Nothing was changed: nobody can be asked here; to apply this plan, set `-p confirm registry.test`." in shown
    assert "Nothing was checked, since nothing was applied." in shown
    confirmed = loaded(make_parameters(bcrypt_cost=4, confirm="registry.test"))
    cells.apply(cells.plan(configuration, confirmed), confirmed, typed=confirmed.domain)
    cells.verify(configuration, confirmed)
    assert Path(confirmed.private_directory).exists()


@pytest.mark.parametrize("section", [compose, push_pull], ids=["compose", "push_pull"])
def test_plan_says_what_has_to_come_first(
    make_parameters: Callable[..., Parameters], capsys: pytest.CaptureFixture[str], section: ModuleType
) -> None:
    """Fails if a dry run of all notebooks ends at the first that needs another, or a run goes on without it."""
    assert cells.plan(section, loaded(make_parameters(mode="plan"))) == []
    assert "Cannot be planned yet: expected a Docker Engine that answers" in capsys.readouterr().out
    with pytest.raises(MissingError, match=r"a Docker Engine that answers; found none.*10-host"):
        cells.plan(section, loaded(make_parameters()))


def test_verify_fails_where_something_is_left_to_change(
    parameters: Parameters, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails if a host that does not converge passes, or its cell fails without the table."""
    told = r"planning again finds nothing to change: expected 0 changes, found 7 changes; make the folder .*run this"
    applied(parameters)
    with pytest.raises(CheckError, match=told):
        cells.verify(configuration, parameters)
    assert "FAILED" in capsys.readouterr().out
    assert [result.passed for result in cells.prove(configuration, parameters)] == [False]


@pytest.mark.parametrize("passed", [True, False], ids=["passed", "failed"])
def test_verify_draws_what_was_asked(
    parameters: Parameters, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, passed: bool
) -> None:
    """Fails if the picture is missing where a row fails, or drawn where nobody was asked."""
    cells.apply(cells.plan(configuration, parameters), parameters)
    cells.verify(configuration, parameters, draw=lambda _: pytest.fail("nobody was asked"))
    result = results.works("a login", expected=200, found=200 if passed else 500, remedy="log in", asker="a client")
    monkeypatch.setattr(configuration, "check", lambda _: [result])
    with nullcontext() if passed else pytest.raises(CheckError, match=r"a login: expected 200, found 500.*log in"):
        cells.verify(configuration, parameters, draw=pictures.conversation)
    shown = capsys.readouterr().out
    assert f"a client: a login: {'works, 200' if passed else 'FAILED, expected 200, found 500'}\n" in shown


def test_load_shows_what_is_set_and_takes_no_module_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if a table of all defaults hides what counts, or a name of the notebook's own is refused."""
    namespace = {"port": 8443, "notebook": cells, "_": 1, "parameters": None, "changes": [], "In": []}
    assert cells.load(namespace) == Parameters(port=8443)
    shown = capsys.readouterr().out
    assert "('port', '8443', 'cell')" in shown
    assert [name for name in (*namespace, "domain") if name != "port" and f"('{name}'" in shown] == []
    with pytest.raises(ParameterError, match="under the heading Parameters, by papermill"):
        cells.load({"prot": 8443})


@pytest.mark.parametrize("call", [cells.plan, cells.prove], ids=["plan", "prove"])
def test_engine_that_ends_meanwhile_is_told_in_our_words(
    parameters: Parameters, call: Callable[[Operation, Parameters], object]
) -> None:
    """Fails if an engine that stops while it is asked ends the notebook in a traceback of its client."""
    section = ModuleType("section")
    gone = docker.DockerClient(base_url="tcp://127.0.0.1:1", version="1.41")
    vars(section).update(gather=lambda _: gone.containers.list(), plan=lambda _, facts: facts)
    with pytest.raises(HostError, match=r"this host and its engine to do what they are asked; found .*refused"):
        call(cast("Operation", section), parameters)


WORDS = "x509: certificate signed by unknown authority"


def failing(_section: object, _parameters: Parameters) -> list[results.Result]:
    """Fail as a proof does whose client does not trust the authority."""
    raise CheckError("every proof to hold", WORDS, "see it")


@pytest.mark.parametrize("confirmed", [True, False])
def test_error_that_the_catalogue_knows_comes_with_its_diagnosis(
    monkeypatch: pytest.MonkeyPatch,
    confirmed: bool,  # noqa: FBT001 (a row's value)
    parameters: Parameters,
) -> None:
    """Fails if a failed cell does not name the confirmed cause, or names one that is none, or its error is another."""
    shown: list[object] = []
    finding = yes("so it is") if confirmed else no("it is not so")
    cause = Cause(name="c", text="The cause.", check=lambda _: finding, remedy="Mend it.", notebook="10-host")
    monkeypatch.setattr(cells, "show", shown.append)
    monkeypatch.setattr(cells, "prove", failing)
    monkeypatch.setattr(answer, "causes_of", lambda _: [cause])
    applied(parameters)
    with pytest.raises(CheckError, match=WORDS):
        cells.verify(push_pull, parameters)
    rows = [row for table in shown if isinstance(table, tables.Table) for row in table.rows]
    expected = ("confirmed", "The cause.", "so it is", "Mend it.", "./script/run 10-host")
    assert rows == ([expected] if confirmed else [])


@pytest.mark.parametrize("end", ["breaks", "lasts"])
def test_diagnosis_never_stands_in_the_way_of_the_error(
    monkeypatch: pytest.MonkeyPatch, parameters: Parameters, end: str
) -> None:
    """Fails if a diagnosis that breaks, or does not end, takes the place of the error or holds it up."""
    released = threading.Event()

    def diagnose(*_: object) -> None:
        if end == "breaks":
            raise RuntimeError("a check is broken")
        released.wait(60)

    monkeypatch.setattr(cells, "prove", failing)
    monkeypatch.setattr(cells, "_DIAGNOSIS_SECONDS", 0.2)
    monkeypatch.setattr(answer, "diagnose", diagnose)
    started = time.monotonic()
    applied(parameters)
    with pytest.raises(CheckError, match=WORDS):
        cells.verify(push_pull, parameters)
    assert time.monotonic() - started < 30
    released.set()


def test_error_that_nobody_knows_is_shown_alone(monkeypatch: pytest.MonkeyPatch, parameters: Parameters) -> None:
    """Fails if a diagnosis is shown of what the catalogue does not know."""
    told = MissingError("config.yml and htpasswd", "one of them is not there", "run the notebook 40-configuration")
    shown: list[object] = []

    def fail(*_: object) -> None:
        raise told

    monkeypatch.setattr(cells, "show", shown.append)
    monkeypatch.setattr(cells, "prove", fail)
    monkeypatch.setattr(answer, "look", lambda *_: yes("all is wrong"))
    applied(parameters)
    with pytest.raises(MissingError, match=r"config\.yml"):
        cells.verify(push_pull, parameters)
    assert shown == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps a deployment, or a user with sudo")
def test_apply_keeps_the_parameters_and_a_tear_down_forgets_them(parameters: Parameters) -> None:
    """Fails if a later command is about another registry, a plan alone is kept, or what was taken down still counts."""
    only_planned = loaded(parameters.model_copy(update={"mode": "plan"}))
    cells.apply(cells.plan(configuration, only_planned), only_planned)
    assert deployment.values() == {}
    cells.apply(cells.plan(configuration, loaded(parameters)), parameters)
    assert deployment.values() == parameters.model_dump(exclude_unset=True)
    cells.apply(cells.plan(tear_down, loaded(parameters)), parameters)
    assert deployment.values() == {}


def test_plan_says_first_which_other_registry_stands_here(
    make_parameters: Callable[..., Parameters], capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails if a notebook replaces a registry without a word, or tells of one that it only takes down."""
    ledger.FOLDER.mkdir()
    deployment.update({"domain": "a.test"}, has_started=True)
    other = make_parameters(domain="b.test")
    cells.plan(configuration, loaded(other))
    shown = capsys.readouterr().out
    assert 0 < shown.index("Another deployment stands here: a.test.") < shown.index("The plan")
    cells.plan(tear_down, loaded(other))
    assert "stands here" not in capsys.readouterr().out
    cells.plan(configuration, loaded(make_parameters(domain="a.test")))
    assert "stands here" not in capsys.readouterr().out


def test_load_takes_the_deployment_of_this_host(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails if a notebook alone is about another registry, or a run's own file does not count."""
    ledger.FOLDER.mkdir()
    deployment.update({"domain": "a.test", "port": 5443}, has_started=True)
    cell: dict[str, object] = {"domain": "registry.test", "port": 6443}
    found = cells.load(dict(cell))
    assert (found.domain, found.port) == ("a.test", 6443)
    assert "('domain', 'a.test', 'this host')" in capsys.readouterr().out
    with monkeypatch.context() as patched:
        patched.setattr(origins, "injected", lambda: {"domain"})
        assert cells.load(dict(cell)).domain == "registry.test"
    monkeypatch.setenv(headless.FROM_FILE, "port")
    assert cells.load(dict(cell)).domain == "registry.test"
