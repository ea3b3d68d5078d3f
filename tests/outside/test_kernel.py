"""The kernel's own words, and who is behind them."""

import os
import socket

import psutil
import pytest

from runbook.outside import kernel


def test_listeners_leave_out_one_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if what a container that restarts has left in the kernel's table is taken for who holds its port.

    No process can be made to end between the two questions to the kernel: the second one is told that it has.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert [listener.pid for listener in kernel.listeners({port})] == [os.getpid()]

        def ended(pid: int) -> psutil.Process:
            raise psutil.NoSuchProcess(pid)

        monkeypatch.setattr(psutil, "Process", ended)
        assert kernel.listeners({port}) == []
