"""Rights of a container beyond those it was created for: its settings compared with the defaults of Compose.

Source: Docker Engine API 1.41, "Inspect a container"; Docker Engine documentation, "Security".
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

FILES_AT_LEAST = 1024  # systemd's default for the soft limit of open files (systemd.exec(5))
# Keys of HostConfig that must be empty, and the text for those that are not.
_EXPECTED_EMPTY = {
    "Privileged": "privileged",
    "CapAdd": "more capabilities",
    "Devices": "devices",
    "DeviceRequests": "devices",
    "DeviceCgroupRules": "devices",
    "GroupAdd": "more groups",
    "PidMode": "processes of others",
    "UTSMode": "the name of the host",
    "UsernsMode": "the users of the host",
    "PublishAllPorts": "all ports published",
}
_IPC = ("", "none", "private", "shareable")
_FEWER = "no-new-privileges"  # in SecurityOpt: it removes rights
_SHOWN = 200  # characters


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a container was created with: mounts as (source, destination, writable), ports as (host, container)."""

    command: tuple[str, ...]
    entry_point: tuple[str, ...]
    network: str
    ports: tuple[tuple[int, int], ...]
    mounts: tuple[tuple[str, str, bool], ...]


def more_rights(found: Mapping[str, Any], wanted: Wanted) -> list[str]:
    """Return the rights in the output of `docker inspect` that exceed the wanted ones; fewer rights are accepted."""
    host = found["HostConfig"]
    groups = (
        _settings(host),
        _networks(found, wanted),
        _mounts(found, wanted),
        _ports(host, wanted),
        _run(found, wanted),
    )
    return [text[:_SHOWN] for text in itertools.chain(*groups)]


def _settings(host: Mapping[str, Any]) -> Iterator[str]:
    for name, description in _EXPECTED_EMPTY.items():
        if value := host.get(name):
            yield description if value is True else f"{description}: {_text(value)}"
    if host.get("IpcMode", "") not in _IPC:
        yield f"the memory of others: {host['IpcMode']}"
    if opened := [item for item in host.get("SecurityOpt") or () if not item.startswith(_FEWER)]:
        yield f"security options: {_text(opened)}"
    if [] in (host.get("MaskedPaths"), host.get("ReadonlyPaths")):
        yield "all of /proc (systempaths=unconfined)"
    for limit in host.get("Ulimits") or ():
        if limit["Name"] == "nofile" and limit["Hard"] < FILES_AT_LEAST:
            yield f"at most {limit['Hard']} open files"


def _networks(found: Mapping[str, Any], wanted: Wanted) -> Iterator[str]:
    networks = {found["HostConfig"].get("NetworkMode", ""), *(found["NetworkSettings"].get("Networks") or ())}
    yield from (f"the network {name}" for name in sorted(networks - {wanted.network}))


def _mounts(found: Mapping[str, Any], wanted: Wanted) -> Iterator[str]:
    mounted = {
        (item.get("Name") or item["Source"], item["Destination"], item["RW"])
        for item in found["Mounts"]
        if item["Type"] != "tmpfs"
    }
    for source, place, writable in sorted(mounted - {*wanted.mounts}):
        yield f"the mount {source} at {place}{'' if writable else ', read-only'}"


def _ports(host: Mapping[str, Any], wanted: Wanted) -> Iterator[str]:
    for inside, bindings in sorted((host.get("PortBindings") or {}).items()):
        for outside in (int(binding["HostPort"] or 0) for binding in bindings or ()):
            if (outside, int(inside.partition("/")[0])) not in wanted.ports:
                yield f"the published port {outside or 'of any number'} to {inside}"


def _run(found: Mapping[str, Any], wanted: Wanted) -> Iterator[str]:
    config = found["Config"]
    for name, right in (("Entrypoint", wanted.entry_point), ("Cmd", wanted.command)):
        if tuple(config[name] or ()) != right:
            yield f"another {name}: {' '.join(config[name] or ()) or 'none'}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
