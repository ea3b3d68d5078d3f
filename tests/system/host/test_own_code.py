"""The code that runs as root: what another user could change of it is named."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.model.errors import HostError
from runbook.system.host import own_code

OTHER = 4321  # a user's number that nobody here has
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with an environment that runs in place of this one."""
    for name in ("runbook/apply.py", "runbook/sections/host.py", "notebooks/10-host.ipynb", "script/run"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    program = tmp_path / ".venv" / "bin" / "python"
    (tmp_path / ".venv" / "lib").mkdir(parents=True)
    (tmp_path / ".venv" / "lib" / "click.py").touch()
    (tmp_path / ".venv" / ".lock").touch()
    (tmp_path / ".venv" / ".lock").chmod(0o666)
    program.parent.mkdir()
    program.symlink_to(sys.executable)
    monkeypatch.setattr(own_code, "_TREES", [tmp_path / name for name in ("runbook", "notebooks", "script")])
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    monkeypatch.setattr(sys, "executable", str(program))
    return tmp_path


def of_another(path: Path) -> None:
    """Give a file or folder to another user."""
    os.chown(path, OTHER, OTHER)


def for_all(path: Path) -> None:
    """Let everybody write to a file or folder."""
    path.chmod(path.stat().st_mode | 0o002)


@pytest.mark.parametrize("how", [of_another, for_all])
@pytest.mark.parametrize("what", [".", "runbook", "runbook/sections/host.py", "notebooks/10-host.ipynb", "script"])
def test_code_that_another_user_could_change_is_named(tree: Path, what: str, how: Callable[[Path], None]) -> None:
    """Fails if root runs a file, or one of a folder, that another user has or may write to."""
    own_code.require(whole=True)
    how(tree / what)
    with pytest.raises(HostError, match=rf"; found {tree / what} is user id \d+'s, mode 0"):
        own_code.require(whole=False)


def test_whole_environment_is_looked_at_only_where_asked(tree: Path) -> None:
    """Fails if the timer runs a library that another user may write to, or each command looks at thousands of files."""
    for_all(tree / ".venv" / "lib" / "click.py")
    own_code.require(whole=False)
    with pytest.raises(HostError, match=r"click\.py is user id 0's, mode 0646"):
        own_code.require(whole=True)
