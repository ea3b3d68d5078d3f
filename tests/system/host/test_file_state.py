"""What tells that a place was changed: and what does not."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.model.errors import HostError
from runbook.system.host import file_state
from tests.conftest import somebody_else


def replace(path: Path) -> None:
    """Put another file of the same text and time in the place of one."""
    other, at = path.with_name("other"), path.stat()
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(at.st_atime_ns, at.st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize(
    ("edit", "seen"),
    [
        pytest.param(lambda file: file.write_text("b", encoding="ascii"), True, id="written"),
        pytest.param(replace, True, id="replaced"),
        pytest.param(lambda file: file.with_name("more").touch(), True, id="file-added"),
        pytest.param(lambda file: file.unlink(), True, id="file-gone"),
        pytest.param(lambda file: file.chmod(0o640), False, id="mode"),
        pytest.param(lambda file: file.read_text(encoding="ascii"), False, id="read"),
    ],
)
def test_state_is_another_once_something_was_written(
    tmp_path: Path, edit: Callable[[Path], object], *, seen: bool
) -> None:
    """Fails if an edit is not seen, or a repair of modes earlier in the same plan counts as one."""
    file = tmp_path / "folder" / "f"
    file.parent.mkdir()
    file.write_text("a", encoding="ascii")
    before = file_state.fingerprint(file.parent)
    assert file_state.fingerprint(file.parent) == before
    edit(file)
    assert (file_state.fingerprint(file.parent) != before) is seen


def test_state_tells_nothing_from_an_empty_folder(tmp_path: Path) -> None:
    """Fails if a plan cannot say that a folder will be empty, or that a place is."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    found = [file_state.fingerprint(tmp_path / name) for name in ("absent", "folder", "file/below")]
    assert found == [None, file_state.EMPTY, None]


def test_state_says_whose_folder_it_may_not_look_into() -> None:
    """Fails if a user who may not look is told that nothing is there."""
    with somebody_else(), pytest.raises(HostError, match="to be allowed to look at /root/x"):
        file_state.fingerprint(Path("/root/x"))
