"""The engine's flags: where they are set, and which of them daemon.json must not repeat.

An engine does not start if an option is both a flag and a key of daemon.json. Source: dockerd, "Daemon configuration
file"; moby, daemon/config/config.go, findConfigurationConflicts.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook.model.errors import HostError
from runbook.system.docker import daemon_json, engine
from runbook.system.host import commands, files
from runbook.system.host.systemd import Supervisor

DEFAULTS = Path("/etc/default/docker")  # Debian's init script and unit read DOCKER_OPTS from it
_SHORT = {"H": "host", "D": "debug", "l": "log-level", "G": "group", "g": "graph", "s": "storage-driver", "b": "bridge"}
_KEYS = {"add-runtime": "runtimes", "insecure-registry": daemon_json.INSECURE_REGISTRIES} | {
    key.removesuffix("s"): key
    for key in (
        *("authorization-plugins", "cdi-spec-dirs", "default-address-pools", "default-ulimits", "dns-opts"),
        *("exec-opts", "hosts", "labels", "log-opts", "node-generic-resources", "registry-mirrors", "storage-opts"),
    )
}
_MAY_REPEAT = {"runtimes", "features", "builder"}
_NO_FLAGS = {"insecure-registries": "insecure-registry", "registry-mirrors": "registry-mirror"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """A flag of the engine without its dashes, and the place (file and line, or process) and text of its line."""

    name: str
    place: str
    line: str

    @property
    def key(self) -> str:
        """The equivalent key of daemon.json."""
        return _KEYS.get(self.name, self.name)


def in_environment_file(text: str, place: str, variables: Iterable[str]) -> list[Flag]:
    """Return the flags in variables of an environment file (systemd.exec(5), or sourced by a shell)."""
    found: dict[str, list[Flag]] = {}
    for number, line in _lines(text):
        assigned = re.match(r"(?:export\s+)?(\w+)=(.*)", line)
        if assigned and assigned[1] in variables:
            found[assigned[1]] = list(_flags(assigned[2], f"{place} line {number}", line))
    return [flag for flags in found.values() for flag in flags]


def in_units(text: str) -> tuple[list[Flag], list[tuple[Path, tuple[str, ...]]]]:
    """Return the flags in the output of `systemctl cat`, and its environment files with the variables that it uses.

    An empty `ExecStart=` removes the earlier ones (systemd.service(5)).
    """
    flags: list[Flag] = []
    environment_files: list[Path] = []
    variables: list[str] = []
    place, start = "", 0
    for number, line in _lines(text):
        if header := re.fullmatch(r"# (/\S+)", line):
            place, start = header[1], number
        elif line.startswith("ExecStart="):
            value = line.removeprefix("ExecStart=").strip()
            if not value:
                flags, variables = [], []
            flags += _flags(value, f"{place} line {number - start}", line)
            variables += re.findall(r"\$\{?(\w+)\}?", value)
        elif line.startswith("EnvironmentFile="):
            environment_files.append(Path(line.removeprefix("EnvironmentFile=").strip().removeprefix("-")))
    return flags, [(path, tuple(variables)) for path in environment_files]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines with their numbers; a line that ends with a backslash is joined with the next."""
    held, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        first = first if held else number
        held += line.strip()
        if held.endswith("\\"):
            held = held.removesuffix("\\")
            continue
        yield first, held
        held = ""
    if held:
        yield first, held


def _flags(value: str, place: str, line: str) -> Iterator[Flag]:
    try:
        words = [word for quoted in shlex.split(value, comments=True) for word in quoted.split()]
    except ValueError:  # an unclosed quotation mark, which the service manager refuses too
        words = re.split(r"[\s'\"]+", value)
    for word in words:
        if found := re.match(r"--?([A-Za-z][\w-]*)", word):
            name = found[1] if word.startswith("--") else _SHORT.get(found[1], found[1])
            yield Flag(name=name, place=place, line=daemon_json.conceal(line))


def gather(by: Supervisor) -> tuple[Flag, ...]:
    """Return the flags with which the engine is started, or those of the running engine if no file sets any."""
    if by == "systemd":
        shown = commands.run("systemctl", "cat", "docker.service", allowed=None).output
        flags, sources = in_units(shown)
    else:
        flags, sources = [], [(DEFAULTS, ("DOCKER_OPTS",))] if Path("/etc/init.d/docker").exists() else []
    for path, variables in sources:
        flags += in_environment_file(files.read_text(path) or "", str(path), variables)
    if not flags and (argv := engine.command_line()):
        line = shlex.join(argv)
        flags = list(_flags(line, "the command line of the running engine", line))
    return tuple(flags)


def refuse(text: str | None, flags: Sequence[Flag]) -> None:
    """Raise HostError for anything that would make the engine's next start fail.

    That is invalid JSON in daemon.json (an engine since version 23 accepts an empty file), a key that is also a flag,
    and a flag with the name of a key.
    """
    for flag in flags:
        if flag.name in _NO_FLAGS:
            raise HostError(
                "only flags that the engine knows",
                f"--{flag.name} in {flag.place}: {flag.line}",
                f"write --{_NO_FLAGS[flag.name]}, once an entry; the engine was not touched",
            )
    if (shared := repeated(text, flags)) is not None:
        raise HostError(
            f"{shared.key} once: in {daemon_json.PATH}, or as the flag --{shared.name}",
            both(shared),
            f"take --{shared.name} out there and have its values in {daemon_json.PATH} alone, or the other way round;"
            " the engine does not start with both, and was not touched",
        )


def repeated(text: str | None, flags: Sequence[Flag]) -> Flag | None:
    """Return the first flag that is also a key in daemon.json, or None; raises HostError for invalid JSON."""
    keys = daemon_json.keys(text) if text and text.strip() else ()
    return next((flag for flag in flags if flag.key in keys and flag.key not in _MAY_REPEAT), None)


def both(flag: Flag) -> str:
    """Return the `found` text of an error for a flag that is also a key."""
    return f"both; the flag is in {flag.place}: {flag.line}"
