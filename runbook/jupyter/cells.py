"""The functions that notebook cells call: load, plan, apply, verify. Each shows a table."""

import dataclasses
import datetime
import html
import os
import platform
import threading
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import TYPE_CHECKING

import IPython.display
from docker.errors import DockerException

from runbook import catalogue
from runbook.changes import apply as executor
from runbook.changes import deployment
from runbook.changes.base import Change
from runbook.changes.contract import Operation
from runbook.changes.manual import LeftToUser
from runbook.changes.undo import EnterEarlier
from runbook.display import tables
from runbook.display.pictures import Drawing
from runbook.jupyter import origins, steps
from runbook.model.errors import CheckError, HostError, InterruptError, MissingError, OrderError, RunbookError
from runbook.model.parameters import Parameters, load_file, plain, read
from runbook.model.project import MINE
from runbook.model.results import Result, works
from runbook.model.words import prefer, say
from runbook.operations import earlier, tear_down
from runbook.system.docker import engine
from runbook.system.host import headless, lock

if TYPE_CHECKING:
    from runbook.diagnosis.answer import Answer
    from runbook.record.model import Step

_DIAGNOSIS_SECONDS = 5.0
# Names that cells and IPython set: they are no parameters if the Load cell runs a second time.
_NOT_PARAMETERS = {"parameters", "changes", "states", "In", "Out", "exit", "quit", "open", "get_ipython"}


def show(shown: tables.Table | Drawing) -> None:
    """Show a table or a picture as the output of a cell."""
    if isinstance(shown, tables.Table) and shown.record:
        steps.add_shown(shown.record)
    IPython.display.display(shown)  # type: ignore[no-untyped-call] # IPython leaves it untyped


def is_interactive() -> bool:
    """Return whether a person runs this cell: JupyterLab allows requests for input, papermill does not.

    Source: jupyter-client.readthedocs.io, "Messaging in Jupyter", allow_stdin of an execute_request.
    """
    kernel = getattr(IPython.get_ipython(), "kernel", None)
    if kernel is None or headless.is_declared():
        return False
    return bool(kernel.get_parent()["content"].get("allow_stdin"))


def load(namespace: MutableMapping[str, object]) -> Parameters:
    """Return the parameters in a notebook's namespace, checked, and show them.

    Call it with `globals()` before the notebook sets other names: it refuses a misspelt parameter, of which papermill
    only warns. A value that the Parameters cell leaves at its default is that of the form in 00-index, where a person
    runs the notebook, or else that of the deployment that stands on this host; a run by the program has named its own.
    Raises ParameterError for the first unknown name or invalid value.
    """
    steps.begin_load(namespace)
    given = {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_") and name not in _NOT_PARAMETERS and not isinstance(value, ModuleType)
    }
    values, origin = _kept_values()
    injected = origins.injected()
    kept = {
        name: value
        for name, value in values.items()
        if name in given and given[name] == Parameters.model_fields[name].default and name not in injected
    }
    given |= kept
    unknown = [name for name in given if name not in Parameters.model_fields]
    steps.forget_unknown(namespace, unknown)
    parameters = read(given, where="set in the cell under the heading Parameters, by papermill, or in a parameter file")
    prefer(parameters.language)
    values = {name: getattr(parameters, name) for name in given}
    for table in tables.parameters_tables(values, origins.of(values, dict.fromkeys(kept, origin))):
        show(table)
    steps.end_load(parameters)
    return parameters


def _kept_values() -> tuple[dict[str, object], str]:
    """Return the values of parameters/mine.yml, or of this host's deployment, checked, and their origin in a word."""
    if headless.FROM_FILE in os.environ:
        return {}, ""
    if not is_interactive() or not MINE.exists():
        return deployment.values(), "this host"
    values = load_file(MINE)
    read(values, where=f"set in {MINE}")
    return values, "form"


@contextmanager
def _host_errors() -> Iterator[None]:
    """Raise HostError, with the original text, for an error of the engine or of the host."""
    try:
        yield
    except (DockerException, OSError, RecursionError) as error:
        remedy = "see the engine's log (`journalctl -u docker`), then run this notebook again"
        raise HostError(
            "this host and its engine to do what they are asked", engine.error_text(error), remedy
        ) from error


