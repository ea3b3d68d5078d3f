"""Run notebooks headless with papermill, and read what they showed as data."""

import datetime
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import platformdirs
from traitlets.config import Config

from runbook import overview, report
from runbook.parameters import Parameters

PROJECT = Path(__file__).resolve().parents[1]
NOTEBOOKS = PROJECT / "notebooks"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What one notebook's run did: the data behind its tables, and its error where it failed."""

    notebook: str
    output: Path
    seconds: float
    changes: tuple[Mapping[str, Any], ...] = ()
    outcomes: tuple[Mapping[str, Any], ...] = ()
    results: tuple[Mapping[str, Any], ...] = ()
    waits: str | None = None
    error: str | None = field(default=None)


def names() -> list[str]:
    """Return the names of all notebooks, in their order."""
    return sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))


def names_of_way(parameters: Parameters) -> list[str]:
    """Return the names of the notebooks that lead to a proven registry; the others run only when named."""
    return ["00-index", *overview.sections(parameters)]


def title(name: str) -> str:
    """Return a notebook's first heading."""
    first = _cells(NOTEBOOKS / f"{name}.ipynb")[0]["source"]
    return str(first).splitlines()[0].lstrip("# ")


def _cells(path: Path) -> list[Mapping[str, Any]]:
    return list(nbformat.read(path, as_version=4).cells)  # type: ignore[no-untyped-call] # nbformat leaves it untyped


def new_folder(now: datetime.datetime) -> Path:
    """Make a folder for a run's executed notebooks below the XDG state folder, 0700, and return it."""
    parent = platformdirs.user_state_path("registry-runbook")
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = parent / now.strftime("%Y%m%dT%H%M%S.%f")
    folder.mkdir(mode=0o700)
    return folder


def run(notebooks: Sequence[str], values: Mapping[str, object], folder: Path) -> Iterator[Run]:
    """Run notebooks in order and yield what each did, ending after the first that fails.

    Executed notebooks are written to `folder`, 0600.
    """
    os.environ["RUNBOOK_HEADLESS"] = "1"
    os.umask(0o077)
    for notebook in notebooks:
        done = _run_one(notebook, values, folder / f"{notebook}.ipynb")
        yield done
        if done.error:
            return


def _run_one(notebook: str, values: Mapping[str, object], output: Path) -> Run:
    import papermill
    from nbclient.exceptions import DeadKernelError

    source = NOTEBOOKS / f"{notebook}.ipynb"
    used = papermill.inspect_notebook(source)  # papermill warns of a value that a notebook does not use
    started = datetime.datetime.now(datetime.UTC)
    error = None
    try:
        with tempfile.TemporaryDirectory(prefix="runbook-") as sockets:
            papermill.execute_notebook(
                source,
                output,
                parameters={name: value for name, value in values.items() if name in used},
                kernel_name="python3",
                progress_bar=False,
                extra_arguments=["--log-level=50"],  # a kernel that is ended says so, as if it were an error
                # Sockets in a folder of root's: over TCP, anybody on this host could listen to the kernel.
                config=Config(AsyncKernelManager={"transport": "ipc", "ip": f"{sockets}/kernel"}),
            )
    except papermill.PapermillExecutionError as failure:
        error = f"{failure.ename}: {failure.evalue}"
    except DeadKernelError as failure:
        error = f"expected the kernel to live; found {failure}. To repair: run it again, it goes on from here."
    seconds = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
    records = list(_records(output))
    return Run(
        notebook=notebook,
        output=output,
        seconds=seconds,
        changes=tuple(item for record in records for item in record.get("changes", ())),
        outcomes=tuple(item for record in records for item in record.get("outcomes", ())),
        results=tuple(item for record in records for item in record.get("results", ())),
        waits=next((record["waits"] for record in records if record.get("waits")), None),
        error=error,
    )


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the data behind each table that an executed notebook shows."""
    for cell in _cells(path):
        for output in cell.get("outputs", ()):
            if record := output.get("metadata", {}).get(report.RECORD):
                yield record
