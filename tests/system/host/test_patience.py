"""The patience of a proof: what is asked ends with it, and who has hung is asked once."""

import socket

import pytest

from runbook.model.errors import NotReadyError
from runbook.system.host import commands, patience
from runbook.system.host.patience import Patience
from runbook.system.registry import api
from runbook.system.registry.api import Registry


def test_nothing_is_bounded_outside_a_proof() -> None:
    """Fails if a run waits shorter than its adapters say, or a proof that has ended still bounds it."""
    with Patience(1).spent():
        assert (patience.left(60) <= 1, patience.for_answer(60)) == (True, patience.ANSWER_SECONDS)
        patience.note_timeout("x")
        assert patience.has_timed_out("x")
    assert (patience.left(60), patience.for_answer(60), patience.has_timed_out("x")) == (60, 60, False)


def test_what_is_kept_is_left_for_later() -> None:
    """Fails if the comparison after a proof that hung has no time, or who hung is asked again in it."""
    spent = Patience(1)
    with spent.spent(keep=0.9):
        patience.note_timeout("x")
        assert patience.left(60) <= 0.1
    with spent.spent():
        assert 0.1 < patience.left(60) <= 1
        assert patience.has_timed_out("x")
    with Patience(1).spent():
        assert not patience.has_timed_out("x")


def test_command_ends_with_the_patience() -> None:
    """Fails if a command that hangs outlasts the proof, or one that does not is ended."""
    with Patience(0.3).spent():
        assert commands.run("true").code == 0
        with pytest.raises(NotReadyError, match="still running after 0"):
            commands.run("sleep", "1000")


def test_server_that_hung_is_not_asked_again() -> None:
    """Fails if each question to a server that says nothing waits anew, or another server is taken for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        hung = Registry(url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        other = Registry(url=f"http://127.0.0.1:{closed.getsockname()[1]}")
        with Patience(0.3).spent():
            first, second = hung.ask("/v2/"), hung.ask("/v2/_catalog")
            with pytest.raises(NotReadyError):
                api.wait_until_ready(hung, timeout_seconds=1000)
            assert "timed out" in first.error or "within" in first.error
            assert second.error == f"{hung.url} did not answer in time before, and is not asked again"
            assert "refused" in other.ask("/v2/").error
        assert "timed out" in api.ask(f"{hung.url}/v2/", timeout_seconds=0.1).error
