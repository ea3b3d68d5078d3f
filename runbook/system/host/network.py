"""Network of this host: kernel settings, packet filter rules, addresses and listening ports."""

import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from runbook.model.errors import HostError, NotReadyError
from runbook.system.host import commands

DROP_IN = Path("/etc/sysctl.d/99-registry-runbook.conf")  # settings that persist over a reboot
_CONTAINER_INTERFACE = re.compile(r"docker|veth|br-[0-9a-f]{12}$")  # `br-lan` is a bridge of the operator's
_INCOMING = re.compile(r"-A (?:PREROUTING|INPUT|FORWARD)\b|:INPUT DROP")
_OF_ENGINE = re.compile(r"DOCKER|\bdocker\d|\bbr-[0-9a-f]{12}\b|-d 127\.0\.0\.\d+/32 ! -i lo\b")


def _setting_path(name: str) -> Path:
    return Path("/proc/sys", *name.split("."))


def read_setting(name: str) -> int | None:
    """Return a setting of the running kernel, such as `net.ipv4.ip_forward`, or None if the kernel lacks it."""
    try:
        return int(_setting_path(name).read_text(encoding="ascii"))
    except FileNotFoundError:
        return None


def write_setting(name: str, value: int) -> None:
    """Change a setting of the running kernel; raises HostError where /proc/sys is not writable."""
    try:
        _setting_path(name).write_text(f"{value}\n", encoding="ascii")
    except OSError as error:
        raise HostError(
            f"{name} to be writable",
            f"{error.strerror} ({_setting_path(name)})",
            "allow this host to set it, or set it outside",
        ) from error


def has_nat_chain(name: str) -> bool:
    """Return whether the nat table has a chain; the engine creates `DOCKER` at its start.

    Returns True for a user who may not list the table: a published port is also tested from outside.
    """
    argv = commands.as_root("iptables", "--wait", "-t", "nat", "-n", "-L", name)
    done = commands.run(*argv, allowed=None)
    return done.code != 1 or done.error.startswith("sudo:")


def user_rules() -> str:
    """Return the user's rules that apply before the engine's, in one line; empty where this user may not list them.

    Source: Docker Engine documentation, "Packet filtering and firewalls", DOCKER-USER.
    """
    done = commands.run(*commands.as_root("iptables", "--wait", "-S", "DOCKER-USER"), allowed=None)
    rules = [line for line in done.output.splitlines() if line.startswith("-A") and not line.endswith(" -j RETURN")]
    return "; ".join(rules)


def rules_for_what_comes_in() -> str:
    """Return the rules for incoming packets except the engine's, in one line; empty without the right to list them."""
    return rules_of_others(commands.run(*commands.as_root("iptables-save"), allowed=None).output)


def rules_of_others(saved: str) -> str:
    """Return the rules for incoming packets in the output of iptables-save(8), in one line.

    The engine's rules are left out, since they change with its containers.
    """
    rules, table = [], ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif _INCOMING.match(line) and not _OF_ENGINE.search(line):
            rules.append(f"{table}: {line.partition(' [')[0].strip()}")
    return "; ".join(rules)


def host_addresses() -> list[str]:
    """Return the IPv4 addresses of this host, without those of loopback and container networks."""
    return [
        address.address
        for interface, addresses in psutil.net_if_addrs().items()
        if not _CONTAINER_INTERFACE.match(interface)
        for address in addresses
        if address.family == socket.AF_INET and not ipaddress.ip_address(address.address).is_loopback
    ]


def interface_of(address: str) -> str | None:
    """Return the network interface that has an address, or None."""
    found = psutil.net_if_addrs().items()
    return next((name for name, items in found if address in [item.address for item in items]), None)


def mtu_at(address: str) -> int:
    """Return the MTU, in bytes, of the interface that has this address; raises HostError if none has it."""
    found = psutil.net_if_stats().get(interface_of(address) or "")
    if found is None:
        raise HostError(f"an interface with the address {address}", "none", "set address to one that is, or to auto")
    return int(found.mtu)


def lists_port(ports: str, port: int) -> bool:
    """Return whether a text of ports and ranges, such as `80, 8000-8010`, holds a port."""
    return any(int(first) <= port <= int(last or first) for first, last in re.findall(r"(\d+)(?:-(\d+))?", ports))


def addresses_of(name: str, timeout_seconds: float = 3) -> tuple[str, ...]:
    """Return the sorted addresses of a name; empty if it has none, or if no name server answers in time."""
    try:
        # A lookup in this process could not be stopped after the timeout.
        output = commands.run("getent", "ahosts", name, allowed=None, timeout_seconds=timeout_seconds).output
    except NotReadyError:
        return ()
    return tuple(sorted({line.split()[0] for line in output.splitlines()}))


def has_ipv6() -> bool:
    """Return whether programs on this host can listen on IPv6 addresses."""
    return Path("/proc/net/if_inet6").exists()


def default_address() -> str:
    """Return the source address of the default route, or this host's first address if it has no route.

    Nothing is sent: connecting a datagram socket only makes the kernel choose the route.
    Raises HostError where the host has no IPv4 address other than loopback.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # TEST-NET-2, RFC 5737
            return str(probe.getsockname()[0])
        except OSError:
            found = host_addresses()
    if not found:
        raise HostError(
            "an IPv4 address of this host that is not loopback",
            "IPv6 addresses alone" if has_ipv6() else "none",
            "give it one, which may be for this host alone (`ip address add 192.0.2.1/32 dev lo`, and in the network's"
            " own configuration): the registry's name stands for it here; others may reach the name by IPv6",
        )
    return found[0]


def address_of(wanted: str) -> str:
    """Return `wanted`, or the address of the default route for `auto`; raises HostError if this host lacks it."""
    if wanted == "auto":
        return default_address()
    found = host_addresses()
    if wanted not in found:
        raise HostError(
            f"the address {wanted} on this host", ", ".join(found) or "none", "set address to one of them, or to auto"
        )
    return wanted


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """A process that listens on a TCP port; `pid` is None where the kernel hides it from this user."""

    port: int
    process: str
    pid: int | None

    def __str__(self) -> str:
        """Return the name for a message."""
        return f"{self.process} (pid {self.pid})" if self.pid else self.process


def listeners(ports: set[int]) -> list[Listener]:
    """Return the processes that listen on `ports`, each once a port; one that has just ended is left out."""
    found = {
        Listener(port=item.laddr.port, process=name, pid=item.pid)
        for item in psutil.net_connections(kind="tcp")
        if item.status == psutil.CONN_LISTEN and item.laddr and item.laddr.port in ports
        if (name := _process_name(item.pid)) is not None
    }
    return sorted(found, key=lambda listener: (listener.port, listener.pid or 0))


def _process_name(pid: int | None) -> str | None:
    try:
        return psutil.Process(pid).name() if pid else "a process of another user or namespace"
    except psutil.NoSuchProcess:
        return None
