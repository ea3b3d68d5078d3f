"""What systemd says of its units. Source: systemctl(1)."""

from runbook.outside import commands


def is_enabled(unit: str) -> bool:
    """Return whether systemd starts a unit, such as `docker.service`, at boot."""
    return commands.run("systemctl", "is-enabled", unit, allowed=None).output.strip() == "enabled"
