"""The HTTPS proxy of the engine, and whether the registry is exempt from it.

Source: Docker documentation, "Daemon proxy configuration"; golang.org/x/net/http/httpproxy, Config.NoProxy.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from runbook.model.errors import HostError
from runbook.model.redaction import redact
from runbook.system.docker import daemon_json, engine_flags
from runbook.system.host import commands, files
from runbook.system.host.systemd import Supervisor

_SETTING = re.compile(r"(?im)^(?!\s*[#;]).*\bhttps?_proxy\s*=")


@dataclass(frozen=True, kw_only=True, slots=True)
class Proxy:
    """A proxy for HTTPS: its address without a login, the exempt names, and the place where both are set."""

    address: str
    exempt: str
    place: str

    def __str__(self) -> str:
        """Return the description for a message."""
        return f"the proxy {self.address}, set in {self.place}, with {self.exempt or 'nothing'} in no-proxy"


def gather(information: Mapping[str, object], by: Supervisor) -> Proxy | None:
    """Return the proxy in the output of `docker info`, or None if the engine has none."""
    if not (address := information.get("HttpsProxy")):
        return None
    return Proxy(address=redact(str(address)), exempt=str(information.get("NoProxy") or ""), place=_place(by))


def _place(by: Supervisor) -> str:
    """Return the file that sets the engine's proxy, or the environment if no file is found."""
    text = files.read_text(daemon_json.PATH.resolve())
    if text and "proxies" in daemon_json.keys(text):
        return str(daemon_json.PATH)
    place, sources = "", [engine_flags.DEFAULTS]
    if by == "systemd":
        shown = commands.run("systemctl", "cat", "docker.service", allowed=None).output
        for line in shown.splitlines():
            header = re.fullmatch(r"# (/\S+)", line)
            place = header[1] if header else place
            if _SETTING.search(line):
                return place
        sources = [path for path, _ in engine_flags.in_units(shown)[1]]
    found = [str(path) for path in sources if _SETTING.search(files.read_text(path) or "")]
    return found[0] if found else "the environment that it was started in"


def refuse(proxy: Proxy | None, name: str, port: int) -> None:
    """Raise HostError where requests to the registry would go to a proxy, which does not know its name."""
    if proxy is not None and not is_exempt(name, port, proxy.exempt):
        added = ",".join(filter(None, (proxy.exempt, name)))
        raise HostError(
            f"the engine to ask {name} itself",
            str(proxy),
            f"there, set no-proxy (NO_PROXY in a unit) to `{added}`, then run `systemctl daemon-reload` and"
            " `systemctl restart docker`, which stops containers",
        )


def takes(information: Mapping[str, object], address: str) -> bool:
    """Return whether requests to an address go to the proxy in the output of `docker info`."""
    exempt = str(information.get("NoProxy") or "").split(",")
    return bool(information.get("HttpsProxy")) and not any(_covers(entry.strip(), address) for entry in exempt)


def _covers(entry: str, address: str) -> bool:
    """Return whether an entry exempts an address: the same one, a network in CIDR notation, or `*`."""
    try:
        return entry == "*" or ipaddress.ip_address(address) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def is_exempt(name: str, port: int, exempt: str) -> bool:
    """Return whether a host name (no address) is exempt from the proxy.

    `foo.com` exempts itself and its subdomains, `.foo.com` and `*.foo.com` only the subdomains, `foo.com:80` one port.
    """
    for entry in (text.strip().lower() for text in exempt.split(",")):
        host, colon, digits = entry.rpartition(":")
        if colon and digits.isdigit():
            if int(digits) != port:
                continue
        else:
            host = entry
        if host == "*" or (host and name == host):
            return True
        suffix = host.removeprefix("*")
        if suffix and name.endswith(suffix if suffix.startswith(".") else f".{suffix}"):
            return True
    return False
