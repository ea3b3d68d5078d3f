"""Records of runs that were never run, for the tests of what is made of them."""

import datetime
from pathlib import Path
from typing import Any

from runbook.record.model import Change, NotebookRun, Outcome, Proof, Record, Step

BEGUN = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
FOLDER = Path("/records/1")
CHANGE = Change(change="MakeDirectory", summary="make the folder /p (0700)", path="/p", mode=0o700)
OUTCOME = Outcome(change=CHANGE, state="done", seconds=0.12, note="took [it]")
PROVEN = Proof(claim="a login", refusal=False, expected="200", found="200", passed=True, remedy="")
OPEN = Proof(claim="no login", refusal=True, expected="401", found="200", passed=False, remedy="close it")


def after(seconds: float) -> datetime.datetime:
    """Return the moment so many seconds after the run began."""
    return BEGUN + datetime.timedelta(seconds=seconds)


def step(heading: str, begins: float, seconds: float) -> Step:
    """Return a step that begins so many seconds after the run did."""
    return Step(heading=heading, started=after(begins), seconds=seconds)


def notebook_run(notebook: str, **values: Any) -> NotebookRun:  # noqa: ANN401 (any field)
    """Return a notebook's run, with what a test says of it."""
    usual = {"output": FOLDER / f"{notebook}.ipynb", "result": "done", "started": BEGUN, "seconds": 0.0}
    return NotebookRun(notebook=notebook, **(usual | values))


def record(*runs: NotebookRun, **values: Any) -> Record:  # noqa: ANN401 (any field)
    """Return the record of these runs, with what a test says of it."""
    result = runs[-1].result
    usual = {
        "folder": FOLDER,
        "passed": result == "done",
        "result": result,
        "mode": "apply",
        "started": BEGUN,
        "seconds": 10.0,
        "go_on": None,
        "parameters": {"domain": "registry.test", "port": 443},
        "versions": {"engine": "26.1.5"},
        "host": {"name": "trixie"},
    }
    return Record(notebooks=runs, **(usual | values))


GOOD = notebook_run(
    "10-host",
    title="The host",
    seconds=4.0,
    steps=(step("Load", 1.0, 0.5), step("Apply", 1.5, 2.25)),
    changes=(CHANGE,),
    outcomes=(OUTCOME,),
    results=(PROVEN,),
)
BAD = notebook_run(
    "50-compose",
    started=after(4.0),
    seconds=6.0,
    result="failed",
    results=(PROVEN, OPEN),
    error="CheckError: expected [401]",
)
