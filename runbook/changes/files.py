"""Changes to files and folders."""

from dataclasses import dataclass
from pathlib import Path

from runbook.changes import ledger, shell
from runbook.changes.base import FileChange, FileReplacement, Removal, diff, file_at, in_place, octal
from runbook.changes.made import Belonging, Thing
from runbook.system import credentials
from runbook.system.host import file_state, files


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeDirectory(FileChange):
    """Make a folder and its missing parents."""

    mode: int
    belongs: Belonging = ""

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"make the folder {self.path} ({octal(self.mode)})"

    def things(self) -> tuple[Thing, ...]:
        """Return the folder."""
        return (Thing(kind="folder", name=str(self.path), belongs=self.belongs),)

    def check_target(self) -> None:
        """Raise HostError if no folder can be made there."""
        files.require_place_for_folder(self.path)

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return shell.command("install", "-d", "-m", octal(self.mode), self.path)

    def make(self, _timeout_seconds: float, /) -> None:
        """Make the folder."""
        files.make_directory(self.path, self.mode)


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
        """Return whether another user owns the file."""
        return not files.is_own(self.path)

    def check_target(self) -> None:
        """Raise HostError if the file cannot be changed."""
        files.require_trusted_path(self.path)
        files.require_writable(self.path)

    def refuse_drift(self) -> None:
        """Raise ChangedError if the mode has changed since the plan, other than to the wanted one."""
        if (mode := files.mode_of(self.path)) != self.after:
            file_state.refuse_changed(self.path, mode, self.before)

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return shell.command("chmod", octal(self.after), self.path)

    def make(self, _timeout_seconds: float, /) -> None:
        """Set the mode."""
        self.path.chmod(self.after)


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteFile(FileChange):
    """Write a text file; `before` is its text at plan time, None if there was none.

    `keep` backs up the earlier version beside it, for a file that the runbook did not make. `secrets` are the secrets'
    files: their contents replace the placeholders when the text is written.
    """

    before: str | None
    after: str
    mode: int
    keep: bool = False
    secrets: tuple[Path, ...] = ()
    belongs: Belonging = ""

    def __str__(self) -> str:
        """Return the change in one line."""
        if self._backs_up:
            return f"change {self.path} ({octal(self.mode)}, the earlier version is kept beside it)"
        if self.before is None:
            return f"write {self.path} ({octal(self.mode)})"
        return f"change {self.path} ({octal(self.mode)})"

    @property
    def _backs_up(self) -> bool:
        return self.keep and self.before is not None

    def detail(self) -> str:
        """Return the unified diff of the text."""
        return diff(self.path, self.before, self.after)

    def things(self) -> tuple[Thing, ...]:
        """Return the file, after its backup if there is one."""
        backup = file_at(files.backup_path(self.path), self.belongs) if self._backs_up else ()
        return backup + file_at(self.path, self.belongs)

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        back_up = shell.back_up(self.path, files.backup_path(self.path)) if self._backs_up else ""
        return shell.lines(back_up, shell.write(self.path, self.after, self.mode, self.secrets))

    def make(self, _timeout_seconds: float, /) -> str:
        """Write the file and return where its backup is."""
        found = files.read_text(self.path)
        if found is not None:
            found = credentials.conceal(found, self.secrets)
        file_state.refuse_changed(self.path, found, self.before)
        note = f"the earlier version is {files.back_up(self.path)}" if self._backs_up else ""
        files.write(self.path, credentials.reveal(self.after, self.secrets).encode(), self.mode)
        return note


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyFile(FileReplacement):
    """Copy a file that holds no secret, replacing an existing one."""

    source: Path
    mode: int

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"copy {self.source} to {self.path} ({octal(self.mode)}){in_place(self.before)}"

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return shell.command("install", "-D", "-m", octal(self.mode), self.source, self.path)

    def make(self, _timeout_seconds: float, /) -> None:
        """Write the copy."""
        files.write(self.path, self.source.read_bytes(), self.mode)


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoveTree(Removal):
    """Remove a file, or a folder with its contents, that the runbook made."""

    before: str | None

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"remove {self.path}"

    def refuse_drift(self) -> None:
        """Raise ChangedError if it has changed since the plan, other than by removal."""
        file_state.refuse_changed_unless_gone(self.path, self.before)

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return shell.command("rm", "-r", self.path)

    def make(self, _timeout_seconds: float, /) -> None:
        """Remove it and its ledger entry."""
        files.remove_tree(self.path)
        ledger.drop_paths(self.path)
