"""What the cells of a notebook call: load, plan, apply, verify. Each shows its table."""

import dataclasses
import html
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import TYPE_CHECKING

import IPython.display
from docker.errors import DockerException

from runbook.changes import apply as executor
from runbook.changes.base import Change
from runbook.changes.contract import Operation
from runbook.changes.manual import LeftToUser
from runbook.changes.undo import EnterEarlier
from runbook.display import tables
from runbook.display.pictures import Drawing
from runbook.model.errors import CheckError, HostError, InterruptError, MissingError, RunbookError
from runbook.model.parameters import MINE, Parameters, load_file, read
from runbook.model.results import Result, works
from runbook.operations import earlier
from runbook.system.docker import engine
from runbook.system.host import headless, lock

if TYPE_CHECKING:
    from runbook.diagnosis.answer import Answer

_DIAGNOSIS_SECONDS = 5.0
# Names that the cells themselves set, and IPython's own: no parameters, when a Load cell is run a second time.
_NOT_PARAMETERS = {"parameters", "changes", "states", "In", "Out", "exit", "quit", "open", "get_ipython"}


def show(shown: tables.Table | Drawing) -> None:
    """Show a table or a picture as the output of a cell."""
    IPython.display.display(shown)  # type: ignore[no-untyped-call] # IPython leaves it untyped


def is_interactive() -> bool:
    """Return whether a person sits before this cell: its front end can be asked (as in JupyterLab), papermill's cannot.

    Source: jupyter-client.readthedocs.io, "Messaging in Jupyter", allow_stdin of an execute_request.
    """
    kernel = getattr(IPython.get_ipython(), "kernel", None)
    if kernel is None or headless.is_declared():
        return False
    return bool(kernel.get_parent()["content"].get("allow_stdin"))


def load(namespace: Mapping[str, object]) -> Parameters:
    """Return the parameters that stand in a notebook's namespace, and show them.

    Call it with `globals()`, before the notebook sets names of its own, so that a misspelt name is seen: papermill only
    warns of it. Where a person runs the notebook, what the form of 00-index has written counts for each name that the
    Parameters cell leaves at its default. Raises ParameterError for the first name or value refused.
    """
    given = {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_") and name not in _NOT_PARAMETERS and not isinstance(value, ModuleType)
    }
    written = _written()
    for name, field in Parameters.model_fields.items():
        if name in written and name in given and given[name] == field.default:
            given[name] = written[name]
    parameters = read(given, where="set in the cell under the heading Parameters, by papermill, or in a parameter file")
    for table in tables.parameters_tables({name: getattr(parameters, name) for name in given}):
        show(table)
    return parameters


def _written() -> dict[str, object]:
    """Return the values of parameters/mine.yml, checked; none in a headless run, which is given its file by name."""
    if not is_interactive() or not MINE.exists():
        return {}
    values = load_file(MINE)
    read(values, where=f"set in {MINE}")
    return values


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Raise HostError for what the engine or the host refuses, with its own words in it."""
    try:
        yield
    except (DockerException, OSError, RecursionError) as error:
        said = engine.words(error)
        remedy = "see the engine's log (`journalctl -u docker`), then run this notebook again"
        raise HostError("this host and its engine to do what they are asked", said, remedy) from error


@contextmanager
def _diagnosed(parameters: Parameters) -> Iterator[None]:
    """Show, before an error whose words the catalogue of messages knows, the causes that are confirmed here and now.

    The error itself goes on as it was, whatever becomes of its diagnosis, which is not waited for longer than seconds.
    """
    try:
        yield
    except InterruptError:
        raise
    except RunbookError as error:
        found: list[Answer] = []
        worker = threading.Thread(target=_diagnose, args=(str(error), parameters, found), daemon=True)
        worker.start()
        worker.join(_DIAGNOSIS_SECONDS)
        for answer in found:
            show(dataclasses.replace(answer, judged=answer.confirmed).table())
        raise


def _diagnose(message: str, parameters: Parameters, found: "list[Answer]") -> None:
    """Add the diagnosis of a message to `found`, if it is known and a cause of it is confirmed."""
    from runbook.diagnosis.answer import diagnose  # noqa: PLC0415 (only a cell that failed needs it)

    with suppress(Exception):  # whatever it is, it must not stand in the way of the error
        answer = diagnose(message, parameters)
        if answer.messages and answer.confirmed:
            found.append(answer)


def plan(section: Operation, parameters: Parameters) -> list[Change]:
    """Return a section's changes, and show them; nothing is changed.

    In mode `plan`, what an earlier notebook has to provide first is named in place of the plan; otherwise MissingError.
    """
    with _diagnosed(parameters):
        return _plan(section, parameters)


def _plan(section: Operation, parameters: Parameters) -> list[Change]:
    try:
        with _in_our_words():
            changes = section.plan(parameters, section.gather(parameters))
            changes = [*_begin_ledger(changes, parameters), *changes]
    except MissingError as error:
        if parameters.mode == "apply":
            raise
        empty = f"Cannot be planned yet: {error}"
        show(
            tables.Table(headings=(), rows=(), empty=empty, record={"kind": "plan", "changes": [], "waits": str(error)})
        )
        return []
    show(tables.changes_table(changes))
    return changes


def _begin_ledger(changes: Sequence[Change], parameters: Parameters) -> list[Change]:
    """Return the change that begins this host's ledger, where an earlier version has set it up."""
    if not changes or isinstance(changes[0], EnterEarlier):
        return []
    return [EnterEarlier(found=found)] if (found := earlier.find(parameters)) else []


