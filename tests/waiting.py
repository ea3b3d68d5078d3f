"""Waits for what is meant, with a deadline that says what it waited for: here, and in the shell of a host."""

import time
from collections.abc import Callable
from typing import TypeVar

# Until a machine of two cores that is busy with other things has surely done it.
SECONDS = 90
FOUND = TypeVar("FOUND")
# `until_so WHAT COMMAND…` runs a command until it succeeds; at the deadline it says what it waited for, and fails.
UNTIL_SO = rf"""
until_so() {{
    awaited=$1; shift; until_when=$(($(date +%s) + {SECONDS}))
    until "$@" >/dev/null 2>&1; do
        if [ "$(date +%s)" -ge "$until_when" ]; then echo "waited {SECONDS} s for $awaited" >&2; return 1; fi
        sleep 0.1
    done
}}
answers() {{ curl -sk -o /dev/null --max-time 5 "$1"; }}
"""


class WaitedError(Exception):
    """What was waited for did not come."""


def wait_for(what: str, find: Callable[[], FOUND], *, seconds: float = SECONDS) -> FOUND:
    """Return what `find` gives once it gives something; raises WaitedError with `what` at the deadline."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        if time.monotonic() > deadline:
            message = f"waited {seconds} s for {what}, found {found!r}"
            raise WaitedError(message)
        time.sleep(0.1)
    return found
