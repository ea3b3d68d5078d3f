"""systemd of this host and its units. Source: systemctl(1), sd_booted(3), systemd.timer(5)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from runbook.model.errors import HostError
from runbook.system.host import commands, files

Supervisor = Literal["systemd", "none"]
UNITS = Path("/etc/systemd/system")


def supervisor() -> Supervisor:
    """Return who starts services on this host: systemd, where it is running, or nobody (sd_booted(3))."""
    return "systemd" if Path("/run/systemd/system").is_dir() else "none"


def is_enabled(unit: str) -> bool:
    """Return whether systemd starts a unit, such as `docker.service`, at boot."""
    return commands.run("systemctl", "is-enabled", unit, allowed=None).output.strip() == "enabled"


def masked(*units: str) -> dict[str, str]:
    """Return those of the units that are masked, and may not be started or enabled, with the command that ends that."""
    shown = commands.run("systemctl", "show", "--property=Id,UnitFileState", *units, allowed=None).output
    states = [dict(line.split("=", 1) for line in unit.splitlines()) for unit in shown.split("\n\n")]
    found = {unit["Id"]: unit["UnitFileState"] for unit in states if unit.get("UnitFileState", "").startswith("masked")}
    options = {"masked": "", "masked-runtime": "--runtime "}
    return {unit: f"systemctl unmask {options[state]}{unit}" for unit, state in found.items()}


def refuse_masked(found: Mapping[str, str]) -> None:
    """Raise HostError for units that are masked, as `masked` gives them."""
    if found:
        commands_to_type = ", ".join(f"`{command}`" for command in found.values())
        told = f"{', '.join(found)} to be startable by systemd"
        raise HostError(told, "masked by somebody", f"run {commands_to_type}, then this again")


def start_timer(name: str) -> None:
    """Let systemd read its units, and start a timer now and at boot."""
    commands.run("systemctl", "daemon-reload")
    commands.run("systemctl", "enable", name)
    commands.run("systemctl", "restart", name)


def stop_timer(name: str) -> None:
    """Stop a timer, now and at boot, and let systemd forget when it ran; a service that it has started ends by itself.

    When it ran last is in a file of systemd's (`Persistent=`).
    """
    if supervisor() == "systemd":
        commands.run("systemctl", "disable", "--now", name, allowed=None)
    files.remove_tree(Path(f"/var/lib/systemd/timers/stamp-{name}"))


def forget(timer: str) -> None:
    """Let systemd read that units of a timer are gone, and forget that one has failed."""
    if supervisor() == "systemd":
        commands.run("systemctl", "daemon-reload")
        commands.run("systemctl", "reset-failed", f"{timer.removesuffix('.timer')}*", allowed=None)
