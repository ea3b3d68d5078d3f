"""Folders for as long as a step lasts, and no longer: those of a run that was killed go with the next one."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_PREFIX = "registry-runbook-"


@contextmanager
def folder(below: Path | None = None) -> Iterator[Path]:
    """Give a folder for this user alone, below TMPDIR or another folder; it is removed at the end.

    Its name begins with the number of this process: folders of this user's whose process is gone are removed too.
    """
    above = below or Path(tempfile.gettempdir())
    _remove_left(above)
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=above) as name:
        yield Path(name)


def _remove_left(above: Path) -> None:
    for found in above.glob(f"{_PREFIX}[0-9]*-*"):
        of_process = re.match(rf"{_PREFIX}(\d+)-", found.name)
        with suppress(FileNotFoundError):  # its own process has just removed it
            is_mine = found.lstat().st_uid == os.geteuid() and not found.is_symlink()
            if of_process and is_mine and not psutil.pid_exists(int(of_process[1])):
                shutil.rmtree(found, ignore_errors=True)
