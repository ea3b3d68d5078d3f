"""The folders of the records: one a run, for its owner alone, found again and read again."""

import datetime
import json
import os
from pathlib import Path

import pytest

from runbook.model.errors import HostError, MissingError
from runbook.record import folder
from tests.records import BAD, GOOD, record

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "registry-runbook"


def mode(path: Path) -> int:
    """Return the permission bits of a path."""
    return path.stat().st_mode & 0o777


def test_folder_is_one_run_s_own(state: Path) -> None:
    """Fails if others can read a record, or a second run writes over the first one's."""
    made = folder.make(NOW, None)
    assert state / "20260102T030405.000006" == made
    assert (mode(made), mode(state)) == (0o700, 0o700)
    with pytest.raises(HostError, match="File exists"):
        folder.make(NOW, None)


def test_folder_is_where_output_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a new folder is open to others, one that is there is shut, or a relative path stays one."""
    monkeypatch.chdir(tmp_path)
    made = folder.make(NOW, Path("a/b"))
    assert (made, mode(made)) == (tmp_path / "a" / "b", 0o700)
    made.chmod(0o755)
    assert mode(folder.make(NOW, made)) == 0o755


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Fails if a full disk, or a folder of somebody else's, ends in a traceback."""
    with pytest.raises(HostError, match=r"expected to write the record to /proc/x; .* another folder with --output"):
        folder.make(NOW, Path("/proc/x"))
    (tmp_path / folder.PAGE).mkdir()
    with pytest.raises(HostError, match=f"expected to write the record to {tmp_path}; "):
        folder.write(record(GOOD), tmp_path)


def test_write_makes_three_files_for_their_owner(tmp_path: Path) -> None:
    """Fails if others can read a part of the record, whatever the umask, or an older one stays."""
    mask = os.umask(0)
    (tmp_path / folder.PAGE).write_text("of an older run", encoding="ascii")
    folder.write(record(GOOD), tmp_path)
    os.umask(mask)
    assert {path.name: mode(path) for path in tmp_path.iterdir()} == dict.fromkeys(
        (folder.DATA, folder.PAGE, folder.CASES), 0o600
    )
    assert "of an older run" not in (tmp_path / folder.PAGE).read_text(encoding="utf-8")
    assert record(GOOD) == folder.read(tmp_path)


WRITTEN = "Authorization: Basic YWRtaW46bm90LXNvLXNlY3JldA=="


def executed(*, answered: bool = True, error: str = "", mode: str = "apply") -> str:
    """Return the text of a notebook as papermill leaves it, finished or cut off."""
    times = {"start_time": "2026-01-02T03:04:06+00:00", "end_time": "2026-01-02T03:04:07+00:00", "duration": 1.0}
    outputs: list[dict[str, object]] = (
        [{"output_type": "error", "ename": "CheckError", "evalue": error, "traceback": []}] if error else []
    )
    shown = {"registry-runbook": {"kind": "checks", "results": [item.model_dump() for item in GOOD.results]}}
    outputs.insert(0, {"output_type": "display_data", "data": {}, "metadata": shown})
    timing = {"execution": {"shell.execute_reply": "2026"}} if answered else {}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", "\n", "## Verify"]},
        {"cell_type": "code", "metadata": {"papermill": times, **timing}, "source": ["x = 1"], "outputs": outputs},
        {"cell_type": "code", "metadata": {}, "source": [], "outputs": []},
        {"cell_type": "markdown", "metadata": {"tags": ["note"]}, "source": [f"## Your note\n\nTold them. {WRITTEN}"]},
    ]
    whole = {"start_time": "2026-01-02T03:04:05", "duration": 2.5, "parameters": {"mode": mode}}
    return json.dumps({"cells": cells, "metadata": {"papermill": whole}, "nbformat": 4, "nbformat_minor": 5})


@pytest.mark.parametrize(
    ("text", "result", "error"),
    [
        pytest.param(executed(), "done", None, id="done"),
        pytest.param(executed(error="x", answered=True), "failed", "CheckError: x", id="failed"),
        pytest.param(
            executed(answered=False),
            "interrupted",
            "cut off before its end; run it again, it goes on from here",
            id="cut",
        ),
    ],
)
def test_read_takes_the_notebooks_where_a_run_was_cut_off(
    tmp_path: Path, text: str, result: str, error: str | None
) -> None:
    """Fails if a run that was killed has no report, or one that never ended reads as done."""
    (tmp_path / "20-x.ipynb").write_text(text, encoding="utf-8")
    (tmp_path / "10-x.ipynb").write_text(executed(mode="plan"), encoding="utf-8")
    found = folder.read(tmp_path)
    assert (found.result, found.passed, found.mode, found.seconds) == (result, error is None, "apply", 5.0)
    assert (found.versions, found.host, found.go_on) == ({}, {}, None)
    first, second = found.notebooks
    assert (first.notebook, first.result, second.result, second.error) == ("10-x", "done", result, error)
    assert (second.results, second.title) == (GOOD.results, "Title")
    assert [(step.heading, step.seconds) for step in second.steps] == [("Verify", 1.0)]
    assert "Told them." in second.note
    assert WRITTEN[-20:] not in second.note
    assert second.started.isoformat() == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize(
    ("name", "text", "remedy"),
    [
        pytest.param(folder.DATA, "{", "it is made again from the notebooks", id="no-json"),
        pytest.param(folder.DATA, '{"folder": 1}', "it is made again from the notebooks", id="no-record"),
        pytest.param("10-x.ipynb", "", "look at the notebooks", id="no-notebook"),
    ],
)
def test_read_says_what_it_cannot_read(tmp_path: Path, name: str, text: str, remedy: str) -> None:
    """Fails if a broken file ends in a traceback."""
    (tmp_path / name).write_text(text, encoding="ascii")
    with pytest.raises(HostError, match=remedy):
        folder.read(tmp_path)
    assert folder.readable(tmp_path) is None


@pytest.fixture
def two(state: Path) -> list[Path]:
    """Keep two runs, and other things beside them; return their folders, newest first."""
    kept = [state / "20260103T000000.000000", state / "20260102T000000.000000"]
    for path, run in zip(kept, (BAD, GOOD), strict=True):
        path.mkdir(parents=True)
        folder.write(record(run, folder=path), path)
    (state / "20260104T000000.000000").mkdir()
    (state / "20260105").write_text("no folder", encoding="ascii")
    return kept


def test_find_takes_a_name_a_path_or_the_newest(two: list[Path]) -> None:
    """Fails if an empty folder is taken for a run, or a run cannot be named as `runs` shows it."""
    assert two == folder.all_folders()
    assert two[0] == folder.find(None)
    assert [two[1]] * 2 == [folder.find(two[1].name), folder.find(str(two[1]))]


@pytest.mark.parametrize("name", [None, "nothing", "/", "20260104T000000.000000"])
def test_find_says_where_there_is_none(state: Path, name: str | None) -> None:
    """Fails if a folder without a run is taken for one."""
    state.mkdir()
    (state / "20260104T000000.000000").mkdir()
    assert folder.all_folders() == []
    with pytest.raises(MissingError, match=r"found (none|nothing|/|2026)"):
        folder.find(name)
