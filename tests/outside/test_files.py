"""Files: read as facts, written whole or not at all."""

import datetime
import os
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from runbook.errors import HostError
from runbook.outside import files
from tests.conftest import somebody_else

# A process that is gone between its temporary file and the rename, as a killed run is.
KILLED = """
import os, pathlib, signal, sys
from runbook.outside import files
os.rename = os.replace = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
files.write(pathlib.Path(sys.argv[1]), b"torn", 0o600)
"""


def names_in(folder: Path) -> list[str]:
    """Return the names of all that is in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(None, None, id="absent"),
        pytest.param(b"", "", id="empty"),
        pytest.param("ä\r\n仓".encode(), "ä\r\n仓", id="as-it-is"),
    ],
)
def test_read_text_gives_what_is_there(tmp_path: Path, data: bytes | None, expected: str | None) -> None:
    """Fails if an empty file is taken for none, or an end of line is translated."""
    if data is not None:
        (tmp_path / "f").write_bytes(data)
    assert expected == files.read_text(tmp_path / "f")


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
def test_read_text_refuses_what_is_no_regular_file(tmp_path: Path, kind: str) -> None:
    """Fails if a link is followed, or a pipe is waited for."""
    path = tmp_path / "f"
    match kind:
        case "link":
            (tmp_path / "target").write_text("x", encoding="utf-8")
            path.symlink_to(tmp_path / "target")
        case "dangling link":
            path.symlink_to(tmp_path / "nothing")
        case "folder":
            path.mkdir()
        case _:
            os.mkfifo(path)
    with pytest.raises(HostError, match=f"a regular file at {path}; found another kind of file"):
        files.read_text(path)


def test_read_text_refuses_what_is_not_utf_8(tmp_path: Path) -> None:
    """Fails if text that nobody can edit safely is taken for text."""
    (tmp_path / "f").write_bytes(b"caf\xe9")
    with pytest.raises(HostError, match=f"UTF-8 text in {tmp_path}/f.*0xe9"):
        files.read_text(tmp_path / "f")


@pytest.mark.parametrize("mode", [0o700, 0o711])
def test_read_text_names_what_only_root_may_read(tmp_path: Path, mode: int) -> None:
    """Fails if another user than root gets a traceback, or takes a file that is there for none."""
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "f").write_text("x", encoding="utf-8")
    (folder / "f").chmod(0o600)
    folder.chmod(mode)
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(0o755)
    with somebody_else(), pytest.raises(HostError, match=f"to be allowed to read {folder}/f; found user id 65534 is"):
        files.read_text(folder / "f")


def test_facts_of_a_path_below_a_file_are_none(tmp_path: Path) -> None:
    """Fails if a file in a folder's place ends in a traceback."""
    (tmp_path / "f").touch()
    assert (files.read_text(tmp_path / "f" / "x"), files.mode_of(tmp_path / "f" / "x")) == (None, None)


@pytest.mark.parametrize(("mode", "expected"), [(0o600, 0o600), (0o4755, 0o4755), (None, None)])
def test_mode_of_gives_all_permission_bits(tmp_path: Path, mode: int | None, expected: int | None) -> None:
    """Fails if a special bit is hidden, or a missing file has a mode."""
    if mode is not None:
        (tmp_path / "f").touch()
        (tmp_path / "f").chmod(mode)
    assert expected == files.mode_of(tmp_path / "f")


def test_changed_at_is_when_the_content_changed(tmp_path: Path) -> None:
    """Fails if a mode that was repaired counts as a new content, or the time is not in UTC."""
    path = tmp_path / "f"
    path.touch()
    os.utime(path, (0, 86400))
    path.chmod(0o600)
    assert files.changed_at(path) == datetime.datetime(1970, 1, 2, tzinfo=datetime.UTC)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_make_directory_makes_it_and_those_above(tmp_path: Path, umask: int) -> None:
    """Fails if the umask decides, or a folder that is there already keeps a mode that is too wide."""
    earlier = os.umask(umask)
    try:
        for _ in range(2):
            files.make_directory(tmp_path / "a" / "b" / "c", 0o700)
            (tmp_path / "a" / "b").chmod(0o711)  # a folder above that is there is left as it is
    finally:
        os.umask(earlier)
    found = [files.mode_of(tmp_path / name) for name in ("a", "a/b", "a/b/c")]
    assert found == [0o755, 0o711, 0o700]


@pytest.mark.parametrize("earlier", [None, b"a longer text than the new one"])
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_write_replaces_the_whole_file(tmp_path: Path, earlier: bytes | None, mode: int) -> None:
    """Fails if old text shines through, the old mode stays, or a temporary file is left."""
    path = tmp_path / "d" / "f"
    if earlier:
        path.parent.mkdir()
        path.write_bytes(earlier)
        path.chmod(0o666)
    files.write(path, b"new", mode)
    assert (b"new", mode) == (path.read_bytes(), files.mode_of(path))
    assert names_in(path.parent) == ["f"]


def test_write_switches_to_a_new_file(tmp_path: Path) -> None:
    """Fails if somebody who has the old file open could read half of the new one."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        files.write(path, b"new", 0o600)
        assert reader.read() == b"old"


def test_write_goes_on_after_a_run_that_was_killed(tmp_path: Path) -> None:
    """Fails if the temporary file of a run that was killed keeps every later run from writing."""
    path = tmp_path / "f"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not path.exists()
    files.write(path, b"whole", 0o600)
    assert (path.read_bytes(), names_in(tmp_path)) == (b"whole", ["f"])


def test_write_does_not_follow_a_link(tmp_path: Path) -> None:
    """Fails if a link in a file's place, or its temporary file's, leads the text elsewhere."""
    target = tmp_path / "target"
    target.write_bytes(b"theirs")
    for name in ("f", "f.part"):
        (tmp_path / name).symlink_to(target)
        with suppress(OSError, HostError):
            files.write(tmp_path / "f", b"ours", 0o600)
        assert target.read_bytes() == b"theirs"


def test_write_leaves_no_temporary_file_after_a_failure(tmp_path: Path) -> None:
    """Fails if a folder in the file's place is removed, or the temporary file stays."""
    (tmp_path / "f").mkdir()
    with pytest.raises(IsADirectoryError):
        files.write(tmp_path / "f", b"x", 0o600)
    assert names_in(tmp_path) == ["f"]


def test_write_writes_in_place_only_where_it_must(tmp_path: Path) -> None:
    """Fails if a file that cannot be replaced as a whole is written over, and may be left half written."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    path.chmod(0o666)
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(0o755)
    with somebody_else(), pytest.raises(PermissionError):
        files.write(path, b"new", 0o600)
    assert path.read_bytes() == b"old"


def test_keep_keeps_the_first_version(tmp_path: Path) -> None:
    """Fails if a later version takes the place of the operator's own, or its mode is lost."""
    path = tmp_path / "hosts"
    path.write_bytes(b"theirs")
    path.chmod(0o640)
    kept = files.keep(path)
    path.write_bytes(b"ours")
    assert (kept, b"theirs", 0o640) == (files.keep(path), kept.read_bytes(), stat.S_IMODE(kept.stat().st_mode))
    assert names_in(tmp_path) == ["hosts", "hosts.before-registry-runbook"]


def test_remove_tree_removes_what_is_there_and_nothing_behind_a_link(tmp_path: Path) -> None:
    """Fails if what a link points to is removed, or nothing to remove is an error."""
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "f").touch()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    (tmp_path / "file").touch()
    for name in ("tree", "link", "file", "nothing"):
        files.remove_tree(tmp_path / name)
    assert names_in(tmp_path) == ["theirs"]
