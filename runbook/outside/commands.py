"""Other programs: argument lists, never a shell; a secret goes through standard input."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runbook.errors import CommandError, NotReadyError


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """How a command ended; `output` is its standard output, `error` its standard error."""

    code: int
    output: str
    error: str

    @property
    def said(self) -> str:
        """What a person reads of it: both streams, without blank ends."""
        return "\n".join(part for part in (self.output.strip(), self.error.strip()) if part)


_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # where dockerd and iptables are: not on a user's PATH


def _path() -> str:
    return os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))


def which(name: str) -> str | None:
    """Return the path of a program, those of the system's administration included; None where there is none."""
    return shutil.which(name, path=_path())


def as_root(*argv: str) -> tuple[str, ...]:
    """Return the command as root runs it: as it is, or by sudo, which must not ask."""
    return argv if os.geteuid() == 0 else ("sudo", "-n", "--", *argv)


def run(
    *argv: str,
    allowed: frozenset[int] | None = frozenset({0}),
    stdin: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = 60,
) -> Completed:
    """Run a command in the C locale and return how it ended; `environment` adds to this process's own.

    Raises CommandError for an exit code that is not `allowed` (None allows any) and for a program that is not
    there, NotReadyError when `timeout_seconds` have passed.
    """
    told = " ".join(argv)
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_seconds,
            env={**os.environ, "LC_ALL": "C", "PATH": _path(), **(environment or {})},
        )
    except FileNotFoundError as error:
        raise CommandError(f"the program {argv[0]}", "it is not on this host", f"install {argv[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise NotReadyError(
            f"`{told}` to end", f"still running after {timeout_seconds:g} s", "see why it hangs; run again"
        ) from error
    completed = Completed(code=done.returncode, output=done.stdout, error=done.stderr)
    if allowed is not None and done.returncode not in allowed:
        raise CommandError(f"`{told}` to succeed", f"exit code {done.returncode}: {completed.said}", "see its message")
    return completed
