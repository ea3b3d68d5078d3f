"""One run at a time changes a host: a lock that the kernel gives back when its holder ends, however that ends.

Root's lies where root alone may make a file, for root and the group docker, whose members can become root: nobody else
can keep root's runs from this host by locking it. Who cannot reach it has a lock of his own, and whoever changes
something as root for him takes root's (`runbook.apply`).
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

PATH = Path("/run/registry-runbook.lock")  # empty: who holds the lock is known to the kernel
_OF_USERS = Path("/run/lock")
_REMEDY = "wait until it has ended, or end it; then run this again"


@contextmanager
def hold(wait_seconds: float = 0) -> Iterator[None]:
    """Keep other runs from this host meanwhile; a process that a holder has started, as a kernel is, holds it too.

    Raises LockError with the holder's process where another run still has the lock after `wait_seconds` (flock(2)),
    and where something else lies in the lock's place.
    """
    deadline = time.monotonic() + wait_seconds
    path, opened = _open()
    try:
        while not _take(opened):
            if time.monotonic() >= deadline:
                waited = f" within {wait_seconds:g} s" if wait_seconds else ""
                raise LockError(f"no other run on this host{waited}", _told(path, _holder(opened)), _REMEDY)
            time.sleep(0.2)
        yield
    finally:
        os.close(opened)


def _take(opened: int) -> bool:
    """Take the lock of an open file; return False where neither this process nor one above it has it then."""
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(opened) in (os.getpid(), *(item.pid for item in psutil.Process().parents()))
    return True


def _open() -> tuple[Path, int]:
    """Return the lock file, opened: root's, or this user's own where root's is not there or not for this user.

    Raises LockError for a link, a named pipe or anything else in its place: to open a pipe would wait for ever.
    """
    if os.geteuid() != 0:
        with suppress(FileNotFoundError, PermissionError):
            return PATH, os.open(PATH, os.O_RDONLY | os.O_CLOEXEC)
    path = PATH if os.geteuid() == 0 else _OF_USERS / f"{PATH.stem}-{os.geteuid()}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CREAT
    try:
        opened = os.open(path, flags, 0o600)
    except OSError as error:
        raise _no_lock_file(path, error.strerror or str(error)) from error
    found = os.fstat(opened)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        os.close(opened)
        raise _no_lock_file(path, f"another kind of file, or user id {found.st_uid}'s")
    if os.geteuid() == 0:
        with suppress(KeyError):  # there is no engine yet
            os.fchown(opened, 0, grp.getgrnam("docker").gr_gid)
            os.fchmod(opened, 0o640)
    return path, opened


def _no_lock_file(path: Path, found: str) -> LockError:
    remedy = f"look who made it, and remove it: `rm -r {path}`"
    return LockError(f"a regular file of this user's at {path}, or nothing", found, remedy)


def _holder(opened: int) -> int | None:
    """Return the process that holds the lock of an open file (/proc/locks, proc(5)); None where it is not told."""
    found = os.fstat(opened)
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    held = re.search(rf"FLOCK +ADVISORY +WRITE (\d+) {place} ", Path("/proc/locks").read_text(encoding="ascii"))
    return int(held[1]) if held else None


def _told(path: Path, holder: int | None) -> str:
    if holder is None:
        return f"one that holds {path}"
    try:
        process = psutil.Process(holder)
        since = datetime.datetime.fromtimestamp(process.create_time(), datetime.UTC)
        command = f"`{' '.join(process.cmdline())}`, since {since:%Y-%m-%d %H:%M:%S} UTC"
    except psutil.Error:
        command = "it has just ended"
    return f"the process {holder} ({command}), which holds {path}"
