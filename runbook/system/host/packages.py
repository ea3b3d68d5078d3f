"""The distribution's packages: managed with apt, elsewhere the commands to type."""

import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from runbook.model.errors import HostError
from runbook.system.host import commands, temporary

_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
_INSTALL_SECONDS = 900


_REPOSITORY = "https://download.docker.com/linux/{docker}/docker-ce.repo"
_DOCKER_CE = "docker-ce docker-ce-cli containerd.io docker-compose-plugin"
# The install commands of distributions without apt. Source: their documentation, and docs.docker.com/engine/install.
_BY_HAND = {
    "alpine": ("apk add docker docker-cli-compose", "apk add nginx"),
    "arch": ("pacman -S docker docker-compose", "pacman -S nginx"),
    "fedora": ("dnf install moby-engine docker-compose", "dnf install nginx"),
    "rhel": (f"dnf config-manager --add-repo {_REPOSITORY} && dnf install {_DOCKER_CE}", "dnf install nginx"),
    "suse": ("zypper install docker docker-compose", "zypper install nginx"),
}
_FAMILIES = {"centos": "rhel", "opensuse": "suse"}  # ID or ID_LIKE: the name above


def distributions() -> tuple[str, ...]:
    """Return this distribution and those that it is like, the nearest first (os-release(5), `ID` and `ID_LIKE`)."""
    found = platform.freedesktop_os_release()
    return tuple(filter(None, (found.get("ID", ""), *found.get("ID_LIKE", "").split())))


def by_hand(names: Sequence[str], what: Literal["engine", "nginx"]) -> str:
    """Return the remedy on a host without apt: the command for these distributions, or where one is found."""
    known = next((found for name in names if (found := _FAMILIES.get(name, name)) in _BY_HAND), None)
    if known is None:
        missing = "docker-ce and docker-compose-plugin as docs.docker.com/engine/install says"
        return f"install {missing if what == 'engine' else what}, then run this again"
    docker = "rhel" if names[0] == "rhel" else "centos"  # Docker's packages for derivatives are those of CentOS
    command = _BY_HAND[known][what == "nginx"].format(docker=docker)
    return f"type `{command}`, then run this again"


def has_apt() -> bool:
    """Return whether this host installs its packages with apt."""
    return commands.which("apt-get") is not None


def update() -> None:
    """Update the package lists; packages that an interrupted run left unconfigured are configured first.

    apt refuses to install anything before that.
    """
    _apt("dpkg", "--configure", "-a")
    _apt("apt-get", "update", "-q")


def would_install(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return all packages that `install` would add to the host, sorted; upgraded packages are left out.

    Raises HostError where apt would remove others, such as podman-docker or the containerd.io of another engine.
    """
    simulated = _apt("apt-get", "install", "--simulate", "-q", "--no-install-recommends", *names)
    if removed := re.findall(r"^Remv (\S+)", simulated.output, flags=re.MULTILINE):
        raise HostError(
            f"the packages {', '.join(names)} to go beside those that are here",
            f"apt would remove {', '.join(removed)} for them",
            f"`apt-get remove {' '.join(removed)}` where nobody needs that; or install another engine:"
            " docs.docker.com/engine/install",
        )
    return tuple(sorted(re.findall(r"^Inst (\S+) \(", simulated.output, flags=re.MULTILINE)))


def install(names: tuple[str, ...]) -> None:
    """Install packages without the recommended ones; apt fails if it would have to remove others."""
    _apt("apt-get", "install", "-q", "-y", "--no-remove", "--no-install-recommends", *names)


def installed(names: Sequence[str]) -> tuple[str, ...]:
    """Return those of the packages that are installed."""
    if not has_apt():
        return ()
    listed = commands.run("dpkg-query", "--show", "-f", "${Package} ${db:Status-Status}\n", *names, allowed=None)
    return tuple(line.split()[0] for line in listed.output.splitlines() if line.endswith(" installed"))


def purge(names: Sequence[str]) -> None:
    """Remove only these packages, with their configuration; dpkg fails if another package depends on them."""
    _apt("dpkg", "--purge", *names)


def _apt(*argv: str) -> commands.Completed:
    return commands.run(*argv, environment=_QUIET, timeout_seconds=_INSTALL_SECONDS)


def unpack(names: Sequence[str], destination: Path) -> str:
    """Download packages, unpack their files into `destination` without installing them, and return the first's version.

    Installing `docker-registry` would start a service on port 5000 of this host.
    Raises HostError on a host without apt.
    """
    if not has_apt():
        raise HostError(
            f"apt, to take the packages {', '.join(names)}",
            "no apt-get on this host",
            "set registry_image_source: archive",
        )
    with temporary.folder() as folder:
        _apt("apt-get", "update", "-q")
        commands.run(
            "apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *names,
            folder=folder, environment=_QUIET, timeout_seconds=_INSTALL_SECONDS,
        )  # fmt: skip
        for archive in folder.glob("*.deb"):
            commands.run("dpkg-deb", "--extract", str(archive), str(destination))
        [first] = folder.glob(f"{names[0]}_*.deb")
        return commands.run("dpkg-deb", "--field", str(first), "Version").output.strip()