def apply(changes: Sequence[Change], parameters: Parameters) -> None:
    """Make the changes, and show what became of them; in mode `plan` nothing is made.

    In JupyterLab the change that is being made is shown meanwhile. What was made is shown where one fails, too.
    """
    if parameters.mode == "plan":
        show(tables.Table(headings=(), rows=(), empty="Nothing was changed: the mode is plan."))
        return
    outcomes: list[executor.Outcome] = []
    try:
        with _diagnosed(parameters), lock.hold(), _progress(len(changes)) as before:
            executor.apply(changes, timeout_seconds=parameters.timeout_seconds, before=before, after=outcomes.append)
    finally:
        show(tables.outcomes_table(outcomes))


@contextmanager
def _progress(count: int) -> Iterator[Callable[[int, Change], None] | None]:
    """Give what shows a change before it is made, and take it away at the end; None where nobody looks on.

    papermill and nbval would keep what was shown.
    """
    if not is_interactive():
        yield None
        return
    empty = {"text/plain": ""}
    shown = IPython.display.display(empty, raw=True, display_id=True)  # type: ignore[no-untyped-call] # as above

    def show_change(number: int, change: Change) -> None:
        bar = f"<progress max='{count}' value='{number - 1}'></progress>"
        text = f"<label>{bar} {number} of {count}: {html.escape(str(change))}</label>"
        shown.update({"text/html": text, "text/plain": ""}, raw=True)

    try:
        yield show_change
    finally:
        IPython.display.clear_output(wait=True)  # type: ignore[no-untyped-call] # as above


def verify(
    section: Operation, parameters: Parameters, *, draw: Callable[[Sequence[Result]], Drawing] | None = None
) -> None:
    """Show a section's proof, from outside, and what `draw` makes of it; in mode `plan` nothing is checked.

    The first row plans again: a host that complies has nothing left to change. Raises CheckError where a row fails.
    """
    with _diagnosed(parameters):
        _verify(section, parameters, draw)


def _verify(section: Operation, parameters: Parameters, draw: Callable[[Sequence[Result]], Drawing] | None) -> None:
    results = []
    if parameters.mode == "apply":
        with lock.hold():  # a proof pushes and removes
            results = prove(section, parameters)
    show(tables.results_table(results))
    if draw and any(result.asker for result in results):
        show(draw(results))
    if failed := [result for result in results if not result.passed]:
        raise CheckError(
            "every proof to hold",
            "; ".join(f"{item.claim}: expected {item.expected}, found {item.found}" for item in failed),
            "; ".join(dict.fromkeys(item.remedy for item in failed)),
        )


def prove(section: Operation, parameters: Parameters) -> list[Result]:
    """Return a section's proof: that planning again finds nothing to change, and where that holds its own checks."""
    with _in_our_words():
        return _prove(section, parameters)


def _prove(section: Operation, parameters: Parameters) -> list[Result]:
    left = section.plan(parameters, section.gather(parameters))
    remedy = "run this notebook again; if it stays, something else on this host changes it back"
    if any(isinstance(change, LeftToUser) for change in left):
        remedy = "do what the plan leaves to you, then run this notebook again"
    converged = works(
        "planning again finds nothing to change",
        expected="0 changes",
        found=f"{len(left)} changes" + "".join(f"; {change}" for change in left),
        remedy=remedy,
    )
    return [converged, *(section.check(parameters) if converged.passed else ())]
