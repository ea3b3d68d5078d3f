"""Changes of files and folders."""

from dataclasses import dataclass
from pathlib import Path

from runbook.changes import ledger, shell
from runbook.changes.base import FileChange, diff, file_at, in_place, octal
from runbook.changes.made import Belonging, Thing
from runbook.system import credentials
from runbook.system.host import file_state, files


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeDirectory(FileChange):
    """Make a folder, and those above it that are missing."""

    mode: int
    belongs: Belonging = ""

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"make the folder {self.path} ({octal(self.mode)})"

    def things(self) -> tuple[Thing, ...]:
        """Return the folder."""
        return (Thing(kind="folder", name=str(self.path), belongs=self.belongs),)

    def check_place(self) -> None:
        """Raise HostError where no folder can be made there."""
        files.require_place_for_folder(self.path)

    def by_hand(self) -> str:
        """Return the commands for it."""
        return shell.command("install", "-d", "-m", octal(self.mode), self.path)

    def make(self, _timeout_seconds: float, /) -> str:
        """Make the folder."""
        files.make_directory(self.path, self.mode)
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SetMode(FileChange):
    """Set the permission bits of a file or folder."""

    before: int
    after: int

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"set the mode of {self.path} from {octal(self.before)} to {octal(self.after)}"

    def things(self) -> tuple[Thing, ...]:
        """Return the mode."""
        return (Thing(kind="mode", name=str(self.path)),)

    def needs_root(self) -> bool:
        """Return whether the file is somebody else's."""
        return not files.is_own(self.path)

    def check_place(self) -> None:
        """Raise HostError where the file cannot be changed."""
        files.require_own_way(self.path)
        files.require_writable(self.path)

    def refuse_drift(self) -> None:
        """Raise ChangedError where the mode is another one since the plan."""
        if (mode := files.mode_of(self.path)) != self.after:
            file_state.refuse_changed(self.path, mode, self.before)

    def by_hand(self) -> str:
        """Return the commands for it."""
        return shell.command("chmod", octal(self.after), self.path)

    def make(self, _timeout_seconds: float, /) -> str:
        """Set the mode."""
        self.path.chmod(self.after)
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteFile(FileChange):
    """Write a text file; `before` is its text when the plan was made, None where there was none.

    `keep` keeps the earlier version beside it, for a file that the runbook did not make. `secrets` are the files whose
    secrets take the place of their placeholders while the text is written.
    """

    before: str | None
    after: str
    mode: int
    keep: bool = False
    secrets: tuple[Path, ...] = ()
    belongs: Belonging = ""

    def __str__(self) -> str:
        """Return the change in one line."""
        kept = ", the earlier version is kept beside it" if self._keeps else ""
        return f"{'write' if self.before is None else 'change'} {self.path} ({octal(self.mode)}{kept})"

    @property
    def _keeps(self) -> bool:
        return self.keep and self.before is not None

    def detail(self) -> str:
        """Return the change of text as a unified diff."""
        return diff(self.path, self.before, self.after)

    def things(self) -> tuple[Thing, ...]:
        """Return the file, and the earlier version beside it."""
        kept = file_at(files.kept_path(self.path), self.belongs) if self._keeps else ()
        return kept + file_at(self.path, self.belongs)

    def by_hand(self) -> str:
        """Return the commands for it."""
        kept = shell.keep(self.path, files.kept_path(self.path)) if self._keeps else ""
        return shell.lines(kept, shell.write(self.path, self.after, self.mode, self.secrets))

    def make(self, _timeout_seconds: float, /) -> str:
        """Write the file, and return where its earlier version is kept."""
        found = files.read_text(self.path)
        if found is not None:
            found = credentials.conceal(found, self.secrets)
        file_state.refuse_changed(self.path, found, self.before)
        kept = f"the earlier version is {files.keep(self.path)}" if self._keeps else ""
        files.write(self.path, credentials.reveal(self.after, self.secrets).encode(), self.mode)
        return kept


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyFile(FileChange):
    """Copy a file that holds nothing secret, in place of what is there."""

    source: Path
    mode: int
    before: str | None = None

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"copy {self.source} to {self.path} ({octal(self.mode)}){in_place(self.before)}"

    def refuse_drift(self) -> None:
        """Raise ChangedError where another file is there since the plan."""
        file_state.refuse_changed(self.path, file_state.state(self.path), self.before)

    def by_hand(self) -> str:
        """Return the commands for it."""
        return shell.command("install", "-D", "-m", octal(self.mode), self.source, self.path)

    def make(self, _timeout_seconds: float, /) -> str:
        """Write the copy."""
        files.write(self.path, self.source.read_bytes(), self.mode)
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoveTree(FileChange):
    """Remove a folder or file that the runbook made, with all below it."""

    before: str | None

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"remove {self.path}"

    def things(self) -> tuple[Thing, ...]:
        """Return nothing: it leaves nothing to undo."""
        return ()

    def check_place(self) -> None:
        """Raise HostError where it cannot be removed."""
        files.require_own_way(self.path)
        files.require_writable(self.path)

    def refuse_drift(self) -> None:
        """Raise ChangedError where it is another one since the plan."""
        if (found := file_state.state(self.path)) is not None:
            file_state.refuse_changed(self.path, found, self.before)

    def by_hand(self) -> str:
        """Return the commands for it."""
        return shell.command("rm", "-r", self.path)

    def make(self, _timeout_seconds: float, /) -> str:
        """Remove it, and its entry in the ledger."""
        files.remove_tree(self.path)
        ledger.drop_paths(self.path)
        return ""
