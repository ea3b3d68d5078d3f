"""The record of a walk in JupyterLab: one a session of its server, to which each notebook adds its run at its end."""

import datetime
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from runbook import catalogue
from runbook.model.errors import HostError
from runbook.model.parameters import Parameters, plain
from runbook.model.project import COMMAND
from runbook.record import executed, folder, versions
from runbook.record.cells import cells, note
from runbook.record.model import NotebookRun, Record, Step
from runbook.system.host import files


def keep(
    module: str, parameters: Parameters, *, shown: Sequence[Mapping[str, Any]], steps: Sequence[Step], error: str | None
) -> Path | None:
    """Add a notebook's run to the record of this walk, and return the record's page; None for any other module.

    `module` is the one behind the notebook, `shown` the data behind its tables; `steps` are in their order, at least
    one. The run takes the place of an earlier one of that notebook in this walk. Raises HostError if the record cannot
    be written.
    """
    notebook = catalogue.behind(module)
    if notebook is None:
        return None
    ending, error = executed.ending(error)
    shipped = catalogue.NOTEBOOKS / f"{notebook.name}.ipynb"
    output = Path(os.environ.get("JPY_SESSION_NAME", shipped))  # jupyter_server sets it
    run = NotebookRun(
        notebook=notebook.name,
        title=notebook.title,
        output=output,
        result=ending,
        started=steps[0].started,
        seconds=_seconds_since(steps[0].started),
        steps=tuple(steps),
        error=error,
        note=_note_in(output),
        **executed.data_behind(shown),
    )
    place, earlier = _begun(parameters)
    folder.write(_with(run, earlier, place, parameters), place)
    return place / folder.PAGE


def _seconds_since(started: datetime.datetime) -> float:
    return (datetime.datetime.now(datetime.UTC) - started).total_seconds()


def _note_in(notebook: Path) -> str:
    """Return the user's note, as the notebook was saved last."""
    with suppress(OSError, ValueError):
        return note(cells(notebook))
    return ""


def _begun(parameters: Parameters) -> tuple[Path, Record | None]:
    """Return the folder of this walk, named after the start of the kernel's parent, Jupyter's server, and its record.

    A walk that goes on with another registry gets a folder of its own.
    """
    began = datetime.datetime.fromtimestamp(psutil.Process(os.getppid()).create_time(), datetime.UTC)
    place = folder.of(began)
    try:
        files.ensure_directory(place, 0o700)
    except OSError as error:
        raise HostError(f"to write the record of this walk to {place}", str(error), "remove the cause") from error
    found = folder.written(place)
    if found is None or found.host.get("registry") == parameters.registry_host:
        return place, found
    return folder.make(datetime.datetime.now(datetime.UTC), None), None


def _with(run: NotebookRun, earlier: Record | None, place: Path, parameters: Parameters) -> Record:
    """Return the record of a walk with one more run."""
    runs = (*(item for item in (earlier.notebooks if earlier else ()) if item.notebook != run.notebook), run)
    given = plain(parameters, parameters.model_fields_set)
    failed = next((item for item in runs if item.error), None)
    started = min(item.started for item in runs)
    return Record(
        folder=place,
        passed=failed is None,
        result=failed.result if failed else "done",
        mode="apply" if earlier and earlier.mode == "apply" else parameters.mode,
        started=started,
        seconds=_seconds_since(started),
        go_on=f"{COMMAND} {failed.notebook}" if failed else None,
        parameters=(earlier.parameters if earlier else {}) | given,
        versions=versions.versions(parameters),
        host=versions.host(parameters),
        notebooks=runs,
    )
