"""Run notebooks headless with papermill, and read what they showed as data."""

import datetime
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from runbook.catalogue import NOTEBOOKS
from runbook.runs.record.cells import cells, headings, title
from runbook.runs.record.model import NotebookRun

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from runbook.speed.kernels import Kernel


class Watch(Protocol):
    """Who is told what a run is doing."""

    def begin(self, notebook: str, title: str) -> None:
        """Take note that a notebook begins."""

    def step(self, heading: str, part: float) -> None:
        """Take note that the code below a heading begins, with this part of the notebook done (0 to 1)."""


def _parameter_names(notebook: Path) -> set[str]:
    """Return the names in a notebook's parameters cell: papermill warns of a value that a notebook does not use."""
    tagged = [cell for cell in cells(notebook) if "parameters" in cell["metadata"].get("tags", ())]
    return {found for cell in tagged for found in re.findall(r"^(\w+):", cell["source"], re.MULTILINE)}


def run(notebooks: Sequence[str], values: Mapping[str, object], folder: Path, watch: Watch) -> Iterator[NotebookRun]:
    """Run notebooks in order and yield what each did, ending after the first that fails or is interrupted.

    Executed notebooks are written to `folder`, 0600: this process's umask becomes 077.
    """
    from runbook.speed import kernels

    os.umask(0o077)
    with closing(kernels.one_after_another(len(notebooks))) as started:
        for notebook in notebooks:
            done = _run_one(NOTEBOOKS / f"{notebook}.ipynb", values, folder, watch, started)
            yield done
            if done.error:
                return


def _run_one(
    source: Path, values: Mapping[str, object], folder: Path, watch: Watch, kernels: "Iterator[Kernel]"
) -> NotebookRun:
    from runbook.runs.record import executed

    output = folder / source.name
    output.unlink(missing_ok=True)  # of an earlier run: it must not be taken for this one's
    started = datetime.datetime.now(datetime.UTC)
    try:
        heading = title(cells(source))
        watch.begin(source.stem, heading)
        error = _execute(source, output, values, watch, next(kernels))
    except KeyboardInterrupt:
        error = executed.INTERRUPTED
    result, error = executed.ending(error)
    seconds = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
    told = {"result": result, "error": error, "started": started, "seconds": seconds}
    try:
        return executed.read(output).model_copy(update=told)
    except (FileNotFoundError, ValueError):  # it was interrupted before, or while, the output was written
        return NotebookRun(notebook=source.stem, title=heading, output=output, **told)


def _execute(source: Path, output: Path, values: Mapping[str, object], watch: Watch, kernel: "Kernel") -> str | None:
    """Run a notebook with papermill, and return its error; None where it came to its end."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    used = _parameter_names(source)
    keeper = _Keeper(output)
    try:
        with _interrupt_for(kernel) as allow_cell:
            papermill.execute_notebook(
                source,
                output,
                parameters={name: value for name, value in values.items() if name in used},
                kernel_name="python3",
                progress_bar=False,
                km=kernel,
                request_save_on_cell_execute=False,
                on_notebook_start=keeper.take,
                on_cell_start=_teller(len(cells(source)), watch, allow_cell),
                on_cell_complete=keeper.write,
            )
    except papermill.PapermillExecutionError as failure:
        return f"{failure.ename}: {failure.evalue}"
    except KeyboardInterrupt:
        keeper.write()
        raise
    except DeadKernelError as failure:
        keeper.write()
        return f"expected the kernel to live; found {failure}. To repair: run it again, it goes on from here."
    return None


class _Keeper:
    """Keeps a notebook on disk while it runs, so that one that is cut off is there with all that was done.

    papermill would write it before and after each cell, prose too; this does so while the kernel is at work.
    """

    def __init__(self, path: Path) -> None:
        """Take where to write it."""
        self._path = path
        self._notebook: NotebookNode | None = None

    def take(self, notebook: "NotebookNode") -> None:
        """Take the notebook, which will change: nbclient's hook before the first cell."""
        self._notebook = notebook

    def write(self, **_: object) -> None:
        """Write it as it is now: nbclient's hook on_cell_complete, called when a cell's code was sent to the kernel."""
        from papermill.iorw import write_ipynb

        if self._notebook is not None:
            write_ipynb(self._notebook, str(self._path))


@contextmanager
def _interrupt_for(kernel: "Kernel") -> Iterator[Callable[[], None]]:
    """Let an interrupt end the cell, not this process: its executor says then what was done; a second one ends all.

    Gives the function to call before each cell: it raises KeyboardInterrupt where there was one that no cell took, and
    so does the end.
    """
    before = signal.getsignal(signal.SIGINT)
    interrupted = has_kernel = False

    def pass_on(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if has_kernel:  # one that starts would die of it
            kernel.interrupt()

    def allow_cell() -> None:
        nonlocal has_kernel
        has_kernel = True
        if interrupted:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, pass_on)
    try:
        yield allow_cell
        if interrupted:  # after the last cell
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


def _teller(count: int, watch: Watch, allow_cell: Callable[[], None]) -> Callable[..., None]:
    """Return nbclient's hook at the start of each cell: it tells the heading above it, or ends an interrupted run."""
    above = ""

    def tell(cell: Mapping[str, Any], cell_index: int) -> None:
        nonlocal above
        allow_cell()
        above = [above, *headings(cell)][-1]
        watch.step(above, min(cell_index / count, 1.0))

    return tell
