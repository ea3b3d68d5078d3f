"""The ledger: entered before a thing is made, with what was there before."""

import os
from pathlib import Path

import pytest

from runbook.changes import ledger
from runbook.changes.apply import apply
from runbook.changes.files import CopyFile, MakeDirectory, RemoveTree, SetMode, WriteFile
from runbook.changes.ledger import Earlier
from runbook.changes.made import Thing
from runbook.model.errors import ApplyError, HostError
from runbook.system.host import file_state, files


def entries() -> list[tuple[str, str, str | None]]:
    """Return kind, name and state before of each entry."""
    return [(item.thing.kind, item.thing.name, item.before) for item in ledger.read()]


def write(path: Path, before: str | None, after: str, *, keep: bool = False) -> None:
    """Write a file as a section does."""
    apply([WriteFile(path=path, before=before, after=after, mode=0o644, keep=keep)])


def test_apply_enters_what_it_makes_with_the_folders_that_were_missing(tmp_path: Path) -> None:
    """Fails if something that was made is not in the ledger, or something that was there is."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there").chmod(0o755)
    apply(
        [
            MakeDirectory(path=tmp_path / "a" / "b", mode=0o700, belongs="basic-data"),
            WriteFile(path=tmp_path / "there" / "c" / "f", before=None, after="1\n", mode=0o600),
            SetMode(path=tmp_path / "there" / "c" / "f", before=0o600, after=0o644),
            SetMode(path=tmp_path / "there", before=0o755, after=0o700),
        ]
    )
    assert entries() == [
        ("folder", f"{tmp_path}/a", None),
        ("folder", f"{tmp_path}/a/b", None),
        ("folder", f"{tmp_path}/there/c", None),
        ("file", f"{tmp_path}/there/c/f", None),
        ("mode", f"{tmp_path}/there", "0755"),
    ]
    assert [item.thing.belongs for item in ledger.read()] == ["", "basic-data", "", "", ""]
    assert all(item.made for item in ledger.read())
    assert (files.mode_of(ledger.FOLDER), files.mode_of(ledger.FOLDER / "ledger.json")) == (0o700, 0o600)


def test_ledger_keeps_a_file_as_it_was_and_puts_it_back(tmp_path: Path) -> None:
    """Fails if an earlier file comes back with another text, mode, owner or time, or a later one of ours is kept."""
    path = tmp_path / "f"
    path.write_text("theirs\n", encoding="ascii")
    path.chmod(0o640)
    os.utime(path, ns=(1, 5_000_000_000))
    if os.geteuid() == 0:
        os.chown(path, 3, 4)
    before = path.stat()
    write(path, "theirs\n", "1\n")
    write(path, "1\n", "2\n")
    [entry] = ledger.read()
    assert entry.kept
    assert files.mode_of(entry.kept.copy) == 0o600
    ledger.put_back(entry.kept, path)
    after = path.stat()
    assert path.read_text(encoding="ascii") == "theirs\n"
    told = [(item.st_mode, item.st_uid, item.st_gid, item.st_mtime_ns) for item in (before, after)]
    assert told[0] == told[1]


def test_ledger_keeps_what_somebody_has_written_over_ours(tmp_path: Path) -> None:
    """Fails if an edit that a run overwrites is lost."""
    path = tmp_path / "f"
    write(path, None, "1\n")
    path.write_text("edited\n", encoding="ascii")
    write(path, "edited\n", "2\n")
    first, second = ledger.read()
    assert (first.before, first.kept) == (None, None)
    assert second.kept
    assert second.kept.copy.read_text(encoding="ascii") == "edited\n"
    ledger.drop(second.number)
    assert not second.kept.copy.exists()


def test_change_that_fails_leaves_no_entry(tmp_path: Path) -> None:
    """Fails if a tear-down would undo what was never made."""
    (tmp_path / "f").write_text("edited\n", encoding="ascii")
    with pytest.raises(ApplyError):
        write(tmp_path / "f", "planned\n", "new\n")
    source = tmp_path / "nothing"
    with pytest.raises(ApplyError):
        apply([CopyFile(source=source, path=tmp_path / "g", mode=0o644)])
    assert entries() == []
    assert not ledger.is_begun()


def test_entry_of_a_thing_that_was_being_made_says_so(tmp_path: Path) -> None:
    """Fails if a run that is killed between entry and change leaves an entry that claims to be done."""
    thing = Thing(kind="file", name=str(tmp_path / "f"))
    [begun] = ledger.enter((thing,))
    assert ([begun], begun.made) == ([*ledger.read()], None)
    (tmp_path / "f").touch()
    ledger.settle((begun,))
    assert ledger.read()[0].made
    [again] = ledger.enter((thing,))
    assert (again.number, again.made) == (begun.number, None)


def test_run_without_changes_takes_away_what_a_kill_has_left_of_the_ledger(tmp_path: Path) -> None:
    """Fails if the last entry's half of a file stays for good where the next run has nothing to enter."""
    apply([WriteFile(path=tmp_path / "file", before=None, after="a\n", mode=0o600)])
    entries, left = ledger.read(), ledger.FOLDER / ".ledger.json.part"
    left.write_text("[", encoding="ascii")
    apply([], entering=False)
    assert left.exists()
    apply([])
    assert (left.exists(), ledger.read()) == (False, entries)


def test_last_entry_takes_the_ledger_with_it(tmp_path: Path) -> None:
    """Fails if a host that is torn down keeps a folder of ours, or a removed file its entry."""
    write(tmp_path / "f", None, "1\n")
    write(tmp_path / "g", None, "1\n")
    apply([RemoveTree(path=tmp_path / "f", before=file_state.fingerprint(tmp_path / "f"))])
    [left] = ledger.read()
    assert left.thing.name == f"{tmp_path}/g"
    ledger.drop(left.number)
    assert not ledger.FOLDER.exists()


def test_ledger_of_another_form_is_refused(tmp_path: Path) -> None:
    """Fails if a damaged ledger ends in a traceback, or is taken for an empty one and written over."""
    write(tmp_path / "f", None, "1\n")
    (ledger.FOLDER / "ledger.json").write_text('[{"number": 1}]', encoding="ascii")
    with pytest.raises(HostError, match=r"a ledger in .*ledger\.json; found"):
        ledger.read()
    with pytest.raises(ApplyError, match="a ledger in"):
        write(tmp_path / "g", None, "1\n")
    assert not (tmp_path / "g").exists()


def test_ledger_begins_with_what_an_earlier_version_has_made(tmp_path: Path) -> None:
    """Fails if the file that an earlier version kept does not come back from the ledger."""
    path, kept = tmp_path / "f", tmp_path / "f.before-registry-runbook"
    path.write_text("ours\n", encoding="ascii")
    kept.write_text("theirs\n", encoding="ascii")
    kept.chmod(0o640)
    found = (Earlier(thing=Thing(kind="file", name=str(path)), kept=kept),)
    ledger.begin(found)
    [entry] = ledger.read()
    assert entry.kept
    assert (entry.kept.mode, entry.kept.copy.read_text(encoding="ascii")) == (0o640, "theirs\n")
    [virtual] = ledger.of_earlier(found)
    assert (virtual.before, virtual.made) == (entry.before, entry.made)
