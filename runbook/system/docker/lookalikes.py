"""What has the name of Docker's client and is none that the runbook can use: Podman's script, and Docker from snap.

Source: podman-docker's package; snapcraft.io/docker, "Docker and classic confinement".
"""

import re
from pathlib import Path

from runbook.model.errors import HostError
from runbook.system.host import commands

_HEAD_BYTES = 4096
_SNAP = Path("/snap")


def find() -> tuple[str, str] | None:
    """Return what the command `docker` is in truth, and the remedy; None if it is Docker's client, or is missing."""
    found = commands.which("docker")
    if found is None:
        return None
    path, target = Path(found), Path(found).resolve()
    if path.is_relative_to(_SNAP) or target.is_relative_to(_SNAP) or target.name == "snap":
        what = f"{path} is the snap's, which sees no file below /etc and has its settings in /var/snap/docker"
        return what, "`snap save docker`, then `snap remove docker`, and run this again"
    if target.name == "podman" or _calls_podman(target):
        remedy = "remove the package podman-docker (Podman stays), then run this again"
        return f"{path} starts Podman", remedy
    return None


def _calls_podman(path: Path) -> bool:
    with path.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    return head.startswith(b"#!") and re.search(rb"(?m)^\s*exec \S*podman\b", head) is not None


def refuse(found: tuple[str, str] | None) -> None:
    """Raise HostError for what `find` found."""
    if found is not None:
        raise HostError("`docker` to be the client of a Docker Engine", *found)
