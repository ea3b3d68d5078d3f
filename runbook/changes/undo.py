"""Changes that undo what the ledger records, and one that begins a ledger with what an earlier version has made.

A kill between the undoing and the removal of the entry leaves an entry whose thing is in its earlier state. The next
tear-down only drops that entry.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runbook.changes import ledger, made, shell
from runbook.changes.base import Change
from runbook.changes.ledger import Earlier, Entry
from runbook.changes.made import Thing
from runbook.model.errors import ChangedError
from runbook.system import nginx
from runbook.system.docker import compose, daemon_json, engine, images, reload
from runbook.system.docker.reload import Registries
from runbook.system.host import commands, file_state, files, firewalld, hosts_file, network, packages, systemd

Action = Literal["remove", "put back", "take out", "set back", "forget", "leave"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EnterEarlier(Change):
    """Begin the ledger with what an earlier version has made, identified by its marks."""

    found: tuple[Earlier, ...]

    def __str__(self) -> str:
        """Return the change in one line."""
        return (
            f"enter {len(self.found)} things in the ledger that carry the runbook's mark: an earlier version made them"
        )

    def check_target(self) -> None:
        """Raise HostError if no ledger can be written."""
        files.require_writable(ledger.FOLDER)

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return "# by hand, there is no ledger"

    def make(self, _timeout_seconds: float, /) -> None:
        """Write the ledger."""
        ledger.begin(self.found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Undo(Change):
    """Undo one ledger entry and remove it from the ledger.

    `found` is the thing's state at plan time, if an edit since then must not be lost; `reason` is the value to restore,
    or why the thing is left.
    """

    number: int
    thing: Thing
    action: Action
    found: str | None = None
    reason: str = ""

    def __str__(self) -> str:
        """Return the change in one line."""
        name = self.thing.name
        named = {
            "container": f"the container {name}",
            "project": f"the Compose project {name}",
            "volume": f"the volume {name}",
            "image": f"the image {name}",
            "packages": f"the packages {name}",
            "firewall port": f"the open port {name}",
        }
        name = named.get(self.thing.kind, name)
        match self.action:
            case "remove":
                return f"remove {name}"
            case "put back":
                return f"put back {name} as it was before the first run"
            case "take out":
                return f"take the runbook's block out of {name}"
            case "set back":
                what = "the mode of " if self.thing.kind == "mode" else ""
                return f"set {what}{name} back to {self.reason}"
            case "forget":
                return f"forget {name}, which is as it was before the first run"
            case "leave":
                return f"leave {name} to you: {self.reason}"

    def check_target(self) -> None:
        """Raise HostError if its path cannot be changed."""
        if self.action in ("forget", "leave") or self.thing.kind not in (*made.FILES, "folder", "mode"):
            return
        require = files.require_place_for_folder if self.thing.kind == "folder" else files.require_writable
        require(Path(self.thing.name))

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        if self.action in ("forget", "leave"):
            return f"# {self}"
        name = shell.command(*(self.thing.name.split() if self.thing.kind == "packages" else [self.thing.name]))
        if self.action == "put back":
            return f"{shell.command('cp', '-p', ledger.copy_of(self.number))} {name}"
        if self.action == "take out":
            return f"left=$(sed '{hosts_file.WITHOUT_BLOCK}' {name}) && printf '%s\\n' \"$left\" >{name}"
        return _BY_HAND[self.thing.kind].format(name=name, value=self.reason, words=self.thing.name.split())

    def make(self, timeout_seconds: float, /) -> str:
        """Undo the entry, and return where the earlier file is if the current one is left to the user.

        Raises ChangedError if a file was changed since the plan, or an empty folder is no longer empty.
        """
        entry, note = ledger.entry(self.number), ""
        if self.found is not None and (found := made.current_state(entry.thing)) is not None:
            file_state.refuse_changed(Path(entry.thing.name), found, self.found)
        if self.action == "leave":
            note = _leave(entry)
        elif self.action == "take out":
            path = Path(entry.thing.name)
            text = hosts_file.without_block(files.read_text(path) or "")
            files.write(path, text.encode(), files.mode_of(path) or 0o644)
        elif self.action != "forget":
            _UNDO[entry.thing.kind](entry, timeout_seconds)
        if entry.thing.kind in made.FILES and entry.made is None:  # a run was killed while writing the file
            files.remove_tree(files.temporary_path(Path(entry.thing.name)))
        ledger.drop(self.number)
        return note


def _leave(entry: Entry) -> str:
    """Leave a thing as it is, with the earlier file beside it: dropping the entry must not lose the backup."""
    if entry.kept is None:
        return ""
    backup = Path(f"{entry.thing.name}{files.KEPT}")
    ledger.put_back(entry.kept, backup)
    return f"what was there before the first run is {backup}"


def _undo_file(entry: Entry, _timeout_seconds: float) -> None:
    path = Path(entry.thing.name)
    if entry.kept:
        ledger.put_back(entry.kept, path)
    else:
        files.remove_tree(path)
    if path.parent == systemd.UNITS and systemd.supervisor() == "systemd":
        commands.run("systemctl", "daemon-reload")


def _undo_engine_file(entry: Entry, timeout_seconds: float) -> None:
    """Restore daemon.json and reload the engine with explicit lists: only an empty list clears a key.

    Reload it again without them: from engine 29.10 on, an empty list ends its defaults too, those of loopback.
    """
    path = Path(entry.thing.name)
    ledger.reopen(entry.number)  # its text is temporary until the engine has read it
    before = entry.kept.copy.read_text(encoding="utf-8") if entry.kept else None
    listed, wanted = daemon_json.lists(files.read_text(path)), daemon_json.lists(before)
    unwanted = [tuple(item for item in now if item not in then) for now, then in zip(listed, wanted, strict=True)]

    def load() -> None:
        if engine.connect(timeout_seconds) is not None:
            reload.reload(
                systemd.supervisor(),
                wanted=Registries(insecure=wanted[0], mirrors=wanted[1]),
                unwanted=Registries(insecure=unwanted[0], mirrors=unwanted[1]),
                timeout_seconds=timeout_seconds,
            )

    with reload.put_back(path, systemd.supervisor(), timeout_seconds):
        files.write(path, daemon_json.without_registries(before).encode(), files.mode_of(path) or 0o644)
        load()
    _undo_file(entry, timeout_seconds)
    load()


def _undo_site(entry: Entry, timeout_seconds: float) -> None:
    """Remove the site and reload nginx, then restore the earlier file if there was one."""
    path = Path(entry.thing.name)
    ledger.reopen(entry.number)  # its text is temporary until nginx has read it
    if (text := files.read_text(path)) is not None:
        nginx.remove(path, text, None, timeout_seconds)
    _undo_file(entry, timeout_seconds)


def _undo_folder(entry: Entry, _timeout_seconds: float) -> None:
    path = Path(entry.thing.name)
    if entry.thing.belongs:
        shutil.rmtree(path)
    elif file_state.fingerprint(path) != file_state.EMPTY:
        inside = ", ".join(files.names_in(path))
        raise ChangedError(f"nothing in {path}, as when the plan was made", inside, "plan again")
    else:
        path.rmdir()


def _undo_packages(entry: Entry, timeout_seconds: float) -> None:
    names = packages.installed(entry.thing.name.split())
    if "docker.io" in names and systemd.supervisor() == "none" and engine.connect(timeout_seconds) is not None:
        engine.stop_process(timeout_seconds)  # systemd stops its services when the package is removed
    packages.purge(names)


def _undo_group(entry: Entry, _timeout_seconds: float) -> None:
    """Remove a group that the package has left, unless it has members."""
    if made.current_state(entry.thing) == "members: ":
        commands.run("groupdel", entry.thing.name)


def _undo_port(entry: Entry, _timeout_seconds: float) -> None:
    zone, port = entry.thing.name.split()
    firewalld.set_port("remove", zone, int(port))


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
    "kernel setting": lambda entry, _: network.write_setting(entry.thing.name, int(entry.before or "0")),
    "firewall port": _undo_port,
    "unit": _undo_unit,
    "timer": lambda entry, _: systemd.stop_timer(entry.thing.name),
    "packages": _undo_packages,
    "group": _undo_group,
    "image": _of_engine(images.remove),
    "container": _of_engine(engine.remove_container),
    "project": _of_engine(compose.remove_own),
    "volume": _of_engine(engine.remove_volume),
}
_BY_HAND = {
    **dict.fromkeys(("file", "hosts file", "engine file"), "rm {name}"),
    "site": "rm {name} && nginx -s reload",
    "folder": "rm -r {name}",
    "mode": "chmod {value} {name}",
    "kernel setting": "sysctl -w {name}={value}",
    "firewall port": "firewall-cmd --permanent --zone={words[0]} --remove-port={words[1]}/tcp"
    " && firewall-cmd --zone={words[0]} --remove-port={words[1]}/tcp",
    "unit": "systemctl disable {name}",
    "timer": "systemctl disable --now {name}",
    "packages": "dpkg --purge {name}",
    "group": "groupdel {name}",
    "image": "docker image rm {name}",
    "container": "docker rm --force --volumes {name}",
    "project": "docker ps --all --quiet --filter label=com.docker.compose.project={name} | xargs docker rm --force",
    "volume": "docker volume rm {name}",
}
