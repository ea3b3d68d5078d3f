"""systemd of this host and its units. Source: systemctl(1), sd_booted(3), systemd.timer(5)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from runbook.model.errors import HostError
from runbook.system.host import commands, files

Supervisor = Literal["systemd", "none"]
UNITS = Path("/etc/systemd/system")


def supervisor() -> Supervisor:
    """Return the service manager of this host: systemd if it is running, else `none` (sd_booted(3))."""
    return "systemd" if Path("/run/systemd/system").is_dir() else "none"


def is_enabled(unit: str) -> bool:
    """Return whether systemd starts a unit, such as `docker.service`, at boot."""
    return commands.run("systemctl", "is-enabled", unit, allowed=None).output.strip() == "enabled"


def masked(*units: str) -> dict[str, str]:
    """Return the masked ones of these units (they cannot be started or enabled), each with the command to unmask it."""
    shown = commands.run("systemctl", "show", "--property=Id,UnitFileState", *units, allowed=None).output
    states = [dict(line.split("=", 1) for line in unit.splitlines()) for unit in shown.split("\n\n")]
    found = {unit["Id"]: unit["UnitFileState"] for unit in states if unit.get("UnitFileState", "").startswith("masked")}
    options = {"masked": "", "masked-runtime": "--runtime "}
    return {unit: f"systemctl unmask {options[state]}{unit}" for unit, state in found.items()}


def refuse_masked(found: Mapping[str, str]) -> None:
    """Raise HostError if `found`, the result of `masked`, has any unit."""
    if found:
        expected = f"{', '.join(found)} to be startable by systemd"
        unmask = ", ".join(f"`{command}`" for command in found.values())
        raise HostError(expected, "masked by somebody", f"run {unmask}, then this again")


def start_timer(name: str) -> None:
    """Reload systemd's units, then start a timer, now and at boot."""
    commands.run("systemctl", "daemon-reload")
    commands.run("systemctl", "enable", name)
    commands.run("systemctl", "restart", name)


def stop_timer(name: str) -> None:
    """Stop a timer, now and at boot, and remove the stamp file with its last run (`Persistent=`).

    A service that the timer has started runs to its end.
    """
    if supervisor() == "systemd":
        commands.run("systemctl", "disable", "--now", name, allowed=None)
    files.remove_tree(Path(f"/var/lib/systemd/timers/stamp-{name}"))


def forget(timer: str) -> None:
    """Reload systemd's units after those of a timer were removed, and reset their failed state."""
    if supervisor() == "systemd":
        commands.run("systemctl", "daemon-reload")
        commands.run("systemctl", "reset-failed", f"{timer.removesuffix('.timer')}*", allowed=None)
