"""The program wherever it is called: closed streams, folders that are gone, another Python's settings, little room."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from runbook import catalogue
from tests.waiting import wait_for

PROGRAM = Path(sys.executable).with_name("registry-runbook")


def call(script: str, folder: Path, more: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a shell's line in a folder, with `$program` and an engine that is not there; no traceback may be shown."""
    environment = {**os.environ, "DOCKER_HOST": "tcp://127.0.0.1:1", "program": str(PROGRAM), **(more or {})}
    done = subprocess.run(
        ("bash", "-c", script), cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


FOREIGN = {
    "PYTHONPATH": "{folder}",
    "PYTHONSTARTUP": "{folder}/click.py",
    "PYTHONWARNINGS": "error",
    "PYTHONINSPECT": "1",
    "PYTHONOPTIMIZE": "2",
    "PYTHONVERBOSE": "1",
    "PYTHONDEVMODE": "1",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_another_python_s_settings_change_nothing(tmp_path: Path, name: str) -> None:
    """Fails if a module of another program is imported, a warning ends the program, or it asks at its end."""
    (tmp_path / "click.py").write_text("raise SystemExit('another click')\n", encoding="ascii")
    done = call("$program list; echo $?", tmp_path, {name: FOREIGN[name].format(folder=tmp_path)})
    assert [line.split()[0] for line in done.stdout.splitlines()] == [*catalogue.names(), "0"]
    assert name in {"PYTHONVERBOSE", "PYTHONDEVMODE"} or done.stderr == ""


def test_current_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    """Fails if it ends in a traceback, or what is written goes somewhere else."""
    (tmp_path / "gone").mkdir()
    done = call("cd gone; rmdir ../gone; $program list", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "expected a current folder; found No such file or directory. To repair: `cd`" in done.stderr


@pytest.mark.parametrize("kilobytes", [100_000, 400_000])
def test_too_little_room_is_named(tmp_path: Path, kilobytes: int) -> None:
    """Fails if a limit of memory ends in a traceback, or in a Docker client's."""
    done = call(f"ulimit -v {kilobytes}; $program list", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"expected 1048576 kB of address space or more; found {kilobytes} kB. To repair: `ulimit" in done.stderr


def dry_run(folder: Path) -> str:
    """Return the line that plans a notebook, with all that it makes below a folder."""
    options = f"-p private_directory {folder}/p -p configuration_directory {folder}/c --output {folder}/out"
    return f"$program run --dry-run 40-configuration {options}"


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_stream_is_taken_by_nothing_else(tmp_path: Path, closed: str) -> None:
    """Fails if a file that is opened later gets what is meant for a closed stream, or the exit code is another."""
    done = call(f"exec 3>&1; {dry_run(tmp_path)} {closed}; echo code $? >&3", tmp_path)
    assert done.stdout == "code 0\n"
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["result"] == "done"


def test_output_that_nobody_can_take_is_no_traceback(tmp_path: Path) -> None:
    """Fails if a full device, or a pipe that was closed, ends in a traceback, or as if all were well."""
    assert call("$program parameters >/dev/full", tmp_path).returncode != 0
    call("$program parameters | true", tmp_path)


def test_folder_for_temporary_files_may_be_too_long_or_gone(tmp_path: Path) -> None:
    """Fails if a run's kernels find no place for their sockets, or something of a run stays."""
    long = tmp_path / ("x" * 90)
    long.mkdir()
    for place in (long, tmp_path / "gone"):
        done = call(dry_run(tmp_path), tmp_path, {"TMPDIR": str(place)})
        assert (done.returncode, "changes planned, none made" in done.stdout) == (0, True), done.stderr
    assert list(long.iterdir()) == []


def test_folders_of_a_run_that_was_killed_go_with_the_next(tmp_path: Path) -> None:
    """Fails if each run that is killed leaves a folder of sockets for good."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        environment = {**os.environ, "TMPDIR": name, "DOCKER_HOST": "tcp://127.0.0.1:1"}
        argv = (PROGRAM, "run", "--dry-run", "40-configuration", "--output", tmp_path / "killed")
        with subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL) as killed:
            wait_for("a kernel's sockets", lambda: list(place.glob("registry-runbook-*/0-*")))
            killed.kill()
        left = list(place.iterdir())
        assert {path.name.rpartition("-")[0] for path in left} == {f"registry-runbook-{killed.pid}"}
        assert call(dry_run(tmp_path), tmp_path, {"TMPDIR": name}).returncode == 0
        assert list(place.iterdir()) == []
