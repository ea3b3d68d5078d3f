"""firewalld of this host: whether clients on other hosts reach a port. Source: firewall-cmd(1), firewalld.zone(5)."""

import re

from runbook.system.host import commands, network

_SERVICES = {80: "http", 443: "https", 5000: "docker-registry"}  # ports that firewalld knows by a name


def zone_that_closes(address: str, port: int) -> str:
    """Return the zone of an address's interface if the TCP port is closed in it; empty if it is open.

    Also empty without firewalld, or where this user may not ask it. A port that the engine publishes needs no zone.
    """
    if commands.which("firewall-cmd") is None:
        return ""
    interface = network.interface_of(address)
    zone = _ask(f"--get-zone-of-interface={interface}") if interface else ""
    zone = zone or _ask("--get-default-zone")
    known = dict(re.findall(r"(?m)^\s+(\S+): ?(.*)$", _ask(f"--info-zone={zone}"))) if zone else {}
    return zone if known and not _opens(known, port) else ""


def open_port(zone: str, port: int) -> str:
    """Return the commands that open a TCP port, now and after a restart of firewalld."""
    return "".join(f"firewall-cmd {now}--zone={zone} --add-port={port}/tcp\n" for now in ("", "--permanent "))


def _ask(option: str) -> str:
    done = commands.run(*commands.as_root("firewall-cmd", option), allowed=None)
    return done.output.strip("\n") if done.code == 0 else ""


def _opens(zone: dict[str, str], port: int) -> bool:
    if zone.get("target") == "ACCEPT" or _SERVICES.get(port) in zone.get("services", "").split():
        return True
    ranges = re.findall(r"(\d+)(?:-(\d+))?/tcp", zone.get("ports", ""))
    return any(int(first) <= port <= int(last or first) for first, last in ranges)
