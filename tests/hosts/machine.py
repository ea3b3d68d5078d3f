"""Commands on the machine that the tests run on."""

import fcntl
import functools
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
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


# What Docker gives to each command in a container, beside what the container has.
USUAL = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}


def enter(
    container: str,
    *argv: str,
    environment: Mapping[str, str],
    directory: str,
    input_bytes: bytes,
    timeout_seconds: float,
) -> Completed:
    """Run a command in a container as `docker exec` does, in a twelfth of its time; it stays out of its control group.

    Its outputs are files: what it leaves in the background may hold them open. Raises LabError where it does not end in
    time, or the container does not run here.
    """
    inside = ("setpriv", "--bounding-set=-sys_resource", "nsenter", f"--target={process_of(container)}", "--all")
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            done = subprocess.run(
                (*inside, "env", f"--chdir={directory}", *argv),
                input=input_bytes,
                stdout=out,
                stderr=err,
                env={**USUAL, **environment},
                timeout=timeout_seconds,
                check=False,
                umask=0o022,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            message = f"{argv} did not end in {timeout_seconds} s in {container}"
            raise LabError(message) from error
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    code = done.returncode if done.returncode >= 0 else 128 - done.returncode  # as a shell tells of a signal
    return Completed(argv=argv, code=code, stdout=texts[0], stderr=texts[1])


@functools.cache
def process_of(container: str) -> int:
    """Return the first process of a container that runs on this machine."""
    found, number = execute("docker", "inspect", "--format={{.Id}} {{.State.Pid}}", container).stdout.split()
    if number == "0" or found not in Path(f"/proc/{number}/cgroup").read_text(encoding="ascii"):
        message = f"expected {container} to run on this machine, found process {number}"
        raise LabError(message)
    return int(number)


@contextmanager
def alone(what: str = "lab") -> Iterator[None]:
    """Wait until no other session on this machine does the same: builds images, or joins or leaves the network."""
    with (Path(tempfile.gettempdir()) / f"registry-runbook-{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
