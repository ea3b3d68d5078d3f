"""A client in its own network namespace, whose packets this host's packet filter treats as coming from outside.

A veth pair connects the namespace to this host. The namespace has no name, so it ends with the client's process, and
the veth pair with it, even if the run is killed. Nothing is stored on the host.
Source: veth(4), network_namespaces(7), unshare(1).
"""

import ipaddress
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from runbook.model.errors import RunbookError
from runbook.system.host import commands, network

_PROGRAMS = ("ip", "unshare")
_SECONDS = 3.0  # timeout for the registry's answer
# Addresses for documentation and benchmarks (RFC 5737, RFC 2544); the first network that this host does not use.
_NETWORKS = tuple(map(ipaddress.ip_network, ("203.0.113.248/30", "198.18.255.248/30", "192.0.2.248/30")))
# It waits for its network card, and ends if it gets none.
_SCRIPT = """
echo; read -r given
ip address add "$2/30" dev "$1"; ip link set "$1" up; ip route add default via "$3"; shift 3
exec "$@"
"""
_CLIENT = """
import hashlib, socket, ssl, sys
address, port, name, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
try:
    with socket.create_connection((address, port), timeout=seconds) as plain:
        with anybody.wrap_socket(plain, server_hostname=name) as secured:
            print(hashlib.sha256(secured.getpeercert(True)).hexdigest())
except OSError as error:
    print(error)
"""


class UnaskedError(Exception):
    """No such client can be started; the text is the reason."""


def ask(address: str, port: int, name: str) -> str:
    """Return the SHA-256 of the certificate that a client from outside receives, or the reason why it gets none.

    Raises UnaskedError where this user, this host or its kernel cannot start such a client.
    """
    if os.geteuid() != 0:
        raise UnaskedError("only root can ask from a network namespace")
    if missing := [program for program in _PROGRAMS if commands.which(program) is None]:
        raise UnaskedError(f"there is no {' and no '.join(missing)} on this host")
    card = f"runbook{os.getpid()}"  # at most 15 characters (ip-link(8))
    here, there = map(str, _network().hosts())
    client = (sys.executable, "-I", "-c", _CLIENT, address, str(port), name, str(_SECONDS))
    argv = ("unshare", "--net", "--", "sh", "-ec", _SCRIPT, "client", card, there, here, *client)
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=commands.passed_environment(),
    ) as process:
        try:
            return _ask(process, card, here, network.interface_of(address))
        finally:
            process.kill()
            with suppress(RunbookError):  # it disappears with the namespace, but with a delay
                commands.run("ip", "link", "delete", card, allowed=None, timeout_seconds=_SECONDS)


def _ask(process: subprocess.Popen[str], card: str, here: str, interface: str | None) -> str:
    if process.stdout is None or process.stdout.readline() != "\n":
        raise UnaskedError("this host's kernel gives no network namespace")
    lines = (
        f"link add {card} type veth peer name {card} netns {process.pid}",
        f"address add {here}/30 dev {card}",
        f"link set {card} up",
    )
    try:
        commands.run("ip", "-batch", "-", stdin="\n".join(lines), timeout_seconds=_SECONDS)
    except RunbookError as error:
        raise UnaskedError(f"this host's kernel gives no pair of cards: {error.found}") from error
    if interface is not None:
        _forward_as(interface, card)
    try:
        output, _ = process.communicate("go\n", _SECONDS + 1)
    except subprocess.TimeoutExpired:
        return "no answer in time"
    return output.strip().splitlines()[-1] if output.strip() else "no answer"


def _network() -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    own = [item for items in psutil.net_if_addrs().values() for item in items if item.family == socket.AF_INET]
    taken = [ipaddress.ip_interface(f"{item.address}/{item.netmask or 32}").network for item in own]
    free = [network for network in _NETWORKS if not any(network.overlaps(other) for other in taken)]
    if not free:
        raise UnaskedError("this host is in each of the networks that it could come from")
    return free[0]


def forwarding_path(interface: str) -> Path:
    """Return the kernel's file for IPv4 forwarding of an interface (ip-sysctl)."""
    return Path("/proc/sys/net/ipv4/conf", interface, "forwarding")


def _forward_as(interface: str, card: str) -> None:
    """Copy the forwarding setting of an interface to `card`, which starts with the default."""
    with suppress(OSError):
        forwarding_path(card).write_text(forwarding_path(interface).read_text(encoding="ascii"), encoding="ascii")


def not_forwarding(address: str) -> str:
    """Return the interface that has an address if the kernel forwards none of its packets, else an empty text."""
    interface = network.interface_of(address)
    with suppress(OSError):
        if interface and forwarding_path(interface).read_text(encoding="ascii").strip() == "0":
            return interface
    return ""
