"""Docker Compose, whichever of the two is on this host: the plugin `docker compose`, or `docker-compose`."""

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
USUAL_MTU = 1500  # of Ethernet, and what the engine gives to a network
_MTU = "com.docker.network.driver.mtu"
# Compose as a shell finds it: a plugin of the client, or a program.
BY_HAND = "$(docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)"
_NO_VARIABLES = Path(__file__).with_name("no-variables.env")  # in place of a .env beside the file, whatever is in that


def argv() -> tuple[str, ...] | None:
    """Return how this host's Compose is called, the plugin first; None where there is none.

    The program is not started for that: Compose 1 takes a fifth of a second to say its version.
    """
    with suppress(LookupError):
        _version(_PLUGIN)
        return _PLUGIN
    return _PROGRAM if commands.which(_PROGRAM[0]) else None


def require() -> tuple[str, ...]:
    """Return how this host's Compose is called; raises MissingError where there is none."""
    found = argv()
    if found is None:
        raise MissingError("Docker Compose", "neither the plugin nor docker-compose", "run the notebook 10-host")
    return found


def version() -> str | None:
    """Return the version of this host's Compose, the plugin first; None where there is none that says it."""
    for called in (_PLUGIN, _PROGRAM):
        with suppress(LookupError):
            return _version(called)
    return None


@functools.cache  # a process asks once; that there is none is asked again
def _version(called: tuple[str, ...]) -> str:
    if commands.which(called[0]) is not None:
        said = commands.run(*called, "version", "--short", allowed=None)
        if said.code == 0 and (found := re.search(r"\d+\.\d+\.\d+", said.output)):
            return found.group()
    raise LookupError(called)


def containers(client: engine.Client, project: str) -> list[engine.ContainerFacts]:
    """Return the containers of a project, running or not."""
    return engine.containers(client, (f"{PROJECT_LABEL}={project}",))


def own_containers(client: engine.Client, project: str) -> list[str]:
    """Return the names of a project's containers that the runbook has made."""
    return [found.name for found in containers(client, project) if found.label(engine.LABEL)]


def own_networks(client: engine.Client, project: str) -> list[str]:
    """Return the names of a project's networks that the runbook has made."""
    label = [f"{PROJECT_LABEL}={project}", engine.LABEL]
    return [str(found.name) for found in client.networks.list(filters={"label": label})]


def require_own(client: engine.Client, project: str, volume: str, *, is_kept: bool) -> None:
    """Raise HostError where a container, network or volume of somebody else's is where the project's would be.

    The same where the engine does not see what it stored before.

    `volume` is the volume's key in the Compose file; `is_kept` says that this host has secrets of the runbook's: then a
    volume without its label is one that a version without labels has left. So is a network of its containers.
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
    """Return the name of the network that Compose makes for a project."""
    return f"{project}_default"


def network_options(mtu: int) -> dict[str, object]:
    """Return what a Compose file says of a network with packets of so many bytes at most.

    Source: Docker Engine documentation, "Bridge network driver", Options.
    """
    return {"driver_opts": {_MTU: str(mtu)}}


def stated_mtu(text: str) -> int | None:
    """Return the largest packet, in bytes, that a Compose file of ours gives to its network; None without one."""
    found = re.search(rf"{re.escape(_MTU)}: ['\"]?(\d+)", text)
    return int(found[1]) if found else None


def network_mtu(client: engine.Client, project: str) -> int | None:
    """Return the largest packet, in bytes, of a project's network, None where there is no such network."""
    name = default_network(project)
    found = [network for network in client.networks.list(names=[name]) if network.name == name]
    return int((found[0].attrs["Options"] or {}).get(_MTU, USUAL_MTU)) if found else None


def volume_name(project: str, volume: str) -> str:
    """Return the name by which the engine knows a project's volume."""
    return f"{project}_{volume}"


def remove_own(client: engine.Client, project: str) -> None:
    """Remove a project's containers that the runbook has made, and its networks that nobody uses; volumes stay.

    The project's own network counts where such a container was there: a version without labels made it.
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
    for network in client.networks.list(names=[name]):
        network.reload()
        if network.name == name and (users := sorted(item["Name"] for item in network.attrs["Containers"].values())):
            remedy = f"disconnect them: `docker network disconnect {name} NAME`"
            raise HostError(f"nobody on the network {name}, which is to be made anew", ", ".join(users), remedy)


def registry_containers(client: engine.Client, project: str) -> list[engine.ContainerFacts]:
    """Return the containers of a project's registry that the runbook has made, running or not."""
    labels = (f"{PROJECT_LABEL}={project}", f"com.docker.compose.service={SERVICE}", engine.LABEL)
    return engine.containers(client, labels)


def _call(path: Path, project: str, *arguments: str, timeout_seconds: float = 60) -> commands.Completed:
    """Call Compose for exactly one file and project: no override file, no .env, and (`commands.run`) no COMPOSE_*."""
    options = ("--env-file", str(_NO_VARIABLES), "--project-name", project, "--file", str(path))
    return commands.run(*require(), *options, *arguments, timeout_seconds=timeout_seconds)


def resolved(path: Path, project: str) -> str:
    """Return the file as Compose understands it; raises CommandError with Compose's words where it refuses it."""
    return _call(path, project, "config").output


def up(path: Path, project: str, timeout_seconds: float) -> None:
    """Bring the file's services up in the background, each container made anew.

    What an `up` that was cut off has left beside the container goes first, where Compose takes the file: Compose 2
    stumbles over its name. So does a network with another MTU than the file's: Compose leaves that as it is, or refuses
    it. Raises CommandError with Compose's words where it refuses.
    """
    client = engine.require(timeout_seconds)
    wanted, is_now = stated_mtu(files.read_text(path) or "") or USUAL_MTU, network_mtu(client, project)
    if is_now not in (None, wanted):
        resolved(path, project)
        remove_own(client, project)
        if is_now > wanted:
            _refuse_used_network(client, project)
    found = registry_containers(client, project)
    if len(found) > 1:
        resolved(path, project)
        for left in found:
            engine.remove_container(client, left.name)
    _call(path, project, "up", "--detach", "--force-recreate", timeout_seconds=timeout_seconds)
