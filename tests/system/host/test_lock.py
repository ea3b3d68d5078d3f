"""The lock: one run at a time, and none that outlives its holder."""

import grp
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from runbook.model.errors import LockError
from runbook.system.host import lock
from tests.conftest import let_others_reach, somebody_else
from tests.waiting import SECONDS

HOLDER = """
import pathlib, sys
from runbook.system.host import lock
lock.PATH = pathlib.Path(sys.argv[1])
with lock.hold():
    print("held", flush=True)
    sys.stdin.read()
"""
FREE = """
import pathlib, sys
from runbook.system.host import lock
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
            pytest.raises(LockError, match=f"no other run on this host; found the process {other.pid} ") as caught,
            lock.hold(),
        ):
            pass
        assert sys.executable in caught.value.found
        assert f"which holds {lock.PATH}" in caught.value.found
        assert re.search(r"since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC\)", caught.value.found)


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


def test_hold_waits_for_the_other_until_the_deadline() -> None:
    """Fails if a proof of the timer that meets a run does not wait for its end, or waits without an end."""
    with holder() as other:
        told = r"no other run on this host within 0.3 s; found the process "
        with pytest.raises(LockError, match=told), lock.hold(0.3):
            pass
        ending = threading.Timer(0.5, other.kill)
        ending.start()
        with lock.hold(SECONDS):
            assert not ending.is_alive()


@pytest.mark.skipif(os.geteuid() != 0, reason="root's lock")
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_lock_of_root_s_is_for_root_and_who_may_become_root(umask: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if another user can open root's lock, and keep root from this host by it; or the group docker cannot."""
    monkeypatch.setattr(grp, "getgrnam", lambda _: SimpleNamespace(gr_gid=4321))
    before = os.umask(umask)
    try:
        with lock.hold():
            pass
    finally:
        os.umask(before)
    found = lock.PATH.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o640, 0, 4321)
    os.setegid(4321)
    try:
        with somebody_else(), lock.hold():
            assert lock._holder(lock._open()[1]) == os.getpid()  # noqa: SLF001 (which lock it is)
    finally:
        os.setegid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_user_who_cannot_reach_root_s_lock_has_his_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if another user locks root out, is locked out by root's mere file, or two runs of his go on at once."""
    monkeypatch.setattr(lock, "_OF_USERS", tmp_path)
    tmp_path.chmod(0o1777)
    own = tmp_path / f"{lock.PATH.stem}-65534.lock"
    for made_by_root in (False, True):
        if made_by_root:
            with lock.hold():
                lock.PATH.chmod(0o600)
        with somebody_else(), lock.hold():
            assert (own.stat().st_uid, stat.S_IMODE(own.stat().st_mode)) == (65534, 0o600)
            os.seteuid(0)
            with lock.hold():
                pass
            os.seteuid(65534)
    own.unlink()
    own.touch()
    with somebody_else(), pytest.raises(LockError, match="user id 0's"), lock.hold():
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
    with pytest.raises(LockError, match=r"a regular file .*\.lock, or nothing; found .*rm "), lock.hold():
        pass
    assert not (tmp_path / "theirs").exists()
