"""The end of a run: one line a notebook, the table of what was proven, the counts, and where to go on."""

from pathlib import Path

import pytest

from runbook.cli import summary
from runbook.record.model import NotebookRun
from tests.records import BAD, CHANGE, FOLDER, GOOD, notebook_run, record

WAITS = notebook_run("60-push-pull", waits="expected a registry")
CUT_OFF = BAD.model_copy(update={"result": "interrupted"})


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        pytest.param(GOOD, "done  10-host  1 planned, 1 changed, 1 of 1 proofs passed  4.0 s", id="done"),
        pytest.param(BAD, "FAILED  50-compose  0 planned, 0 changed, 1 of 2 proofs passed  6.0 s", id="failed"),
        pytest.param(
            CUT_OFF, "interrupted  50-compose  0 planned, 0 changed, 1 of 2 proofs passed  6.0 s", id="interrupted"
        ),
    ],
)
def test_progress_counts_what_a_notebook_did(done: NotebookRun, expected: str) -> None:
    """Fails if a failed notebook looks done, or a failed proof counts."""
    assert expected == summary.progress(done)


def test_show_tells_a_failed_run_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if the end of a failed run names neither the cause nor the next command, or brackets get lost."""
    summary.show(record(GOOD, BAD, go_on="./script/run 50-compose -p port 5443"))
    found = capsys.readouterr().out
    expected = [
        "make the folder /p (0700): took [it]",
        f"1 change made, 2 of 3 proofs passed. Record: {FOLDER}",
        "50-compose failed: 1 of 2 proofs failed",
        "no login: expected 401; found 200. To repair: ",
        "Then go on with: ./script/run 50-compose -p port 5443",
    ]
    assert expected == [line for line in expected if line in found]
    assert "CheckError" not in found  # it would say the same again
    assert "50-compose" in found.splitlines()[1]  # what failed comes first
    assert ["50-compose", "no", "login", "refused", "200", "FAILED"] in [line.split() for line in found.splitlines()]


def test_show_tells_a_plan_that_nothing_was_made(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if a plan reads as if something had been changed, or hides what cannot be planned yet."""
    summary.show(record(WAITS, notebook_run("10-host", changes=(CHANGE,)), mode="plan"))
    found = capsys.readouterr().out
    assert f"1 change planned, none made. Record: {FOLDER}" in found
    rows = [line.rstrip().split(maxsplit=1) for line in found.splitlines()]
    assert rows[1:3] == [
        ["10-host", "make the folder /p (0700)"],
        ["60-push-pull", "cannot be planned yet: expected a registry"],
    ]


@pytest.mark.parametrize("mode", ["plan", "apply"])
def test_show_takes_the_brackets_of_a_folder_for_text(capsys: pytest.CaptureFixture[str], mode: str) -> None:
    """Fails if the folder of the record is shown as another one than it is."""
    summary.show(record(GOOD, mode=mode, folder=Path("/records/[x]/1")))
    assert "Record: /records/[x]/1" in capsys.readouterr().out


def test_runs_table_tells_how_each_ended() -> None:
    """Fails if a plan, a failure or an interruption looks like a proven registry, or a broken record hides the rest."""
    found = summary.runs_table(
        [
            ("/r/5", record(GOOD, BAD)),
            ("/r/4", record(CUT_OFF)),
            ("/r/3", record(GOOD, mode="plan")),
            ("/r/2", None),
            ("/r/1", record(GOOD)),
        ]
    ).rows
    begun = "2026-01-02 03:04:05"
    assert found == (
        (begun, "10-host … 50-compose", "FAILED", "2 of 3", "/r/5"),
        (begun, "50-compose", "interrupted", "1 of 2", "/r/4"),
        (begun, "10-host", "planned", "1 of 1", "/r/3"),
        ("", "", "cannot be read", "", "/r/2"),
        (begun, "10-host", "done", "1 of 1", "/r/1"),
    )
    assert [len(summary.RUNS)] * 5 == [len(row) for row in found]
