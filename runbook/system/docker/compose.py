"""Docker Compose of this host: the plugin `docker compose` or the program `docker-compose`."""

import functools
import re
from contextlib import suppress
from pathlib import Path

from runbook.model.errors import HostError, MissingError
from runbook.system.docker import engine
from runbook.system.host import commands, files

PROJECT_LABEL = "com.docker.compose.project"
_VOLUME_LABEL = "com.docker.compose.volume"
SERVICE = "registry"
_PLUGIN, _PROGRAM = ("docker", "compose"), ("docker-compose",)
USUAL_MTU = 1500  # of Ethernet, and the engine's default
_MTU = "com.docker.network.driver.mtu"
# The shell's equivalent of `argv`.
BY_HAND = "$(docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)"
_NO_VARIABLES = Path(__file__).with_name("no-variables.env")  # empty, in place of any .env beside the Compose file


def argv() -> tuple[str, ...] | None:
    """Return the command of this host's Compose, preferably the plugin, or None if there is none.

    The program is not started to find it: Compose 1 takes 0.2 s to print its version.
    """
    with suppress(LookupError):
        _version(_PLUGIN)
        return _PLUGIN
    return _PROGRAM if commands.which(_PROGRAM[0]) else None


def require() -> tuple[str, ...]:
    """Return the command of this host's Compose; raises MissingError if there is none."""
    found = argv()
    if found is None:
        raise MissingError("Docker Compose", "neither the plugin nor docker-compose", "run the notebook 10-host")
    return found


def version() -> str | None:
    """Return the version of this host's Compose, preferably the plugin, or None if none prints it."""
    for command in (_PLUGIN, _PROGRAM):
        with suppress(LookupError):
            return _version(command)
    return None


@functools.cache  # an error is not cached: Compose may be installed later
def _version(command: tuple[str, ...]) -> str:
    if commands.which(command[0]) is not None:
        done = commands.run(*command, "version", "--short", allowed=None)
        if done.code == 0 and (found := re.search(r"\d+\.\d+\.\d+", done.output)):
            return found.group()
    raise LookupError(command)


def containers(client: engine.Client, project: str) -> list[engine.ContainerFacts]:
    """Return the containers of a project, running or not."""
    return engine.containers(client, (f"{PROJECT_LABEL}={project}",))


def own_containers(client: engine.Client, project: str) -> list[str]:
    """Return the names of a project's containers that the runbook created."""
    return [found.name for found in containers(client, project) if found.label(engine.LABEL)]


def own_networks(client: engine.Client, project: str) -> list[str]:
    """Return the names of a project's networks that the runbook created."""
    label = [f"{PROJECT_LABEL}={project}", engine.LABEL]
    return [str(found.name) for found in client.networks.list(filters={"label": label})]


def require_own(client: engine.Client, project: str, volume: str, *, is_kept: bool) -> None:
    """Raise HostError where another owner's container, network or volume has a name that the project needs.

    Also raises it where the engine uses another storage folder than before.

    `volume` is the volume's key in the Compose file. `is_kept` means that this host has secrets of the runbook: then a
    volume without its label comes from a version without labels. The same holds for a network of its containers.
    """
    engine.refuse_other_root(client, volume_name(project, volume))
    found = containers(client, project)
    foreign = [f"the container {item.name}" for item in found if not item.label(engine.LABEL)]
    is_ours = bool(found) and not foreign
    network = engine.network_labels(client, default_network(project))
    if network is not None and engine.LABEL not in network and not is_ours:
        foreign.append(f"the network {default_network(project)}")
    labels = engine.volume_labels(client, volume_name(project, volume))
    if labels is not None and engine.LABEL not in labels:
        is_of_project = (labels.get(PROJECT_LABEL), labels.get(_VOLUME_LABEL)) == (project, volume)
        if not (is_of_project and (is_kept or is_ours)):
            foreign.append(f"the volume {volume_name(project, volume)}, set data_volume for another one")
    if foreign:
        remedy = "set compose_project to another name; or remove it, where nobody needs it"
        raise HostError(f"a Compose project {project} of the runbook's alone", ", ".join(foreign), remedy)


