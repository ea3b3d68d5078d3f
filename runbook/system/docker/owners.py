"""Untrusted users that could change a file: as its owner, through mode, group or access list, or a folder above.

Trusted are root, this user, the user who called sudo, and the group docker, whose members can become root anyway.
Source: chmod(1), acl(5); Docker Engine documentation, "Docker daemon attack surface".
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from runbook.system.docker import engine
from runbook.system.host import users

_ACL = "system.posix_acl_access"  # with it, the group bits of the mode are the mask of all its entries


class Owners:
    """The trusted users and the groups of this host; each group is read once."""

    def __init__(self) -> None:
        """Read the trusted users."""
        self._members: dict[int, set[int]] = {}
        self._trusted = {0, os.geteuid(), int(os.environ.get("SUDO_UID", "0"))}
        with suppress(KeyError):  # a host without the group
            self._trusted |= self._users_in(grp.getgrnam(engine.GROUP).gr_gid)

    def _users_in(self, group: int) -> set[int]:
        if group not in self._members:
            self._members[group] = users.in_group(group)
        return self._members[group]

    def why(self, path: Path, *, above: bool) -> str:
        """Return why others could change what is at a path itself; empty if they cannot, or if nothing is there.

        A folder `above` the checked path may be writable if it has the sticky bit: users cannot replace others' files.
        """
        try:
            found = path.lstat()
        except OSError:  # below a folder that this user cannot enter, only root can check it
            return ""
        if found.st_uid not in self._trusted:
            return f"{path} is {_name(found.st_uid)}'s"
        if stat.S_ISLNK(found.st_mode) or (above and found.st_mode & stat.S_ISVTX):
            return ""
        writers = self._writers(path, found)
        return f"{path} is {stat.S_IMODE(found.st_mode):04o}{writers}" if writers is not None else ""

    def _writers(self, path: Path, found: os.stat_result) -> str | None:
        """Return which other users may write, as the end of a sentence, or None if none may."""
        if found.st_mode & stat.S_IWOTH:
            return ""
        if not found.st_mode & stat.S_IWGRP:
            return None
        if _has_acl(path):
            return ", with an access list (getfacl)"
        others = found.st_gid != 0 and self._users_in(found.st_gid) - self._trusted
        return f", of group id {found.st_gid}" if others else None


def _has_acl(path: Path) -> bool:
    try:
        return _ACL in os.listxattr(path)
    except OSError:  # a file system without extended attributes
        return False


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user id {user}"


def changed_by_others(paths: Iterable[Path], *, trees: Iterable[Path] = ()) -> list[str]:
    """Return why others could change what is at these paths or in these folders; empty if they cannot.

    All folders above them are checked too, as well as links and their targets.
    """
    owners, trees = Owners(), list(trees)
    checked: dict[Path, bool] = {}
    for path in (*paths, *trees):
        checked |= dict.fromkeys(_parents(path), True)
    for path in (*paths, *trees):
        checked |= dict.fromkeys((path, _real(path)), False)
    checked |= {path: False for tree in trees for path in _below(tree)}
    return [why for path, above in checked.items() if (why := owners.why(path, above=above))]


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve fails for a loop of links


def _parents(path: Path) -> Iterator[Path]:
    for spelling in (path, _real(path)):
        yield from reversed(spelling.parents)


def _below(tree: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(tree):
        for name in (*folders, *names):
            yield Path(folder, name)
