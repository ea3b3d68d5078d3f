"""When a section was last proven, by the records of this user's runs."""

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.display.overview import State, StateName
from runbook.model.parameters import Parameters
from runbook.record import folder, proven
from runbook.record.model import NotebookRun, Proof, Record

EARLY = datetime.datetime(2026, 11, 30, 4, 12, tzinfo=datetime.UTC)
HOLDS = Proof(claim="it answers", refusal=False, expected="200", found="200", passed=True, remedy="")


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what keeps the record of a run of 10-host under a name."""
    monkeypatch.setattr(folder, "state_folder", lambda: tmp_path)

    def keep(
        name: str, *, error: str | None = None, mode: str = "apply", minutes: int = 0, **parameters: object
    ) -> None:
        run = NotebookRun(
            notebook="10-host",
            output=tmp_path / "10-host.ipynb",
            result="failed" if error else "done",
            started=EARLY + datetime.timedelta(minutes=minutes),
            seconds=1,
            results=() if error or mode == "plan" else (HOLDS,),
            error=error,
        )
        record = Record.model_validate(
            {
                "folder": tmp_path / name,
                "passed": error is None,
                "result": run.result,
                "mode": mode,
                "started": EARLY,
                "seconds": 1,
                "go_on": None,
                "parameters": parameters,
                "versions": {},
                "host": {},
                "notebooks": (run,),
            }
        )
        (tmp_path / name).mkdir()
        (tmp_path / name / folder.DATA).write_text(record.as_json(), encoding="utf-8")

    return keep


def looked_up(name: StateName = "done", **values: object) -> tuple[str, str]:
    """Return the state of 10-host and its reason, with what the records say."""
    states = [
        State(notebook="10-host", name=name, reason="as it was"),
        State(notebook="20-basic-registry", name="done"),
    ]
    found, other = proven.with_proofs(states, Parameters.model_validate(values))
    assert (other.name, other.reason) == ("done", "")
    return found.name, found.reason


def test_section_is_proven_by_its_newest_record(keep: Callable[..., None]) -> None:
    """Fails if a proof that held is not shown, or one of another registry, of a plan or without a record is."""
    assert looked_up() == ("done", "as it was")
    keep("1", mode="plan")
    keep("2", domain="other.test")
    keep("3", no_such_parameter=True)
    assert looked_up() == ("done", "as it was")
    keep("4")
    assert looked_up() == ("proven", "2026-11-30 04:12 UTC, by the run 4")
    assert looked_up("differs") == ("differs", "as it was")
    assert looked_up(port=5443) == ("done", "as it was")


def test_failed_last_run_is_named(keep: Callable[..., None]) -> None:
    """Fails if an earlier proof hides that the last one failed, or a record that cannot be read ends the index."""
    keep("1")
    keep("2", error="no engine")
    assert looked_up() == ("done", "its last run failed: 2")
    keep("3")
    assert looked_up()[0] == "proven"
    folder.state_folder().joinpath("3", folder.DATA).write_text("{", encoding="ascii")
    assert looked_up() == ("done", "its last run failed: 2")


def test_proof_of_a_walk_that_began_earlier_counts_by_its_own_time(keep: Callable[..., None]) -> None:
    """Fails if what JupyterLab has just proven is behind a run that began after JupyterLab and failed."""
    keep("1", minutes=9)
    keep("2", error="no engine")
    assert looked_up() == ("proven", "2026-11-30 04:21 UTC, by the run 1")