def default_network(project: str) -> str:
    """Return the name of a project's default network."""
    return f"{project}_default"


def network_options(mtu: int) -> dict[str, object]:
    """Return the options in a Compose file for a network with this MTU, in bytes.

    Source: Docker Engine documentation, "Bridge network driver", Options.
    """
    return {"driver_opts": {_MTU: str(mtu)}}


def stated_mtu(text: str) -> int | None:
    """Return the MTU, in bytes, in a Compose file of the runbook, or None if it has none."""
    found = re.search(rf"{re.escape(_MTU)}: ['\"]?(\d+)", text)
    return int(found[1]) if found else None


def network_mtu(client: engine.Client, project: str) -> int | None:
    """Return the MTU, in bytes, of a project's network, or None if there is no such network."""
    found = engine.network(client, default_network(project))
    return None if found is None else int((found.attrs["Options"] or {}).get(_MTU, USUAL_MTU))


def volume_name(project: str, volume: str) -> str:
    """Return the engine's name for a project's volume."""
    return f"{project}_{volume}"


def remove_own(client: engine.Client, project: str) -> None:
    """Remove the project's containers that the runbook created, and its unused networks; volumes stay.

    If there was such a container, the project's default network is removed too: it may come from a version without
    labels.
    """
    own = own_containers(client, project)
    for name in own:
        engine.remove_container(client, name)
    ours = {*own_networks(client, project), *([default_network(project)] if own else ())}
    for network in client.networks.list(filters={"label": f"{PROJECT_LABEL}={project}"}):
        network.reload()
        if network.name in ours and not network.attrs["Containers"]:
            network.remove()


def _refuse_used_network(client: engine.Client, project: str) -> None:
    name = default_network(project)
    if (network := engine.network(client, name)) is None:
        return
    network.reload()
    if users := sorted(item["Name"] for item in network.attrs["Containers"].values()):
        remedy = f"disconnect them: `docker network disconnect {name} NAME`"
        raise HostError(f"nobody on the network {name}, which is to be made anew", ", ".join(users), remedy)


def registry_containers(client: engine.Client, project: str) -> list[engine.ContainerFacts]:
    """Return the containers of a project's registry that the runbook created, running or not."""
    labels = (f"{PROJECT_LABEL}={project}", f"com.docker.compose.service={SERVICE}", engine.LABEL)
    return engine.containers(client, labels)


def _call(path: Path, project: str, *arguments: str, timeout_seconds: float = 60) -> commands.Completed:
    """Run Compose for exactly one file and project: no override file, no .env, no COMPOSE_* (see `commands.run`)."""
    options = ("--env-file", str(_NO_VARIABLES), "--project-name", project, "--file", str(path))
    return commands.run(*require(), *options, *arguments, timeout_seconds=timeout_seconds)


def resolved(path: Path, project: str) -> str:
    """Return the file as Compose reads it; raises CommandError with Compose's message if it refuses the file."""
    return _call(path, project, "config").output


def up(path: Path, project: str, timeout_seconds: float, *, stop_seconds: float = 0) -> None:
    """Start the file's services in the background and recreate each container, which may take `stop_seconds` to stop.

    If Compose accepts the file, leftover containers of an interrupted `up` are removed first, since Compose 2 fails
    on their names. A network with another MTU than the file's is removed too: Compose would keep it, or refuse it.
    Raises CommandError with Compose's message if it fails.
    """
    client = engine.require(timeout_seconds)
    wanted, current = stated_mtu(files.read_text(path) or "") or USUAL_MTU, network_mtu(client, project)
    if current not in (None, wanted):
        resolved(path, project)
        remove_own(client, project)
        if current > wanted:
            _refuse_used_network(client, project)
    found = registry_containers(client, project)
    if len(found) > 1:
        resolved(path, project)
        for leftover in found:
            engine.remove_container(client, leftover.name)
    longest = timeout_seconds + (stop_seconds if found else 0)
    _call(path, project, "up", "--detach", "--force-recreate", timeout_seconds=longest)
