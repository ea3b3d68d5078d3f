"""The scripts: what they make is for its owner alone to change, and what another could change is made anew."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from runbook.catalogue import PROJECT

OTHER = 4321  # a user's number that nobody here has
# In uv's place, which would fetch hundreds of packages: it makes a file as an installer does, and uv's own lock.
INSTALLER = """#!/bin/sh
case "$*" in *--require-hashes*) mkdir -p .venv/installed; echo >.venv/installed/module.py; : >.venv/.lock
chmod 666 .venv/.lock;; esac
"""
# As the one of this machine, but that an environment is a folder: it takes seconds to make one.
PYTHON = f"""#!/bin/sh
case "$*" in "-m venv "*) mkdir -p "$3/bin"; : >"$3/bin/python";; *) exec {sys.executable} "$@";; esac
"""
PROGRAM = """#!/bin/sh
umask; env | grep -c ^PYTHON; readlink /proc/$$/fd/1 /proc/$$/fd/2 >"$SEEN"; exit 7
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a tree of this project in which the installer does next to nothing."""
    for name in ("script", "pyproject.toml"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").write_text(INSTALLER, encoding="ascii")
    (tmp_path / "bin" / "uv").chmod(0o755)
    return tmp_path


def call(tree: Path, *argv: str, umask: int = 0o022, more: Mapping[str, str] | None = None) -> str:
    """Run a script with a umask, and return what it says on standard error; it must end well."""
    path = f"{tree}/bin:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(tree), **(more or {})}
    done = subprocess.run(argv, cwd=tree, env=environment, capture_output=True, text=True, check=False, umask=umask)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr


def others(tree: Path) -> list[Path]:
    """Return what every user may change in the environment; uv's own lock is no code."""
    found = [path for path in (tree / ".venv").rglob("*") if not path.is_symlink() and path.name != ".lock"]
    return [path for path in found if path.stat().st_mode & (stat.S_IWOTH | stat.S_IWGRP)]


def give_to_group(installed: Path) -> None:
    """Let another group write to a folder."""
    os.chown(installed, 0, OTHER)
    installed.chmod(0o775)


BREAKS: dict[str, Callable[[Path], object]] = {
    "mode": lambda installed: (installed / "module.py").chmod(0o646),
    "group": give_to_group,
    "owner": lambda installed: os.chown(installed / "module.py", OTHER, OTHER),
}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_setup_makes_what_nobody_else_can_change_and_makes_anew_what_others_could(tree: Path) -> None:
    """Fails if a umask lets others write what root runs, a changed environment is run, or a sound one made anew."""
    (tree / "bin" / "python3").write_text(PYTHON, encoding="ascii")
    (tree / "bin" / "python3").chmod(0o755)
    assert call(tree, "script/setup", umask=0).count("\n") == 1
    assert others(tree) == []
    for what, damage in BREAKS.items():
        damage(tree / ".venv" / "installed")
        said = call(tree, "script/setup", umask=0)
        assert "which others can. It is made anew." in said, what
        assert others(tree) == []
    before = (tree / ".venv").stat()
    os.chown(tree / ".venv" / "installed", OTHER, 0)  # of whom sudo was called for
    assert call(tree, "script/setup", more={"SUDO_UID": str(OTHER)}) == ""
    assert before == (tree / ".venv").stat()


def test_setup_takes_no_python_s_settings_and_a_folder_for_temporary_files_that_is_there(tree: Path) -> None:
    """Fails if variables that are meant for another Python, CDPATH, or a TMPDIR that is gone stop the set-up."""
    (tree / "elsewhere" / "script").mkdir(parents=True)
    (tree / "script" / "venv.py").write_text("raise SystemExit('another venv')\n", encoding="ascii")
    wrong = {"PYTHONHOME": "/nonexistent", "PYTHONPATH": f"{tree}/script", "PYTHONWARNINGS": "error"}
    said = call(tree, "script/setup", more={**wrong, "CDPATH": f"{tree}/elsewhere", "TMPDIR": "/nonexistent"})
    assert said.count("\n") == 1
    assert (tree / ".venv" / "installed" / "module.py").exists()


