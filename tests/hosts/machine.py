"""Commands on the machine that the tests run on."""

import fcntl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class LabError(Exception):
    """A test host, or a command in it, did not do what the test needs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """A command that has ended."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        """Everything that a failed test's reader needs."""
        return f"{self.argv} exited with {self.code}\nstdout: {self.stdout}\nstderr: {self.stderr}"


def execute(*argv: str, check: bool = True, input_bytes: bytes = b"", timeout_seconds: float = 60.0) -> Completed:
    """Run a command on this machine. Raises LabError if it fails (unless `check` is off) or does not end in time."""
    try:
        done = subprocess.run(argv, input=input_bytes, capture_output=True, timeout=timeout_seconds, check=False)
    except subprocess.TimeoutExpired as error:
        message = f"{argv} did not end in {timeout_seconds} s\nstdout: {error.stdout!r}\nstderr: {error.stderr!r}"
        raise LabError(message) from error
    out, err = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
    completed = Completed(argv=argv, code=done.returncode, stdout=out, stderr=err)
    if check and completed.code != 0:
        raise LabError(str(completed))
    return completed


@contextmanager
def alone(what: str = "lab") -> Iterator[None]:
    """Wait until no other session on this machine does the same: builds images, or joins or leaves the network."""
    with (Path(tempfile.gettempdir()) / f"registry-runbook-{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
