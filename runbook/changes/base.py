"""What each change can do: show itself, become JSON, check its place, name what it makes, and be made.

No change carries a secret: a file's text names a secret by a placeholder (`runbook.system.credentials.PLACEHOLDER`),
and a change that needs a password names the place that it comes from.

A change that overwrites or removes something holds in `before` how that was when the plan was made, None where there
was nothing: its text or, where nobody needs to read it or it is secret, its state (`runbook.system.host.file_state`).
"""

import dataclasses
import difflib
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
from runbook.system.host import files, hosts_file

Result = Literal["done", "left to you"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change(ABC):
    """One step that alters the host; a new kind takes its class and its test."""

    result: ClassVar[Result] = "done"

    @abstractmethod
    def __str__(self) -> str:
        """Return the change in one line."""

    @abstractmethod
    def make(self, timeout_seconds: float, /) -> str:
        """Make the change, and return a note for the user, empty where there is none.

        `timeout_seconds` bounds each wait. Raises RunbookError, or OSError, where it cannot be made.
        """

    @abstractmethod
    def by_hand(self) -> str:
        """Return the commands for a shell of root's that do the same; a comment where there are none."""

    def detail(self) -> str:
        """Return what is shown below the plan: the diff of a file, or a text to paste; empty where there is none."""
        return ""

    def things(self) -> tuple[Thing, ...]:
        """Return what it makes or alters and the ledger records; missing folders above a path are not among them."""
        return ()

    def needs_root(self) -> bool:
        """Return whether a user who may speak to the engine cannot make it without root."""
        return True

    def check_place(self) -> None:  # noqa: B027 (most places are the engine's)
        """Raise HostError where its place cannot be written; nothing is changed."""

    def refuse_drift(self) -> None:  # noqa: B027 (most overwrite nothing)
        """Raise ChangedError where it would overwrite or remove what was not there when the plan was made."""

    def private_paths(self) -> tuple[Path, ...]:
        """Return the files that become the user's for whom root makes it, where nobody else may read them."""
        return ()

    def enter(self, timeout_seconds: float) -> tuple[ledger.Entry, ...]:
        """Enter in the ledger what it makes, and return the entries; raises ChangedError as `refuse_drift` does."""
        self.refuse_drift()
        return ledger.enter(wanted, timeout_seconds) if (wanted := self.things()) else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FileChange(Change):
    """A change of the file at `path`."""

    path: Path

    def things(self) -> tuple[Thing, ...]:
        """Return the file."""
        return file_at(self.path)

    def needs_root(self) -> bool:
        """Return whether this user cannot change the file."""
        return not files.may_change(self.path)

    def check_place(self) -> None:
        """Raise HostError where no file can be written there."""
        files.require_place_for_file(self.path)

    def private_paths(self) -> tuple[Path, ...]:
        """Return the file."""
        return (self.path,)


def file_at(path: Path, belongs: Belonging = "") -> tuple[Thing, ...]:
    """Return the file as a thing for the ledger."""
    return (Thing(kind="hosts file" if path == hosts_file.PATH else "file", name=str(path), belongs=belongs),)


def octal(mode: int) -> str:
    """Return permission bits as chmod(1) takes them."""
    return f"{mode:04o}"


def in_place(before: str | None) -> str:
    """Return the end of a line that says whether a file is replaced."""
    return "" if before is None else ", in place of the file there, which is kept where the runbook did not make it"


def diff(path: Path, before: str | None, after: str) -> str:
    """Return a change of text as a unified diff; it holds no secret where neither text does."""
    old = "(no file)" if before is None else str(path)
    lines = difflib.unified_diff((before or "").splitlines(), after.splitlines(), old, str(path), lineterm="", n=2)
    return "\n".join(lines)


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def as_json(change: Change) -> dict[str, object]:
    """Return a change as JSON-ready data, its kind under `change`, its line under `summary`."""
    plain = {item.name: _plain(getattr(change, item.name)) for item in dataclasses.fields(change)}
    return {"change": type(change).__name__, "summary": str(change)} | plain


def kinds() -> set[type[Change]]:
    """Return each kind of change: the classes of this folder's modules that can be made."""
    names = [found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)]) if found.name != "root"]
    modules = [importlib.import_module(f"{__package__}.{name}") for name in names]
    classes = [item for module in modules for item in vars(module).values() if isinstance(item, type)]
    return {item for item in classes if issubclass(item, Change) and not inspect.isabstract(item)}


def from_json(data: Mapping[str, object]) -> Change:
    """Return the change that `as_json` wrote; raises ValueError for data that no kind of change has written."""
    known = {kind.__name__: kind for kind in kinds()}
    fields = {name: value for name, value in data.items() if name not in {"change", "summary"}}
    kind = known.get(str(data.get("change")))
    if kind is None or fields.keys() - {item.name for item in dataclasses.fields(kind)}:
        raise ValueError(f"no change of any kind: {data}")
    change: Change = TypeAdapter(kind).validate_python(fields)
    return change
