"""The proxy that the engine sends its requests to registries through, and whether it takes this one's.

Source: Docker documentation, "Daemon proxy configuration"; golang.org/x/net/http/httpproxy, Config.NoProxy.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from runbook.model.errors import HostError
from runbook.model.redaction import redact
from runbook.system.docker import daemon_json, engine_flags
from runbook.system.host import commands, files
from runbook.system.host.systemd import Supervisor

_SET = re.compile(r"(?i)\bhttps?_proxy\s*=")


@dataclass(frozen=True, kw_only=True, slots=True)
class Proxy:
    """A proxy for HTTPS: its address without a login, the names that do not go there, and where both are set."""

    address: str
    exempt: str
    place: str

    def __str__(self) -> str:
        """Return the proxy in words."""
        return f"the proxy {self.address}, set in {self.place}, with {self.exempt or 'nothing'} in no-proxy"


def gather(information: Mapping[str, object], by: Supervisor) -> Proxy | None:
    """Return the proxy that `docker info` names, None where the engine has none."""
    address = information.get("HttpsProxy")
    if not address:
        return None
    return Proxy(address=redact(str(address)), exempt=str(information.get("NoProxy") or ""), place=_place(by))


def _place(by: Supervisor) -> str:
    """Return the file in which the engine's proxy is set, as far as it can be found."""
    text = files.read_text(daemon_json.PATH.resolve())
    if text and "proxies" in daemon_json.keys(text):
        return str(daemon_json.PATH)
    place, sources = "", [engine_flags.DEFAULTS]
    if by == "systemd":
        shown = commands.run("systemctl", "cat", "docker.service", allowed=None).output
        for line in shown.splitlines():
            header = re.fullmatch(r"# (/\S+)", line)
            place = header[1] if header else place
            if _SET.search(line):
                return place
        sources = [path for path, _ in engine_flags.in_units(shown)[1]]
    found = [str(path) for path in sources if _SET.search(files.read_text(path) or "")]
    return found[0] if found else "the environment that it was started in"


def refuse(proxy: Proxy | None, name: str, port: int) -> None:
    """Raise HostError where a proxy takes what is for the registry, which that does not know."""
    if proxy is not None and not is_exempt(name, port, proxy.exempt):
        added = ",".join(filter(None, (proxy.exempt, name)))
        raise HostError(
            f"the engine to ask {name} itself",
            str(proxy),
            f"there, set no-proxy (NO_PROXY in a unit) to `{added}`, then run `systemctl daemon-reload` and"
            " `systemctl restart docker`, which stops containers",
        )


def is_exempt(name: str, port: int, exempt: str) -> bool:
    """Return whether a name, which is no address, does not go through the proxy.

    `foo.com` exempts itself and what is below it, `.foo.com` and `*.foo.com` only what is below, `foo.com:80` one port.
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
        below = host.removeprefix("*")
        if below and name.endswith(below if below.startswith(".") else f".{below}"):
            return True
    return False
