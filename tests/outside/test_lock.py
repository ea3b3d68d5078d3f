"""The lock: one run at a time, and none that outlives its holder."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runbook.errors import HostError
from runbook.outside import lock
from tests.conftest import let_others_reach, somebody_else

HOLDER = """
import pathlib, sys
from runbook.outside import lock
lock.PATH = pathlib.Path(sys.argv[1])
with lock.hold():
    print("held", flush=True)
    sys.stdin.read()
"""
FREE = """
import pathlib, sys
from runbook.outside import lock
lock.PATH = pathlib.Path(sys.argv[1])
with lock.hold():
    print("held as well")
"""


@contextmanager
def holder() -> Iterator[subprocess.Popen[str]]:
    """Give another process that holds the lock; it is ended at the end."""
    argv = (sys.executable, "-c", HOLDER, str(lock.PATH))
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture(autouse=True)
def _open_folders(tmp_path: Path) -> None:
    """Let another user reach the lock of this test."""
    let_others_reach(tmp_path)


def test_hold_refuses_while_another_holds_and_names_it() -> None:
    """Fails if two runs change a host at once, or the operator is not told whom to wait for."""
    with holder() as other:
        with (
            pytest.raises(HostError, match=f"no other run on this host; found the process {other.pid} ") as caught,
            lock.hold(),
        ):
            pass
        assert sys.executable in caught.value.found
        assert f"which holds {lock.PATH}" in caught.value.found
        with somebody_else(), pytest.raises(HostError, match=f"the process {other.pid} "), lock.hold():
            pass


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGKILL])
def test_hold_is_not_kept_by_the_dead(ended_by: signal.Signals) -> None:
    """Fails if a run that was killed keeps all later ones from the host."""
    with holder() as other:
        other.send_signal(ended_by)
        other.wait(10)
        with lock.hold():
            assert lock.PATH.stat().st_size == 0


def test_hold_gives_back_what_it_took() -> None:
    """Fails if a run can be made only once, also where it ends in an error."""
    with pytest.raises(KeyError), lock.hold():
        raise KeyError
    with holder():
        pass


def test_hold_lets_what_the_holder_has_started_through() -> None:
    """Fails if the kernels of a run are kept out by the run itself, or the lock ends with the first of them."""
    argv = (sys.executable, "-c", FREE, str(lock.PATH))
    with lock.hold():
        for _ in range(2):
            assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "held as well\n"


def test_lock_can_be_taken_by_any_user() -> None:
    """Fails if the first user's umask keeps the others from being told who holds the lock."""
    before = os.umask(0o077)
    try:
        with lock.hold():
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(lock.PATH.stat().st_mode) == 0o644
    with somebody_else(), lock.hold():
        pass


@pytest.mark.parametrize("kind", ["pipe", "link", "socket", "folder"])
def test_hold_refuses_what_is_no_lock_file(tmp_path: Path, kind: str) -> None:
    """Fails if something that somebody laid in the lock's place stops every run, or is followed."""
    lock.PATH.unlink(missing_ok=True)
    match kind:
        case "pipe":
            os.mkfifo(lock.PATH)
        case "link":
            lock.PATH.symlink_to(tmp_path / "theirs")
        case "folder":
            lock.PATH.mkdir()
        case _:
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(lock.PATH))
    with pytest.raises(HostError, match=r"a regular file at .*\.lock, or nothing; found .*rm "), lock.hold():
        pass
    assert not (tmp_path / "theirs").exists()
