"""The folders of certs.d as containerd reads them, for an engine that keeps its images in containerd's store.

Any other engine reads only the `*.crt` files in HOST or HOST:PORT. Source: containerd, "Registry Configuration", and
`hostPaths` and `loadHostDir` in core/remotes/docker/config/hosts.go.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runbook.model.errors import HostError
from runbook.system.docker import engine
from runbook.system.host import files

_HOSTS = "hosts.toml"
_FROM = (28, 0)  # tried: 26.1 reads certs.d as any other engine does, 28.5 and 29.9 as containerd does


def overruling(client: engine.Client | None, trust: Path, authority: str | None) -> Path | None:
    """Return what the engine reads in place of `trust`, or None: only one with that store, from 28 on, does."""
    if client is None or not engine.stores_in_containerd(client) or engine.version(client) < _FROM:
        return None
    return read_instead(trust, authority)


def read_instead(trust: Path, authority: str | None) -> Path | None:
    """Return the file or folder that containerd reads in place of `trust`, the path of a ca.crt.

    None if there is none, or if that trusts `authority`, the text of a certificate, or names `trust` itself.
    """
    name, _, port = trust.parent.name.rpartition(":")
    folder = trust.parent.with_name(f"{name}_{port}_")  # read first where the registry has a port
    if not (name and folder.is_dir()):
        folder = trust.parent
    tables = _tables(folder / _HOSTS)
    if tables:
        source, read = folder / _HOSTS, [folder / path for path in _authorities(tables)]
    else:
        source, read = folder, sorted(folder.glob("*.crt"))
        if folder == trust.parent:
            return None
    is_trusted = any(path == trust or (authority and authority in (files.read_text(path) or "")) for path in read)
    return None if is_trusted else source


def refuse(source: Path | None, trust: Path) -> None:
    """Raise HostError if the engine reads `source` in place of the authority's certificate at `trust`."""
    if source is None:
        return
    named = f"name {trust} as `ca` in it, or " if source.name == _HOSTS else ""
    raise HostError(
        f"the engine to read {trust}", f"its image store, containerd's, reads {source} instead", f"{named}move it away"
    )


def _tables(path: Path) -> list[Mapping[str, Any]]:
    """Return the tables of a hosts.toml: the registry's own, and those of the hosts that are asked in its place.

    Empty if it is missing, empty or broken: containerd then reads certificates.
    """
    try:
        settings = tomllib.loads(files.read_text(path) or "")
    except tomllib.TOMLDecodeError:
        return []
    hosts = settings.get("host")
    tables = (settings, *(hosts.values() if isinstance(hosts, dict) else ()))
    return [table for table in tables if table and isinstance(table, dict)]


def _authorities(tables: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Give the paths under `ca`, one or a list of them."""
    for table in tables:
        named = table.get("ca")
        yield from (item for item in (named if isinstance(named, list) else [named]) if isinstance(item, str))
