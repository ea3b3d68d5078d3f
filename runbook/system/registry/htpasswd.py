"""The registry's htpasswd file: one bcrypt line a user; those of the runbook's users stand below a mark.

Source: distribution, registry/auth/htpasswd/htpasswd.go: lines that begin with # are comments.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Literal

import bcrypt

from runbook.model.errors import HostError
from runbook.system.host import files

State = Literal["matches", "differs", "has another cost", "absent"]
_MARK = "# registry-runbook: "


def read(path: Path) -> dict[str, str]:
    """Return user -> hash of an htpasswd file; raises HostError for a line that the registry cannot read.

    One malformed line makes the registry answer every login with 400. If a user has two lines, the last one wins.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(files.lines(path), start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        user, colon, hashed = entry.partition(":")
        problem = None
        if not user or not colon or not re.fullmatch(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}", hashed):
            problem = "not USER:BCRYPT-HASH"
        elif user in found:
            problem = f"the user {user} a second time"
        if problem:
            raise HostError(
                f"one bcrypt hash a user in {path}", f"line {number}: {problem}", f"mend or remove line {number}"
            )
        found[user] = hashed
    return found


def marked(path: Path) -> set[str]:
    """Return the users whose mark is in the file."""
    return {line.removeprefix(_MARK) for line in files.lines(path) if line.startswith(_MARK)}


def mark(user: str) -> str:
    """Return the comment above the line of a user of the runbook's."""
    return f"{_MARK}{user}"


def state(hashed: str | None, password: str | None, cost: int) -> State:
    """Return how a user's line compares with the password; `absent` if there is no line or no password."""
    if hashed is None or password is None:
        return "absent"
    if not bcrypt.checkpw(password.encode(), hashed.encode()):
        return "differs"
    return "matches" if hashed.split("$")[2] == f"{cost:02d}" else "has another cost"


def line(user: str, password: str, cost: int) -> str:
    """Return a user's line."""
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()}"


def changed(
    lines: Iterable[str], new: Mapping[str, str], *, removed: Collection[str] = (), disabled: Collection[str] = ()
) -> list[str]:
    """Return the lines of a file with `new` (user -> line), each below its mark, and without those `removed`.

    Of those `disabled`, the mark stays.
    """
    without_mark, without_line = {*new, *removed}, {*new, *removed, *disabled}
    kept = [
        text
        for text in lines
        if not (
            text.removeprefix(_MARK) in without_mark
            if text.startswith(_MARK)
            else text.strip().partition(":")[0] in without_line
        )
    ]
    return [*kept, *(part for user, text in new.items() for part in (mark(user), text))]
