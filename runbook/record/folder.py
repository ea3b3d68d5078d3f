"""The folders of the records, below the XDG state folder or given by `--output`: create, find, write, read."""

import datetime
import errno
import os
from pathlib import Path

import platformdirs

from runbook.model.errors import HostError, MissingError
from runbook.model.project import COMMAND
from runbook.record import executed, junit, page
from runbook.record.model import NotebookRun, Record
from runbook.system.host import files

DATA, PAGE, CASES = "report.json", "report.html", "junit.xml"
_NOTEBOOKS = "[0-9][0-9]-*.ipynb"


def state_folder() -> Path:
    """Return the folder with the records (XDG Base Directory Specification, `XDG_STATE_HOME`)."""
    return Path(platformdirs.user_state_path("registry-runbook"))


def of(time: datetime.datetime) -> Path:
    """Return the folder of what began at this time, whether it exists or not."""
    return state_folder() / time.strftime("%Y%m%dT%H%M%S.%f")


def make(now: datetime.datetime, output: Path | None) -> Path:
    """Create the folder of a run's record, 0700, and return it; an existing `output` keeps its mode.

    Raises HostError if the folder cannot be created, or if another user could redirect writes to it.
    """
    folder = output or of(now)
    try:
        is_new = files.ensure_directory(folder, 0o700)
    except OSError as error:
        raise _not_writable(folder, str(error)) from error
    if not is_new and output is None:
        raise _not_writable(folder, os.strerror(errno.EEXIST))
    return folder.resolve()


def _not_writable(folder: Path, found: str) -> HostError:
    return HostError(f"to write the record to {folder}", found, "name another folder with --output")


def all_folders() -> list[Path]:
    """Return the folders below the state folder that hold a record or an executed notebook, newest first."""
    found = state_folder().iterdir() if state_folder().is_dir() else ()
    return sorted(filter(_holds_run, found), reverse=True)


def _holds_run(folder: Path) -> bool:
    return folder.is_dir() and ((folder / DATA).exists() or any(folder.glob(_NOTEBOOKS)))


def find(name: str | None) -> Path:
    """Return the folder of a run, given its path or its name below the state folder; without a name, the newest one.

    Raises MissingError if there is none.
    """
    known = all_folders()
    if name is None:
        if not known:
            raise MissingError(f"a run below {state_folder()}", "none", f"run `{COMMAND}`")
        return known[0]
    for folder in (state_folder() / name, Path(name)):
        if _holds_run(folder):
            return folder
    raise MissingError("the folder of a run, or its name", name, f"see `{COMMAND} runs`")


def write(record: Record, folder: Path) -> None:
    """Write `report.json`, `report.html` and `junit.xml`, each 0600; raises HostError if one cannot be written."""
    texts = {DATA: record.as_json().encode(), PAGE: page.text(record).encode(), CASES: junit.text(record)}
    try:
        for name, data in texts.items():
            files.write(folder / name, data, 0o600)
    except HostError as error:
        raise _not_writable(folder, error.found) from error


def read(folder: Path) -> Record:
    """Return the record in a folder, from `report.json` or, if the run was cut off before it, from the notebooks.

    Raises HostError if the record cannot be read.
    """
    path = folder / DATA
    try:
        if path.exists():
            return Record.model_validate_json(path.read_bytes())
        return _from_notebooks(folder)
    except (ValueError, OSError) as error:
        remedy = f"remove {path}: it is made again from the notebooks" if path.exists() else "look at the notebooks"
        raise HostError(f"the record of a run in {folder}", str(error).partition("\n")[0], remedy) from error


def readable(folder: Path) -> Record | None:
    """Return the record in a folder, None if it cannot be read."""
    try:
        return read(folder)
    except HostError:
        return None


def written(folder: Path) -> Record | None:
    """Return the record that a run has written at its end, None without one that can be read."""
    return readable(folder) if (folder / DATA).exists() else None


def _from_notebooks(folder: Path) -> Record:
    """Return the record that the executed notebooks give, without versions, host and the command to continue."""
    paths = sorted(folder.glob(_NOTEBOOKS))
    runs: tuple[NotebookRun, ...] = tuple(executed.read(path) for path in paths)
    given = {name: value for path in paths for name, value in executed.parameters(path).items()}
    ending = next((run.result for run in runs if run.result != "done"), "done")
    return Record(
        folder=folder,
        passed=ending == "done",
        result=ending,
        mode="plan" if given.get("mode") == "plan" else "apply",
        started=min(run.started for run in runs),
        seconds=sum(run.seconds for run in runs),
        go_on=None,
        parameters=given,
        versions={},
        host={},
        notebooks=runs,
    )
