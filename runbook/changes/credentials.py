"""Changes to secrets and to the registry's users."""

from dataclasses import dataclass
from pathlib import Path

import bcrypt

from runbook.changes import shell
from runbook.changes.base import FileChange, FileReplacement, file_at
from runbook.changes.made import Thing
from runbook.system import credentials
from runbook.system.host import file_state, files


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
        line = f"{self.username}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(self.cost)).decode()}"
        others = [text for text in files.lines(self.path) if not text.strip().startswith(f"{self.username}:")]
        files.write(self.path, "".join(f"{text}\n" for text in (*others, line)).encode(), 0o600)
