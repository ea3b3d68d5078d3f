"""The ledger: what the runbook has made or altered on this host, and how that was before.

Each thing is entered before it is made, with a copy of the file that was there: a run that is killed between the two
leaves an entry whose `made` is None, and whatever is there then is the runbook's. For root alone, written atomically.
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
class KeptFile:
    """A file as it was before: where its copy is, and the mode, owner and time (ns) that it comes back with."""

    copy: Path
    mode: int
    user: int
    group: int
    changed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A thing, when it was entered, how it was before (None: not there), and how the runbook left it.

    `made` is None while the thing is being made. Both texts are those of `runbook.changes.made.now`.
    """

    number: int
    thing: Thing
    entered: str
    before: str | None
    made: str | None = None
    kept: KeptFile | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """A thing that a version without a ledger has made; `kept` is where it kept the file that was there before."""

    thing: Thing
    kept: Path | None = None


_FORM = TypeAdapter(tuple[Entry, ...])


def _file() -> Path:
    return FOLDER / "ledger.json"


def copy_of(number: int) -> Path:
    """Return where the ledger keeps what an entry's file was before."""
    return FOLDER / "kept" / str(number)


def is_begun() -> bool:
    """Return whether this host has a ledger, which any user may ask."""
    return FOLDER.is_dir()


def read() -> tuple[Entry, ...]:
    """Return the entries, oldest first; none where there is no ledger.

    Raises HostError for a user who is not allowed to read it, even by sudo, and for a file of another form.
    """
    if not is_begun():
        return ()
    if os.geteuid() == 0:
        text = files.read_text(_file())
    else:
        done = commands.run(*commands.as_root("cat", str(_file())), allowed=None)
        if done.code != 0:
            raise RightsError(f"to be allowed to read {_file()}", done.said, "run it as root")
        text = done.output
    try:
        return _FORM.validate_json(text or "[]")
    except ValidationError as error:
        remedy = f"put back a copy of it; or move {FOLDER} away, and what carries a mark is found by that alone"
        raise HostError(f"a ledger in {_file()}", str(error.errors()[0]["msg"]), remedy) from error


def _write(entries: Iterable[Entry]) -> None:
    if not FOLDER.is_dir():
        files.make_directory(FOLDER, 0o700)
    text = json.dumps(_FORM.dump_python(tuple(entries), mode="json"), indent=1)
    files.write(_file(), f"{text}\n".encode(), 0o600)


def enter(things: Sequence[Thing], timeout_seconds: float = 60) -> tuple[Entry, ...]:
    """Enter things that are about to be made, and return their entries; the folders that are missing come with them.

    One that the runbook has made already keeps its entry; a file that somebody has changed since gets another one, so
    that the changed one comes back first. What is there already, as a folder is, was made by others: it gets none.
    """
    entries = {entry.number: entry for entry in read()}
    begun: list[int] = []
    for thing in _with_folders(things):
        there = made.now(thing, timeout_seconds)
        last = next((entry for entry in reversed(entries.values()) if _is_same(entry.thing, thing)), None)
        if last is None and _is_no_news(thing, there, entries.values()):
            continue
        if last is not None and not _is_changed(last, there):
            number, entry = last.number, replace(last, made=None)
        else:
            number = max(entries, default=0) + 1
            now = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
            kept = _keep(Path(thing.name), number) if there and thing.kind in made.FILES else None
            entry = Entry(number=number, thing=thing, entered=now, before=there, kept=kept)
        entries[number] = entry
        begun.append(number)
    if begun:
        _write(entries.values())
    return tuple(entries[number] for number in begun)


def _is_same(one: Thing, other: Thing) -> bool:
    return (one.kind, one.name) == (other.kind, other.name)


def _is_no_news(thing: Thing, there: str | None, entries: Iterable[Entry]) -> bool:
    """Return whether a thing without an entry needs none."""
    if thing.kind == "mode":  # of what the runbook has made
        return any(entry.thing.name == thing.name for entry in entries)
    return there is not None and thing.kind not in (*made.FILES, "kernel setting")


