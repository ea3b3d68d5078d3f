"""A client that comes from outside, as far as this host's packet filter knows: in a network namespace of its own.

A pair of virtual cards leads from there to this host. The namespace has no name: it lives in the client's process, and
goes with it, and the cards with the namespace, also where the run is killed. Nothing of it is written anywhere.
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
from runbook.system.host import commands

_PROGRAMS = ("ip", "unshare")
_SECONDS = 3.0  # for the registry to answer
# Nobody's addresses (RFC 5737, RFC 2544); the first network is taken that this host has no card in.
_NETWORKS = tuple(map(ipaddress.ip_network, ("203.0.113.248/30", "198.18.255.248/30", "192.0.2.248/30")))
# It waits for its card, and ends where nobody gives it one.
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
    """No client could be made; says why."""


def ask(address: str, port: int, name: str) -> str:
    """Return the SHA-256 of the certificate that is served to a client from outside, or why it got none.

    Raises UnaskedError where this user, this host or its kernel can have no such client.
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
            return _ask(process, card, here, _interface(address))
        finally:
            process.kill()
            with suppress(RunbookError):  # it goes with the namespace, but a moment later
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
        said, _ = process.communicate("go\n", _SECONDS + 1)
    except subprocess.TimeoutExpired:
        return "no answer in time"
    return said.strip().splitlines()[-1] if said.strip() else "no answer"


def _network() -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    cards = [item for items in psutil.net_if_addrs().values() for item in items if item.family == socket.AF_INET]
    taken = [ipaddress.ip_interface(f"{item.address}/{item.netmask or 32}").network for item in cards]
    free = [network for network in _NETWORKS if not any(network.overlaps(other) for other in taken)]
    if not free:
        raise UnaskedError("this host is in each of the networks that it could come from")
    return free[0]


def _interface(address: str) -> str | None:
    """Return the network card that has an address, None where none has."""
    found = psutil.net_if_addrs().items()
    return next((name for name, items in found if address in [item.address for item in items]), None)


def forwarding_path(interface: str) -> Path:
    """Return where the kernel says whether what comes in at a card is passed on (ip-sysctl)."""
    return Path("/proc/sys/net/ipv4/conf", interface, "forwarding")


def _forward_as(interface: str, card: str) -> None:
    """Let what comes in at a card be passed on as at another one: a new card takes the default, which may differ."""
    with suppress(OSError):
        forwarding_path(card).write_text(forwarding_path(interface).read_text(encoding="ascii"), encoding="ascii")


def not_forwarding(address: str) -> str:
    """Return the card with an address where the kernel passes on nothing that comes in there; else an empty text."""
    interface = _interface(address)
    try:
        off = interface is not None and forwarding_path(interface).read_text(encoding="ascii").strip() == "0"
    except OSError:
        off = False
    return interface or "" if off else ""
