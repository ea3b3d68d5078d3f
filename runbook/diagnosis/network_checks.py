"""Checks of the connection to the registry: kernel, chains, ports, names, proxies, the clock."""

import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from runbook.model.errors import HostError
from runbook.sections.host import FORWARDING
from runbook.system import nginx
from runbook.system.docker import compose, engine, ports, proxies, reload
from runbook.system.host import commands, files, hosts_file, network

from .situation import Finding, Situation, UndecidedError, no, yes

_SECONDS = 3.0  # timeout of a connection
_PUBLIC = "registry-1.docker.io"


def forwarding_off(situation: Situation) -> Finding:
    """Read net.ipv4.ip_forward from the running kernel."""
    del situation
    found = network.read_setting(FORWARDING)
    return no(f"{FORWARDING} is 1") if found == 1 else yes(f"{FORWARDING} is {found}")


def forwarding_not_kept(situation: Situation) -> Finding:
    """Look for net.ipv4.ip_forward in the runbook's drop-in."""
    del situation
    is_set = f"{FORWARDING} = 1" in (files.read_text(network.DROP_IN) or "")
    return no(f"{network.DROP_IN} sets it at boot") if is_set else yes(f"{network.DROP_IN} does not set it at boot")


def nat_chain_gone(situation: Situation) -> Finding:
    """Look for the engine's chain in the nat table."""
    if engine.is_desktop(situation.require_engine()):
        return no("the chains of Docker Desktop's engine are not on this host")
    if network.has_nat_chain("DOCKER"):
        return no("the chain DOCKER is in the nat table")
    if not reload.wants_nat_chain(situation.require_engine(), situation.flags):
        return no("this engine creates none: its firewall is nftables, or its `iptables` is off")
    return yes("there is no chain DOCKER in the nat table")


def port_taken(situation: Situation) -> Finding:
    """List the processes that listen on the registry's port."""
    parameters = situation.parameters
    expected = ("nginx",) if parameters.proxy == "nginx" else ()
    others = [item for item in situation.listeners if item.process not in (*expected, *ports.OF_ENGINE)]
    listeners = ", ".join(map(str, situation.listeners)) or "no process"
    return yes(f"{listeners} listens on port {parameters.port}") if others else no(f"{listeners} listens on it")


def named_port_taken(situation: Situation) -> Finding:
    """Find the process or container that listens on the port in the message."""
    patterns = (
        r"bind host port (?:for )?\S*?:(\d+)[:/]",  # of engine 28 and later: for HOST-ADDRESS:PORT:ADDRESS:PORT/tcp
        r":(\d+)(?:: bind: address already in use| failed: port is already allocated)",
        r"(?:\bport|listen tcp\S*:)\s*(\d{2,5})\b",
    )
    named = next(filter(None, (re.search(pattern, situation.message) for pattern in patterns)), None)
    port = int(named[1]) if named else situation.parameters.port
    found = network.listeners({port})
    if not found:
        return no(f"no process listens on port {port} now")
    publishers = ports.publishers(situation.client, found) if situation.client else []
    holder, remedy = ports.holder(found[0], {published: item.name for published, item in publishers})
    return yes(f"{holder} listens on port {port}", f"{remedy}, or use another port")


def port_of_container(situation: Situation) -> Finding:
    """Look for running containers with the registry's port, published or in this host's network."""
    parameters = situation.parameters
    wanted = {parameters.port, *([parameters.backend_port] if parameters.proxy == "nginx" else [])}
    ours = {found.name for found in situation.containers}
    publishers = ports.publishers(situation.require_engine(), situation.listeners)
    other = [found.name for port, found in publishers if port in wanted and found.name not in ours]
    return yes(f"the container {', '.join(other)} has it") if other else no("no other container has it")


def hosts_file_not_read(situation: Situation) -> Finding:
    """Check in nsswitch.conf whether names are resolved through /etc/hosts."""
    if hosts_file.is_read() or situation.address in situation.resolved:
        return no("it is read, or the name resolves without it")
    error = hosts_file.unread(situation.parameters.domain)
    return yes(error.found, error.remedy)


def _resolved(situation: Situation) -> tuple[str, ...]:
    """Return the addresses of the registry's name; raises UndecidedError if a line in /etc/hosts has no effect."""
    if hosts_file_not_read(situation).confirmed:
        raise UndecidedError("names are not resolved through /etc/hosts")
    return situation.resolved


def name_unknown(situation: Situation) -> Finding:
    """Resolve the registry's name as a client does."""
    domain = situation.parameters.domain
    found = _resolved(situation)
    return no(f"{domain} resolves to {', '.join(found)}") if found else yes(f"{domain} does not resolve")


