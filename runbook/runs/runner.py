"""Run notebooks headless with papermill, and return the data behind their outputs."""

import datetime
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from runbook.catalogue import NOTEBOOKS
from runbook.jupyter import copies
from runbook.record.cells import Cell, cells, headings, note, title
from runbook.record.model import NotebookRun

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from runbook.speed.kernels import Kernel


class Watch(Protocol):
    """The progress reporter of a run."""

    def begin(self, notebook: str, title: str) -> None:
        """Report the start of a notebook."""

    def step(self, heading: str, part: float) -> None:
        """Report the start of the code below a heading, and the completed part of the notebook (0 to 1)."""


def _parameter_names(found: Sequence[Cell]) -> set[str]:
    """Return the names in a notebook's parameters cell: papermill warns about values for other names."""
    tagged = [cell for cell in found if "parameters" in cell["metadata"].get("tags", ())]
    return {name for cell in tagged for name in re.findall(r"^(\w+):", cell["source"], re.MULTILINE)}


def run(notebooks: Sequence[str], values: Mapping[str, object], folder: Path, watch: Watch) -> Iterator[NotebookRun]:
    """Run notebooks in order, and yield the result of each. Stop after one that fails or is interrupted.

    Writes the executed notebooks to `folder`, 0600; this process's umask becomes 077.
    """
    from runbook.speed import kernels

    os.umask(0o077)
    with closing(kernels.one_after_another(len(notebooks))) as ready:
        for notebook in notebooks:
            done = _run_one(NOTEBOOKS / f"{notebook}.ipynb", values, folder, watch, ready)
            yield done
            if done.error:
                return


def _run_one(
    source: Path, values: Mapping[str, object], folder: Path, watch: Watch, kernels: "Iterator[Kernel]"
) -> NotebookRun:
    from runbook.record import executed

    output = folder / source.name
    output.unlink(missing_ok=True)  # an earlier run's output must not count as this run's
    started = datetime.datetime.now(datetime.UTC)
    try:
        heading = title(cells(source))
        watch.begin(source.stem, heading)
        error = _execute(source, output, values, watch, next(kernels))
    except KeyboardInterrupt:
        error = executed.INTERRUPTED
    result, error = executed.ending(error)
    seconds = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
    outcome = {"result": result, "error": error, "started": started, "seconds": seconds}
    try:
        done = executed.read(output)
        return done.model_copy(update={**outcome, "note": done.note or _note_in_copies(source)})
    except (FileNotFoundError, ValueError):  # interrupted before or during the write
        return NotebookRun(notebook=source.stem, title=heading, output=output, **outcome)


def _note_in_copies(source: Path) -> str:
    """Return the note that the user wrote in JupyterLab, in a copy of a notebook; empty if there is none."""
    for copy, shipped in copies.of(source.name):
        with suppress(OSError, ValueError):  # no copy, or another file by its name
            if written := note(cells(copy)).removeprefix(note(cells(shipped))).strip():
                return written
    return ""


def _execute(source: Path, output: Path, values: Mapping[str, object], watch: Watch, kernel: "Kernel") -> str | None:
    """Run a notebook with papermill, and return its error; None if it finished."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    found = cells(source)
    used = _parameter_names(found)
    writer = _Writer(output)
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
                on_notebook_start=writer.take,
                on_cell_start=_reporter(len(found), watch, allow_cell),
                on_cell_complete=writer.write,
            )
    except papermill.PapermillExecutionError as failure:
        return f"{failure.ename}: {failure.evalue}"
    except KeyboardInterrupt:
        writer.write()
        raise
    except DeadKernelError as failure:
        writer.write()
        return f"expected the kernel to live; found {failure}. To repair: run it again, it goes on from here."
    return None


class _Writer:
    """Writes a notebook during its run: an interrupted run then leaves the outputs up to that point.

    papermill would write before and after each cell, Markdown cells too. This writes while the kernel is busy.
    """

    def __init__(self, path: Path) -> None:
        """Store the path of the output."""
        self._path = path
        self._notebook: NotebookNode | None = None

    def take(self, notebook: "NotebookNode") -> None:
        """Store the notebook, which nbclient changes in place; nbclient's hook before the first cell."""
        self._notebook = notebook

    def write(self, **_: object) -> None:
        """Write the notebook; nbclient's hook on_cell_complete, called once a cell's code was sent to the kernel."""
        from papermill.iorw import write_ipynb

        if self._notebook is not None:
            write_ipynb(self._notebook, str(self._path))


@contextmanager
def _interrupt_for(kernel: "Kernel") -> Iterator[Callable[[], None]]:
    """Pass the first interrupt to the kernel, whose cell then ends with its outcomes; a second one ends this process.

    Yields the function to call before each cell. It raises KeyboardInterrupt after an interrupt that ended no cell, as
    does the exit of this context.
    """
    previous = signal.getsignal(signal.SIGINT)
    interrupted = has_kernel = False

    def pass_on(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if has_kernel:  # an interrupt would kill a kernel that is starting
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
        signal.signal(signal.SIGINT, previous)


def _reporter(count: int, watch: Watch, allow_cell: Callable[[], None]) -> Callable[..., None]:
    """Return nbclient's hook at the start of each cell: it reports the last heading, or ends an interrupted run."""
    heading = ""

    def report(cell: Cell, cell_index: int) -> None:
        nonlocal heading
        allow_cell()
        heading = [heading, *headings(cell)][-1]
        watch.step(heading, min(cell_index / count, 1.0))

    return report
