"""The holder of a port of this host: a process, or a container whose engine listens for it."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from docker.errors import DockerException

from runbook.model.errors import RunbookError
from runbook.system.docker import engine
from runbook.system.host import network

OF_ENGINE = ("docker-proxy", "dockerd", "rootlessport")  # dockerd itself listens if userland-proxy is off


def publishers(client: engine.Client, listeners: Sequence[network.Listener]) -> list[tuple[int, engine.ContainerFacts]]:
    """Return the host ports of running containers, published or in the host network, each with its container."""
    running = [found for found in engine.containers(client) if found.running]
    listening = [(listener.port, _control_group(listener.pid)) for listener in listeners]
    return [
        *((port, found) for found in running for port in found.ports),
        *((port, found) for port, group in listening for found in running if found.identifier in group),
    ]


def _control_group(pid: int | None) -> str:
    """Return the control group of a process, whose name contains the container's id (cgroups(7)); empty without one."""
    try:
        return Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def holder(listener: network.Listener, containers: Mapping[int, str]) -> tuple[str, str]:
    """Return the holder of a listener's port, and how to free the port; `containers` maps ports to container names."""
    if (name := containers.get(listener.port)) is not None:
        return f"the container {name}", f"stop it (`docker stop {name}`)"
    if listener.process in OF_ENGINE:
        found = f"{listener}, for a container or service of its engine,"
        return found, f"find it where that engine is asked (`docker ps --filter publish={listener.port}`), stop it"
    return str(listener), "stop it"


def holder_of(said: str, timeout_seconds: float = 5) -> tuple[str, str]:
    """Return the holder of the port that an engine reports as taken, and how to free it; empty for other messages."""
    taken = re.search(r":(\d+)(?:: bind: address already in use| failed: port is already allocated)", said)
    if taken is None:
        return "", ""
    port, containers = int(taken[1]), {}
    found = network.listeners({port})
    with suppress(RunbookError, DockerException, OSError):  # without the container, the listener is reported
        if client := engine.connect(timeout_seconds):
            containers = {outside: item.name for outside, item in publishers(client, found)}
    if not found and port not in containers:
        return f"; nobody any more listens on port {port}", ""
    name, remedy = holder(found[0] if found else network.Listener(port=port, process="", pid=None), containers)
    return f"; {name} listens on port {port}", f"{remedy}; "
