"""Run other programs by argument lists, never through a shell. A secret goes through standard input."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runbook.model.errors import CommandError, NotReadyError
from runbook.system.host import patience


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """The result of a command: exit code, standard output and standard error."""

    code: int
    output: str
    error: str

    @property
    def text(self) -> str:
        """Standard output, then standard error, both stripped and without empty ones: the text for a message."""
        return "\n".join(part for part in (self.output.strip(), self.error.strip()) if part)

    @property
    def last_line(self) -> str:
        """The last line of that text, or the exit code of a command without output."""
        return self.text.rpartition("\n")[2].strip() or f"exit code {self.code}"


_TERMINATION_SECONDS = 5
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # dockerd and iptables are there; a user's PATH lacks them


def _search_path() -> str:
    return os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))


# The variables of the runbook, Python and Compose, and Docker's except those that choose engine and configuration.
_NOT_PASSED = re.compile(r"RUNBOOK_|PYTHON|COMPOSE_|BUILDKIT_|BUILDX_|DOCKER_(?!(?:HOST|CONTEXT|CONFIG)$)")


def passed_environment() -> dict[str, str]:
    """Return the environment for other programs: without secrets and variables that change their behaviour.

    An engine started here would keep a password in its environment while it runs. A Docker client would use another
    API version or require signed images. Programs that need a TMPDIR would fail if it no longer exists.
    """
    passed = {name: value for name, value in os.environ.items() if not _NOT_PASSED.match(name)}
    if not os.path.isdir(passed.get("TMPDIR", "/")):  # noqa: PTH112 (any text, even one that is no path)
        del passed["TMPDIR"]
    return {**passed, **with_tls(), "LC_ALL": "C", "PATH": _search_path()}


def with_tls() -> dict[str, str]:
    """Return the variables for TLS with an engine; none unless DOCKER_HOST is a TCP address.

    With them, a client of a local socket would search for certificates and report that there is no engine.
    """
    if not os.environ.get("DOCKER_HOST", "").startswith("tcp:"):
        return {}
    return {name: os.environ[name] for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH") if name in os.environ}


def which(name: str) -> str | None:
    """Return the path of a program, or None. The folders for administration (`sbin`) are searched too."""
    return shutil.which(name, path=_search_path())


def as_root(*argv: str) -> tuple[str, ...]:
    """Return the command line that runs as root: unchanged for root, else with `sudo -n` (no password prompt)."""
    return argv if os.geteuid() == 0 else ("sudo", "-n", "--", *argv)


def _terminate(process: subprocess.Popen[str]) -> None:
    """Terminate a command and its process group: by SIGTERM so that it can clean up, then by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_TERMINATION_SECONDS)
            break


def run(
    *argv: str,
    allowed: frozenset[int] | None = frozenset({0}),
    stdin: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = 60,
) -> Completed:
    """Run a command in the C locale and return its result; `environment` is added to `passed_environment()`.

    Raises CommandError for an exit code that is not `allowed` (None allows any) and for a missing program, and
    NotReadyError after `timeout_seconds`, when the command and its process group are terminated.
    """
    command, timeout_seconds = " ".join(argv), patience.left(timeout_seconds)
    try:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**passed_environment(), **(environment or {})},
            process_group=0,
        )
    except FileNotFoundError as error:
        raise CommandError(f"the program {argv[0]}", "it is not on this host", f"install {argv[0]}") from error
    try:
        output, error_output = process.communicate(stdin, timeout_seconds)
    except BaseException as error:  # an interrupt too: no command may continue in the background
        _terminate(process)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise NotReadyError(
            f"`{command}` to end", f"still running after {timeout_seconds:g} s", "see why it hangs; run again"
        ) from error
    completed = Completed(code=process.returncode, output=output, error=error_output)
    if allowed is not None and process.returncode not in allowed:
        raise CommandError(
            f"`{command}` to succeed", f"exit code {process.returncode}: {completed.text}", "see its message"
        )
    return completed
