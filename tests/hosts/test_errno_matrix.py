"""What the system may answer to each call that writes a file: path and cause are named, the earlier file is whole.

strace gives the answer in the kernel's place; it needs no host.
"""

import errno
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.draws import tries_all

from . import targets

CALLS = ("openat", "write", "fsync", "rename")
CAUSES = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO)
# Each call with each cause (`script/test --all`), or each call and each cause once: a process takes some two seconds.
MATRIX = [*itertools.product(CALLS, CAUSES)] if tries_all() else [*zip(CALLS, CAUSES, strict=True)]
KEPT = "kept.before-registry-runbook"


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files in a folder, with their content."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_all(folder: Path, *strace: str) -> dict[str, str]:
    """Make all changes below strace, and return the error of each; nothing for one that was made."""
    argv = (*strace, sys.executable, "-m", "tests.hosts.targets", str(folder))
    return dict(json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a file in the place of each that is written."""
    targets.prepare(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("call", "cause"), MATRIX, ids=lambda item: errno.errorcode.get(item, item))
def test_failed_call_is_named_and_leaves_the_earlier_file(folder: Path, call: str, cause: int) -> None:
    """Fails where an error hides its path or cause, an earlier file is not what it was, or a temporary one stays."""
    before = contents(folder)
    parts = [f".{name}.part" for name in targets.plan(folder)]
    paths = [word for name in parts for word in ("-P", str(folder / name))]
    inject = f"inject={call}:error={errno.errorcode[cause]}"
    ended = write_all(
        folder, "strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", *paths, "-e", f"trace={call}", "-e", inject
    )
    for name, error in ended.items():
        assert f"expected to write {folder / name}; found {os.strerror(cause)}" in error
        assert "To repair: " in error
        assert ("bytes and" in error) == (cause == errno.ENOSPC)
    assert before == contents(folder)


def test_changes_are_made_where_no_call_fails(folder: Path) -> None:
    """Fails where the matrix above would pass without any fault: a change that is never made."""
    before = contents(folder)
    assert set(write_all(folder).values()) == {""}
    after = contents(folder)
    assert {name for name in after if before.get(name) != after[name]} == {*targets.plan(folder), "kept", "new.crt"}
    assert (before["kept"], before["ca.key"]) == (after[KEPT], after["ca.key"])


def test_file_is_on_the_disk_before_it_takes_its_place(folder: Path) -> None:
    """Fails where a loss of power could leave an empty file under the name, or the earlier name."""
    trace = folder / "trace"
    calls = "trace=write,fsync,rename,chmod,fchmod"
    write_all(folder, "strace", "-f", "--seccomp-bpf", "-qq", "-y", "-o", str(trace), "-e", calls)
    about = [line for line in trace.read_text(encoding="ascii").splitlines() if f"{folder}" in line]
    seen = [line.split(maxsplit=1)[1].partition("(")[0] for line in about if ".written.part" in line]
    assert seen[-3:] == ["write", "fsync", "rename"]
    [place] = [n for n, line in enumerate(about) if "rename(" in line and ".written.part" in line]
    assert about[place + 1].split(maxsplit=1)[1].startswith("fsync(")
    assert f"<{folder}>" in about[place + 1]
