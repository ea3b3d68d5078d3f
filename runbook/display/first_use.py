"""How to use the registry that stands: the address, the user, and the first push, with the names of this host."""

from contextlib import suppress

from docker.errors import DockerException

from runbook.display.tables import Table, notebook_links
from runbook.model.parameters import Parameters
from runbook.model.project import COMMAND
from runbook.model.words import say
from runbook.system.docker import compose, engine

_SECONDS = 5.0  # timeout of the engine
_OTHERS = "run 70-clients, which makes the kit for them"


def table(parameters: Parameters) -> Table:
    """Return the table for a notebook, with the commands below it."""
    if parameters.mode == "plan":
        return Table(headings=(), rows=(), empty="Nothing was proven: the mode is plan.")
    rows = (
        ("address", f"https://{parameters.registry_host}"),
        ("user", parameters.username),
        ("password", f"in {parameters.password_path}, which only root can read"),
        ("from other hosts", _OTHERS),
    )
    return Table(
        headings=("What", "Is"),
        rows=rows,
        empty="",
        caption="Your registry",
        details=(commands(parameters),),
        links=notebook_links(),
    )


def commands(parameters: Parameters) -> str:
    """Return the commands, for root, that log in and push an image that this host has: that of the registry."""
    image, registry = _image(parameters), parameters.registry_host
    return f"""docker login {registry} --username {parameters.username} --password-stdin <{parameters.password_path}
docker tag {image} {registry}/{image}
docker push {registry}/{image}"""


def text(parameters: Parameters) -> str:
    """Return the same for a terminal."""
    told = f"Use it now, as root (from other hosts: {COMMAND} 70-clients makes the kit):"
    return f"{say(told)}\n{commands(parameters)}"


def _image(parameters: Parameters) -> str:
    """Return the name of the image that the registry was started from, or else the one in the parameters."""
    with suppress(DockerException):
        if client := engine.connect(_SECONDS):
            for found in compose.registry_containers(client, parameters.compose_project):
                return str(client.containers.get(found.name).attrs["Config"]["Image"])
    return parameters.registry_image