@contextmanager
def _diagnosed(parameters: Parameters) -> Iterator[None]:
    """Show the confirmed causes of an error that the catalogue of messages knows, and raise the error unchanged.

    The diagnosis has five seconds; a failure or a timeout of it is ignored.
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
            show(dataclasses.replace(answer, diagnoses=answer.confirmed).table())
        raise


def _diagnose(message: str, parameters: Parameters, found: "list[Answer]") -> None:
    """Add the diagnosis of a message to `found` if the message is known and a cause is confirmed."""
    from runbook.diagnosis.answer import diagnose  # noqa: PLC0415 (only a failed cell needs it)

    with suppress(Exception):  # a failed diagnosis must not hide the error
        answer = diagnose(message, parameters)
        if answer.messages and answer.confirmed:
            found.append(answer)


@contextmanager
def _recorded(
    section: Operation | None, parameters: Parameters, heading: str, *, is_end: bool = False
) -> Iterator[None]:
    """Add a step to what a person does here and, where it is the last one or fails, the notebook to the walk's record.

    A headless run has a record of its own.
    """
    if not is_interactive():
        yield
        return
    started, error = datetime.datetime.now(datetime.UTC), None
    try:
        yield
    except BaseException as failure:
        error = f"{type(failure).__name__}: {failure}"
        raise
    finally:
        from runbook.record.model import Step  # noqa: PLC0415 (a headless run does not need it)

        seconds = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
        done = steps.add_time(Step(heading=heading, started=started, seconds=seconds))
        if error or is_end:
            _add_to_walk(getattr(section, "__name__", ""), parameters, done, error)


def _add_to_walk(module: str, parameters: Parameters, done: "Sequence[Step]", error: str | None) -> None:
    from runbook.record import walk  # noqa: PLC0415 (as above)

    try:
        page = walk.keep(module, parameters, shown=steps.shown(), steps=done, error=error)
        told = f"The record of this walk: {page}" if page else ""
    except RunbookError as failure:
        told = str(failure)
    if told:
        show(tables.Table(headings=(), rows=(), empty=told))


def plan(section: Operation, parameters: Parameters) -> list[Change]:
    """Return a section's changes, and show them; nothing is changed.

    If an earlier notebook has to run first, mode `plan` shows that in place of the plan. Mode `apply` raises
    MissingError.
    """
    steps.begin_plan(parameters)
    with _recorded(section, parameters, "Plan"), _diagnosed(parameters):
        try:
            with _host_errors():
                changes = section.plan(parameters, section.gather(parameters))
                changes = [*_begin_ledger(changes, parameters), *changes]
        except MissingError as error:
            if parameters.mode == "apply":
                raise
            changes, record = [], {"kind": "plan", "changes": [], "waits": str(error)}
            show(tables.Table(headings=(), rows=(), empty=f"Cannot be planned yet: {error}", record=record))
        else:
            is_new = bool(changes) and section is not tear_down
            if is_new and (told := deployment.replaced_by(parameters, _given(parameters))):
                show(tables.Table(headings=(), rows=(), empty=told))
            show(tables.changes_table(changes))
    steps.end_plan(changes, section)
    return changes


def _begin_ledger(changes: Sequence[Change], parameters: Parameters) -> list[Change]:
    """Return the change that creates the ledger of a host that an earlier version has set up; otherwise none."""
    if not changes or isinstance(changes[0], EnterEarlier):
        return []
    return [EnterEarlier(found=found)] if (found := earlier.find(parameters)) else []


def apply(changes: Sequence[Change], parameters: Parameters, *, typed: str = "") -> None:
    """Apply the changes, and show their outcomes, also after a failure; mode `plan` changes nothing.

    JupyterLab shows a progress bar with the current change. If there is a text `typed`, and a change to make, then
    `confirm` has to be that text, or a person to type it; where nobody can be asked, nothing is changed. A plan is
    applied once: see `steps`. Raises OrderError for any other text.
    """
    section = steps.begin_apply(changes, parameters)
    is_to_confirm = bool(typed and changes) and parameters.confirm != typed
    if reason := _reason_to_leave(parameters, typed if is_to_confirm else ""):
        show(tables.Table(headings=(), rows=(), empty=f"Nothing was changed: {reason}."))
        steps.end_apply(was_left=True)
        return
    if is_to_confirm:
        _ask_for(typed)
    outcomes: list[executor.Outcome] = []
    with _recorded(section, parameters, "Apply"):
        try:
            with _diagnosed(parameters), lock.hold(), _progress(len(changes)) as before:
                executor.apply(
                    changes,
                    timeout_seconds=parameters.timeout_seconds,
                    before=before,
                    after=outcomes.append,
                    kept=_to_keep(section, parameters),
                )
        finally:
            show(tables.outcomes_table(outcomes))
    steps.end_apply()


def _reason_to_leave(parameters: Parameters, typed: str) -> str:
    """Return why a plan is not applied, empty if it is; `typed` is what has to be typed first, if anything."""
    if parameters.mode == "plan":
        return "the mode is plan"
    if typed and not is_interactive():
        return f"nobody can be asked here; to apply this plan, set `-p confirm {typed}`"
    return ""


def _to_keep(section: Operation | None, parameters: Parameters) -> dict[str, object]:
    """Return the arguments of `deployment.update` for a section that was applied: the values that its notebook has."""
    if section is tear_down:
        return {"kept": None}
    notebook = catalogue.behind(getattr(section, "__name__", ""))
    return {"kept": _given(parameters), "has_started": notebook is not None and notebook.name == "50-compose"}


def _given(parameters: Parameters) -> dict[str, object]:
    """Return the values of the names that the notebook has."""
    return plain(parameters, parameters.model_fields_set)


def _ask_for(text: str) -> None:
    found = input(say(f"Type {text} to go on, or nothing to leave all as it is: "))
    if found != text:
        raise OrderError(
            f"{text} to be typed before this plan is applied",
            repr(found) if found else "nothing; all is as it was",
            f"to apply it, run Plan and Apply again, and type {text}",
        )


@contextmanager
def _progress(count: int) -> Iterator[Callable[[int, Change], None] | None]:
    """Yield the function that shows a change before it is applied, and clear the output at the end.

    Yields None in a headless run: papermill and nbval would store the output.
    """
    if not is_interactive():
        yield None
        return
    empty = {"text/plain": ""}
    shown = IPython.display.display(empty, raw=True, display_id=True)  # type: ignore[no-untyped-call] # as above

    def show_change(number: int, change: Change) -> None:
        bar = f"<progress max='{count}' value='{number - 1}'></progress>"
        text = f"<label>{bar} {say(f'{number} of {count}')}: {html.escape(say(str(change)))}</label>"
        shown.update({"text/html": text, "text/plain": ""}, raw=True)

    try:
        yield show_change
    finally:
        IPython.display.clear_output(wait=True)  # type: ignore[no-untyped-call] # as above


def verify(
    section: Operation, parameters: Parameters, *, draw: Callable[[Sequence[Result]], Drawing] | None = None
) -> None:
    """Show a section's proof, and the picture that `draw` makes of it; a plan that was left has none.

    Raises CheckError if a row fails.
    """
    is_applied = steps.begin_verify(parameters)
    with _recorded(section, parameters, "Verify", is_end=True), _diagnosed(parameters):
        results = []
        if is_applied:
            with lock.hold():  # a proof pushes and removes
                results = prove(section, parameters)
        asked = (
            f"{parameters.registry_host} on {platform.node()}, {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
        )
        show(tables.results_table(results, asked))
        if draw and any(result.asker for result in results):
            show(draw(results))
        if failed := [result for result in results if not result.passed]:
            raise CheckError(
                "every proof to hold",
                "; ".join(f"{item.claim}: expected {item.expected}, found {item.found}" for item in failed),
                "; ".join(dict.fromkeys(item.remedy for item in failed)),
                shown=f"{len(failed)} of {len(results)} failed: the first rows of the table above",
            )


@_host_errors()
def prove(section: Operation, parameters: Parameters) -> list[Result]:
    """Return a section's proof: a second plan is empty and, if that holds, the section's own checks."""
    changes = section.plan(parameters, section.gather(parameters))
    remedy = "run this notebook again; if it stays, something else on this host changes it back"
    if any(isinstance(change, LeftToUser) for change in changes):
        remedy = "do what the plan leaves to you, then run this notebook again"
    converged = works(
        "planning again finds nothing to change",
        expected="0 changes",
        found=tables.counted(len(changes), "change") + "".join(f"; {change}" for change in changes),
        remedy=remedy,
    )
    return [converged, *(section.check(parameters) if converged.passed else ())]
