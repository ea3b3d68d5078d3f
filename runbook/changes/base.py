"""What each change can do: describe itself, become JSON, check its target, name what it makes, and be made.

No change carries a secret: a file's text holds a placeholder for it (`runbook.system.credentials.PLACEHOLDER`), and a
change that needs a password names where it comes from.

`before` is what a change overwrites or removes, as it was at plan time, None if there was nothing: its text or, if that
is secret or not worth showing, its fingerprint (`runbook.system.host.file_state`).
"""

import dataclasses
import difflib
import functools
import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import TypeAdapter

from runbook.changes import ledger
from runbook.changes.made import Belonging, Thing
from runbook.system.host import file_state, files, hosts_file

Result = Literal["done", "left to you"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change(ABC):
    """One step that changes the host. A new kind needs one class and one test."""

    result: ClassVar[Result] = "done"

    @abstractmethod
    def __str__(self) -> str:
        """Return the change in one line."""

    @abstractmethod
    def make(self, timeout_seconds: float, /) -> str | None:
        """Make the change; return a note for the user, if there is one.

        `timeout_seconds` limits each wait. Raises RunbookError or OSError on failure.
        """

    @abstractmethod
    def by_hand(self) -> str:
        """Return the equivalent commands for a root shell; a comment if there are none."""

    def detail(self) -> str:
        """Return what the plan shows below its line: a file's diff or a text to paste; empty if there is none."""
        return ""

    def things(self) -> tuple[Thing, ...]:
        """Return what it makes or alters, for the ledger; missing parent folders are not included."""
        return ()

    def needs_root(self) -> bool:
        """Return whether it needs root, even for a user with access to the engine."""
        return True

    def check_target(self) -> None:  # noqa: B027 (most targets are the engine's)
        """Raise HostError if its target cannot be written; changes nothing."""

    def refuse_drift(self) -> None:  # noqa: B027 (most overwrite nothing)
        """Raise ChangedError if what it would overwrite or remove has changed since the plan."""

    def private_paths(self) -> tuple[Path, ...]:
        """Return the files that root gives to the requesting user if their mode is private."""
        return ()

    def enter(self, timeout_seconds: float) -> tuple[ledger.Entry, ...]:
        """Add what it makes to the ledger and return the entries; raises ChangedError as `refuse_drift` does."""
        self.refuse_drift()
        return ledger.enter(wanted, timeout_seconds) if (wanted := self.things()) else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FileChange(Change):
    """A change to the file at `path`."""

    path: Path

    def things(self) -> tuple[Thing, ...]:
        """Return the file."""
        return file_at(self.path)

    def needs_root(self) -> bool:
        """Return whether this user may not change the file."""
        return not files.may_change(self.path)

    def check_target(self) -> None:
        """Raise HostError if no file can be written there."""
        files.require_place_for_file(self.path)

    def private_paths(self) -> tuple[Path, ...]:
        """Return the file."""
        return (self.path,)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileReplacement(FileChange):
    """A change that replaces a file; `before` is the fingerprint of the current one, None if there is none."""

    before: str | None = None

    def refuse_drift(self) -> None:
        """Raise ChangedError if the file has changed since the plan."""
        file_state.refuse_changed(self.path, file_state.fingerprint(self.path), self.before)


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal(FileChange):
    """A change that removes what is at `path`."""

    def things(self) -> tuple[Thing, ...]:
        """Return nothing: a removal leaves nothing to undo."""
        return ()

    def check_target(self) -> None:
        """Raise HostError if it cannot be removed."""
        files.require_trusted_path(self.path)
        files.require_writable(self.path)


def file_at(path: Path, belongs: Belonging = "") -> tuple[Thing, ...]:
    """Return the file as a ledger thing."""
    return (Thing(kind="hosts file" if path == hosts_file.PATH else "file", name=str(path), belongs=belongs),)


def octal(mode: int) -> str:
    """Return permission bits in the form that chmod(1) takes."""
    return f"{mode:04o}"


def in_place(before: str | None) -> str:
    """Return the end of a summary line: it mentions the file that is replaced, if any."""
    return "" if before is None else ", in place of the file there, which is kept where the runbook did not make it"


def diff(path: Path, before: str | None, after: str) -> str:
    """Return a unified diff of two texts; it holds no secret if neither text does."""
    old = "(no file)" if before is None else str(path)
    lines = difflib.unified_diff((before or "").splitlines(), after.splitlines(), old, str(path), lineterm="", n=2)
    return "\n".join(lines)


@functools.cache
def _adapter(kind: type[Change]) -> TypeAdapter[Change]:
    return TypeAdapter(kind)


def as_json(change: Change) -> dict[str, object]:
    """Return a change as JSON-ready data, with its kind under `change` and its summary line under `summary`."""
    fields: dict[str, object] = _adapter(type(change)).dump_python(change, mode="json")
    return {"change": type(change).__name__, "summary": str(change)} | fields


def kinds() -> set[type[Change]]:
    """Return all kinds of change: the concrete classes in this folder's modules."""
    names = [found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)]) if found.name != "root"]
    modules = [importlib.import_module(f"{__package__}.{name}") for name in names]
    classes = [item for module in modules for item in vars(module).values() if isinstance(item, type)]
    return {item for item in classes if issubclass(item, Change) and not inspect.isabstract(item)}


def from_json(data: Mapping[str, object]) -> Change:
    """Return the change that `as_json` wrote; raises ValueError for data that is not from any kind of change."""
    known = {kind.__name__: kind for kind in kinds()}
    fields = {name: value for name, value in data.items() if name not in {"change", "summary"}}
    kind = known.get(str(data.get("change")))
    if kind is None or fields.keys() - {item.name for item in dataclasses.fields(kind)}:
        raise ValueError(f"no change of any kind: {data}")
    return _adapter(kind).validate_python(fields)
