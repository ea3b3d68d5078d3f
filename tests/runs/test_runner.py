"""The runner: which notebooks there are, and a notebook that is really run."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import nbformat
import papermill
import pytest

from runbook import catalogue
from runbook.display import tables
from runbook.record.cells import UNTOUCHED
from runbook.record.model import NotebookRun
from runbook.runs import runner
from runbook.speed import kernels
from tests.records import CHANGE
from tests.waiting import wait_for

FILE = "10-tiny.ipynb"
# What the cells of a notebook show has the data behind it as metadata.
SHOW = f"""
import IPython.display
def show(**record):
    IPython.display.display({{"text/plain": ""}}, raw=True, metadata={{"{tables.RECORD}": record}})
"""
WORK = """
import time
if port == 4:
    import os, pathlib
    from runbook.changes.apply import apply
    from runbook.changes.manual import LeftToUser
    def wait(*_):
        pathlib.Path(os.environ["BEGUN"]).touch()
        time.sleep(60)
    apply([LeftToUser(task="wait", text="")], before=wait)
time.sleep(60 if port == 3 else 0.3)
assert port != 1, "no port"
"""
TINY = [
    "# A tiny notebook\n\nIt shows what the others do.",
    "## Parameters",
    ("parameters", 'mode: str = "apply"  # help\nport: int = 443  # help'),
    "## Load",
    ("", SHOW),
    "## Plan",
    ("", f"show(kind='plan', changes=[{CHANGE.model_dump()}])"),
    "## Apply",
    ("", WORK),
    "## Verify",
    ("", "assert port != 2, 'never'"),
]


def store(folder: Path) -> None:
    """Write the notebook into a folder."""
    book = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call] # nbformat leaves it untyped
    for cell in TINY:
        if isinstance(cell, str):
            made = nbformat.v4.new_markdown_cell(cell)  # type: ignore[no-untyped-call] # as above
        else:
            tags = {"tags": [cell[0]]} if cell[0] else {}
            made = nbformat.v4.new_code_cell(cell[1], metadata=tags)  # type: ignore[no-untyped-call] # as above
        book.cells.append(made)
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, folder / FILE)  # type: ignore[no-untyped-call] # as above


class Listener:
    """Keeps what a run tells, and does something at the beginning of a step."""

    def __init__(self, at: str = "", then: Callable[[], None] = lambda: None) -> None:
        """Take what to do, and when."""
        self.at, self.then = at, then
        self.said: list[tuple[str, ...]] = []
        self.parts: list[float] = []

    def begin(self, notebook: str, title: str) -> None:
        """Keep it."""
        self.said.append((notebook, title))

    def step(self, heading: str, part: float) -> None:
        """Keep it, once a heading."""
        self.parts.append(part)
        if (heading,) != self.said[-1]:
            self.said.append((heading,))
            if heading == self.at:
                self.then()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[NotebookRun]]]:
    """Return the function that runs the tiny notebook, twice in a row where it does not fail."""
    monkeypatch.setattr(runner, "NOTEBOOKS", tmp_path / "notebooks")
    (tmp_path / "notebooks").mkdir()
    store(tmp_path / "notebooks")
    (tmp_path / "out").mkdir()
    mask = os.umask(0o022)
    yield lambda listener, **values: list(runner.run(["10-tiny"] * 2, values, tmp_path / "out", listener))
    os.umask(mask)


def test_run_reads_what_a_notebook_did_and_when(run: Callable[..., list[NotebookRun]]) -> None:
    """Fails if what the cells show, or where their time went, does not come into the record, or others can read it."""
    listener = Listener()
    first, second = run(listener, port=5000, domain="not.used")
    assert (first.notebook, first.title, first.result, first.error) == ("10-tiny", "A tiny notebook", "done", None)
    assert first.changes == (CHANGE,)
    assert [step.heading for step in first.steps] == ["Parameters", "Load", "Plan", "Apply", "Verify"]
    times = [first.started, *(step.started for step in first.steps), second.started]
    assert sorted(times) == times
    apply = first.steps[3]
    assert 0.3 <= apply.seconds <= first.seconds
    assert sum(step.seconds for step in first.steps) <= first.seconds
    assert first.output.stat().st_mode & 0o777 == 0o600
    headings = [("A tiny notebook",), ("Parameters",), ("Load",), ("Plan",), ("Apply",), ("Verify",)]
    assert listener.said == [("10-tiny", "A tiny notebook"), *headings] * 2
    assert all(0 <= part <= 1 for part in listener.parts)
    middle = len(listener.parts) // 2
    assert sorted(listener.parts[:middle]) == listener.parts[:middle]


def test_run_ends_after_a_notebook_that_fails(run: Callable[..., list[NotebookRun]]) -> None:
    """Fails if the next notebook is run all the same, or what was done before the failure is lost."""
    [only] = run(Listener(), port=1)
    assert (only.result, only.error, only.changes) == ("failed", "AssertionError: no port", (CHANGE,))
    assert [step.heading for step in only.steps] == ["Parameters", "Load", "Plan", "Apply"]


def test_run_records_the_note_of_the_user_s_copy(
    run: Callable[..., list[NotebookRun]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if what was written in JupyterLab is not in the record, or the shipped words count as a note."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(catalogue, "NOTEBOOKS", tmp_path / "notebooks")
    copy = tmp_path / "data/registry-runbook/notebooks" / FILE
    copy.parent.mkdir(parents=True)
    for text, expected in ((UNTOUCHED, ""), ("After the move. password=hidden", "After the move. password=")):
        made = {"cell_type": "markdown", "metadata": {"tags": ["note"]}, "source": f"## Your note\n\n{text}"}
        copy.write_text(json.dumps({"nbformat": 4, "cells": [made]}), encoding="utf-8")
        found = run(Listener())[0].note
        assert (found.startswith(expected), "hidden" in found, bool(found)) == (True, False, bool(expected))


def interrupt_main(once: Path | None = None) -> None:
    """Send this process what Ctrl-C in a terminal sends, once a file is there, or right after this call."""

    def interrupt_then() -> None:
        if once is not None:
            wait_for(f"{once} to be there", once.exists)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Timer(0.1, interrupt_then).start()


def interrupt(*_: object, **__: object) -> None:
    """Do what Ctrl-C does."""
    raise KeyboardInterrupt


def test_run_that_is_interrupted_keeps_what_was_done(run: Callable[..., list[NotebookRun]]) -> None:
    """Fails if Ctrl-C loses the record of what a notebook did before, or the next one is begun."""
    [only] = run(Listener("Apply", interrupt_main), port=3)
    assert (only.result, only.error) == ("interrupted", "cut off before its end; run it again, it goes on from here")
    assert only.changes == (CHANGE,)
    assert [step.heading for step in only.steps][:3] == ["Parameters", "Load", "Plan"]


def test_run_that_is_interrupted_tells_what_its_executor_says(
    run: Callable[..., list[NotebookRun]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if Ctrl-C while a change is made hides what was done before it, or counts as a failure."""
    monkeypatch.setenv("BEGUN", str(tmp_path / "begun"))
    [only] = run(Listener("Apply", lambda: interrupt_main(once=tmp_path / "begun")), port=4)
    assert only.result == "interrupted"
    assert "found an interrupt (failed: left to you: wait; done before it: nothing; not reached: 0)" in str(only.error)


