"""The progress of a run on standard error: a bar in a terminal, otherwise one plain line a step."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runbook.cli import summary
from runbook.model.words import say
from runbook.record.model import NotebookRun

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def wants_bar() -> bool:
    """Return whether standard error is a terminal that can draw a bar."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb", "unknown"}


class Lines:
    """Prints a line when a notebook begins, and one when it ends."""

    def begin(self, notebook: str, title: str) -> None:
        """Print which notebook begins."""
        print(f"{say('begin')}  {notebook}  {say(title)}", file=sys.stderr, flush=True)  # noqa: T201 (the program's own output)

    def step(self, heading: str, part: float) -> None:
        """Print nothing: a log needs no line a heading."""

    def end(self, done: NotebookRun) -> None:
        """Print the result of a notebook."""
        print(summary.progress(done), file=sys.stderr, flush=True)  # noqa: T201 (the program's own output)


class Bar:
    """A bar that names the notebook and its step, below one line for each finished notebook."""

    def __init__(self, display: "Progress", task: "TaskID") -> None:
        """Store the display and the task whose bar shows the run."""
        self._display, self._task = display, task
        self._ended, self._notebook = 0, ""

    def begin(self, notebook: str, title: str) -> None:  # noqa: ARG002 (the bar has room for the name alone)
        """Show which notebook begins."""
        self._notebook = notebook
        self._display.update(self._task, description=notebook)

    def step(self, heading: str, part: float) -> None:
        """Show the step, and the completed part of the notebook (0 to 1)."""
        text = f"{self._notebook}: {say(heading)}" if heading else self._notebook
        self._display.update(self._task, description=text, completed=self._ended + part, refresh=True)

    def end(self, done: NotebookRun) -> None:
        """Print the result of a notebook above the bar."""
        self._ended += 1
        self._display.update(self._task, completed=self._ended)
        self._display.console.print(summary.progress(done), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def reporter(count: int, *, bar: bool) -> Iterator[Lines | Bar]:
    """Yield the progress reporter for a run of `count` notebooks."""
    if not bar:
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, emoji=False), transient=True) as display:
        yield Bar(display, display.add_task("", total=count))
