"""Changes to secrets and to the registry's users."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook.changes import shell
from runbook.changes.base import FileChange, FileReplacement, file_at
from runbook.changes.made import Thing
from runbook.model.errors import SecretError
from runbook.system import credentials
from runbook.system.host import file_state, files
from runbook.system.registry import htpasswd

_NAMED = 5  # users that a line of a plan names


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateSecret(FileChange):
    """Generate a random secret and store it in a file with mode 0600."""

    purpose: str

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"generate {self.purpose} and keep it in {self.path} (0600)"

    def things(self) -> tuple[Thing, ...]:
        """Return the file."""
        return file_at(self.path, "secrets")

    def refuse_drift(self) -> None:
        """Raise ChangedError if a secret has appeared since the plan."""
        file_state.refuse_changed(self.path, files.read_text(self.path) or None, None)

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return f"(umask 077 && openssl rand -base64 24 | tr +/ -_ >{shell.command(self.path)})"

    def make(self, _timeout_seconds: float, /) -> None:
        """Write the secret."""
        files.write(self.path, f"{credentials.ask_or_generate(self.purpose)}\n".encode(), 0o600)


@dataclass(frozen=True, kw_only=True, slots=True)
class SetPassword(FileReplacement):
    """Write one user's bcrypt line of an htpasswd file and keep the other users' lines."""

    username: str
    cost: int
    password_file: Path
    reason: str

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"set the password of {self.username} in {self.path} (bcrypt, cost {self.cost}; {self.reason})"

    def things(self) -> tuple[Thing, ...]:
        """Return the file."""
        return file_at(self.path, "secrets")

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        create = "" if self.before else "c"
        htpasswd = shell.command("htpasswd", f"-iB{create}C", self.cost, self.path, self.username)
        return shell.lines(
            "# htpasswd is in the package apache2-utils",
            f"{htpasswd} <{shell.command(self.password_file)}",
            shell.command("chmod", "0600", self.path),
        )

    def make(self, _timeout_seconds: float, /) -> None:
        """Write the file with the user's new line."""
        password = credentials.require_password(self.password_file)
        line = htpasswd.line(self.username, password, self.cost)
        others = htpasswd.changed(files.lines(self.path), {}, disabled=(self.username,))
        _write_lines(self.path, [*others, line])


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeUsers(FileReplacement):
    """Write the runbook's lines of an htpasswd file: with new `passwords`, each of a file, and without `removed`.

    Of the users who are `disabled`, only the mark stays.
    """

    passwords: tuple[tuple[str, Path], ...]
    removed: tuple[str, ...]
    cost: int
    disabled: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the change in one line."""
        parts = []
        if self.passwords:
            parts.append(
                f"set the password of {_some([name for name, _ in self.passwords])} (bcrypt, cost {self.cost})"
            )
        if self.removed:
            parts.append(f"remove {_some(self.removed)}")
        if self.disabled:
            parts.append(f"disable {_some(self.disabled)}")
        return f"change the users in {self.path}: {'; '.join(parts)}"

    def things(self) -> tuple[Thing, ...]:
        """Return the file."""
        return file_at(self.path, "secrets")

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        delete = [shell.command("htpasswd", "-D", self.path, name) for name in (*self.removed, *self.disabled)]
        marks = [
            shell.command("sed", "-i", f"/^{re.escape(htpasswd.mark(name))}$/d", self.path) for name in self.removed
        ]
        write = []
        for name, file in self.passwords:
            mark = shell.command("echo", htpasswd.mark(name))
            htpasswd_command = shell.command("htpasswd", "-iBC", self.cost, self.path, name)
            write.append(f"{mark} >>{shell.command(self.path)}; {htpasswd_command} <{shell.command(file)}")
        return shell.lines("# htpasswd is in the package apache2-utils", *delete, *marks, *write)

    def make(self, _timeout_seconds: float, /) -> None:
        """Write the file in one go."""
        new = {name: htpasswd.line(name, _password_in(file), self.cost) for name, file in self.passwords}
        lines = htpasswd.changed(files.lines(self.path), new, removed=self.removed, disabled=self.disabled)
        _write_lines(self.path, lines)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    files.write(path, "".join(f"{text}\n" for text in lines).encode(), 0o600)


def _some(names: Sequence[str]) -> str:
    """Return the names, or the first of them and the number of the others."""
    rest = len(names) - _NAMED
    return ", ".join(names) if rest <= 1 else f"{', '.join(names[:_NAMED])} and {rest} more"


def _password_in(path: Path) -> str:
    """Return the password in a file; raises SecretError if there is none."""
    found = credentials.password_in(path)
    if found is None:
        raise SecretError(f"a password in {path}", "no such file", "run the notebook 45-users")
    return found