def test_setup_makes_anew_what_was_made_in_another_place(tree: Path) -> None:
    """Fails if a clone that was moved, or copied, runs programs that name the place where it was."""
    assert call(tree, "script/setup") != ""
    assert call(tree, "script/setup") == ""
    moved = tree.rename(tree.with_name("moved"))
    assert call(moved, "script/setup").count("\n") == 1


OLD = """#!/bin/sh
[ "$1" != --version ] || { echo Python 3.9.18; exit; }
exit 1
"""
TOOLS = ("bash", "cat", "dirname", "env", "find", "rm", "sed", "sha256sum", "tr")  # beside what a test puts there


@pytest.fixture
def bare(tree: Path) -> Path:
    """Return the tree of a system whose Python is too old."""
    for name in TOOLS:
        (tree / "bin" / name).symlink_to(str(shutil.which(name)))
    (tree / "bin" / "python3").write_text(OLD, encoding="ascii")
    (tree / "bin" / "python3").chmod(0o755)
    return tree


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can put another os-release in the place of this one")
@pytest.mark.parametrize(
    ("system", "remedy"),
    [
        ('ID="rhel"\nID_LIKE="fedora"', "`dnf install python3.12`"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', "`dnf install python3.12`"),
        ("ID=fedora", "`dnf install python3.12`"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"', "`zypper install python312`"),
        ('ID="sles"\nID_LIKE="suse"', "`zypper install python312`"),
        ("ID=ubuntu\nID_LIKE=debian", "`apt-get install python3.11 python3.11-venv`"),
        ("ID=debian", "`apt-get install python3.11 python3.11-venv`"),
        ("ID=arch", "install it"),
    ],
)
def test_setup_says_what_to_install_where_python_is_too_old(bare: Path, system: str, remedy: str) -> None:
    """Fails if a system with an older Python is not told the package of a newer one, by its own name for it."""
    (bare / "os-release").write_text(f"{system}\n", encoding="ascii")
    as_there = f"mount --bind {bare}/os-release /etc/os-release && PATH={bare}/bin exec script/setup"
    command = ("unshare", "--mount", "sh", "-c", as_there)
    done = subprocess.run(command, cwd=bare, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    told = f"expected Python 3.11 or later; found Python 3.9.18. To repair: {remedy}."
    assert done.stderr == f"registry-runbook: {told}\n"


@pytest.mark.parametrize("name", ["python3.11", "python3.14"])
def test_setup_takes_a_newer_python_beside_an_old_one(bare: Path, name: str) -> None:
    """Fails if the system's own Python, which is too old, is all that is looked at."""
    (bare / "bin" / name).write_text(PYTHON, encoding="ascii")
    (bare / "bin" / name).chmod(0o755)
    for tool in ("mkdir", "chmod", "sh"):
        (bare / "bin" / tool).symlink_to(str(shutil.which(tool)))
    assert call(bare, "script/setup", more={"PATH": f"{bare}/bin"}).endswith(
        "installing the locked packages into .venv\n"
    )
    assert (bare / ".venv" / "installed" / "module.py").exists()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_run_gives_the_program_a_umask_streams_and_none_of_python_s_settings(tree: Path, closed: str) -> None:
    """Fails if a closed stream lets the next file that is opened take its place, or others write what is compiled."""
    (tree / "script" / "setup").write_text("#!/bin/sh\n", encoding="ascii")
    program = tree / ".venv" / "bin" / "registry-runbook"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM, encoding="ascii")
    program.chmod(0o755)
    done = subprocess.run(
        ("bash", "-c", f"umask 0; script/run plan {closed}"),
        cwd=tree,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": "x", "PYTHONINSPECT": "1", "SEEN": f"{tree}/seen"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout == ("" if ">&-" in closed.replace("2>&-", "") else "0022\n0\n")
    streams = (tree / "seen").read_text(encoding="ascii").splitlines()[1:]
    assert ("/dev/null" in streams) == ("2>&-" in closed)
