"""Another user's races: what he lays in the way of what root writes, between any two of root's calls of the system."""

import datetime
import os
import random
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runbook import catalogue
from runbook.jupyter import html_pages
from runbook.model.errors import HostError
from runbook.record import folder
from runbook.system.host import files
from tests import draws
from tests.conftest import let_others_reach, somebody_else

NOBODY = 65534
NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
# Those by which a path is looked at or used; the other user acts before one of them.
CALLS = ("stat", "lstat", "mkdir", "chmod", "open", "rename", "replace", "unlink", "chown")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def a_record(place: Path) -> None:
    """Make the folder of a run's record, as --output does, and write into it."""
    files.write(folder.make(NOW, place / "inner") / "f", b"ours", 0o600)


ATTEMPTS: dict[str, Callable[[Path], object]] = {
    "file": lambda place: files.write(place, b"ours", 0o644),
    "file-in-a-folder": lambda place: files.write(place / "inner" / "f", b"ours", 0o644),
    "private-folder": lambda place: files.make_directory(place, 0o700),
    "private-folder-in-a-folder": lambda place: files.make_directory(place / "inner", 0o700),
    "record": a_record,
    "pages": lambda place: html_pages.write(place / "inner"),
}


def lay_link(place: Path, victim: Path) -> None:
    """Lay a link to the victim in the way."""
    place.symlink_to(victim)


def lay_links_beside(place: Path, victim: Path) -> None:
    """Lay links where a file is written before it takes its place."""
    for beside in (f".{place.name}.part", ".f.part"):
        place.with_name(beside).symlink_to(victim / "made")


def lay_folder_with_link(place: Path, victim: Path) -> None:
    """Lay a folder in the way, and in it a link to the victim."""
    place.mkdir()
    (place / "inner").symlink_to(victim)


def lay_link_in_folder_later(place: Path, victim: Path) -> None:
    """Lay a link to the victim into a folder that was laid in the way before."""
    with suppress(FileExistsError):
        place.mkdir()
    for laid in (place / "inner", place / "f", place / ".f.part"):
        laid.symlink_to(victim / "f" if laid.name != "inner" else victim)


ACTS = (lay_link, lay_links_beside, lay_folder_with_link, lay_link_in_folder_later)


class Race:
    """Lets another user act once, before root's call of that number."""

    def __init__(self, number: int, act: Callable[[], None]) -> None:
        """Take when, and what he does."""
        self.left, self.act = number, act

    def before(self, call: Callable[..., object]) -> Callable[..., object]:
        """Return a call of the system that counts."""

        def counted(*given: Any, **named: Any) -> object:  # noqa: ANN401 (as the system's)
            self.left -= 1
            if self.left == 0:
                with somebody_else(), suppress(OSError):
                    self.act()
            return call(*given, **named)

        return counted


def attempt(tmp_path: Path, how: Callable[[Path], object], number: int, act: Callable[[Path, Path], None]) -> bool:
    """Write once while another user acts before call `number`; return whether root made that many calls.

    Nothing of the victim, a folder of root's, may be changed.
    """
    shared, victim = tmp_path / "shared", tmp_path / "victim"
    for made in (shared, victim):
        made.mkdir()
    (victim / "f").write_bytes(b"theirs")
    shared.chmod(0o1777)
    before = victim.stat()
    race = Race(number, lambda: act(shared / "x", victim))
    with pytest.MonkeyPatch.context() as patched:
        for name in CALLS:
            patched.setattr(os, name, race.before(getattr(os, name)))
        with suppress(HostError, OSError):
            how(shared / "x")
        reached = race.left <= 0
    after = victim.stat()
    assert [path.name for path in victim.iterdir()] == ["f"]
    assert (victim / "f").read_bytes() == b"theirs"
    assert (stat.S_IMODE(after.st_mode), after.st_uid, after.st_mtime_ns) == (0o755, 0, before.st_mtime_ns)
    shutil.rmtree(shared)
    shutil.rmtree(victim)
    return reached


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("how", ATTEMPTS)
def test_nothing_is_written_through_what_another_user_lays_in_the_way(
    tmp_path: Path, how: str, act: Callable[[Path, Path], None], monkeypatch: pytest.MonkeyPatch, seeded: random.Random
) -> None:
    """Fails if what root looked at is not what it writes to: a file, folder or mode somewhere else is changed."""
    exporter = SimpleNamespace(from_filename=lambda _: ("ours", {}))
    monkeypatch.setattr(html_pages, "HTMLExporter", lambda **_: exporter)  # it takes a while to make one
    one = (catalogue.find("70-clients"),)
    monkeypatch.setattr(catalogue, "notebooks", lambda: one)
    let_others_reach(tmp_path / "x")
    step = 1 if draws.tries_all() else 4
    number = seeded.randint(1, step)
    while attempt(tmp_path, ATTEMPTS[how], number, act):
        number += step
    assert number > 5 * step
