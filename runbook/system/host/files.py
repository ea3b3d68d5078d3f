"""Files of this host: read as facts, written atomically."""

import datetime
import errno
import os
import shlex
import shutil
import stat
from contextlib import suppress
from io import FileIO
from pathlib import Path

from boltons.fileutils import atomic_save

from runbook.model.errors import HostError, RightsError
from runbook.system.host import users

KEPT = ".before-registry-runbook"  # suffix of the backup of a file that the runbook did not make


def read_text(path: Path) -> str | None:
    """Return the text of a regular file, or None if nothing is there.

    Raises HostError for a symbolic link, a folder or another file type, and for text that is not UTF-8.
    """
    try:
        data = read_bytes(path)
        return None if data is None else data.decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found = f"line {line}: the byte 0x{error.object[error.start]:02x}"
        raise HostError(f"UTF-8 text in {path}", found, "write that letter in UTF-8, or take it out") from error


def read_bytes(path: Path) -> bytes | None:
    """Return the content of a regular file, or None if nothing is there.

    Raises HostError for a symbolic link, a folder or another file type, RightsError for a file that is not readable.
    """
    kind = kind_of(path)
    if kind is None:
        return None
    if not stat.S_ISREG(kind):
        raise no_regular_file(path, kind)
    try:
        return path.read_bytes()
    except PermissionError as error:
        raise _not_allowed(path) from error


def lines(path: Path) -> list[str]:
    """Return the lines of a text file without their newlines, none if there is no file.

    Only a newline ends a line. str.splitlines would also split at a form feed, which a comment may contain.
    """
    text = read_text(path)
    return text.removesuffix("\n").split("\n") if text else []


def mode_of(path: Path) -> int | None:
    """Return the permission bits of a file or folder, or None if nothing is there."""
    kind = kind_of(path)
    return None if kind is None else stat.S_IMODE(kind)


def kind_of(path: Path) -> int | None:
    """Return the `st_mode` at a path without following a link, or None if nothing is there."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise _not_allowed(path) from error


def may_change(path: Path) -> bool:
    """Return whether this user may write, replace or remove what is at a path, including a whole tree."""
    try:
        return _obstacle(path) is None
    except PermissionError:
        return False


def _obstacle(path: Path) -> Path | None:
    """Return the first folder above or below a path, or the path itself, that this user may not write to."""
    above = _nearest_folder(path)
    folders = [above, path, *(item for item in path.rglob("*") if item.is_dir())] if path.is_dir() else [above]
    writable = {folder: os.access(folder, os.W_OK | os.X_OK, effective_ids=True) for folder in folders}
    if os.geteuid() == 0 and path.is_file():  # another user may replace a file that only root may write to
        writable[path] = os.access(path, os.W_OK, effective_ids=True)
    return next((place for place, allowed in writable.items() if not allowed), None)


def _nearest_folder(path: Path) -> Path:
    """Return the nearest folder above a path that exists."""
    return next(folder for folder in path.parents if folder.exists())


def require_writable(path: Path) -> None:
    """Raise RightsError where this user cannot create, replace or remove what is at a path; changes nothing.

    For root, the cause is a read-only file system or an attribute of chattr(1) such as immutable (access(2)).
    """
    if (found := _obstacle(path)) is None:
        return
    if os.statvfs(found).f_flag & os.ST_RDONLY:
        what, remedy = f"the file system of {found} is mounted read-only", f"mount it for writing (findmnt -T {found})"
    elif os.geteuid() == 0:
        what, remedy = f"not even root may change {found}", f"look at `lsattr -d {found}`, and take `i` or `a` away"
    else:
        what, remedy = f"user id {os.geteuid()} may not change {found}", "run it as root"
    raise RightsError(f"to be allowed to change {path}", what, remedy)


def require_trusted_path(path: Path) -> None:
    """Raise HostError where another user could redirect a write to a path through a folder or link of theirs.

    From `/` down, each folder and link must belong to root, this user or the user who called sudo, and no other user
    may write to it. In a folder with the sticky bit, as /tmp, users cannot replace the files of others (chmod(1)).
    """
    lexical = Path(os.path.abspath(path))  # noqa: PTH100 (resolve would follow the links that are checked)
    for place in dict.fromkeys((*_above(lexical), *_above(lexical.parent.resolve() / lexical.name))):
        _require_own(place, f"{path} in folders that no other user can change")


def require_trusted_tree(top: Path) -> None:
    """Raise HostError where another user could change a folder, a folder above it or anything below it."""
    require_trusted_path(top / "x")
    for folder, folders, names in os.walk(top):
        for name in (*folders, *names):
            if name != ".lock":  # an empty file of uv
                _require_own(Path(folder, name), f"nothing in {top} that another user can change")


def _require_own(place: Path, expected: str) -> None:
    trusted = {0, os.geteuid()} | ({int(os.environ["SUDO_UID"])} if "SUDO_UID" in os.environ else set())
    try:
        found = place.lstat()
    except FileNotFoundError:  # another process has just removed it
        return
    if stat.S_ISLNK(found.st_mode):
        others_may_write = False  # its mode has no meaning (symlink(7))
    else:
        by_group = found.st_mode & stat.S_IWGRP and not _is_of_one(found.st_gid, trusted)
        is_sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        others_may_write = bool(by_group or found.st_mode & stat.S_IWOTH) and not is_sticky
    if found.st_uid not in trusted or others_may_write:
        what = f"{place} is user id {found.st_uid}'s, mode {stat.S_IMODE(found.st_mode):04o}"
        remedy = f"take another folder, or make it safe: `chown root {place}`, `chmod go-w {place}`"
        raise HostError(expected, what, remedy)


def _is_of_one(group: int, trusted: set[int]) -> bool:
    """Return whether a group is root's, or has users, all of them trusted; an empty one may get any user tomorrow."""
    return group == 0 or (bool(found := users.in_group(group)) and found <= trusted)


