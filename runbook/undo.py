"""Undoing: one entry of the ledger, taken back on the host and then out of the ledger.

Only `runbook.apply` calls it. A kill between the two leaves an entry whose thing is as before, which is then forgotten.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from runbook.changes import RemoveSite, Undo
from runbook.errors import ChangedError
from runbook.outside import (
    commands,
    compose,
    daemon_json,
    drift,
    engine,
    engine_configuration,
    files,
    hosts_file,
    images,
    kernel,
    ledger,
    made,
    nginx,
    packages,
    proof_timer,
)
from runbook.outside.engine_configuration import Registries
from runbook.outside.ledger import Entry


def undo(change: Undo, timeout_seconds: float) -> str:
    """Undo an entry, and take it out of the ledger; return where a file is kept whose place was left to the user.

    Raises ChangedError where a file was changed since the plan, or something is in a folder that was empty.
    """
    entry, note = ledger.entry(change.number), ""
    if change.found is not None and (found := made.now(entry.thing)) is not None:
        drift.refuse_changed(Path(entry.thing.name), found, change.found)
    if change.action == "leave":
        note = _leave(entry)
    elif change.action == "take out":
        path = Path(entry.thing.name)
        files.write(path, hosts_file.without_block(files.read_text(path) or "").encode(), files.mode_of(path) or 0o644)
    elif change.action != "forget":
        _UNDO[entry.thing.kind](entry, timeout_seconds)
    if entry.thing.kind in made.FILES and entry.made is None:  # a run was killed while it wrote the file
        files.remove_tree(files.part_of(Path(entry.thing.name)))
    ledger.drop(change.number)
    return note


def _leave(entry: Entry) -> str:
    """Leave a thing as it is, and the file that was there before beside it: nothing is lost with the entry."""
    if entry.kept is None:
        return ""
    beside = Path(f"{entry.thing.name}{files.KEPT}")
    ledger.put_back(entry.kept, beside)
    return f"what was there before the first run is {beside}"


def _undo_file(entry: Entry, _timeout_seconds: float) -> None:
    path = Path(entry.thing.name)
    if entry.kept:
        ledger.put_back(entry.kept, path)
    else:
        files.remove_tree(path)
    if path.parent == proof_timer.FOLDER and engine.supervisor() == "systemd":
        commands.run("systemctl", "daemon-reload")


def _undo_engine_file(entry: Entry, timeout_seconds: float) -> None:
    """Put daemon.json back, and let the engine forget what it listed by it: only an empty list takes a key away."""
    path = Path(entry.thing.name)
    before = entry.kept.copy.read_text(encoding="utf-8") if entry.kept else None
    listed, left = daemon_json.lists(files.read_text(path)), daemon_json.lists(before)
    unwanted = [tuple(item for item in now if item not in then) for now, then in zip(listed, left, strict=True)]
    with engine_configuration.put_back(path, engine.supervisor(), timeout_seconds):
        files.write(path, daemon_json.without_registries(before).encode(), files.mode_of(path) or 0o644)
        if engine.connect(timeout_seconds) is not None:
            engine_configuration.reload(
                engine.supervisor(),
                wanted=Registries(insecure=left[0], mirrors=left[1]),
                unwanted=Registries(insecure=unwanted[0], mirrors=unwanted[1]),
                timeout_seconds=timeout_seconds,
            )
    _undo_file(entry, timeout_seconds)


def _undo_site(entry: Entry, timeout_seconds: float) -> None:
    """Take the site away, once nginx has read that it is gone; what nginx was without it, it is again."""
    path = Path(entry.thing.name)
    if (text := files.read_text(path)) is not None:
        nginx.remove(RemoveSite(path=path, before=text, frees_port=None), timeout_seconds)
    _undo_file(entry, timeout_seconds)


def _undo_folder(entry: Entry, _timeout_seconds: float) -> None:
    path = Path(entry.thing.name)
    if entry.thing.belongs:
        shutil.rmtree(path)
    elif drift.state(path) != drift.EMPTY:
        inside = ", ".join(files.names_in(path))
        raise ChangedError(f"nothing in {path}, as when the plan was made", inside, "plan again")
    else:
        path.rmdir()


def _undo_packages(entry: Entry, timeout_seconds: float) -> None:
    names = packages.installed(entry.thing.name.split())
    if "docker.io" in names and engine.supervisor() == "none" and engine.connect(timeout_seconds) is not None:
        engine.stop_process(timeout_seconds)  # systemd stops what it runs when the package goes
    packages.purge(names)


def _undo_group(entry: Entry) -> None:
    """Remove a group that nobody is in, and that the package has left."""
    if made.now(entry.thing) == "members: ":
        commands.run("groupdel", entry.thing.name)


def _undo_unit(entry: Entry, _timeout_seconds: float) -> None:
    commands.run("systemctl", "disable", entry.thing.name)


def _of_engine(remove: Callable[[engine.Client, str], None]) -> Callable[[Entry, float], None]:
    def undo_object(entry: Entry, timeout_seconds: float) -> None:
        remove(engine.require(timeout_seconds), entry.thing.name)

    return undo_object


_UNDO: dict[str, Callable[[Entry, float], None]] = {
    "file": _undo_file,
    "hosts file": _undo_file,
    "engine file": _undo_engine_file,
    "site": _undo_site,
    "folder": _undo_folder,
    "mode": lambda entry, _: Path(entry.thing.name).chmod(int(entry.before or "0", 8)),
    "kernel setting": lambda entry, _: kernel.write_setting(entry.thing.name, int(entry.before or "0")),
    "unit": _undo_unit,
    "timer": lambda entry, _: proof_timer.stop(entry.thing.name),
    "packages": _undo_packages,
    "group": lambda entry, _: _undo_group(entry),
    "image": _of_engine(images.remove),
    "container": _of_engine(engine.remove_container),
    "project": _of_engine(compose.remove_own),
    "volume": _of_engine(engine.remove_volume),
}
