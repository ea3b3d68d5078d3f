"""An interrupt that comes where nothing may be left half done."""

import signal
import threading

import pytest

from runbook.system.host import interrupts


def test_interrupt_waits_for_the_end() -> None:
    """Fails if an interrupt breaks into what is held, is lost, or the handler of before is not there afterwards."""
    before, done = signal.getsignal(signal.SIGINT), list[str]()

    def work() -> None:
        with interrupts.held():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) == before


def test_without_an_interrupt_nothing_is_raised() -> None:
    """Fails if each use ends in an interrupt, or an error of what is held is lost."""
    with interrupts.held():
        pass
    with pytest.raises(ValueError, match="its own"), interrupts.held():
        raise ValueError("its own")


def test_other_thread_is_left_alone() -> None:
    """Fails if a thread that Python never interrupts cannot use it: only the main thread may set a handler."""
    done: list[str] = []

    def use() -> None:
        with interrupts.held():
            done.append("used")

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert done == ["used"]
