"""Polling a program until it has done what it was asked for, or its log tells why it will not."""

from collections.abc import Callable, Sequence

from tenacity import RetryCallState, retry, retry_if_result, wait_fixed


def until_empty(
    missing: Callable[[], str],
    complaints: Callable[[], Sequence[str]] = list,
    *,
    timeout_seconds: float,
    grace_seconds: float = 0,
) -> str:
    """Call `missing` until it returns an empty text, or the time is over; return its last result.

    The time is `timeout_seconds`; once `complaints` returns any, it is `grace_seconds`.
    """

    def gives_up(state: RetryCallState) -> bool:
        waited = state.seconds_since_start or 0
        return waited >= timeout_seconds or (waited >= grace_seconds and bool(complaints()))

    poll = retry(
        retry=retry_if_result(bool),
        stop=gives_up,
        wait=wait_fixed(0.1),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else "",
    )(missing)
    return poll()
