"""The folders of the records, below the XDG state folder or where `--output` says: made, found, written, read."""

import datetime
import errno
import os
from pathlib import Path

import platformdirs

from runbook.model.errors import HostError, MissingError
from runbook.runs.record import executed, junit, page
from runbook.runs.record.model import NotebookRun, Record
from runbook.system.host import files

DATA, PAGE, CASES = "report.json", "report.html", "junit.xml"
_NOTEBOOKS = "[0-9][0-9]-*.ipynb"


def state_folder() -> Path:
    """Return the folder that holds the records (XDG Base Directory Specification, `XDG_STATE_HOME`)."""
    return Path(platformdirs.user_state_path("registry-runbook"))


def make(now: datetime.datetime, output: Path | None) -> Path:
    """Make the folder of a run's record, 0700, and return it; an `output` that is there keeps its mode.

    Raises HostError where it cannot be made, or where another user could lead elsewhere what is written there.
    """
    folder = output or state_folder() / now.strftime("%Y%m%dT%H%M%S.%f")
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
    return sorted((path for path in found if _holds_run(path)), reverse=True)


def _holds_run(folder: Path) -> bool:
    return folder.is_dir() and ((folder / DATA).exists() or any(folder.glob(_NOTEBOOKS)))


def find(name: str | None) -> Path:
    """Return the folder of a run: its path, its name below the state folder, or without a name the newest one.

    Raises MissingError where there is none.
    """
    known = all_folders()
    if name is None:
        if not known:
            raise MissingError(f"a run below {state_folder()}", "none", "run `./script/run`")
        return known[0]
    for folder in (state_folder() / name, Path(name)):
        if _holds_run(folder):
            return folder
    raise MissingError("the folder of a run, or its name", name, "see `./script/run runs`")


def write(record: Record, folder: Path) -> None:
    """Write `report.json`, `report.html` and `junit.xml`, each for its owner alone.

    Raises HostError where they cannot be written.
    """
    texts = {DATA: record.as_json().encode(), PAGE: page.text(record).encode(), CASES: junit.text(record)}
    try:
        for name, data in texts.items():
            files.write(folder / name, data, 0o600)
    except HostError as error:
        raise _not_writable(folder, error.found) from error


def read(folder: Path) -> Record:
    """Return the record in a folder: from `report.json` or, where a run was cut off before it, its notebooks.

    Raises HostError where what is there cannot be read.
    """
    path = folder / DATA
    try:
        if path.exists():
            return Record.model_validate_json(path.read_bytes())
        return _from_notebooks(folder)
    except (ValueError, OSError) as error:
        said = str(error).splitlines()[0]
        remedy = f"remove {path}: it is made again from the notebooks" if path.exists() else "look at the notebooks"
        raise HostError(f"the record of a run in {folder}", said, remedy) from error


def readable(folder: Path) -> Record | None:
    """Return the record in a folder, None where it cannot be read."""
    try:
        return read(folder)
    except HostError:
        return None


def _from_notebooks(folder: Path) -> Record:
    """Return what the executed notebooks alone tell: neither the versions nor the command that goes on."""
    paths = sorted(folder.glob(_NOTEBOOKS))
    done: tuple[NotebookRun, ...] = tuple(executed.read(path) for path in paths)
    given = {name: value for path in paths for name, value in executed.parameters(path).items()}
    ending = next((one.result for one in done if one.result != "done"), "done")
    return Record(
        folder=folder,
        passed=ending == "done",
        result=ending,
        mode="plan" if given.get("mode") == "plan" else "apply",
        started=min(one.started for one in done),
        seconds=sum(one.seconds for one in done),
        go_on=None,
        parameters=given,
        versions={},
        host={},
        notebooks=done,
    )
