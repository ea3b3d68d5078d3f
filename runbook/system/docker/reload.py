"""The configuration of the running engine: which registries it lists, and a reload that it takes or refuses.

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
from runbook.system.host import commands, files, temporary
from runbook.system.host.systemd import Supervisor

UNDEAFEN = (
    f"iptables and userland-proxy are both off: take one of the two out of {daemon_json.PATH}, or of the engine's"
    " flags, then `systemctl restart docker`"
)
_GRACE_SECONDS = 2.0  # a reload takes milliseconds: an engine that has complained, and lists nothing then, has refused


@dataclass(frozen=True, kw_only=True, slots=True)
class Registries:
    """What the running engine lists: registries that it may use over plain HTTP, networks too, and its mirrors."""

    insecure: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()

    def lacks(self, insecure: tuple[str, ...], mirrors: tuple[str, ...]) -> list[str]:
        """Return what of the wanted ones the engine does not list."""
        return [
            *daemon_json.missing(insecure, self.insecure, daemon_json.same_registry),
            *daemon_json.missing(mirrors, self.mirrors, daemon_json.same_mirror),
        ]


_NONE = Registries()


def registries(client: engine.Client) -> Registries:
    """Return what the running engine lists."""
    found = client.info()["RegistryConfig"]
    names = tuple(name for name, index in found["IndexConfigs"].items() if not index["Secure"])
    return Registries(
        insecure=(*names, *(found["InsecureRegistryCIDRs"] or ())),
        mirrors=tuple(daemon_json.same_mirror(mirror) for mirror in found["Mirrors"] or ()),
    )


def is_listed(host: str, insecure: Sequence[str]) -> bool:
    """Return whether an engine with these insecure registries uses plain HTTP for ADDRESS:PORT.

    A network counts for all ports of its addresses, a name or address only with the port that is written with it.
    """
    address = ipaddress.ip_address(host.rpartition(":")[0])
    networks = [ipaddress.ip_network(entry, strict=False) for entry in insecure if "/" in entry]
    return host in insecure or any(address in network for network in networks)


def names_insecure(parameters: Parameters, address: str, listed: Sequence[str]) -> list[str]:
    """Return the entries of insecure-registries, beside those of the parameters, that mean the registry with TLS."""
    own = {f"{name}:{parameters.port}" for name in (parameters.domain, address)} | {parameters.registry_host}
    others = [entry for entry in listed if entry not in parameters.insecure_registries]
    networks = [entry for entry in others if "/" in entry]
    here = ipaddress.ip_address(address)
    return [entry for entry in others if entry in own] + [
        entry for entry in networks if here in ipaddress.ip_network(entry, strict=False)
    ]


def read_file() -> str | None:
    """Return the text of daemon.json without what may be secret in it, None where there is none; a link is followed."""
    text = files.read_text(daemon_json.PATH.resolve())
    return None if text is None else daemon_json.conceal(text)


def wants_nat_chain(client: engine.Client, flags: Sequence[engine_flags.Flag]) -> bool:
    """Return whether this engine keeps a chain in the nat table of iptables: not with nftables, nor without iptables.

    Source: Docker Engine documentation, "Packet filtering and firewalls".
    """
    backend = client.info().get("FirewallBackend") or {}
    if str(backend.get("Driver", "")).startswith("nftables"):
        return False
    return not _is_off("iptables", flags)


def _is_off(name: str, flags: Sequence[engine_flags.Flag]) -> bool:
    by_flag = [flag for flag in flags if flag.name == name and re.search(rf"--{name}[= ]+(?:false|0)\b", flag.line)]
    return bool(by_flag) or daemon_json.value(read_file(), name) is False


def is_deaf(flags: Sequence[engine_flags.Flag]) -> bool:
    """Return whether an engine with these flags, and its file, lets nobody reach a port that a container publishes.

    It has neither chains nor a proxy then; somebody may have rules of their own for it. Source: Docker Engine
    documentation, "Packet filtering and firewalls".
    """
    return _is_off("iptables", flags) and _is_off("userland-proxy", flags)


def validate(text: str) -> None:
    """Let dockerd check a text of daemon.json before it is written, where it can (engine 23 and later).

    Raises HostError with its words where it refuses.
    """
    if "--validate" not in commands.run("dockerd", "--help", allowed=None).said:
        return
    with temporary.folder() as folder:
        file = folder / "daemon.json"
        file.write_text(text, encoding="utf-8", newline="")
        done = commands.run("dockerd", "--validate", f"--config-file={file}", allowed=None)
        said = daemon_json.conceal(done.said).replace(str(file), str(daemon_json.PATH))
    if done.code != 0:
        raise HostError(
            f"an engine that takes {daemon_json.PATH} with the planned change",
            said,
            f"mend {daemon_json.PATH}; nothing was written",
        )


class _Log:
    """The engine's log, from now on."""

    def __init__(self, by: Supervisor) -> None:
        self._by = by
        self._since = time.time()
        self._file = None if by == "systemd" else _log_file()
        self._offset = self._file.stat().st_size if self._file else 0

    def lines(self) -> list[str]:
        """Return what the engine has written since."""
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
        """Return the errors among them, in the engine's words."""
        return [_words(line) for line in self.lines() if re.search(r"level=(error|fatal)|^unable to configure", line)]


