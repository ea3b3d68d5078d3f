"""Folders for a step: gone at its end, and after a run that was killed gone with the next."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runbook.system.host import temporary

KILLED = """
import os, pathlib, signal, sys
from runbook.system.host import temporary
with temporary.folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "secret").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_folder_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    """Fails if others can look in, or a step that fails leaves its folder."""
    with temporary.folder(tmp_path) as folder:
        assert (folder.parent, stat.S_IMODE(folder.stat().st_mode)) == (tmp_path, 0o700)
    with pytest.raises(KeyError), temporary.folder(tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_folder_of_a_run_that_was_killed_goes_with_the_next(tmp_path: Path) -> None:
    """Fails if a login stays on the disk after SIGKILL; or what another works with, or has laid there, is removed."""
    killed = subprocess.run((sys.executable, "-c", KILLED, str(tmp_path)), check=False)
    assert killed.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    theirs = tmp_path / "registry-runbook-1-theirs"  # of a process that lives
    alike = tmp_path / "registry-runbook-notes"
    link = tmp_path / left.name.replace("registry-runbook-", "registry-runbook-9999999", 1)
    theirs.mkdir()
    alike.mkdir()
    link.symlink_to(theirs)
    of_another = tmp_path / f"{left.name}-another"
    of_another.mkdir()
    os.chown(of_another, 65534, 65534)
    with temporary.folder(tmp_path) as folder:
        assert {folder, theirs, alike, link, of_another} == set(tmp_path.iterdir())


def test_folder_that_goes_while_another_process_looks_is_no_error(tmp_path: Path) -> None:
    """Fails if two processes that make folders at the same time stumble over each other's."""
    make = "import pathlib, sys\nfrom runbook.system.host import temporary\n"
    make += "for _ in range(300):\n    with temporary.folder(pathlib.Path(sys.argv[1])):\n        pass\n"
    started = [subprocess.Popen((sys.executable, "-c", make, str(tmp_path))) for _ in range(4)]
    assert [process.wait(60) for process in started] == [0] * 4
    assert list(tmp_path.iterdir()) == []