def test_run_tells_of_a_kernel_that_does_not_start(
    run: Callable[..., list[NotebookRun]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails where a kernel that ends before it answers is a traceback, or the run goes on."""
    monkeypatch.setattr(kernels, "_ARGUMENTS", ("--no-such-option=1", "-f", "/no/such/file"))
    [only] = run(Listener())
    assert only.result == "failed"
    assert "expected the kernel to live; found a kernel that does not answer" in str(only.error)


def test_run_can_be_interrupted_as_soon_as_it_begins(
    run: Callable[..., list[NotebookRun]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if Ctrl-C at the first line that a run shows loses its record."""
    listener = Listener()
    monkeypatch.setattr(listener, "begin", interrupt)
    [only] = run(listener)
    assert (only.result, only.title, only.steps) == ("interrupted", "A tiny notebook", ())


def test_run_can_be_interrupted_while_its_kernel_starts(
    run: Callable[..., list[NotebookRun]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if Ctrl-C in the first second, before there is a kernel, is a traceback."""
    monkeypatch.setattr(kernels, "Kernel", interrupt)
    [only] = run(Listener())
    assert (only.result, only.title, only.steps) == ("interrupted", "A tiny notebook", ())


def test_run_takes_nothing_of_an_earlier_one(
    run: Callable[..., list[NotebookRun]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if a notebook that is interrupted before it wrote anything shows what was there before."""
    shutil.copy(tmp_path / "notebooks" / FILE, tmp_path / "out" / FILE)
    monkeypatch.setattr(papermill, "execute_notebook", interrupt)
    [only] = run(Listener())
    assert (only.result, only.title, only.steps) == ("interrupted", "A tiny notebook", ())
    assert not only.output.exists()


def test_interrupt_that_finds_no_cell_any_more_ends_the_run() -> None:
    """Fails if Ctrl-C just after a notebook's last cell is an error, or the run goes on as if nobody had pressed it."""

    def run_to_its_end(kernel: kernels.Kernel) -> None:
        with runner._interrupt_for(kernel) as allow_cell:  # noqa: SLF001
            allow_cell()
            kernel.end()
            signal.raise_signal(signal.SIGINT)

    with closing(kernels.one_after_another(1)) as started, pytest.raises(KeyboardInterrupt):
        run_to_its_end(next(started))
