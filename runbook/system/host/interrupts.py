"""Interrupts (SIGINT) held for a moment."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def held() -> Iterator[None]:
    """Hold an interrupt until the end of this context, for what must not be left half done.

    Python raises KeyboardInterrupt between any two instructions of its main thread: within `Executor.submit`, that can
    leave a lock taken for good, and the next `submit` waits for it. No other thread is ever interrupted so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        came = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)
