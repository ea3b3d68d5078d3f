"""The configuration of the running engine: the registries that it lists, and its reload.

Source: Docker Engine documentation, "dockerd", "Configuration reload behavior" (SIGHUP).
"""

import ipaddress
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runbook.model.errors import HostError, RunbookError
from runbook.model.parameters import Parameters
from runbook.system.docker import daemon_json, engine, engine_flags
from runbook.system.host import commands, files, polling, temporary
from runbook.system.host.systemd import Supervisor

ENABLE_PUBLISHING = (
    f"iptables and userland-proxy are both off: take one of the two out of {daemon_json.PATH}, or of the engine's"
    " flags, then `systemctl restart docker`"
)
_GRACE_SECONDS = 2.0  # a reload takes milliseconds: an error in the log and no entry by then means that it failed


@dataclass(frozen=True, kw_only=True, slots=True)
class Registries:
    """The entries of the running engine: registries and networks for plain HTTP, and its mirrors."""

    insecure: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()

    def missing_entries(self, insecure: tuple[str, ...], mirrors: tuple[str, ...]) -> list[str]:
        """Return the wanted entries that the engine does not list."""
        return [
            *daemon_json.missing(insecure, self.insecure, daemon_json.same_registry),
            *daemon_json.missing(mirrors, self.mirrors, daemon_json.same_mirror),
        ]


_NONE = Registries()


def registries(client: engine.Client) -> Registries:
    """Return the entries of the running engine."""
    found = client.info()["RegistryConfig"]
    names = tuple(name for name, index in found["IndexConfigs"].items() if not index["Secure"])
    return Registries(
        insecure=(*names, *(found["InsecureRegistryCIDRs"] or ())),
        mirrors=tuple(daemon_json.same_mirror(mirror) for mirror in found["Mirrors"] or ()),
    )


def is_listed(host: str, insecure: Sequence[str]) -> bool:
    """Return whether an engine with these insecure registries uses plain HTTP for ADDRESS:PORT.

    A network applies to all ports of its addresses, a name or address only to the port in its entry.
    """
    address = ipaddress.ip_address(host.rpartition(":")[0])
    networks = [ipaddress.ip_network(entry, strict=False) for entry in insecure if "/" in entry]
    return host in insecure or any(address in network for network in networks)


def names_insecure(parameters: Parameters, address: str, listed: Sequence[str]) -> list[str]:
    """Return the insecure-registries entries, other than those of the parameters, that match the registry with TLS."""
    own = {f"{name}:{parameters.port}" for name in (parameters.domain, address)} | {parameters.registry_host}
    others = [entry for entry in listed if entry not in parameters.insecure_registries]
    networks = [entry for entry in others if "/" in entry]
    here = ipaddress.ip_address(address)
    return [entry for entry in others if entry in own] + [
        entry for entry in networks if here in ipaddress.ip_network(entry, strict=False)
    ]


def read_file() -> str | None:
    """Return the text of daemon.json without possible secrets, or None if there is no file; a link is followed."""
    text = files.read_text(daemon_json.PATH.resolve())
    return None if text is None else daemon_json.conceal(text)


def wants_nat_chain(client: engine.Client, flags: Sequence[engine_flags.Flag]) -> bool:
    """Return whether the engine uses a chain in the nat table: not with nftables, or with iptables turned off.

    Source: Docker Engine documentation, "Packet filtering and firewalls".
    """
    backend = client.info().get("FirewallBackend") or {}
    if str(backend.get("Driver", "")).startswith("nftables"):
        return False
    return not _is_off("iptables", flags)


def _is_off(name: str, flags: Sequence[engine_flags.Flag]) -> bool:
    off = rf"--{name}=[\"']?(?:0|f|F|false|False|FALSE)\b"  # Go's strconv.ParseBool; a flag takes no word after a space
    by_flag = [flag for flag in flags if flag.name == name and re.search(off, flag.line)]
    return bool(by_flag) or daemon_json.value(read_file(), name) is False


def publishes_nothing(flags: Sequence[engine_flags.Flag]) -> bool:
    """Return whether no published port is reachable with these flags and daemon.json.

    The engine then has neither chains nor a proxy; the operator's own rules may replace them. Source: Docker Engine
    documentation, "Packet filtering and firewalls".
    """
    return _is_off("iptables", flags) and _is_off("userland-proxy", flags)


def validate(text: str) -> None:
    """Validate a text of daemon.json with dockerd before it is written; does nothing before engine 23.

    Raises HostError with dockerd's message if it refuses the text.
    """
    if "--validate" not in commands.run("dockerd", "--help", allowed=None).text:
        return
    with temporary.folder() as folder:
        file = folder / "daemon.json"
        file.write_text(text, encoding="utf-8", newline="")
        done = commands.run("dockerd", "--validate", f"--config-file={file}", allowed=None)
        output = daemon_json.conceal(done.text).replace(str(file), str(daemon_json.PATH))
    if done.code != 0:
        raise HostError(
            f"an engine that takes {daemon_json.PATH} with the planned change",
            output,
            f"mend {daemon_json.PATH}; nothing was written",
        )


