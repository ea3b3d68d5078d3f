"""Docker Compose, whichever of the two is on this host: the plugin `docker compose`, or `docker-compose`."""

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path

from runbook.changes import RemoveObject
from runbook.errors import MissingError
from runbook.outside import commands, engine

PROJECT_LABEL = "com.docker.compose.project"
SERVICE = "registry"


@dataclass(frozen=True, kw_only=True, slots=True)
class Compose:
    """How to call Compose, and its version."""

    argv: tuple[str, ...]
    version: str


def find() -> Compose | None:
    """Return the Compose of this host, the plugin first; None where there is none."""
    try:
        return _find()
    except LookupError:
        return None


@functools.cache  # it takes half a second to say its version; that there is none is asked again
def _find() -> Compose:
    for argv in (("docker", "compose"), ("docker-compose",)):
        if commands.which(argv[0]) is None:
            continue
        said = commands.run(*argv, "version", "--short", allowed=None)
        if said.code == 0 and (version := re.search(r"\d+\.\d+\.\d+", said.output)):
            return Compose(argv=argv, version=version.group())
    raise LookupError


def require() -> Compose:
    """Return the Compose of this host; raises MissingError where there is none."""
    found = find()
    if found is None:
        raise MissingError("Docker Compose", "neither the plugin nor docker-compose", "run the notebook 10-host")
    return found


def containers(client: engine.Client, project: str) -> list[engine.ContainerFacts]:
    """Return the containers of a project, running or not."""
    return engine.containers(client, (f"{PROJECT_LABEL}={project}",))


def registry_containers(client: engine.Client, project: str) -> list[engine.ContainerFacts]:
    """Return the containers of a project's registry, running or not."""
    return engine.containers(client, (f"{PROJECT_LABEL}={project}", f"com.docker.compose.service={SERVICE}"))


def _call(path: Path, project: str, *arguments: str, timeout_seconds: float = 60) -> commands.Completed:
    """Call Compose for exactly one file and project: no override file, no COMPOSE_* of this environment."""
    unset = {name: "" for name in os.environ if name.startswith("COMPOSE_")}
    argv = (*require().argv, "--project-name", project, "--file", str(path), *arguments)
    return commands.run(*argv, environment=unset, timeout_seconds=timeout_seconds)


def resolved(path: Path, project: str) -> str:
    """Return the file as Compose understands it; raises CommandError with Compose's words where it refuses it."""
    return _call(path, project, "config").output


def up(path: Path, project: str, timeout_seconds: float) -> None:
    """Bring the file's services up in the background, each container made anew.

    What an `up` that was cut off has left beside the container goes first, where Compose takes the file: Compose 2
    stumbles over its name. Raises CommandError with Compose's words where it refuses.
    """
    client = engine.require(timeout_seconds)
    found = registry_containers(client, project)
    if len(found) > 1:
        resolved(path, project)
        for left in found:
            engine.remove(client, RemoveObject(kind="container", name=left.name))
    _call(path, project, "up", "--detach", "--force-recreate", timeout_seconds=timeout_seconds)
