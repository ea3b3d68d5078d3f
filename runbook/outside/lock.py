"""One run at a time changes a host: a lock that the kernel gives back when its holder ends, however that ends."""

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from runbook.errors import HostError

PATH = Path("/run/lock/registry-runbook.lock")  # empty: who holds the lock is known to the kernel
_REMEDY = "wait until it has ended, or end it; then run this again"


@contextmanager
def hold() -> Iterator[None]:
    """Keep other runs from this host meanwhile; a process that a holder has started, as a kernel is, holds it too.

    Raises HostError with the holder's process where another run has the lock (flock(2)).
    """
    opened = _open()
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(opened)
            if holder is None or holder not in (os.getpid(), *(item.pid for item in psutil.Process().parents())):
                raise HostError("no other run on this host", _told(holder), _REMEDY) from error
        yield
    finally:
        os.close(opened)


def _open() -> int:
    """Return the lock file, opened; any user may make it and lock it, since more than root may run a notebook.

    Raises HostError for a link, a named pipe or anything else in its place: to open a pipe would wait for ever.
    """
    PATH.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        opened = os.open(PATH, flags)
    except FileNotFoundError:
        opened = os.open(PATH, flags | os.O_CREAT, 0o644)
        os.fchmod(opened, 0o644)  # whatever the umask
    except OSError as error:
        raise _no_lock_file(error.strerror or str(error)) from error
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise _no_lock_file("another kind of file")
    return opened


def _no_lock_file(found: str) -> HostError:
    return HostError(f"a regular file at {PATH}, or nothing", found, f"look who made it, and remove it: `rm {PATH}`")


def _holder(opened: int) -> int | None:
    """Return the process that holds the lock of an open file (/proc/locks, proc(5)); None where it is not told."""
    found = os.fstat(opened)
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    held = re.search(rf"FLOCK +ADVISORY +WRITE (\d+) {place} ", Path("/proc/locks").read_text(encoding="ascii"))
    return int(held[1]) if held else None


def _told(holder: int | None) -> str:
    if holder is None:
        return f"one that holds {PATH}"
    try:
        command = " ".join(psutil.Process(holder).cmdline())
    except psutil.Error:
        command = "it has just ended"
    return f"the process {holder} (`{command}`), which holds {PATH}"
