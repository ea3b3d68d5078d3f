"""Who could change a file of this host besides those who may: by owner, mode, group, access list, or a folder above.

Those who may are root, this user, whom sudo was called for, and the group docker, which can become root anyway.
Source: chmod(1), acl(5); Docker Engine documentation, "Docker daemon attack surface".
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from runbook.system.docker import engine

_LIST = "system.posix_acl_access"  # with it, the group's bits of the mode are those of all that it names


class Owners:
    """The users of this host, each read once."""

    def __init__(self) -> None:
        """Look who may change all."""
        self._members: dict[int, set[int]] = {}
        self._trusted = {0, os.geteuid(), int(os.environ.get("SUDO_UID", "0")), *self._group(engine.GROUP)}

    def _group(self, name: str) -> set[int]:
        try:
            return self._in(grp.getgrnam(name).gr_gid)
        except KeyError:
            return set()

    def _in(self, group: int) -> set[int]:
        """Return the users that are in a group; there may be nobody, as in Debian's `staff`."""
        if group not in self._members:
            try:
                named = set(grp.getgrgid(group).gr_mem)
            except KeyError:
                named = set()
            users = pwd.getpwall()
            self._members[group] = {user.pw_uid for user in users if user.pw_gid == group or user.pw_name in named}
        return self._members[group]

    def why(self, path: Path, *, above: bool) -> str:
        """Return how others could change what is at a path itself, empty where they cannot, or nothing is there.

        Of a folder `above` others, the sticky bit is enough: nobody replaces there what is another's.
        """
        try:
            found = path.lstat()
        except OSError:  # behind a folder that shuts this user out, it is seen by root alone
            return ""
        if found.st_uid not in self._trusted:
            return f"{path} is {_name(found.st_uid)}'s"
        if stat.S_ISLNK(found.st_mode) or (above and found.st_mode & stat.S_ISVTX):
            return ""
        who = self._writers(path, found)
        return f"{path} is {stat.S_IMODE(found.st_mode):04o}{who}" if who is not None else ""

    def _writers(self, path: Path, found: os.stat_result) -> str | None:
        """Return who may write beside the owner, as the end of a sentence; None where that is nobody."""
        if found.st_mode & stat.S_IWOTH:
            return ""
        if not found.st_mode & stat.S_IWGRP:
            return None
        if _has_list(path):
            return ", with an access list (getfacl)"
        others = found.st_gid != 0 and self._in(found.st_gid) - self._trusted
        return f", of group id {found.st_gid}" if others else None


def _has_list(path: Path) -> bool:
    try:
        return _LIST in os.listxattr(path)
    except OSError:  # a file system without them
        return False


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user id {user}"


def changed_by_others(paths: Iterable[Path], *, trees: Iterable[Path] = ()) -> list[str]:
    """Return how others could change what is at these paths, or in these folders; empty where they cannot.

    Looked at is all that leads there from `/` down, links and what they lead to among it.
    """
    owners, trees = Owners(), list(trees)
    asked: dict[Path, bool] = {}
    for path in (*paths, *trees):
        asked |= dict.fromkeys(_way(path), True)
    for path in (*paths, *trees):
        asked |= dict.fromkeys((path, _real(path)), False)
    asked |= {path: False for tree in trees for path in _below(tree)}
    return [why for path, above in asked.items() if (why := owners.why(path, above=above))]


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # which a circle of links does not stop


def _way(path: Path) -> Iterator[Path]:
    for way in (path, _real(path)):
        yield from reversed(way.parents)


def _below(tree: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(tree):
        for name in (*folders, *names):
            yield Path(folder, name)
