"""The kernel's own words, and who is behind them."""

import os
import socket

import psutil
import pytest

from runbook.outside import kernel


def test_who_holds_names_the_process_behind_the_engine_s_words() -> None:
    """Fails if an operator is told that a port is taken, and not by whom; or of a port that nobody spoke of."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for said in (
            f"Error starting userland proxy: listen tcp4 0.0.0.0:{port}: bind: address already in use",
            f"Bind for 0.0.0.0:{port} failed: port is already allocated",
        ):
            assert f"(pid {os.getpid()}) listens on port {port}" in kernel.who_holds(said)
    assert kernel.who_holds(f"Bind for 0.0.0.0:{port} failed: port is already allocated").startswith(
        "; nobody any more"
    )
    assert kernel.who_holds(f"dial tcp 127.0.0.1:{port}: connect: connection refused") == ""


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