def _above(path: Path) -> list[Path]:
    """Return the folders and links above a path that exist, from `/` down."""
    return [above for above in reversed(path.parents) if kind_of(above) is not None]


def require_place_for_file(path: Path) -> None:
    """Raise HostError where a file cannot be written: another file type is there, or its folder is not writable.

    A symbolic link counts as another type: its target may belong to another user.
    """
    kind = kind_of(path)
    if kind is not None and not stat.S_ISREG(kind):
        raise no_regular_file(path, kind)
    part = kind_of(temporary_path(path))
    if part is not None and stat.S_ISDIR(part):
        raise no_regular_file(temporary_path(path), part)
    require_trusted_path(path)
    require_writable(path)


def require_place_for_folder(path: Path) -> None:
    """Raise HostError where no folder can be created and none is there; a link to a folder counts as one."""
    if kind_of(path) is not None and not path.is_dir():
        raise HostError(f"a folder at {path}, or nothing", "another kind of file", _OUT_OF_THE_WAY)
    require_trusted_path(path / "x")  # includes the folder itself
    require_writable(path)


_OUT_OF_THE_WAY = "look at it, and move it out of the way"
_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe"}


def no_regular_file(path: Path, kind: int) -> HostError:
    """Return the error for something other than a regular file at a path; `kind` is the mode from `kind_of`."""
    found, remedy = _KINDS.get(stat.S_IFMT(kind), "another kind of file"), _OUT_OF_THE_WAY
    if stat.S_ISLNK(kind):
        target = os.path.realpath(path)  # Path.resolve fails for a loop of links
        found = f"{found} to {target}"
        command = shlex.join(["cp", "--remove-destination", target, str(path)])
        remedy = f"put a regular file in its place (`{command}`)"
        if not os.path.isfile(target):  # noqa: PTH113 (raises no PermissionError)
            found, remedy = f"{found}, which is no file", f"remove the link (`{shlex.join(['rm', str(path)])}`)"
    return HostError(f"a regular file at {path}", found, remedy)


def temporary_path(path: Path) -> Path:
    """Return where a file is written before it takes its place: hidden from who reads a whole folder, as nginx does."""
    return path.with_name(f".{path.name}.part")


def final_name(name: str) -> str:
    """Return the final name of a temporary file of `write`; any other name unchanged."""
    return name[1:].removesuffix(".part") if name.startswith(".") and name.endswith(".part") else name


def is_own(path: Path) -> bool:
    """Return whether this user owns what is at a path: only the owner may set its mode."""
    try:
        return path.lstat().st_uid == os.geteuid()
    except PermissionError:
        return False


def _not_allowed(path: Path) -> HostError:
    return RightsError(f"to be allowed to read {path}", f"user id {os.geteuid()} is not", "run it as root")


def changed_at(path: Path) -> datetime.datetime:
    """Return the modification time of a file, in UTC."""
    return datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)


def _make_folder(path: Path, mode: int) -> None:
    """Create one folder with `mode` regardless of the umask: a later chmod would be lost if the run is killed."""
    umask = os.umask(0)
    try:
        path.mkdir(mode)
    finally:
        os.umask(umask)


