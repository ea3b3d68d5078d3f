"""The end of a run: one line a notebook, the table of what was proven, the counts, and where to go on."""

import json
from pathlib import Path

import pytest

from runbook import summary
from runbook.runner import Run

PROVEN = {"claim": "a login", "refusal": False, "expected": "200", "found": "200", "passed": True, "remedy": ""}
OPEN = {"claim": "no login", "refusal": True, "expected": "401", "found": "200", "passed": False, "remedy": ""}
CHANGE = {"change": "MakeDirectory", "summary": "make the folder /p (0700)"}
OUTCOME = {"change": CHANGE, "state": "done", "seconds": 0.1, "note": "took [it]"}
FOLDER = Path("/records/1")
GOOD = Run(notebook="10-host", output=FOLDER / "10-host.ipynb", seconds=1.24, changes=(CHANGE,), outcomes=(OUTCOME,))
BAD = Run(
    notebook="50-compose",
    output=FOLDER / "50-compose.ipynb",
    seconds=0.0,
    results=(PROVEN, OPEN),
    error="CheckError: expected [401]",
)
WAITS = Run(notebook="60-push-pull", output=FOLDER / "60-push-pull.ipynb", seconds=0.0, waits="expected a registry")


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        pytest.param(GOOD, "done  10-host  1 planned, 1 changed, 0 of 0 proofs passed  1.2 s", id="done"),
        pytest.param(BAD, "FAILED  50-compose  0 planned, 0 changed, 1 of 2 proofs passed  0.0 s", id="failed"),
    ],
)
def test_progress_counts_what_a_notebook_did(done: Run, expected: str) -> None:
    """Fails if a failed notebook looks done, or a failed proof counts."""
    assert expected == summary.progress(done)


@pytest.mark.parametrize(("last", "expected"), [pytest.param(GOOD, True, id="done"), pytest.param(BAD, False, id="no")])
def test_as_json_keeps_everything(last: Run, *, expected: bool) -> None:
    """Fails if a program that reads the result takes a failure for a success, or a part is missing."""
    found = json.loads(json.dumps(summary.as_json([GOOD, last], FOLDER)))
    assert (str(FOLDER), expected) == (found["folder"], found["passed"])
    assert {"notebook", "output", "seconds", "changes", "outcomes", "results", "waits", "error"} == set(
        found["notebooks"][1]
    )
    assert [str(GOOD.output), str(last.output)] == [item["output"] for item in found["notebooks"]]


def test_show_tells_a_failed_run_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if the end of a failed run names neither the cause nor the next command, or brackets get lost."""
    summary.show([GOOD, BAD], FOLDER, planned=False)
    found = capsys.readouterr().out
    expected = [
        "make the folder /p (0700): took [it]",
        f"1 changes made, 1 of 2 proofs passed. Record: {FOLDER}",
        "50-compose failed: CheckError: expected [401]",
        "Then go on with: ./script/run 50-compose",
    ]
    assert expected == [line for line in expected if line in found]
    assert ["50-compose", "no", "login", "refused", "200", "FAILED"] in [line.split() for line in found.splitlines()]


def test_show_tells_a_plan_that_nothing_was_made(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if a plan reads as if something had been changed, or hides what cannot be planned yet."""
    planned = Run(notebook="10-host", output=FOLDER, seconds=0.0, changes=(CHANGE,))
    summary.show([WAITS, planned], FOLDER, planned=True)
    found = capsys.readouterr().out
    assert f"1 changes planned, none made. Record: {FOLDER}" in found
    rows = [line.rstrip().split(maxsplit=1) for line in found.splitlines()]
    assert rows[1:3] == [
        ["10-host", "make the folder /p (0700)"],
        ["60-push-pull", "cannot be planned yet: expected a registry"],
    ]


@pytest.mark.parametrize("planned", [True, False])
def test_show_takes_the_brackets_of_a_folder_for_text(capsys: pytest.CaptureFixture[str], *, planned: bool) -> None:
    """Fails if the folder of the record is shown as another one than it is."""
    summary.show([GOOD], Path("/records/[x]/1"), planned=planned)
    assert "Record: /records/[x]/1" in capsys.readouterr().out
