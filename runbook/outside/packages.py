"""The distribution's packages, through apt."""

from pathlib import Path

from runbook.errors import HostError
from runbook.outside import commands, temporary

_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
_INSTALL_SECONDS = 900


def release() -> dict[str, str]:
    """Return the fields of /etc/os-release, such as `ID` and `VERSION_ID` (os-release(5))."""
    pairs = (
        line.split("=", 1) for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines() if "=" in line
    )
    return {name: value.strip('"') for name, value in pairs}


def has_apt() -> bool:
    """Return whether this host installs its packages with apt."""
    return commands.which("apt-get") is not None


def install(names: tuple[str, ...]) -> None:
    """Install packages without those that they only recommend; the package lists are brought up to date first.

    What an earlier run that was cut off has unpacked is configured first: apt refuses to go on without it.
    """
    commands.run("dpkg", "--configure", "-a", environment=_QUIET, timeout_seconds=_INSTALL_SECONDS)
    commands.run("apt-get", "update", "-q", environment=_QUIET, timeout_seconds=_INSTALL_SECONDS)
    commands.run(
        "apt-get", "install", "-q", "-y", "--no-install-recommends", *names,
        environment=_QUIET, timeout_seconds=_INSTALL_SECONDS,
    )  # fmt: skip


def unpack(name: str, destination: Path) -> str:
    """Download a package, unpack its files below `destination` without installing it, and return its version.

    Installing `docker-registry` would start a service on port 5000 of this host.
    """
    if not has_apt():
        raise HostError(
            "apt, to take the package " + name, "no apt-get on this host", "set registry_image_source: archive"
        )
    with temporary.folder() as folder:
        commands.run("apt-get", "update", "-q", environment=_QUIET, timeout_seconds=_INSTALL_SECONDS)
        commands.run(
            "apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", name,
            folder=folder, environment=_QUIET, timeout_seconds=_INSTALL_SECONDS,
        )  # fmt: skip
        [archive] = folder.glob("*.deb")
        commands.run("dpkg-deb", "--extract", str(archive), str(destination))
        return commands.run("dpkg-deb", "--field", str(archive), "Version").output.strip()
