"""The ledger: what the runbook has made or altered on this host, and its earlier state.

Each thing is entered before it is made, with a copy of the existing file. A run that is killed in between leaves an
entry whose `made` is None: whatever exists then is the runbook's. Only root can access it, and writes are atomic.
"""

import datetime
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from runbook.changes import made
from runbook.changes.made import Thing
from runbook.model.errors import HostError, RightsError
from runbook.system.host import commands, files

FOLDER = Path("/var/lib/registry-runbook")


@dataclass(frozen=True, kw_only=True, slots=True)
class Backup:
    """The backup of a file: where the copy is, and the original mode, owner and modification time (ns)."""

    copy: Path
    mode: int
    user: int
    group: int
    changed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A thing, when it was entered, its earlier state (None: it did not exist), and the state the runbook left.

    `made` is None while the thing is being made. Both states are from `runbook.changes.made.current_state`.
    """

    number: int
    thing: Thing
    entered: str
    before: str | None
    made: str | None = None
    kept: Backup | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """A thing made by a version without a ledger; `kept` is its backup of the file that existed before."""

    thing: Thing
    kept: Path | None = None


_ENTRIES = TypeAdapter(tuple[Entry, ...])


def _path() -> Path:
    return FOLDER / "ledger.json"


def copy_of(number: int) -> Path:
    """Return the path of the backup of an entry's file."""
    return FOLDER / "kept" / str(number)


def is_begun() -> bool:
    """Return whether this host has a ledger; works for any user."""
    return FOLDER.is_dir()


def read() -> tuple[Entry, ...]:
    """Return the entries, oldest first; none if there is no ledger.

    Raises RightsError if the user may not read it, even by sudo, and HostError if the file is malformed.
    """
    if not is_begun():
        return ()
    if os.geteuid() == 0:
        text = files.read_text(_path())
    else:
        done = commands.run(*commands.as_root("cat", str(_path())), allowed=None)
        if done.code != 0:
            raise RightsError(f"to be allowed to read {_path()}", done.text, "run it as root")
        text = done.output
    try:
        return _ENTRIES.validate_json(text or "[]")
    except ValidationError as error:
        remedy = f"put back a copy of it; or move {FOLDER} away, and what carries a mark is found by that alone"
        raise HostError(f"a ledger in {_path()}", str(error.errors()[0]["msg"]), remedy) from error


def _write(entries: Iterable[Entry]) -> None:
    if not FOLDER.is_dir():
        files.make_directory(FOLDER, 0o700)
    text = json.dumps(_ENTRIES.dump_python(tuple(entries), mode="json"), indent=1)
    files.write(_path(), f"{text}\n".encode(), 0o600)


def enter(things: Sequence[Thing], timeout_seconds: float = 60) -> tuple[Entry, ...]:
    """Enter things that are about to be made, with their missing parent folders, and return the entries.

    A thing that the runbook has already made keeps its entry. A file that was changed since gets another one, so that
    a tear-down first restores the changed file. An existing thing, such as a folder, gets none: others made it.
    """
    entries = {entry.number: entry for entry in read()}
    begun: list[int] = []
    for thing in _with_folders(things):
        state = made.current_state(thing, timeout_seconds)
        earlier = (e for e in reversed(entries.values()) if (e.thing.kind, e.thing.name) == (thing.kind, thing.name))
        last = next(earlier, None)
        if last is None and _needs_no_entry(thing, state, entries.values()):
            continue
        if last is not None and not _is_changed(last, state):
            number, entry = last.number, replace(last, made=None)
        else:
            number = max(entries, default=0) + 1
            now = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
            backup = _back_up(Path(thing.name), number) if state and thing.kind in made.FILES else None
            entry = Entry(number=number, thing=thing, entered=now, before=state, kept=backup)
        entries[number] = entry
        begun.append(number)
    if begun:
        _write(entries.values())
    return tuple(entries[number] for number in begun)


def _needs_no_entry(thing: Thing, state: str | None, entries: Iterable[Entry]) -> bool:
    """Return whether a thing without an entry needs none."""
    if thing.kind == "mode":  # the entry of a path that the runbook has made covers its mode
        return any(entry.thing.name == thing.name for entry in entries)
    return state is not None and thing.kind not in (*made.FILES, "kernel setting")


