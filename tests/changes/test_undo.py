"""Undoing an entry of the ledger, on files of the test's own."""

from pathlib import Path

import pytest

from runbook.changes import ledger, made
from runbook.changes.apply import apply
from runbook.changes.base import Change
from runbook.changes.files import MakeDirectory, SetMode, WriteFile
from runbook.changes.made import Thing
from runbook.changes.undo import Undo
from runbook.model.errors import ApplyError
from runbook.model.parameters import Parameters, read
from runbook.operations import tear_down
from runbook.system.host import files

ALL = read({"also_remove": ["data", "basic-data", "authority", "secrets", "image", "packages"]}, where="a test")


def torn_down(parameters: Parameters = ALL) -> list[Change]:
    """Tear down, and return what was planned."""
    changes = tear_down.plan(parameters, tear_down.gather(parameters))
    apply(changes)
    return changes


def test_tear_down_gives_each_path_back(tmp_path: Path) -> None:
    """Fails if a file, a mode or a folder is another one than before, or the ledger is left."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    theirs.chmod(0o755)
    (theirs / "f").write_text("theirs\n", encoding="ascii")
    (theirs / "f").chmod(0o640)
    apply(
        [
            SetMode(path=theirs, before=0o755, after=0o700),
            WriteFile(path=theirs / "f", before="theirs\n", after="ours\n", mode=0o600, keep=True),
            MakeDirectory(path=tmp_path / "a" / "b", mode=0o700, belongs="basic-data"),
            WriteFile(path=tmp_path / "a" / "c" / "g", before=None, after="ours\n", mode=0o600),
        ]
    )
    (tmp_path / "a" / "b" / "data").touch()
    assert (theirs / "f.before-registry-runbook").exists()
    assert torn_down()
    assert sorted(tmp_path.rglob("*")) == [theirs, theirs / "f"]
    assert (files.mode_of(theirs), files.mode_of(theirs / "f")) == (0o755, 0o640)
    assert (theirs / "f").read_text(encoding="ascii") == "theirs\n"
    assert (torn_down(), ledger.is_begun()) == ([], False)


@pytest.mark.parametrize("keep", [False, True])
def test_tear_down_leaves_a_file_that_was_changed_since_with_the_earlier_one_beside_it(
    tmp_path: Path, *, keep: bool
) -> None:
    """Fails if either version is lost, or the next tear-down does not leave both alone."""
    path = tmp_path / "f"
    path.write_text("theirs\n", encoding="ascii")
    apply([WriteFile(path=path, before="theirs\n", after="ours\n", mode=0o600, keep=keep)])
    path.write_text("edited\n", encoding="ascii")
    for planned in (1 + keep, 0):
        assert len(torn_down()) == planned
        texts = {item.name: item.read_text(encoding="ascii") for item in tmp_path.iterdir()}
        assert texts == {"f": "edited\n", "f.before-registry-runbook": "theirs\n"}


def test_undo_leaves_what_came_after_the_plan(tmp_path: Path) -> None:
    """Fails if an edit between plan and apply is lost, or a file that was put into a folder meanwhile."""
    folder = tmp_path / "a"
    apply([WriteFile(path=folder / "f", before=None, after="ours\n", mode=0o600)])
    changes = tear_down.plan(ALL, tear_down.gather(ALL))
    (folder / "f").write_text("edited\n", encoding="ascii")
    with pytest.raises(ApplyError, match="found it changed since"):
        apply(changes)
    (folder / "f").write_text("ours\n", encoding="ascii")
    (folder / "theirs").touch()
    with pytest.raises(ApplyError, match="found theirs"):
        apply(changes)
    assert [item.name for item in folder.iterdir()] == ["theirs"]


def test_tear_down_takes_away_what_a_run_was_killed_while_writing(tmp_path: Path) -> None:
    """Fails if a temporary file stays, and its folder with it."""
    path = tmp_path / "a" / "f"
    ledger.enter((Thing(kind="file", name=str(path)),))
    path.parent.mkdir()
    files.temporary_path(path).write_text("half", encoding="ascii")
    assert [str(change) for change in torn_down()] == [
        f"forget {path}, which is as it was before the first run",
        f"remove {path.parent}",
    ]
    assert (list(tmp_path.iterdir()), ledger.is_begun()) == ([], False)


@pytest.mark.parametrize("killed", ["before", "after"])
def test_undo_goes_on_where_it_was_killed(tmp_path: Path, killed: str) -> None:
    """Fails if a kill between host and ledger leaves something that the next tear-down does not end."""
    path = tmp_path / "f"
    path.write_text("theirs\n", encoding="ascii")
    apply([WriteFile(path=path, before="theirs\n", after="ours\n", mode=0o600)])
    [entry] = ledger.read()
    if killed == "before":
        ledger.enter((entry.thing,))  # as a run does that is killed before it writes the file anew
    else:
        assert entry.kept
        ledger.put_back(entry.kept, path)
    [change] = torn_down()
    assert isinstance(change, Undo)
    assert change.action == ("put back" if killed == "before" else "forget")
    assert (path.read_text(encoding="ascii"), ledger.is_begun()) == ("theirs\n", False)
    assert made.current_state(entry.thing) == entry.before
