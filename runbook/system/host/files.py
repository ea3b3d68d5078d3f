"""Files of this host: read as facts, written whole or not at all."""

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

KEPT = ".before-registry-runbook"  # ending of the earlier version of a file that the runbook did not make


def read_text(path: Path) -> str | None:
    """Return the text of a regular file, None where there is none.

    Raises HostError for a symbolic link, a folder or another kind of file in its place, and for text that is not UTF-8.
    """
    try:
        data = read_bytes(path)
        return None if data is None else data.decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found = f"line {line}: the byte 0x{error.object[error.start]:02x}"
        raise HostError(f"UTF-8 text in {path}", found, "write that letter in UTF-8, or take it out") from error


def read_bytes(path: Path) -> bytes | None:
    """Return the content of a regular file, None where there is none.

    Raises HostError for a symbolic link, a folder or another kind of file in its place.
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
    """Return the lines of a text file, none where there is no file; only a newline ends one, and stands in none.

    str.splitlines would take a line apart at what a comment may hold, such as a form feed.
    """
    text = read_text(path)
    return text.removesuffix("\n").split("\n") if text else []


def mode_of(path: Path) -> int | None:
    """Return the permission bits of a file or folder, None where there is none."""
    kind = kind_of(path)
    return None if kind is None else stat.S_IMODE(kind)


def kind_of(path: Path) -> int | None:
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
        return _obstacle(path) is None
    except PermissionError:
        return False


def _obstacle(path: Path) -> Path | None:
    """Return what keeps this user from changing what is at a path: a folder above or below it, or itself."""
    above = next(folder for folder in path.parents if folder.exists())
    folders = [above, path, *(item for item in path.rglob("*") if item.is_dir())] if path.is_dir() else [above]
    may = {folder: os.access(folder, os.W_OK | os.X_OK, effective_ids=True) for folder in folders}
    if os.geteuid() == 0 and path.is_file():  # another user may replace a file that only root may write to
        may[path] = os.access(path, os.W_OK, effective_ids=True)
    return next((place for place, allowed in may.items() if not allowed), None)


def require_writable(path: Path) -> None:
    """Raise HostError where what is at a path cannot be made, replaced or removed: nothing was tried yet.

    For root that is a file system mounted read-only, or an attribute of chattr(1) such as immutable (access(2)).
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


def require_own_way(path: Path) -> None:
    """Raise HostError where another user could lead astray what is written at a path: by a folder or link of theirs.

    From `/` down, each folder and link must be root's, this user's, or that of whom sudo was called for, and no other
    user may write to it; one with the sticky bit, as /tmp, lets nobody replace what is another's (chmod(1)).
    """
    lexical = Path(os.path.abspath(path))  # noqa: PTH100 (resolve would follow the links that are looked at)
    for place in dict.fromkeys((*_way(lexical), *_way(lexical.parent.resolve() / lexical.name))):
        _require_own(place, f"{path} in folders that no other user can change")


def require_own_tree(top: Path) -> None:
    """Raise HostError where another user could change a folder, something below it, or what leads to it."""
    require_own_way(top / "x")
    for folder, folders, names in os.walk(top):
        for name in (*folders, *names):
            if name != ".lock":  # uv's, which is empty
                _require_own(Path(folder, name), f"nothing in {top} that another user can change")


def _require_own(place: Path, expected: str) -> None:
    trusted = {0, os.geteuid()} | ({int(os.environ["SUDO_UID"])} if "SUDO_UID" in os.environ else set())
    try:
        found = place.lstat()
    except FileNotFoundError:  # another process has just removed it
        return
    if stat.S_ISLNK(found.st_mode):
        others = False  # its mode means nothing (symlink(7))
    else:
        of_group = found.st_mode & stat.S_IWGRP and found.st_gid not in trusted
        others = bool(of_group or found.st_mode & stat.S_IWOTH)
        others = others and not (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX)
    if found.st_uid not in trusted or others:
        what = f"{place} is user id {found.st_uid}'s, mode {stat.S_IMODE(found.st_mode):04o}"
        remedy = f"take another folder, or make it safe: `chown root {place}`, `chmod go-w {place}`"
        raise HostError(expected, what, remedy)


def _way(path: Path) -> list[Path]:
    """Return what is there of the folders and links that lead to a path, from `/` down."""
    return [above for above in reversed(path.parents) if kind_of(above) is not None]


def require_place_for_file(path: Path) -> None:
    """Raise HostError where a file cannot be written: what is there is none, or its folder cannot be changed.

    A symbolic link is not followed: what it leads to may be somebody else's.
    """
    kind = kind_of(path)
    if kind is not None and not stat.S_ISREG(kind):
        raise no_regular_file(path, kind)
    part = kind_of(part_of(path))
    if part is not None and stat.S_ISDIR(part):
        raise no_regular_file(part_of(path), part)
    require_own_way(path)
    require_writable(path)


def require_place_for_folder(path: Path) -> None:
    """Raise HostError where a folder cannot be made, nor what is there be one: a link to a folder is one."""
    if kind_of(path) is not None and not path.is_dir():
        raise HostError(f"a folder at {path}, or nothing", "another kind of file", _OUT_OF_THE_WAY)
    require_own_way(path / "x")  # a folder that is there, too
    require_writable(path)


_OUT_OF_THE_WAY = "look at it, and move it out of the way"
_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe"}


