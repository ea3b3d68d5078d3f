"""SELinux of this host: which folders containers may read, and what nginx and systemd may do.

Source: Docker Engine documentation, "Bind mounts", Configure the SELinux label; selinux(8), httpd_selinux(8).
"""

import re
from pathlib import Path

from runbook.model.errors import HostError
from runbook.system.host import commands, files, network

_ENFORCE = Path("/sys/fs/selinux/enforce")  # contains 1 or 0; exists only if the kernel has SELinux enabled
_MAY_CONNECT = Path("/sys/fs/selinux/booleans/httpd_can_network_connect")  # its value, then the one to come
_GENERAL = {"unreserved_port_t", "reserved_port_t", "hi_reserved_port_t", "ephemeral_port_t"}  # no label of its own
_HOMES = (Path("/root"), Path("/home"))


def is_there() -> bool:
    """Return whether the kernel has SELinux enabled: mounted folders need a label, enforced or not."""
    return files.read_text(_ENFORCE) is not None


def enforces() -> bool:
    """Return whether SELinux is in enforcing mode."""
    return (files.read_text(_ENFORCE) or "").strip() == "1"


def refusal_of_nginx(port: int) -> tuple[str, str] | None:
    """Return why nginx may not listen on a port or connect to the registry, and the command for it; None if it may."""
    if not enforces():
        return None
    if (files.read_text(_MAY_CONNECT) or "1").startswith("0"):
        return "nginx may connect to no port (httpd_can_network_connect)", "`setsebool -P httpd_can_network_connect on`"
    if commands.which("semanage") is None:
        return None
    listed = commands.run("semanage", "port", "-l", allowed=None).output
    kinds = {kind for kind, ports in re.findall(r"(?m)^(\S+)\s+tcp\s+(.+)$", listed) if network.lists_port(ports, port)}
    if not listed or "http_port_t" in kinds:
        return None
    option = "-m" if kinds - _GENERAL else "-a"
    return f"nginx may not listen on port {port}", f"`semanage port {option} -t http_port_t -p tcp {port}`"


def refuse_below_home(program: Path) -> None:
    """Raise HostError for a program that systemd may not start: below /root or /home it has a user's label."""
    if enforces() and any(program.is_relative_to(home) for home in _HOMES):
        raise HostError(
            f"{program} where SELinux lets systemd start it",
            "it is below /root or /home (203/EXEC)",
            "move this project below /opt, then install the timer from there",
        )