def _log_file() -> Path | None:
    """Return the file that the engine writes its log to, None where that is none."""
    try:
        path = Path(f"/proc/{engine.pid()}/fd/2").resolve()
    except (OSError, ValueError):
        return None
    return path if path.is_file() else None


def _words(line: str) -> str:
    found = re.search(r'msg="((?:[^"\\]|\\.)*)"', line)
    return daemon_json.conceal(found.group(1).replace('\\"', '"') if found else line)


def _tell(by: Supervisor) -> str:
    """Tell the engine to read its configuration again, and return why that was not possible, if it was not."""
    if by == "systemd":
        done = commands.run("systemctl", "reload", "docker.service", allowed=None)
        return "" if done.code == 0 else done.said
    try:
        os.kill(engine.pid(), signal.SIGHUP)
    except (OSError, ValueError) as error:
        return f"no engine to signal: {error}"
    return ""


def reload(by: Supervisor, *, wanted: Registries, unwanted: Registries = _NONE, timeout_seconds: float) -> None:
    """Let the running engine read daemon.json again, and wait until it lists what it should; no container stops.

    It must list all of `wanted` and nothing of `unwanted`. Raises HostError with the engine's own words where it does
    not.
    """
    log, started = _Log(by), time.monotonic()
    refusal = _tell(by)
    while True:
        client = engine.connect(timeout_seconds)
        found = _differences(registries(client), wanted, unwanted) if client else "no engine answers"
        if not found and not refusal:
            return
        waited, complaints = time.monotonic() - started, log.complaints()
        if waited >= timeout_seconds or ((complaints or refusal) and waited >= _GRACE_SECONDS):
            break
        time.sleep(0.2)
    said = "; ".join(part for part in (refusal, *complaints) if part) or "nothing in its log"
    raise HostError(
        f"the engine to list what {daemon_json.PATH} does within {timeout_seconds:g} s of its reload",
        f"{found or 'it does'}; it says: {said}",
        f"mend what the engine names in {daemon_json.PATH} or in its flags",
    )


def _differences(listed: Registries, wanted: Registries, unwanted: Registries) -> str:
    lacks = listed.lacks(wanted.insecure, wanted.mirrors)
    absent = set(listed.lacks(unwanted.insecure, unwanted.mirrors))
    still = [entry for entry in (*unwanted.insecure, *unwanted.mirrors) if entry not in absent]
    parts = (f"it lacks {', '.join(lacks)}" if lacks else "", f"it still lists {', '.join(still)}" if still else "")
    return ", and ".join(part for part in parts if part)


@contextmanager
def put_back(path: Path, by: Supervisor, timeout_seconds: float, and_remove: Sequence[Path] = ()) -> Iterator[None]:
    """Where the engine refuses what is done meanwhile, put daemon.json back as it is now, and the engine with it."""
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
        told = f"{error.found} (so {path} is as it was before, and the engine answers)"
        raise HostError(error.expected, told, error.remedy) from error


def recover(by: Supervisor, timeout_seconds: float) -> None:
    """Bring the engine back to the file that is there again: reloaded where it answers, else started."""
    if engine.connect(timeout_seconds) is None:
        engine.start(by, timeout_seconds)
    else:
        _tell(by)