class _Log:
    """The engine's log from now on: journal, or the file that it writes to."""

    def __init__(self, by: Supervisor) -> None:
        self._by = by
        self._since = time.time()
        self._file = None if by == "systemd" else _log_file()
        self._offset = self._file.stat().st_size if self._file else 0

    def _lines(self) -> list[str]:
        if self._by == "systemd":
            since = f"--since=@{self._since:.6f}"
            argv = ("journalctl", "-u", "docker.service", since, "--no-pager", "-o", "cat")
            return commands.run(*argv, allowed=None).output.splitlines()
        if self._file is None:
            return []
        with self._file.open("rb") as file:
            file.seek(self._offset)
            return file.read().decode(errors="replace").splitlines()

    def complaints(self) -> list[str]:
        """Return the texts of the errors that the engine has logged since."""
        return [
            _message(line) for line in self._lines() if re.search(r"level=(error|fatal)|^unable to configure", line)
        ]


def _log_file() -> Path | None:
    """Return the file to which the engine writes its log, or None if it is no regular file."""
    try:
        path = Path(f"/proc/{engine.pid()}/fd/2").resolve()
    except (OSError, ValueError):
        return None
    return path if path.is_file() else None


def _message(line: str) -> str:
    found = re.search(r'msg="((?:[^"\\]|\\.)*)"', line)
    return daemon_json.conceal(found.group(1).replace('\\"', '"') if found else line)


def _signal_reload(by: Supervisor) -> str:
    """Make the engine reload its configuration; return the error, empty on success."""
    if by == "systemd":
        done = commands.run("systemctl", "reload", "docker.service", allowed=None)
        return "" if done.code == 0 else done.text
    try:
        os.kill(engine.pid(), signal.SIGHUP)
    except (OSError, ValueError) as error:
        return f"no engine to signal: {error}"
    return ""


def reload(by: Supervisor, *, wanted: Registries, unwanted: Registries = _NONE, timeout_seconds: float) -> None:
    """Reload daemon.json in the running engine and wait until its entries match; no container stops.

    It must list all of `wanted` and none of `unwanted`. Raises HostError with the engine's messages if it does not.
    """
    log = _Log(by)
    refusal = [text for text in (_signal_reload(by),) if text]

    def missing() -> str:
        client = engine.connect(timeout_seconds)
        found = _differences(registries(client), wanted, unwanted) if client else "no engine answers"
        return found or ("it does" if refusal else "")

    def complaints() -> list[str]:
        return refusal + log.complaints()

    found = polling.until_empty(missing, complaints, timeout_seconds=timeout_seconds, grace_seconds=_GRACE_SECONDS)
    if not found:
        return
    messages = "; ".join(complaints()) or "nothing in its log"
    raise HostError(
        f"the engine to list what {daemon_json.PATH} does within {timeout_seconds:g} s of its reload",
        f"{found}; it says: {messages}",
        f"mend what the engine names in {daemon_json.PATH} or in its flags",
    )


def _differences(listed: Registries, wanted: Registries, unwanted: Registries) -> str:
    missing = listed.missing_entries(wanted.insecure, wanted.mirrors)
    removed = set(listed.missing_entries(unwanted.insecure, unwanted.mirrors))
    left = [entry for entry in (*unwanted.insecure, *unwanted.mirrors) if entry not in removed]
    parts = (f"it lacks {', '.join(missing)}" if missing else "", f"it still lists {', '.join(left)}" if left else "")
    return ", and ".join(part for part in parts if part)


@contextmanager
def put_back(path: Path, by: Supervisor, timeout_seconds: float, and_remove: Sequence[Path] = ()) -> Iterator[None]:
    """Restore daemon.json, remove `and_remove` and recover the engine if the body of this context fails."""
    before, mode = files.read_bytes(path), files.mode_of(path) or 0o644
    try:
        yield
    except RunbookError as error:
        if before is None:
            files.remove_tree(path)
        else:
            files.write(path, before, mode)
        for added in and_remove:
            files.remove_tree(added)
        recover(by, timeout_seconds)
        found = f"{error.found} (so {path} is as it was before, and the engine answers)"
        raise HostError(error.expected, found, error.remedy) from error


def recover(by: Supervisor, timeout_seconds: float) -> None:
    """Make the engine use the restored file: reload it if it answers, else start it."""
    if engine.connect(timeout_seconds) is None:
        engine.start(by, timeout_seconds)
    else:
        _signal_reload(by)
