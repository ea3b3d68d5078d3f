"""The htpasswd file: what the registry reads, the runbook's marks, and lines that change without the others."""

from pathlib import Path

import bcrypt
import pytest

from runbook.model.errors import HostError
from runbook.system.registry import htpasswd

HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()


def written(path: Path, *lines: str) -> Path:
    """Write these lines, and return the file."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_comments_and_empty_lines_are_no_users(tmp_path: Path) -> None:
    """Fails if the registry and the runbook see other users in a file."""
    path = written(tmp_path / "h", "# comment", "", f"  ci:{HASH}  ", "#off:x")
    assert htpasswd.read(path) == {"ci": HASH}
    assert htpasswd.read(tmp_path / "none") == {}


@pytest.mark.parametrize(
    "line", ["ci", "ci:", f":{HASH}", "ci:{SHA}x", f"ci:{HASH}:x", "ci:plain", f"ci {HASH}"], ids=range(7)
)
def test_line_that_the_registry_cannot_read_is_named(tmp_path: Path, line: str) -> None:
    """Fails if a line passes that makes the registry answer every login with 400."""
    with pytest.raises(HostError, match="line 2: not USER:BCRYPT-HASH"):
        htpasswd.read(written(tmp_path / "h", f"a:{HASH}", line))


def test_second_line_of_a_user_is_named(tmp_path: Path) -> None:
    """Fails if the line that the registry ignores is taken for the user's."""
    with pytest.raises(HostError, match="line 2: the user a a second time"):
        htpasswd.read(written(tmp_path / "h", f"a:{HASH}", f"a:{HASH}"))


@pytest.mark.parametrize(
    ("hashed", "password", "cost", "expected"),
    [
        (HASH, "right", 4, "matches"),
        (HASH, "right", 5, "has another cost"),
        (HASH, "wrong", 4, "differs"),
        (None, "right", 4, "absent"),
        (HASH, None, 4, "absent"),
    ],
    ids=["right", "other-cost", "wrong", "no-line", "no-password"],
)
def test_state_compares_line_and_password(hashed: str | None, password: str | None, cost: int, expected: str) -> None:
    """Fails if a line of another password counts as the user's, or a cheaper hash as the one asked for."""
    assert htpasswd.state(hashed, password, cost) == expected


def test_line_is_one_that_the_registry_reads(tmp_path: Path) -> None:
    """Fails if what the runbook writes is refused by its own reader, or holds another password."""
    line = htpasswd.line("ci", "right", 4)
    [(user, hashed)] = htpasswd.read(written(tmp_path / "h", line)).items()
    assert (user, htpasswd.state(hashed, "right", 4)) == ("ci", "matches")


def test_changed_leaves_all_other_lines_as_they_are(tmp_path: Path) -> None:
    """Fails if a comment or user of somebody else's goes, or a mark stays without its user."""
    before = ["# theirs", f"a:{HASH}", "# registry-runbook: ci", f"ci:{HASH}", "# registry-runbook: web", f"web:{HASH}"]
    after = htpasswd.changed(before, {"ci": "ci:new"}, removed=["web"])
    assert after == ["# theirs", f"a:{HASH}", "# registry-runbook: ci", "ci:new"]
    assert htpasswd.marked(written(tmp_path / "h", *after)) == {"ci"}
    assert htpasswd.changed(after, {}, disabled=["ci"]) == ["# theirs", f"a:{HASH}", "# registry-runbook: ci"]
    assert htpasswd.changed(after, {}, removed=["ci", "nobody"]) == ["# theirs", f"a:{HASH}"]
