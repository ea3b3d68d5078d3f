"""Polling: when it ends, and with what."""

from collections.abc import Callable, Sequence

import pytest

from runbook.system.host import polling


def after(calls: int, then: str = "") -> Callable[[], str]:
    """Return a function that misses something until it was called that often."""
    left = ["not yet"] * calls
    return lambda: left.pop() if left else then


@pytest.mark.parametrize(
    ("missing", "complaints", "grace_seconds", "expected"),
    [
        pytest.param(after(0), ["refused"], 0, "", id="done-at-once-whatever-the-log-has"),
        pytest.param(after(3), [], 0, "", id="done-later"),
        pytest.param(after(3), ["of something else"], 60, "", id="done-within-the-grace-period"),
        pytest.param(after(99, "never"), ["refused"], 0.2, "not yet", id="refused"),
        pytest.param(after(99, "never"), [], 60, "not yet", id="no-longer-than-the-timeout"),
    ],
)
def test_until_empty_ends_when_done_or_refused_or_late(
    missing: Callable[[], str], complaints: Sequence[str], grace_seconds: float, expected: str
) -> None:
    """Fails if a wait ends too early, goes on after a refusal, or never ends."""
    found = polling.until_empty(missing, lambda: complaints, timeout_seconds=1, grace_seconds=grace_seconds)
    assert found == expected
