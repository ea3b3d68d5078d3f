"""The record of a walk in JupyterLab, of kernels that one process has started, as its server does."""

import datetime
import json
from pathlib import Path

import pytest

from runbook.model.parameters import Parameters, read
from runbook.record import folder, walk
from runbook.record.model import Record, Step
from runbook.sections import certificates, compose
from tests.conftest import without_engine

NOW = datetime.datetime.now(datetime.UTC)
STEPS = [Step(heading=heading, started=NOW, seconds=1.0) for heading in ("Plan", "Apply", "Verify")]
PROOF = {"claim": "c", "refusal": False, "expected": "e", "found": "e", "passed": True, "remedy": "r"}
CHANGE = {"change": "MakeDirectory", "summary": "make the folder /a"}
SHOWN = [
    {"kind": "plan", "changes": [CHANGE]},
    {"kind": "apply", "outcomes": [{"change": CHANGE, "state": "done", "seconds": 0.5, "note": ""}]},
    {"kind": "checks", "results": [PROOF]},
]


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Write below the test's own folder, and ask no engine of this machine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    without_engine(monkeypatch)


def keep(module: str, parameters: Parameters | None = None, *, error: str | None = None) -> Record:
    """Add a notebook's run, and return the record that the page is of."""
    page = walk.keep(module, parameters or Parameters(), shown=SHOWN, steps=STEPS, error=error)
    assert page
    assert sorted(path.name for path in page.parent.iterdir()) == sorted((folder.DATA, folder.PAGE, folder.CASES))
    return folder.read(page.parent)


def test_notebooks_of_a_walk_are_one_record() -> None:
    """Fails if each notebook leaves a record of its own, or something of what it showed is missing."""
    keep(certificates.__name__)
    record = keep(compose.__name__)
    assert folder.all_folders() == [record.folder]
    assert [run.notebook for run in record.notebooks] == ["30-certificates", "50-compose"]
    assert (record.passed, record.result, record.go_on) == (True, "done", None)
    [_, run] = record.notebooks
    assert [item.summary for item in run.changes] == ["make the folder /a"]
    assert (run.changed, run.passed, run.failed) == (1, 1, [])
    assert [step.heading for step in run.steps] == ["Plan", "Apply", "Verify"]
    assert record.host["registry"] == "registry.test"


def test_run_again_takes_the_place_of_the_failed_one() -> None:
    """Fails if a walk stays failed after its notebook was repeated, or a failure is not told."""
    failed = keep(certificates.__name__, error="CheckError: expected a; found b")
    assert (failed.passed, failed.result) == (False, "failed")
    assert str(failed.go_on).endswith(" 30-certificates")
    keep(compose.__name__)
    record = keep(certificates.__name__)
    assert [(run.notebook, run.result) for run in record.notebooks] == [
        ("50-compose", "done"),
        ("30-certificates", "done"),
    ]
    assert record.passed
    assert keep(compose.__name__, error="InterruptError: i").result == "interrupted"


def test_another_registry_is_another_walk() -> None:
    """Fails if a record tells of two registries, or the first one's is lost."""
    first = keep(certificates.__name__)
    other = keep(certificates.__name__, read({"domain": "b.test"}, where="a test"))
    assert other.folder != first.folder
    assert folder.read(first.folder).host["registry"] == "registry.test"
    assert len(folder.all_folders()) == 2


def test_record_has_the_note_of_the_notebook_that_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the user's copy is not named as the executed notebook, or what was written in it is left out."""
    copy = tmp_path / "my copy.ipynb"
    cell = {"cell_type": "markdown", "metadata": {"tags": ["note"]}, "source": "## Your note\n\nBefore the move."}
    copy.write_text(json.dumps({"cells": [cell]}), encoding="utf-8")
    monkeypatch.setenv("JPY_SESSION_NAME", str(copy))
    [run] = keep(certificates.__name__).notebooks
    assert (run.output, run.note) == (copy, "Before the move.")


def test_other_code_leaves_no_record() -> None:
    """Fails if a section of somebody's own notebook is taken for one of these."""
    assert walk.keep("section", Parameters(), shown=SHOWN, steps=STEPS, error=None) is None
    assert folder.all_folders() == []
