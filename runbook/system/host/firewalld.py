"""firewalld of this host: whether clients on other hosts reach a port. Source: firewall-cmd(1), firewalld.zone(5)."""

import re
from typing import Literal

from runbook.system.host import commands, network

_SERVICES = {80: "http", 443: "https", 5000: "docker-registry"}  # ports that firewalld knows by a name


def zone_that_closes(address: str, port: int) -> str:
    """Return the zone of an address's interface if the TCP port is closed in it; empty if it is open.

    Also empty without firewalld, or where this user may not ask it. A port that the engine publishes needs no zone.
    """
    interface = network.interface_of(address)
    zone = _ask(f"--get-zone-of-interface={interface}") if interface else ""
    zone = zone or _ask("--get-default-zone")
    known = _information(zone) if zone else {}
    return zone if known and not _opens(known, port) else ""


def has_port(zone: str, port: int) -> bool:
    """Return whether a zone lists a TCP port now; its services and ranges do not count."""
    return f"{port}/tcp" in _information(zone).get("ports", "").split()


def commands_for(action: Literal["add", "remove"], zone: str, port: int) -> list[tuple[str, ...]]:
    """Return the commands that open or close a TCP port: first after a restart of firewalld, then now.

    In that order, a kill between the two leaves a state that the next run or tear-down sees.
    """
    return [
        ("firewall-cmd", *permanent, f"--zone={zone}", f"--{action}-port={port}/tcp")
        for permanent in (("--permanent",), ())
    ]


def set_port(action: Literal["add", "remove"], zone: str, port: int) -> None:
    """Open or close a TCP port in a zone, now and after a restart of firewalld; raises CommandError if it refuses."""
    for argv in commands_for(action, zone, port):
        commands.run(*argv)


def _information(zone: str) -> dict[str, str]:
    return dict(re.findall(r"(?m)^\s+(\S+): ?(.*)$", _ask(f"--info-zone={zone}")))


def _ask(option: str) -> str:
    if commands.which("firewall-cmd") is None:
        return ""
    done = commands.run(*commands.as_root("firewall-cmd", option), allowed=None)
    return done.output.strip("\n") if done.code == 0 else ""


def _opens(zone: dict[str, str], port: int) -> bool:
    if zone.get("target") == "ACCEPT" or _SERVICES.get(port) in zone.get("services", "").split():
        return True
    return network.lists_port(" ".join(re.findall(r"(\S+)/tcp", zone.get("ports", ""))), port)
