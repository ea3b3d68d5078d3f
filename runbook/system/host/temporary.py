"""Folders for as long as a step lasts, and no longer: those of a run that was killed go with the next one."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "registry-runbook-"
_LONGEST = 50  # bytes of a path, so that one of a socket two folders further down fits into 107 (unix(7))


@contextmanager
def folder(below: Path | None = None) -> Iterator[Path]:
    """Give a folder for this user alone, below TMPDIR or another folder; it is removed at the end.

    Its name begins with the number of this process: folders of this user's whose process is gone are removed too.
    """
    above = below or _place()
    _remove_left(above)
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=above) as name:
        yield Path(name)


def make() -> Path:
    """Make such a folder, and return it; who calls this removes it, or the next run does where this one is killed."""
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_place()))


def _place() -> Path:
    """Return the folder for temporary files, or /tmp where its path leaves no room for a socket's name."""
    place = Path(tempfile.gettempdir())
    return place if len(os.fsencode(place)) <= _LONGEST else Path("/tmp")  # noqa: S108 (folders of our own in it)


def _remove_left(above: Path) -> None:
    for found in above.glob(f"{_PREFIX}[0-9]*-*"):
        of_process = re.match(rf"{_PREFIX}(\d{{1,9}})-", found.name)
        with suppress(FileNotFoundError):  # its own process has just removed it
            is_mine = found.lstat().st_uid == os.geteuid() and not found.is_symlink()
            if of_process and is_mine and not _lives(int(of_process[1])):
                shutil.rmtree(found, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
