"""Files of this host: read as facts, written whole or not at all."""

import datetime
import errno
import os
import shutil
import stat
from pathlib import Path

from boltons.fileutils import atomic_save

from runbook.errors import HostError

KEPT = ".before-registry-runbook"  # ending of the earlier version of a file that the runbook did not make
MADE = ".made-by-registry-runbook"  # ending of the empty file beside one that was not there before


def read_text(path: Path) -> str | None:
    """Return the text of a regular file, None where there is none.

    Raises HostError for a symbolic link, a folder or another kind of file in its place, and for text that is not UTF-8.
    """
    kind = _lstat(path)
    if kind is None:
        return None
    if not stat.S_ISREG(kind):
        raise HostError(f"a regular file at {path}", "another kind of file", "look at it, and move it out of the way")
    try:
        return path.read_bytes().decode()
    except PermissionError as error:
        raise _not_allowed(path) from error
    except UnicodeDecodeError as error:
        raise HostError(f"UTF-8 text in {path}", str(error), "mend or move the file") from error


def mode_of(path: Path) -> int | None:
    """Return the permission bits of a file or folder, None where there is none."""
    kind = _lstat(path)
    return None if kind is None else stat.S_IMODE(kind)


def _lstat(path: Path) -> int | None:
    """Return the mode of what is at a path, not following a link; None where there is nothing."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise _not_allowed(path) from error


def may_change(path: Path) -> bool:
    """Return whether this user may write, replace or remove what is at a path, with all below it."""
    try:
        above = next(folder for folder in path.parents if folder.exists())
        folders = [above, path, *(item for item in path.rglob("*") if item.is_dir())] if path.is_dir() else [above]
    except PermissionError:
        return False
    return all(os.access(folder, os.W_OK | os.X_OK, effective_ids=True) for folder in folders)


def is_own(path: Path) -> bool:
    """Return whether what is at a path is this user's, who alone may set its mode."""
    try:
        return path.lstat().st_uid == os.geteuid()
    except PermissionError:
        return False


def _not_allowed(path: Path) -> HostError:
    return HostError(f"to be allowed to read {path}", f"user id {os.geteuid()} is not", "run it as root")


def changed_at(path: Path) -> datetime.datetime:
    """Return when a file's content last changed, in UTC."""
    return datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)


def make_parents(path: Path) -> None:
    """Make the folders above `path` that are missing, 0755."""
    for missing in reversed([above for above in path.parents if not above.exists()]):
        missing.mkdir()
        missing.chmod(0o755)


def make_directory(path: Path, mode: int) -> None:
    """Make a folder with exactly `mode`; folders above it that are missing get 0755."""
    make_parents(path)
    path.mkdir(exist_ok=True)
    path.chmod(mode)


def _write_in_place(path: Path, data: bytes) -> None:
    """Write into the file itself: the only way where it is a mount point, as /etc/hosts in a container is."""
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()
        os.fsync(file.fileno())


def write(path: Path, data: bytes, mode: int) -> None:
    """Write a file atomically, with `mode` from its creation (temporary file beside it, fsync, rename)."""
    make_parents(path)
    path.with_name(f"{path.name}.part").unlink(missing_ok=True)  # of a run that was killed
    try:
        with atomic_save(str(path), text_mode=False, file_perms=mode) as file:
            file.write(data)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _write_in_place(path, data)
    path.chmod(mode)


def keep(path: Path) -> Path:
    """Copy a file beside itself, once: an earlier copy stays; return the copy's path."""
    kept = kept_path(path)
    if not kept.exists():
        write(kept, path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    return kept


def kept_path(path: Path) -> Path:
    """Return where the earlier version of a file is kept, if there is one."""
    return path.with_name(path.name + KEPT)


def kept_version(path: Path) -> Path | None:
    """Return where the earlier version of a file is kept, None where there is none."""
    return kept_path(path) if kept_path(path).exists() else None


def made_path(path: Path) -> Path:
    """Return where it is marked that a file was not there before."""
    return path.with_name(path.name + MADE)


def keep_or_mark(path: Path) -> Path | None:
    """Keep the earlier version of a file, once, and return its path; where there was no file, mark that."""
    if made_path(path).exists():
        return None
    if path.exists():
        return keep(path)
    write(made_path(path), b"", 0o644)
    return None


def names_in(path: Path) -> tuple[str, ...]:
    """Return the names in a folder; none where it is a file."""
    return tuple(sorted(entry.name for entry in path.iterdir())) if path.is_dir() else ()


def restore(path: Path) -> None:
    """Put the kept earlier version back, with its mode; nothing happens where there is none."""
    if (kept := kept_version(path)) is not None:
        write(path, kept.read_bytes(), stat.S_IMODE(kept.stat().st_mode))
        kept.unlink()


def remove_tree(path: Path) -> None:
    """Remove a file, or a folder with all below it; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