def _is_changed(entry: Entry, there: str | None) -> bool:
    """Return whether somebody else has changed a file since, so that it must be kept; others may write to some."""
    if entry.thing.kind not in ("file", "engine file", "site") or entry.thing.belongs:
        return False
    return entry.made is not None and there not in (entry.made, None)


def _with_folders(things: Sequence[Thing]) -> list[Thing]:
    """Return the things, each path after the folders that are missing above it."""
    found: dict[Thing, None] = {}
    for thing in things:
        above = reversed(Path(thing.name).parents) if thing.kind in (*made.FILES, "folder") else ()
        missing = [Thing(kind="folder", name=str(folder)) for folder in above if not folder.exists()]
        found |= dict.fromkeys((*missing, thing))
    return list(found)


def _keep(path: Path, number: int) -> KeptFile:
    found = path.stat()
    files.write(copy_of(number), path.read_bytes(), 0o600)
    copy_of(number).parent.chmod(0o700)
    return KeptFile(
        copy=copy_of(number),
        mode=files.mode_of(path) or 0,
        user=found.st_uid,
        group=found.st_gid,
        changed=found.st_mtime_ns,
    )


def settle(begun: Sequence[Entry], timeout_seconds: float = 60) -> None:
    """Say in the entries how the things are that have been made; one that is as it was before loses its entry."""
    numbers = {entry.number for entry in begun}
    entries = []
    for entry in read():
        if entry.number not in numbers:
            entries.append(entry)
            continue
        there = made.now(entry.thing, timeout_seconds)
        if there != entry.before or entry.thing.belongs == "packages":  # what a package makes may come later
            entries.append(replace(entry, made=there))
    _write_or_end(entries)


def reopen(number: int) -> None:
    """Say in an entry that its file is being written: where a kill comes meanwhile, what is there then is ours."""
    _write([replace(entry, made=None) if entry.number == number else entry for entry in read()])


def drop(*numbers: int) -> None:
    """Take entries away, with the copies that they keep; the last one takes the ledger with it."""
    _write_or_end([entry for entry in read() if entry.number not in numbers])


def drop_paths(*paths: Path) -> None:
    """Take the entries of files away that have been removed for good."""
    if is_begun():
        names = {str(path) for path in paths}
        _write_or_end([entry for entry in read() if entry.thing.name not in names])


def _write_or_end(entries: Sequence[Entry]) -> None:
    if not entries:
        files.remove_tree(FOLDER)
        return
    _write(entries)
    kept = {str(entry.number) for entry in entries if entry.kept}
    for name in files.names_in(FOLDER / "kept"):
        if name not in kept:
            files.remove_tree(FOLDER / "kept" / name)


def remove_unfinished() -> None:
    """Remove what a run that was killed while it wrote the ledger has left beside it: that is whole as it was."""
    if (left := files.part_of(_file())).exists():  # a run that changes nothing makes no call that could
        files.remove_tree(left)


def entry(number: int) -> Entry:
    """Return the entry of a number; raises HostError where it is gone."""
    found = next((item for item in read() if item.number == number), None)
    if found is None:
        raise HostError(f"entry {number} of the ledger, as when the plan was made", "it is not there", "plan again")
    return found


def put_back(kept: KeptFile, path: Path) -> None:
    """Write a file as it was before, with its mode, owner and time of change."""
    files.write(path, kept.copy.read_bytes(), kept.mode, owner=(kept.user, kept.group), changed=kept.changed)


def of_earlier(found: Sequence[Earlier]) -> tuple[Entry, ...]:
    """Return the entries of what an earlier version has made; no copy is made yet of what it kept."""
    return tuple(
        Entry(
            number=number,
            thing=item.thing,
            entered="",
            before=None if item.kept is None else made.now(Thing(kind="file", name=str(item.kept))),
            made=made.now(item.thing) or (made.OURS if item.thing.kind == "project" else None),
        )
        for number, item in enumerate(found, start=1)
    )


def begin(found: Sequence[Earlier]) -> None:
    """Begin the ledger with what an earlier version has made, and with copies of what it kept."""
    entries = of_earlier(found)
    _write(
        replace(item, kept=_keep(source.kept, item.number)) if source.kept else item
        for item, source in zip(entries, found, strict=True)
    )