def make_parents(path: Path, mode: int = 0o755) -> None:
    """Create the missing folders above `path`; raises HostError where another user could redirect the path.

    The missing folders are listed before that check, and mkdir(2) fails if one was created since: so no link of
    another user is followed.
    """
    missing = [above for above in path.parents if not above.exists()]
    require_trusted_path(path)
    for above in reversed(missing):
        _make_folder(above, mode)


def ensure_directory(path: Path, mode: int) -> bool:
    """Create a folder and the missing ones above it with `mode`; return False if it exists already.

    Raises HostError where another user could redirect the path, or where something else is there.
    """
    make_parents(path, mode)
    try:
        _make_folder(path, mode)
    except FileExistsError:
        require_place_for_folder(path)
        return False
    return True


def make_directory(path: Path, mode: int) -> None:
    """Create a folder, or set its mode to exactly `mode`; missing folders above it get 0755."""
    make_parents(path)
    if not ensure_directory(path, mode):
        path.chmod(mode)


def _write_in_place(path: Path, data: bytes) -> None:
    """Write into the existing file, since a mount point cannot be replaced (/etc/hosts in a container).

    The earlier content is written back if that fails.
    """
    with path.open("r+b", buffering=0) as file:
        before = file.read()
        try:
            _overwrite(file, data)
        except OSError:
            with suppress(OSError):
                _overwrite(file, before)
            raise


def _overwrite(file: FileIO, data: bytes) -> None:
    os.pwrite(file.fileno(), data, 0)
    file.truncate(len(data))
    os.fsync(file.fileno())


def write(
    path: Path, data: bytes, mode: int, *, owner: tuple[int, int] | None = None, changed: int | None = None
) -> None:
    """Write a file atomically, with `mode` from its creation: temporary file beside it, fsync, rename, fsync of both.

    `owner` is user id and group id, `changed` the modification time in nanoseconds; without them, the system sets both.

    Raises HostError with the system's message; the earlier file is then unchanged, and the temporary one removed.
    """
    part = temporary_path(path)
    try:
        make_parents(path)
        part.unlink(missing_ok=True)  # left by a killed run
        with atomic_save(str(path), part_file=part.name, text_mode=False, file_perms=mode) as file:
            file.write(data)
            file.flush()
            _set_owner_and_time(file.fileno(), owner, changed)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if error.errno != errno.EBUSY:
            raise _not_written(path, error) from error
        try:
            _write_in_place(path, data)
            path.chmod(mode)
            _set_owner_and_time(path, owner, changed)
        except OSError as second:
            raise _not_written(path, second) from second


def _set_owner_and_time(file: int | Path, owner: tuple[int, int] | None, changed: int | None) -> None:
    if owner is not None:
        os.chown(file, *owner)
    if changed is not None:
        os.utime(file, ns=(changed, changed))


def _sync_folder(folder: Path) -> None:
    """Write a folder's entries to disk: without it, a power failure may undo a rename (rename(2), fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_written(path: Path, error: OSError) -> HostError:
    found, remedy = error.strerror or str(error), "remove the cause"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        above = _nearest_folder(path)
        space = os.statvfs(above)
        free = f"{space.f_bavail * space.f_frsize} bytes and {space.f_favail} inodes"
        found, remedy = f"{found} ({free} are free on the file system of {above})", "make room there (`df -h`, `df -i`)"
    return HostError(f"to write {path}", found, remedy)


def back_up(path: Path) -> Path:
    """Back up a file beside itself once, with its mode and, as root, its owner; return the path of the backup."""
    backup = backup_path(path)
    if not backup.exists():
        found = path.stat()
        owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
        write(backup, path.read_bytes(), stat.S_IMODE(found.st_mode), owner=owner)
    return backup


def backup_path(path: Path) -> Path:
    """Return the path for the backup of a file, whether it exists or not."""
    return path.with_name(path.name + KEPT)


def existing_backup(path: Path) -> Path | None:
    """Return the path of a file's backup, or None if there is none."""
    return backup_path(path) if backup_path(path).exists() else None


def names_in(path: Path) -> tuple[str, ...]:
    """Return the sorted names in a folder; empty where the path is no folder."""
    return tuple(sorted(entry.name for entry in path.iterdir())) if path.is_dir() else ()


def remove_tree(path: Path) -> None:
    """Remove a file, or a folder with its content; does nothing if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
