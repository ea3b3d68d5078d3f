"""Temporary folders; those that a killed run left behind are removed by the next run."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_PREFIX = "registry-runbook-"
_LONGEST = 50  # bytes; a socket two levels further down must fit into 107 (unix(7))


@contextmanager
def folder(below: Path | None = None) -> Iterator[Path]:
    """Yield a folder that only this user can access, below TMPDIR or another folder, and remove it at the end.

    Its name contains the pid of this process: this user's folders of ended processes are removed too.
    """
    above = below or _place()
    _remove_leftovers(above)
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=above) as name:
        yield Path(name)


def make() -> Path:
    """Create such a folder and return it; the caller must remove it. If this run is killed, the next one removes it."""
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_place()))


def _place() -> Path:
    """Return the folder for temporary files, or /tmp if its path is too long for a socket below it."""
    place = Path(tempfile.gettempdir())
    return place if len(os.fsencode(place)) <= _LONGEST else Path("/tmp")  # noqa: S108 (only for folders with mode 0700)


def _remove_leftovers(above: Path) -> None:
    for found in above.glob(f"{_PREFIX}[0-9]*-*"):
        pid = re.match(rf"{_PREFIX}(\d{{1,9}})-", found.name)
        with suppress(FileNotFoundError):  # its own process has just removed it
            is_mine = found.lstat().st_uid == os.geteuid() and not found.is_symlink()
            if pid and is_mine and not psutil.pid_exists(int(pid[1])):
                shutil.rmtree(found, ignore_errors=True)
