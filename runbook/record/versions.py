"""The versions of all parts and the facts about the host that a bug report needs."""

import os
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version

import psutil
from docker.errors import DockerException

from runbook.display import overview
from runbook.model.errors import RunbookError
from runbook.model.parameters import Parameters
from runbook.system.docker import compose, engine, images
from runbook.system.host import network, systemd

_SECONDS = 5  # timeout of the engine
_NONE = "none"


def versions(parameters: Parameters, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the version of each part, `none` for a missing one, or in brackets why it cannot be read.

    A version in `known` is not read again, unless it is `none`.
    """

    def of_engine() -> str:
        client = engine.connect(_SECONDS)
        return str(client.version()["Version"]) if client else _NONE

    def of_compose() -> str:
        return compose.version() or _NONE

    def of_registry() -> str:
        client = engine.connect(_SECONDS)
        image = images.find(client, parameters) if client else None
        return image.reference if image else _NONE

    readers = {
        "registry-runbook": lambda: version("registry-runbook"),
        "engine": of_engine,
        "compose": of_compose,
        "registry": of_registry,
        "python": platform.python_version,
    }
    found = {name: text for name, text in (known or {}).items() if text != _NONE}
    return {name: found.get(name) or _value_or_error(read) for name, read in readers.items()}


def host(parameters: Parameters) -> dict[str, str]:
    """Return facts about this host: name, registry, system, hardware, address, service manager."""
    release = platform.freedesktop_os_release()
    return {
        "name": platform.node(),
        "registry": parameters.registry_host,
        "distribution": release.get("PRETTY_NAME", "unknown"),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "processors": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "address": _value_or_error(lambda: network.address_of(parameters.address)),
        "services started by": systemd.supervisor(),
        **overview.registry_facts(parameters),
    }


def _value_or_error(read: Callable[[], str]) -> str:
    try:
        return read()
    except RunbookError as error:
        return f"({error.found})"
    except (DockerException, OSError) as error:
        return f"({error})"
