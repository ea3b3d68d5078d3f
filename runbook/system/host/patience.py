"""Time limit of a whole proof: it bounds each request, and a server that timed out once is not asked again.

Outside a proof, nothing is limited here: each adapter has its own timeout.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

ANSWER_SECONDS = 5.0  # timeout for one answer; a running registry answers immediately
_LEAST = 0.05  # after the deadline, a request still fails by its own timeout error
_NOW: list["Patience"] = []  # of the running proofs, for all threads of this process


class Patience:
    """The seconds that a proof may wait in total, and `hung`: the servers that accepted a request and timed out."""

    def __init__(self, seconds: float = 14.0) -> None:
        """Start with all `seconds` left."""
        self.hung: set[str] = set()
        self._seconds = seconds
        self._ends = 0.0

    @property
    def left(self) -> float:
        """The seconds until the deadline set by `spent`."""
        return self._ends - time.monotonic()

    @contextmanager
    def spent(self, *, keep: float = 0.0) -> Iterator[None]:
        """Apply the limit to all requests in this context and count its time; `keep` seconds are reserved for later."""
        start = time.monotonic()
        self._ends = start + max(self._seconds - keep, _LEAST)
        _NOW.append(self)
        try:
            yield
        finally:
            _NOW.remove(self)
            self._seconds -= time.monotonic() - start


def left(seconds: float) -> float:
    """Return `seconds`, limited to what the running proof has left."""
    return max(min(seconds, _NOW[-1].left), _LEAST) if _NOW else seconds


def for_answer(seconds: float) -> float:
    """Return `seconds`, limited to ANSWER_SECONDS while a proof runs."""
    return min(seconds, ANSWER_SECONDS) if _NOW else seconds


def has_timed_out(whom: str) -> bool:
    """Return whether a server timed out before in the running proof."""
    return bool(_NOW) and whom in _NOW[-1].hung


def note_timeout(whom: str) -> None:
    """Record in the running proof that a server timed out."""
    if _NOW:
        _NOW[-1].hung.add(whom)
