"""The lock that lets one run at a time change a host. The kernel releases it when its holder ends, even if killed.

Root's lock file is where only root may create files. Only root and the group docker, whose members can become root,
may open it, so no other user can block root's runs. A user who cannot open it has a lock of their own; the process
that makes changes as root for that user takes root's lock (`runbook.changes.root`).
"""

import datetime
import fcntl
import grp
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from runbook.model.errors import LockError

PATH = Path("/run/registry-runbook.lock")  # empty: the kernel knows the holder
_OF_USERS = Path("/run/lock")
_REMEDY = "wait until it has ended, or end it; then run this again"


@contextmanager
def hold(wait_seconds: float = 0) -> Iterator[None]:
    """Hold the lock against other runs; a process started by the holder, such as a Jupyter kernel, shares it.

    Raises LockError with the holder's process where another run still has the lock after `wait_seconds` (flock(2)),
    and where the lock's path is no regular file of this user's.
    """
    deadline = time.monotonic() + wait_seconds
    path, descriptor = _open()
    try:
        while not _take(descriptor):
            if time.monotonic() >= deadline:
                waited = f" within {wait_seconds:g} s" if wait_seconds else ""
                raise LockError(f"no other run on this host{waited}", _describe(path, _holder(descriptor)), _REMEDY)
            time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    """Take the lock of an open file; return whether this process or one of its parents has it then."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(descriptor) in (os.getpid(), *(item.pid for item in psutil.Process().parents()))
    return True


def _open() -> tuple[Path, int]:
    """Return path and file descriptor of root's lock file, or of this user's own if root's is missing or not readable.

    Raises LockError for a link, a named pipe or another file type: opening a pipe would block forever.
    """
    if os.geteuid() != 0:
        with suppress(FileNotFoundError, PermissionError):
            return PATH, os.open(PATH, os.O_RDONLY | os.O_CLOEXEC)
    path = PATH if os.geteuid() == 0 else _OF_USERS / f"{PATH.stem}-{os.geteuid()}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CREAT
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise _no_lock_file(path, error.strerror or str(error)) from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        os.close(descriptor)
        raise _no_lock_file(path, f"another kind of file, or user id {found.st_uid}'s")
    if os.geteuid() == 0:
        with suppress(KeyError):  # without an engine, there is no group docker
            os.fchown(descriptor, 0, grp.getgrnam("docker").gr_gid)
            os.fchmod(descriptor, 0o640)
    return path, descriptor


def _no_lock_file(path: Path, found: str) -> LockError:
    remedy = f"look who made it, and remove it: `rm -r {path}`"
    return LockError(f"a regular file of this user's at {path}, or nothing", found, remedy)


def _holder(descriptor: int) -> int | None:
    """Return the pid that holds the lock of an open file (/proc/locks, proc(5)), or None if it is not listed."""
    found = os.fstat(descriptor)
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    held = re.search(rf"FLOCK +ADVISORY +WRITE (\d+) {place} ", Path("/proc/locks").read_text(encoding="ascii"))
    return int(held[1]) if held else None


def _describe(path: Path, holder: int | None) -> str:
    if holder is None:
        return f"one that holds {path}"
    try:
        process = psutil.Process(holder)
        since = datetime.datetime.fromtimestamp(process.create_time(), datetime.UTC)
        command = f"`{' '.join(process.cmdline())}`, since {since:%Y-%m-%d %H:%M:%S} UTC"
    except psutil.Error:
        command = "it has just ended"
    return f"the process {holder} ({command}), which holds {path}"
