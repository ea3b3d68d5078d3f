"""Who could change a file: its owner, its mode, its group, its access list, and all of that of the folders above it."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.system.docker import owners

SOMEBODY = 65534
STAFF = 50  # a group of each Debian that nobody is in (base-passwd)
NOGROUP = 65534  # that of the user nobody
# acl(5) as Linux keeps it: the version, then tag, rights and number of each; the user 65534 may write.
ALL = 0xFFFFFFFF
ACCESS = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry) for entry in ((1, 7, ALL), (2, 7, SOMEBODY), (4, 5, ALL), (16, 7, ALL), (32, 5, ALL))
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give a file in a folder in a folder, all of them root's alone."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    path = tmp_path / "above" / "folder" / "file"
    path.parent.mkdir(parents=True)
    path.write_text("x", encoding="ascii")
    return path


def give(path: Path, group: int, mode: int) -> None:
    """Give a file to a group, with this mode."""
    os.chown(path, 0, group)
    path.chmod(mode)


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "file-for-all": (lambda path: path.chmod(0o646), "file is 0646"),
    "file-of-another": (lambda path: os.chown(path, SOMEBODY, 0), "file is nobody's"),
    "file-of-an-unknown": (lambda path: os.chown(path, 54321, 0), "file is user id 54321's"),
    "folder-for-all": (lambda path: path.parent.chmod(0o777), "folder is 0777"),
    "folder-above-for-all": (lambda path: path.parent.parent.chmod(0o777), "above is 0777"),
    "folder-above-of-another": (lambda path: os.chown(path.parent.parent, SOMEBODY, 0), "above is nobody's"),
    "group-with-somebody": (lambda path: give(path.parent, NOGROUP, 0o775), f"folder is 0775, of group id {NOGROUP}"),
    "access-list": (
        lambda path: os.setxattr(path.parent, "system.posix_acl_access", ACCESS),
        "folder is 0775, with an access list (getfacl)",
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_changed_by_others_tells_who_could(place: Path, harm: str) -> None:
    """Fails if somebody else could change a file, and nobody learns how."""
    assert owners.changed_by_others([place]) == []
    how, expected = HARMS[harm]
    try:
        how(place)
    except OSError as error:  # a file system without access lists
        pytest.skip(str(error))
    [told] = owners.changed_by_others([place])
    assert told.endswith(expected)
    assert owners.changed_by_others((), trees=[place.parent]) == [told]


@pytest.mark.parametrize(
    "harmless",
    [
        pytest.param(lambda path: path.chmod(0o644), id="others-may-read"),
        pytest.param(lambda path: path.chmod(0o664), id="group-is-root-s"),
        pytest.param(lambda path: path.parent.parent.chmod(0o1777), id="folder-above-is-sticky"),
        pytest.param(lambda path: give(path.parent, STAFF, 0o2775), id="group-that-nobody-is-in"),
        pytest.param(lambda path: path.with_name("link").symlink_to("/nowhere"), id="link"),
    ],
)
def test_changed_by_others_raises_no_false_alarm(place: Path, harmless: Callable[[Path], object]) -> None:
    """Fails if what is usual on a host is taken for a hole."""
    harmless(place)
    assert owners.changed_by_others([place, place / "not-there"], trees=[place.parent]) == []


def test_changed_by_others_follows_a_link(place: Path) -> None:
    """Fails if a file is not looked at that a link of root's leads to."""
    link = place.parent.parent / "link"
    link.symlink_to(place)
    place.parent.chmod(0o777)
    [told] = owners.changed_by_others([link])
    assert told.endswith("folder is 0777")


def test_changed_by_others_looks_into_a_folder_that_only_sticks(place: Path) -> None:
    """Fails if anybody may put a file beside those that the registry reads."""
    place.parent.chmod(0o1777)
    [told] = owners.changed_by_others((), trees=[place.parent])
    assert told.endswith("folder is 1777")