def _is_changed(entry: Entry, state: str | None) -> bool:
    """Return whether a file was changed since and needs a backup; not if it is one that others may write to."""
    if entry.thing.kind not in ("file", "engine file", "site") or entry.thing.belongs:
        return False
    return entry.made is not None and state not in (entry.made, None)


def _with_folders(things: Sequence[Thing]) -> list[Thing]:
    """Return the things, each path after its missing parent folders."""
    found: dict[Thing, None] = {}
    for thing in things:
        parents = reversed(Path(thing.name).parents) if thing.kind in (*made.FILES, "folder") else ()
        missing = [Thing(kind="folder", name=str(folder)) for folder in parents if not folder.exists()]
        found |= dict.fromkeys((*missing, thing))
    return list(found)


def _back_up(path: Path, number: int) -> Backup:
    status = path.stat()
    files.write(copy_of(number), path.read_bytes(), 0o600)
    copy_of(number).parent.chmod(0o700)
    return Backup(
        copy=copy_of(number),
        mode=files.mode_of(path) or 0,
        user=status.st_uid,
        group=status.st_gid,
        changed=status.st_mtime_ns,
    )


def settle(begun: Sequence[Entry], timeout_seconds: float = 60) -> None:
    """Record the state of the things that were made; drop the entry of one that is unchanged."""
    numbers = {entry.number for entry in begun}
    entries = []
    for entry in read():
        if entry.number not in numbers:
            entries.append(entry)
            continue
        state = made.current_state(entry.thing, timeout_seconds)
        if state != entry.before or entry.thing.belongs == "packages":  # a package may create things later
            entries.append(replace(entry, made=state))
    _write_or_remove(entries)


def reopen(number: int) -> None:
    """Mark an entry's file as being written: after a kill, whatever exists counts as ours."""
    _write([replace(entry, made=None) if entry.number == number else entry for entry in read()])


def drop(*numbers: int) -> None:
    """Remove entries with their backups; removing the last entry removes the ledger."""
    _write_or_remove([entry for entry in read() if entry.number not in numbers])


def drop_paths(*paths: Path) -> None:
    """Remove the entries of things that were removed for good."""
    if is_begun():
        names = {str(path) for path in paths}
        _write_or_remove([entry for entry in read() if entry.thing.name not in names])


def _write_or_remove(entries: Sequence[Entry]) -> None:
    if not entries:
        files.remove_tree(FOLDER)
        return
    _write(entries)
    backups = {str(entry.number) for entry in entries if entry.kept}
    for name in files.names_in(FOLDER / "kept"):
        if name not in backups:
            files.remove_tree(FOLDER / "kept" / name)


def remove_unfinished() -> None:
    """Remove the partial file that a run left when it was killed while writing the ledger, which is intact."""
    if (part := files.temporary_path(_path())).exists():  # a run that changes nothing makes no modifying call
        files.remove_tree(part)


def entry(number: int) -> Entry:
    """Return the entry with this number; raises HostError if it is gone."""
    found = next((item for item in read() if item.number == number), None)
    if found is None:
        raise HostError(f"entry {number} of the ledger, as when the plan was made", "it is not there", "plan again")
    return found


def put_back(kept: Backup, path: Path) -> None:
    """Restore a file from its backup, with its mode, owner and modification time."""
    files.write(path, kept.copy.read_bytes(), kept.mode, owner=(kept.user, kept.group), changed=kept.changed)


def of_earlier(found: Sequence[Earlier]) -> tuple[Entry, ...]:
    """Return the entries for what an earlier version has made; its backups are not copied yet."""
    return tuple(
        Entry(
            number=number,
            thing=item.thing,
            entered="",
            before=None if item.kept is None else made.current_state(Thing(kind="file", name=str(item.kept))),
            made=made.current_state(item.thing) or (made.OURS if item.thing.kind == "project" else None),
        )
        for number, item in enumerate(found, start=1)
    )


def begin(found: Sequence[Earlier]) -> None:
    """Begin the ledger with what an earlier version has made, and copy its backups."""
    entries = of_earlier(found)
    _write(
        replace(item, kept=_back_up(source.kept, item.number)) if source.kept else item
        for item, source in zip(entries, found, strict=True)
    )