def name_on_loopback(situation: Situation) -> Finding:
    """Check whether the registry's name resolves to loopback."""
    found = _resolved(situation)
    loopback = [item for item in found if ipaddress.ip_address(item.partition("%")[0]).is_loopback]
    text = f"{situation.parameters.domain} resolves to {', '.join(found) or 'nothing'}"
    return yes(text) if loopback else no(text)


def name_elsewhere(situation: Situation) -> Finding:
    """Resolve the registry's name, and compare the result with the expected address."""
    domain, found = situation.parameters.domain, _resolved(situation)
    if not found:
        raise UndecidedError(f"{domain} does not resolve")
    text = f"{domain} resolves to {', '.join(found)}, expected {situation.address}"
    return no(text) if situation.address in found else yes(text)


def name_after_address(situation: Situation) -> Finding:
    """Look in /etc/hosts for a line that starts with the registry's name."""
    domain = situation.parameters.domain
    lines = files.lines(hosts_file.PATH)
    wrong = [number for number, line in enumerate(lines, 1) if line.split("#")[0].split()[:1] == [domain]]
    return yes(f"line {wrong[0]} of /etc/hosts") if wrong else no("no line of /etc/hosts starts with the name")


def address_gone(situation: Situation) -> Finding:
    """Check whether this host has the registry's address."""
    try:
        return no(f"this host has {situation.address}")
    except HostError as error:
        return yes(f"expected {error.expected}; found {error.found}")


def unreachable(situation: Situation) -> Finding:
    """Open a connection to the registry's port at its address."""
    address, port = situation.address, situation.parameters.port
    return _connect(address, port, f"port {port} at {address}")


def _connect(host: str, port: int, name: str, when: str = "") -> Finding:
    """Open a connection, and confirm the cause if that fails. The finding calls the port `name`."""
    try:
        socket.create_connection((host, port), timeout=_SECONDS).close()
    except OSError as error:
        return yes(f"{name}: {error.strerror or error}")
    return no(f"{name} accepts connections{when}")


def named_address_refuses(situation: Situation) -> Finding:
    """Open a connection to the address that the message names."""
    named = re.search(r"dial tcp \[?([\d.a-f:]+?)\]?:(\d+): ", situation.message)
    named = named or situation.named(r"connect to (\S+) port (\d+)", "address")
    return _connect(named[1], int(named[2]), f"port {named[2]} at {named[1]}", " now")


def engine_proxy(situation: Situation) -> Finding:
    """Look in `docker info` for a proxy that the engine uses for this registry."""
    found = proxies.gather(situation.engine_information, situation.supervisor)
    if found is None:
        return no("the engine has no proxy")
    is_exempt = proxies.is_exempt(situation.parameters.domain, situation.parameters.port, found.exempt)
    return no(f"{found}, which exempts the registry") if is_exempt else yes(str(found))


def client_proxy(situation: Situation) -> Finding:
    """Look in this environment for a proxy that other clients use for this registry."""
    names = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    if not any(os.environ.get(name) for name in names):
        return no("no proxy is set in this environment")
    domain, exempt = situation.parameters.domain, os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    if proxies.is_exempt(domain, situation.parameters.port, exempt):
        return no(f"this environment has a proxy, and NO_PROXY exempts {domain}")
    return yes(f"this environment has a proxy, and NO_PROXY does not name {domain}")


def public_registry_unreachable(situation: Situation) -> Finding:
    """Resolve the public registry's name, and open a connection to it."""
    del situation
    if not network.addresses_of(_PUBLIC):
        return yes(f"{_PUBLIC} does not resolve")
    return _connect(_PUBLIC, 443, _PUBLIC)


def no_name_server(situation: Situation) -> Finding:
    """Look for a name server in resolv.conf."""
    del situation
    path = Path("/etc/resolv.conf").resolve()  # systemd-resolved makes it a link
    found = re.findall(r"(?m)^nameserver\s+(\S+)", files.read_text(path) or "")
    return no(f"{path} names {', '.join(found)}") if found else yes(f"{path} names none")


def clock_behind(situation: Situation) -> Finding:
    """Compare this host's clock with the CA's start date and the times of files.

    The start date of the server certificate is no evidence: it may have been issued with a later one.
    """
    past = {
        "the server certificate was written": files.changed_at(situation.parameters.certificate_path),
        "the CA is valid from": situation.authority.not_valid_before_utc,
        "config.yml was written": files.changed_at(situation.parameters.configuration_path),
    }
    ahead = [f"{event} {time:%Y-%m-%d %H:%M}" for event, time in past.items() if time > situation.now]
    text = f"this host's clock shows {situation.now:%Y-%m-%d %H:%M} UTC"
    return yes(f"{text}, and {'; '.join(ahead)}") if ahead else no(text)


