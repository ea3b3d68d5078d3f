"""Files: read as facts, written whole or not at all."""

import datetime
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from runbook.model.errors import HostError
from runbook.system.host import files, users
from tests.conftest import somebody_else

# A process that is gone between its temporary file and the rename, as a killed run is.
KILLED = """
import os, pathlib, signal, sys
from runbook.system.host import files, users
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
    told = {"folder": "a folder", "pipe": "a named pipe"}.get(kind, "a symbolic link")
    with pytest.raises(HostError, match=f"a regular file at {path}; found {told}"):
        files.read_text(path)


def test_read_text_refuses_what_is_not_utf_8(tmp_path: Path) -> None:
    """Fails if text that nobody can edit safely is taken for text."""
    (tmp_path / "f").write_bytes(b"127.0.0.1 localhost\n# caf\xe9\n")
    with pytest.raises(HostError, match=f"UTF-8 text in {tmp_path}/f; found line 2: the byte 0xe9. To repair: write"):
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
    for name in ("f", ".f.part"):
        (tmp_path / name).symlink_to(target)
        with suppress(OSError, HostError):
            files.write(tmp_path / "f", b"ours", 0o600)
        assert target.read_bytes() == b"theirs"


def test_write_leaves_no_temporary_file_after_a_failure(tmp_path: Path) -> None:
    """Fails if a folder in the file's place is removed, or the temporary file stays."""
    (tmp_path / "f").mkdir()
    with pytest.raises(HostError, match=f"to write {tmp_path}/f; found Is a directory"):
        files.write(tmp_path / "f", b"x", 0o600)
    assert names_in(tmp_path) == ["f"]


def changes_in(folder: Path) -> list[tuple[str, int, int, int]]:
    """Return what a change to anything in a folder changes; a look at a link sets its time of access."""
    found = [(item.name, item.lstat()) for item in folder.iterdir()]
    return [(name, status.st_ino, status.st_mode, status.st_ctime_ns) for name, status in found]


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe", "folder for its temporary file"])
def test_require_place_for_file_refuses_what_is_in_its_place(tmp_path: Path, kind: str) -> None:
    """Fails if something that is no file is found only when half of a plan is made, or is touched."""
    path = tmp_path / "f"
    match kind:
        case "link":
            path.symlink_to(tmp_path)
        case "dangling link":
            path.symlink_to(tmp_path / "nothing")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            (tmp_path / ".f.part").mkdir()
    before = changes_in(tmp_path)
    with pytest.raises(HostError, match=rf"a regular file at {tmp_path}/(?:f|\.f\.part);"):
        files.require_place_for_file(path)
    assert before == changes_in(tmp_path)


def test_require_place_takes_what_can_be_made(tmp_path: Path) -> None:
    """Fails if a file that is there, or one whose folders are missing, is refused; or a link to a folder is."""
    (tmp_path / "f").touch()
    (tmp_path / "linked").symlink_to(tmp_path)
    (tmp_path / ".f.part").symlink_to(tmp_path / "theirs")  # what a run left, or somebody laid: it is removed
    for path in (tmp_path / "f", tmp_path / "a" / "b" / "f", tmp_path / "linked" / "g"):
        files.require_place_for_file(path)
    for path in (tmp_path, tmp_path / "linked", tmp_path / "a" / "b"):
        files.require_place_for_folder(path)
    with pytest.raises(HostError, match=f"a folder at {tmp_path}/f, or nothing"):
        files.require_place_for_folder(tmp_path / "f")
    files.write(tmp_path / "f", b"x", 0o600)
    assert names_in(tmp_path) == ["f", "linked"]


@pytest.mark.parametrize("what", ["file", "folder", "what is below"])
def test_require_writable_finds_what_root_may_not_change(tmp_path: Path, what: str) -> None:
    """Fails if an attribute of chattr is found only when half of a plan is made."""
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "f").touch()
    fixed, path = {
        "file": (tmp_path / "tree" / "f", tmp_path / "tree" / "f"),
        "folder": (tmp_path / "tree", tmp_path / "tree" / "new"),
        "what is below": (tmp_path / "tree" / "deep", tmp_path / "tree"),
    }[what]
    files.require_writable(path)
    subprocess.run(("chattr", "+i", fixed), check=True)
    try:
        with pytest.raises(HostError, match=f"to be allowed to change {path}; found not even root may change {fixed}"):
            files.require_writable(path)
    finally:
        subprocess.run(("chattr", "-i", fixed), check=True)


MOUNTED = """
import os, pathlib, sys
from runbook.model.errors import HostError
from runbook.system.host import files, users
path = pathlib.Path(sys.argv[1])
for call in (lambda: files.require_place_for_file(path), lambda: files.write(path, bytes(100_000), 0o600)):
    try:
        call()
    except HostError as error:
        print(error)
    print(path.read_text(), *(entry for entry in os.listdir(path.parent) if entry.endswith(".part")))
"""


