"""Other programs: argument lists, never a shell; a secret goes through standard input."""

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
    """How a command ended; `output` is its standard output, `error` its standard error."""

    code: int
    output: str
    error: str

    @property
    def said(self) -> str:
        """What a person reads of it: both streams, without blank ends."""
        return "\n".join(part for part in (self.output.strip(), self.error.strip()) if part)


_SECONDS_TO_END = 5
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # where dockerd and iptables are: not on a user's PATH


def _path() -> str:
    return os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))


# Ours, Python's, Compose's, and of Docker's all but which engine is asked, and with what configuration.
_NOT_PASSED = re.compile(r"RUNBOOK_|PYTHON|COMPOSE_|BUILDKIT_|BUILDX_|DOCKER_(?!(?:HOST|CONTEXT|CONFIG)$)")


def passed_environment() -> dict[str, str]:
    """Return what another program gets of this process's environment: no secret of ours, nothing that changes it.

    An engine that is started here would keep a password in its environment for as long as it runs; a Docker client
    would speak another version, or verify what is not signed; a TMPDIR that is gone would stop what needs one.
    """
    kept = {name: value for name, value in os.environ.items() if not _NOT_PASSED.match(name)}
    if not os.path.isdir(kept.get("TMPDIR", "/")):  # noqa: PTH112 (a text, whatever it holds)
        del kept["TMPDIR"]
    return {**kept, **with_tls(), "LC_ALL": "C", "PATH": _path()}


def with_tls() -> dict[str, str]:
    """Return the variables by which a Docker client asks an engine over TLS; none where it asks a socket of this host.

    A client would look for certificates, and say that there is no engine.
    """
    if not os.environ.get("DOCKER_HOST", "").startswith("tcp:"):
        return {}
    return {name: os.environ[name] for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH") if name in os.environ}


def which(name: str) -> str | None:
    """Return the path of a program, those of the system's administration included; None where there is none."""
    return shutil.which(name, path=_path())


def as_root(*argv: str) -> tuple[str, ...]:
    """Return the command as root runs it: as it is, or by sudo, which must not ask."""
    return argv if os.geteuid() == 0 else ("sudo", "-n", "--", *argv)


def _end(process: subprocess.Popen[str]) -> None:
    """End a command with all that it has started: politely first, since it may have to clean up."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_SECONDS_TO_END)
            break


def run(
    *argv: str,
    allowed: frozenset[int] | None = frozenset({0}),
    stdin: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = 60,
) -> Completed:
    """Run a command in the C locale and return how it ended; `environment` adds to what it gets of this process's.

    Raises CommandError for an exit code that is not `allowed` (None allows any) and for a program that is not
    there, NotReadyError when `timeout_seconds` have passed: the command and all that it has started are ended then.
    """
    told, timeout_seconds = " ".join(argv), patience.left(timeout_seconds)
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
        output, said = process.communicate(stdin, timeout_seconds)
    except BaseException as error:  # an interrupt too: nothing of ours works on unseen
        _end(process)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise NotReadyError(
            f"`{told}` to end", f"still running after {timeout_seconds:g} s", "see why it hangs; run again"
        ) from error
    completed = Completed(code=process.returncode, output=output, error=said)
    if allowed is not None and process.returncode not in allowed:
        raise CommandError(
            f"`{told}` to succeed", f"exit code {process.returncode}: {completed.said}", "see its message"
        )
    return completed