def network_takes_larger(situation: Situation) -> Finding:
    """Compare the MTU of the registry's network with that of the interface with its address."""
    inside = compose.network_mtu(situation.require_engine(), situation.parameters.compose_project) or 0
    outside = network.mtu_at(situation.address)
    text = f"{inside} bytes inside, {outside} outside"
    return yes(text) if inside > outside else no(text)


# nginx in front.


def nginx_out_of_connections(situation: Situation) -> Finding:
    """Send a request to the registry, and read what nginx adds to its error log."""
    if situation.parameters.proxy == "none":
        return no("no proxy is requested")
    return yes(f"its error log: {situation.front_complaint}") if situation.front_complaint else no("it accepts them")


def nginx_site_gone(situation: Situation) -> Finding:
    """Look for the runbook's nginx site."""
    if situation.parameters.proxy == "none":
        return no("no proxy is requested")
    return no(f"{nginx.path()} is there") if nginx.read_site() else yes(f"there is no {nginx.path()}")


def nginx_stopped(situation: Situation) -> Finding:
    """Check whether nginx is running."""
    if situation.parameters.proxy == "none":
        return no("no proxy is requested")
    return no("nginx runs") if nginx.is_running() else yes("nginx does not run")


def nginx_body_limit(situation: Situation) -> Finding:
    """Read the limit of a request's body in the nginx site with the registry's name."""
    sites = _sites(situation)
    if not sites:
        return _foreign_proxy(situation, "its body limit cannot be read")
    for path, text in sites.items():
        found = re.search(r"(?m)^\s*client_max_body_size\s+(\w+)\s*;", text)
        if found is None or found[1] != "0":
            return yes(f"{path}: {f'client_max_body_size {found[1]}' if found else 'no limit set, so nginx has 1m'}")
    return no("client_max_body_size is 0")


def nginx_headers(situation: Situation) -> Finding:
    """Look in the nginx site with the registry's name for the headers that the registry needs."""
    sites = _sites(situation)
    if not sites:
        return _foreign_proxy(situation, "its headers cannot be read")
    wanted = {"Host": r"\$(?:http_host|host)", "X-Forwarded-Proto": r"(?:\$scheme|https)"}
    for path, text in sites.items():
        unset = [name for name, value in wanted.items() if not re.search(rf"proxy_set_header\s+{name}\s+{value}", text)]
        if unset:
            return yes(f"{path} does not set {', '.join(unset)}")
    return no("Host and X-Forwarded-Proto are set")


def nginx_passes_elsewhere(situation: Situation) -> Finding:
    """Compare the backend in the runbook's nginx site with the registry's address."""
    if situation.parameters.proxy == "none":
        return no("no proxy is requested")
    wanted = f"http://127.0.0.1:{situation.parameters.backend_port}"
    others = sorted(set(re.findall(r"proxy_pass\s+([^;]+?)/?;", nginx.read_site() or "")) - {wanted})
    return yes(f"it passes to {', '.join(others)}, expected {wanted}") if others else no(f"it passes to {wanted}")


def _sites(situation: Situation) -> Mapping[Path, str]:
    """Return the text of each nginx site that names the registry, by its path."""
    name = re.compile(rf"server_name[^;]*\s{re.escape(situation.parameters.domain)}[\s;]")
    paths = [path for place in nginx.PLACES for path in sorted(place.parent.glob("*")) if path.is_file()]
    found = {path: path.read_text(encoding="utf-8", errors="replace") for path in paths}
    return {path: text for path, text in found.items() if name.search(text)}


def _foreign_proxy(situation: Situation, obstacle: str) -> Finding:
    """Rule the cause out if no proxy is in front of the registry; raises UndecidedError if one of another host is."""
    server = situation.anonymous.headers.get("server", "")
    if server:
        raise UndecidedError(f"{server} is in front of the registry, and {obstacle} from here")
    return no("no proxy on this host has the registry's name")


def iptables_unusable(situation: Situation) -> Finding:
    """List the nat table with iptables."""
    del situation
    if os.geteuid() != 0:
        raise UndecidedError("only root may list the nat table")
    if commands.which("iptables") is None:
        return yes("there is no iptables here")
    done = commands.run("iptables", "--wait", "5", "-t", "nat", "-S", allowed=None, timeout_seconds=10)
    return no("the nat table can be listed") if done.code == 0 else yes(done.last_line)
