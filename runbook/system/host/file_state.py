"""Detection of changes to files and folders of this host, without reading their content."""

import hashlib
import stat
from pathlib import Path

from runbook.model.errors import ChangedError, RightsError

EMPTY = "an empty folder"


def fingerprint(path: Path) -> str | None:
    """Return a fingerprint that changes when a file, or one in a folder, is written or replaced; None for nothing.

    It is made from type, inode, size and modification time (stat(2)), so no secret is read.
    Raises RightsError where this user may not list the folder.
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
    fields = [(name, stat.S_IFMT(at.st_mode), at.st_ino, at.st_size, at.st_mtime_ns) for name, at in found]
    return hashlib.sha256(repr(fields).encode()).hexdigest()[:16]


def refuse_changed(path: Path, found: object, before: object) -> None:
    """Raise ChangedError where the state `found` differs from the one in the plan; None means that nothing is there."""
    if found != before:
        what = (
            "nothing there" if found is None else "something there" if before is None else "it changed since the plan"
        )
        raise ChangedError(f"{path} as it was when the plan was made", what, "plan again")


def refuse_changed_unless_gone(path: Path, before: str | None) -> None:
    """Raise ChangedError if what is at a path has changed since the plan, other than by its removal."""
    if (found := fingerprint(path)) is not None:
        refuse_changed(path, found, before)
