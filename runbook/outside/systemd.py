"""What systemd says of its units. Source: systemctl(1)."""

from collections.abc import Mapping

from runbook.errors import HostError
from runbook.outside import commands


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