def no_regular_file(path: Path, kind: int) -> HostError:
    """Return the error for what is at a path in a regular file's place, of a kind as `kind_of` gives it."""
    found, remedy = _KINDS.get(stat.S_IFMT(kind), "another kind of file"), _OUT_OF_THE_WAY
    if stat.S_ISLNK(kind):
        target = os.path.realpath(path)  # of a circle, too
        found = f"{found} to {target}"
        command = shlex.join(["cp", "--remove-destination", target, str(path)])
        remedy = f"put a regular file in its place (`{command}`)"
        if not os.path.isfile(target):  # noqa: PTH113 (no error where this user may not look)
            found, remedy = f"{found}, which is no file", f"remove the link (`{shlex.join(['rm', str(path)])}`)"
    return HostError(f"a regular file at {path}", found, remedy)


def part_of(path: Path) -> Path:
    """Return where a file is written before it takes its place: hidden from who reads a whole folder, as nginx does."""
    return path.with_name(f".{path.name}.part")


def whole_of(name: str) -> str:
    """Return the name of the file that a part becomes; any other name as it is."""
    return name[1:].removesuffix(".part") if name.startswith(".") and name.endswith(".part") else name


def is_own(path: Path) -> bool:
    """Return whether what is at a path is this user's, who alone may set its mode."""
    try:
        return path.lstat().st_uid == os.geteuid()
    except PermissionError:
        return False


def _not_allowed(path: Path) -> HostError:
    return RightsError(f"to be allowed to read {path}", f"user id {os.geteuid()} is not", "run it as root")


def changed_at(path: Path) -> datetime.datetime:
    """Return when a file's content last changed, in UTC."""
    return datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)


def _make_folder(path: Path, mode: int) -> None:
    """Make one folder, with `mode` from its creation whatever the umask: a run may be killed right after it."""
    before = os.umask(0)
    try:
        path.mkdir(mode)
    finally:
        os.umask(before)


def make_parents(path: Path, mode: int = 0o755) -> None:
    """Make the folders above `path` that are missing; raises HostError where another user could lead it astray.

    What was missing before that was looked at is made by nobody else in the meantime, or this fails: no link is laid
    in its way (mkdir(2)).
    """
    missing = [above for above in path.parents if not above.exists()]
    require_own_way(path)
    for above in reversed(missing):
        _make_folder(above, mode)


def ensure_directory(path: Path, mode: int) -> bool:
    """Make a folder, and those above it that are missing, with `mode`; return False where it is there already.

    Raises HostError where another user could lead it astray, or something else is in its place.
    """
    make_parents(path, mode)
    try:
        _make_folder(path, mode)
    except FileExistsError:
        require_place_for_folder(path)
        return False
    return True


def make_directory(path: Path, mode: int) -> None:
    """Make a folder with exactly `mode`; folders above it that are missing get 0755."""
    make_parents(path)
    if not ensure_directory(path, mode):
        path.chmod(mode)


def _write_in_place(path: Path, data: bytes) -> None:
    """Write into the file itself: the only way where it is a mount point, as /etc/hosts in a container is.

    Where that fails, what was there is written back.
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

    `owner` are the numbers of user and group, `changed` the time of its last change in nanoseconds; both are as the
    system gives them where they are left out.

    Raises HostError where that fails, with the system's words: the earlier file is whole, the temporary one is gone.
    """
    part = part_of(path)
    try:
        make_parents(path)
        part.unlink(missing_ok=True)  # of a run that was killed
        with atomic_save(str(path), part_file=part.name, text_mode=False, file_perms=mode) as file:
            file.write(data)
            file.flush()
            _give(file.fileno(), owner, changed)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if error.errno != errno.EBUSY:
            raise _not_written(path, error) from error
        try:
            _write_in_place(path, data)
            path.chmod(mode)
            _give(path, owner, changed)
        except OSError as second:
            raise _not_written(path, second) from second


def _give(file: int | Path, owner: tuple[int, int] | None, changed: int | None) -> None:
    if owner is not None:
        os.chown(file, *owner)
    if changed is not None:
        os.utime(file, ns=(changed, changed))


def _sync_folder(folder: Path) -> None:
    """Have the disk hold the folder's names: without it, a rename may be lost with the power (rename(2), fsync(2))."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _not_written(path: Path, error: OSError) -> HostError:
    found, remedy = error.strerror or str(error), "remove the cause"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        above = next(folder for folder in path.parents if folder.exists())
        room = os.statvfs(above)
        free = f"{room.f_bavail * room.f_frsize} bytes and {room.f_favail} inodes"
        found, remedy = f"{found} ({free} are free on the file system of {above})", "make room there (`df -h`, `df -i`)"
    return HostError(f"to write {path}", found, remedy)


def keep(path: Path) -> Path:
    """Copy a file beside itself with its mode and, as root, its owner, once; return the copy's path."""
    kept = kept_path(path)
    if not kept.exists():
        found = path.stat()
        owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
        write(kept, path.read_bytes(), stat.S_IMODE(found.st_mode), owner=owner)
    return kept


def kept_path(path: Path) -> Path:
    """Return where the earlier version of a file is kept, if there is one."""
    return path.with_name(path.name + KEPT)


def kept_version(path: Path) -> Path | None:
    """Return where the earlier version of a file is kept, None where there is none."""
    return kept_path(path) if kept_path(path).exists() else None


def names_in(path: Path) -> tuple[str, ...]:
    """Return the names in a folder; none where it is a file."""
    return tuple(sorted(entry.name for entry in path.iterdir())) if path.is_dir() else ()


def remove_tree(path: Path) -> None:
    """Remove a file, or a folder with all below it; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
