"""Run notebooks headless with papermill, and read what they showed as data."""

import datetime
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from traitlets.config import Config

from runbook.record.cells import cells, headings
from runbook.record.cells import title as title_of
from runbook.record.model import NotebookRun

PROJECT = Path(__file__).resolve().parents[1]
NOTEBOOKS = PROJECT / "notebooks"


class Watch(Protocol):
    """Who is told what a run is doing."""

    def begin(self, notebook: str, title: str) -> None:
        """Take note that a notebook begins."""

    def step(self, heading: str, part: float) -> None:
        """Take note that the code below a heading begins, with this part of the notebook done (0 to 1)."""


def names() -> list[str]:
    """Return the names of all notebooks, in their order."""
    return sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))


def title(name: str) -> str:
    """Return a notebook's first heading."""
    return title_of(cells(NOTEBOOKS / f"{name}.ipynb"))


def run(notebooks: Sequence[str], values: Mapping[str, object], folder: Path, watch: Watch) -> Iterator[NotebookRun]:
    """Run notebooks in order and yield what each did, ending after the first that fails or is interrupted.

    Executed notebooks are written to `folder`, 0600.
    """
    os.environ["RUNBOOK_HEADLESS"] = "1"
    os.umask(0o077)
    for notebook in notebooks:
        done = _run_one(NOTEBOOKS / f"{notebook}.ipynb", values, folder, watch)
        yield done
        if done.error:
            return


def _run_one(source: Path, values: Mapping[str, object], folder: Path, watch: Watch) -> NotebookRun:
    from runbook.record import executed

    output = folder / source.name
    output.unlink(missing_ok=True)  # of an earlier run: it must not be taken for this one's
    started = datetime.datetime.now(datetime.UTC)
    try:
        watch.begin(source.stem, title(source.stem))
        error = _execute(source, output, values, watch)
    except KeyboardInterrupt:
        error = executed.INTERRUPTED
    result, error = executed.ending(error)
    seconds = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
    told = {"result": result, "error": error, "started": started, "seconds": seconds}
    try:
        return executed.read(output).model_copy(update=told)
    except (FileNotFoundError, ValueError):  # it was interrupted before, or while, the output was written
        return NotebookRun(notebook=source.stem, title=title(source.stem), output=output, **told)


def _execute(source: Path, output: Path, values: Mapping[str, object], watch: Watch) -> str | None:
    """Run a notebook with papermill, and return its error; None where it came to its end."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    used = papermill.inspect_notebook(source)  # papermill warns of a value that a notebook does not use
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
                on_cell_start=_teller(len(cells(source)), watch),
            )
    except papermill.PapermillExecutionError as failure:
        return f"{failure.ename}: {failure.evalue}"
    except DeadKernelError as failure:
        return f"expected the kernel to live; found {failure}. To repair: run it again, it goes on from here."
    return None


def _teller(count: int, watch: Watch) -> Callable[..., None]:
    """Return nbclient's hook at the start of each cell, which tells the heading above it."""
    above = ""

    def tell(cell: Mapping[str, Any], cell_index: int) -> None:
        nonlocal above
        above = [above, *headings(cell)][-1]
        watch.step(above, min(cell_index / count, 1.0))

    return tell
