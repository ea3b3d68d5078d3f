"""How long a proof waits in all: what it asks ends with it, and who has said nothing once is not asked again.

Outside a proof nothing is bounded here: each adapter has its own limit then.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

ANSWER_SECONDS = 5.0  # for one answer; a registry that runs answers at once
_LEAST = 0.05  # what is asked late ends at once, and by its own words
_NOW: list["Patience"] = []  # that of the proof that goes on; one a process, whichever thread asks


class Patience:
    """The seconds that a proof may wait in all, and who has `hung`: took a question, and did not answer in time."""

    def __init__(self, seconds: float = 14.0) -> None:
        """Have spent nothing yet."""
        self.hung: set[str] = set()
        self._seconds = seconds
        self._ends = 0.0

    @property
    def left(self) -> float:
        """The seconds that are left of what is being spent."""
        return self._ends - time.monotonic()

    @contextmanager
    def spent(self, *, keep: float = 0.0) -> Iterator[None]:
        """Count the time meanwhile, and bound what is asked by what is left of it; `keep` seconds stay for later."""
        began = time.monotonic()
        self._ends = began + max(self._seconds - keep, _LEAST)
        _NOW.append(self)
        try:
            yield
        finally:
            _NOW.remove(self)
            self._seconds -= time.monotonic() - began


def left(seconds: float) -> float:
    """Return how long may be waited of what is wanted."""
    return max(min(seconds, _NOW[-1].left), _LEAST) if _NOW else seconds


def for_answer(seconds: float) -> float:
    """Return how long one answer may take of what is wanted."""
    return min(seconds, ANSWER_SECONDS) if _NOW else seconds


def has_hung(whom: str) -> bool:
    """Return whether somebody has not answered in time in this proof."""
    return bool(_NOW) and whom in _NOW[-1].hung


def note_hung(whom: str) -> None:
    """Keep in this proof that somebody did not answer in time."""
    if _NOW:
        _NOW[-1].hung.add(whom)
