"""Whether something on this host was changed since it was looked at, told without reading what is in it."""

import hashlib
import stat
from pathlib import Path

from runbook.model.errors import ChangedError, RightsError

EMPTY = "an empty folder"


def state(path: Path) -> str | None:
    """Return a text that is another one once a file, or one in a folder, is written or replaced; None without either.

    It is made from type, inode, size and time of the last change of content (stat(2)): nothing secret is read.
    """
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            return _digest([path])
        inside = sorted(path.iterdir())
        return _digest(inside) if inside else EMPTY
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise RightsError(f"to be allowed to look at {path}", str(error), "run it as root") from error


def _digest(paths: list[Path]) -> str:
    found = [(path.name, path.lstat()) for path in paths]
    told = [(name, stat.S_IFMT(at.st_mode), at.st_ino, at.st_size, at.st_mtime_ns) for name, at in found]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def refuse_changed(path: Path, found: object, before: object) -> None:
    """Raise ChangedError where what is at a place now is not what was there at the plan; None stands for nothing."""
    if found != before:
        what = (
            "nothing there" if found is None else "something there" if before is None else "it changed since the plan"
        )
        raise ChangedError(f"{path} as it was when the plan was made", what, "plan again")
