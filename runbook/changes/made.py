"""Things that the runbook makes, and their current state: a short text that the ledger and the tear-down compare."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runbook.system.docker import compose, engine, images
from runbook.system.host import files, firewalld, network, packages, systemd

Kind = Literal[
    "file",
    "hosts file",
    "engine file",
    "site",
    "folder",
    "mode",
    "kernel setting",
    "firewall port",
    "unit",
    "timer",
    "packages",
    "group",
    "image",
    "container",
    "project",
    "volume",
]
Belonging = Literal["", "data", "basic-data", "authority", "secrets", "image", "packages"]
OURS, THEIRS = "the runbook's", "somebody else's"
FILES = ("file", "hosts file", "engine file", "site")


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """A thing on the host that a change makes or alters: a path, or a name in the kernel, systemd or the engine.

    A tear-down removes it only if `also_remove` has the value `belongs`, or in any case if that is empty.
    """

    kind: Kind
    name: str
    belongs: Belonging = ""


def current_state(thing: Thing, timeout_seconds: float = 60) -> str | None:  # noqa: PLR0911 (one return a kind)
    """Return a thing's current state, None if it does not exist; the engine must respond within `timeout_seconds`.

    For a file, the SHA-256 of its content; for a setting or mode, its value; for the engine's objects, the owner or ID.
    """
    path = Path(thing.name)
    match thing.kind:
        case "file" | "hosts file" | "engine file" | "site":
            content = files.read_bytes(path)
            return None if content is None else hashlib.sha256(content).hexdigest()
        case "folder":
            return "a folder" if path.is_dir() and not path.is_symlink() else None
        case "mode":
            mode = files.mode_of(path)
            return None if mode is None else f"{mode:04o}"
        case "kernel setting":
            return None if (value := network.read_setting(thing.name)) is None else str(value)
        case "firewall port":
            zone, port = thing.name.split()
            return "open" if firewalld.has_port(zone, int(port)) else None
        case "unit" | "timer":
            if systemd.supervisor() != "systemd":
                return None
            return "enabled" if systemd.is_enabled(thing.name) else None
        case "group":
            groups = [line.split(":") for line in files.lines(Path("/etc/group"))]
            return next((f"members: {fields[-1]}" for fields in groups if fields[0] == thing.name), None)
        case "packages":
            return thing.name if packages.installed(thing.name.split()) else None
    return _of_engine(thing, timeout_seconds)


def _of_engine(thing: Thing, timeout_seconds: float) -> str | None:
    client = engine.connect(timeout_seconds) if engine.is_installed() else None
    if client is None:
        return None
    match thing.kind:
        case "image":
            return ", ".join(sorted(str(image.id) for image in images.ours(client, thing.name))) or None
        case "container":
            found = engine.container(client, thing.name)
            return None if found is None else OURS if found.label(engine.LABEL) else THEIRS
        case "project":
            own = compose.own_containers(client, thing.name) or compose.own_networks(client, thing.name)
            return OURS if own else None
        case _:
            return None if engine.volume_labels(client, thing.name) is None else "a volume"