def write_below(folder: Path, mount: str) -> list[str]:
    """Return what a process says that looks at, and writes to, a file in a folder with something mounted there."""
    prepare = f'set -e; {mount}; exec "$0" -c "$1" "$2"'
    argv = ("unshare", "--mount", "sh", "-c", prepare, sys.executable, MOUNTED, str(folder / "f"))
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def test_file_system_that_is_read_only_is_named_before_anything_is_written(tmp_path: Path) -> None:
    """Fails if /etc that is mounted read-only is found only by the first write, or the message does not say it."""
    (tmp_path / "f").write_text("old", encoding="ascii")
    looked, old, written, again = write_below(
        tmp_path, f"mount --bind {tmp_path} {tmp_path}; mount -o remount,ro,bind {tmp_path}"
    )
    assert (
        f"expected to be allowed to change {tmp_path}/f; found the file system of {tmp_path} is mounted read-only"
        in looked
    )
    assert f"expected to write {tmp_path}/f; found Read-only file system" in written
    assert (old, again) == ("old", "old")


@pytest.mark.parametrize(("limit", "free"), [("size=64k", "bytes and"), ("nr_inodes=2", "and 0 inodes")])
def test_write_says_how_full_a_disk_is(tmp_path: Path, limit: str, free: str) -> None:
    """Fails if a full disk tears the earlier file, leaves a temporary one, or is told without path and free space."""
    mount = f"mount -t tmpfs -o {limit} none {tmp_path}; printf old >{tmp_path}/f"
    old, written, again = write_below(tmp_path, mount)
    assert f"expected to write {tmp_path}/f; found No space left on device (" in written
    assert free in written
    assert f"are free on the file system of {tmp_path}). To repair: make room there" in written
    assert (old, again) == ("old", "old")


def test_write_writes_in_place_only_where_it_must(tmp_path: Path) -> None:
    """Fails if a file that cannot be replaced as a whole is written over, and may be left half written."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    path.chmod(0o666)
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(0o755)
    with somebody_else(), pytest.raises(HostError, match=f"to write {path}; found Permission denied"):
        files.write(path, b"new", 0o600)
    assert path.read_bytes() == b"old"


def test_keep_keeps_the_first_version(tmp_path: Path) -> None:
    """Fails if a later version takes the place of the operator's own, or its mode is lost."""
    path = tmp_path / "hosts"
    path.write_bytes(b"theirs")
    path.chmod(0o640)
    kept = files.back_up(path)
    path.write_bytes(b"ours")
    assert (kept, b"theirs", 0o640) == (files.back_up(path), kept.read_bytes(), stat.S_IMODE(kept.stat().st_mode))
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


OTHER = 4321  # a user's number that nobody here has


def as_link_of_another(folder: Path) -> None:
    """Put a link of another user's in a folder's place."""
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))
    os.chown(folder, OTHER, OTHER, follow_symlinks=False)


def as_link_into_a_folder_for_all(folder: Path) -> None:
    """Put a link in a folder's place, which leads into a folder that everybody may write to."""
    folder.parent.joinpath("open").mkdir()
    folder.parent.joinpath("open").chmod(0o777)
    folder.rename(folder.parent / "open" / "moved")
    folder.symlink_to(folder.parent / "open" / "moved")


def as_folder_of_a_group(folder: Path) -> None:
    """Let another group write to a folder."""
    os.chown(folder, 0, OTHER)
    folder.chmod(0o775)


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(lambda folder: os.chown(folder, OTHER, OTHER), id="folder-of-another"),
        pytest.param(lambda folder: folder.chmod(0o777), id="folder-for-all"),
        as_folder_of_a_group,
        as_link_of_another,
        as_link_into_a_folder_for_all,
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_way_that_another_user_could_change_is_refused(tmp_path: Path, how: Callable[[Path], object]) -> None:
    """Fails if root writes where another user may lay a link in its way, to a file or to a folder that is there."""
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    how(folder)
    for refused in (files.require_place_for_file, files.require_place_for_folder):
        with pytest.raises(HostError, match="in folders that no other user can change"):
            refused(folder / "below" / "f")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_way_of_one_s_own_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a folder of root's, of whom sudo was called for, one of a group of one, or one like /tmp is refused."""
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)
    files.require_place_for_file(tmp_path / "link" / "below" / "f")
    folder.chmod(0o1777)
    files.require_place_for_file(folder / "below" / "f")
    os.chown(folder, OTHER, OTHER)
    folder.chmod(0o775)
    monkeypatch.setenv("SUDO_UID", str(OTHER))
    monkeypatch.setattr(users, "in_group", lambda group: {group})
    files.require_place_for_file(folder / "below" / "f")
    monkeypatch.setattr(users, "in_group", lambda group: {group, group + 1})
    with pytest.raises(HostError, match="in folders that no other user can change"):
        files.require_place_for_file(folder / "below" / "f")


@pytest.mark.parametrize("target", ["a file", "nothing", "a folder", "itself"])
def test_remedy_for_a_link_in_a_file_s_place_works_as_it_is_said(tmp_path: Path, target: str) -> None:
    """Fails if the command that is named does not end in a file, or in nothing, there; or what was led to is lost."""
    path = tmp_path / "a name"
    path.symlink_to(path if target == "itself" else tmp_path / "target")
    if target == "a file":
        (tmp_path / "target").write_text("x", encoding="utf-8")
    if target == "a folder":
        (tmp_path / "target").mkdir()
    before = sorted(set(names_in(tmp_path)) - {path.name})
    with pytest.raises(HostError) as refused:
        files.read_text(path)
    command = refused.value.remedy.partition("`")[2].removesuffix("`)")
    subprocess.run(["sh", "-c", command], check=True, stdin=subprocess.DEVNULL)
    assert files.read_text(path) == ("x" if target == "a file" else None)
    assert sorted(set(names_in(tmp_path)) - {path.name}) == before
