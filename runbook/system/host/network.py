"""The kernel's settings, its nat table, the addresses and listening ports of this host."""

import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from runbook.model.errors import HostError, NotReadyError
from runbook.system.host import commands

DROP_IN = Path("/etc/sysctl.d/99-registry-runbook.conf")  # the settings that the runbook keeps over a restart
_CONTAINER_INTERFACES = ("docker", "br-", "veth")
_COMES_IN = re.compile(r"-A (?:PREROUTING|INPUT|FORWARD)\b|:INPUT DROP")
_OF_THE_ENGINE = re.compile(r"DOCKER|\bdocker\d|\bbr-[0-9a-f]{12}\b|-d 127\.0\.0\.\d+/32 ! -i lo\b")


def _setting_path(name: str) -> Path:
    return Path("/proc/sys", *name.split("."))


def read_setting(name: str) -> int | None:
    """Return a setting of the running kernel, such as `net.ipv4.ip_forward`; None where the kernel lacks it."""
    try:
        return int(_setting_path(name).read_text(encoding="ascii"))
    except FileNotFoundError:
        return None


def write_setting(name: str, value: int) -> None:
    """Set a setting of the running kernel; raises HostError where /proc/sys cannot be written."""
    try:
        _setting_path(name).write_text(f"{value}\n", encoding="ascii")
    except OSError as error:
        raise HostError(
            f"{name} to be writable",
            f"{error.strerror} ({_setting_path(name)})",
            "allow this host to set it, or set it outside",
        ) from error


def has_nat_chain(name: str) -> bool:
    """Return whether the nat table has a chain, as the engine makes `DOCKER` at its start.

    A user who may not look is told that it has: that a published port answers is proven from outside all the same.
    """
    argv = commands.as_root("iptables", "--wait", "-t", "nat", "-n", "-L", name)
    done = commands.run(*argv, allowed=None)
    return done.code != 1 or done.error.startswith("sudo:")


def user_rules() -> str:
    """Return the rules that somebody has put before the engine's own, one line; empty where this user may not look.

    Source: Docker Engine documentation, "Packet filtering and firewalls", DOCKER-USER.
    """
    done = commands.run(*commands.as_root("iptables", "--wait", "-S", "DOCKER-USER"), allowed=None)
    rules = [line for line in done.output.splitlines() if line.startswith("-A") and not line.endswith(" -j RETURN")]
    return "; ".join(rules)


def rules_for_what_comes_in() -> str:
    """Return the rules of other hands for packets that come in, one line; empty where this user may not look."""
    return rules_of_others(commands.run(*commands.as_root("iptables-save"), allowed=None).output)


def rules_of_others(saved: str) -> str:
    """Return of what iptables-save(8) prints the rules for packets that come in, in one line.

    Those of the engine are left out: they change with its containers.
    """
    rules, table = [], ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif _COMES_IN.match(line) and not _OF_THE_ENGINE.search(line):
            rules.append(f"{table}: {line.partition(' [')[0].strip()}")
    return "; ".join(rules)


def host_addresses() -> list[str]:
    """Return the IPv4 addresses of this host that are neither loopback nor of a container network."""
    return [
        address.address
        for interface, addresses in psutil.net_if_addrs().items()
        if not interface.startswith(_CONTAINER_INTERFACES)
        for address in addresses
        if address.family == socket.AF_INET and not ipaddress.ip_address(address.address).is_loopback
    ]


def mtu_at(address: str) -> int:
    """Return the largest packet, in bytes, that the interface with an address of this host passes on."""
    stats = psutil.net_if_stats()
    there = [name for name, found in psutil.net_if_addrs().items() if address in {item.address for item in found}]
    return min(stats[name].mtu for name in there if name in stats)


def addresses_of(name: str, timeout_seconds: float = 3) -> tuple[str, ...]:
    """Return the addresses of a name, sorted; none where there is none, or no name server answers in time."""
    try:
        said = commands.run("getent", "ahosts", name, allowed=None, timeout_seconds=timeout_seconds).output
    except NotReadyError:  # a look-up in this process could not be ended
        return ()
    return tuple(sorted({line.split()[0] for line in said.splitlines()}))


def has_ipv6() -> bool:
    """Return whether a program of this host can listen on IPv6 addresses."""
    return Path("/proc/net/if_inet6").exists()


def default_address() -> str:
    """Return the address that this host speaks from to others: that of the default route, else the first it has.

    Nothing is sent: connecting a datagram socket only asks the kernel for the route.
    Raises HostError where the host has no address but loopback.
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
    """Return the address of this host that is `wanted`; `auto` is that of the default route.

    Raises HostError where this host does not have it.
    """
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
    """A process that listens on a TCP port; the kernel hides the pid of some."""

    port: int
    process: str
    pid: int | None

    def __str__(self) -> str:
        """Return how a message names it."""
        return f"{self.process} (pid {self.pid})" if self.pid else self.process


def listeners(ports: set[int]) -> list[Listener]:
    """Return who listens on `ports`, once a process and port; one that ends meanwhile listens no more."""
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
