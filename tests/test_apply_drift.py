"""The executor on targets that somebody edits between plan and apply: nothing of theirs is lost."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from runbook import changes
from runbook.apply import apply
from runbook.changes import Change
from runbook.errors import ApplyError, ChangedError
from runbook.outside import drift

PASSWORD = "of the test"  # noqa: S105 (a test's)
# Each kind of change that overwrites or removes a file, made for a path and what drift said of it at the plan.
KINDS: dict[type, Callable[[Path, str | None], Change]] = {
    changes.CopyFile: lambda path, before: changes.CopyFile(source=path.parent, path=path, mode=0o644, before=before),
    changes.GenerateSecret: lambda path, _: changes.GenerateSecret(path=path, purpose="http.secret"),
    changes.InstallCertificate: lambda path, before: changes.InstallCertificate(
        key_path=path, chain_path=path, path=path, fingerprints=("ff",), before=before
    ),
    changes.IssueAuthority: lambda path, _: changes.IssueAuthority(
        key_path=path.with_name("key"),
        certificate_path=path,
        subject=(("CN", "ours"),),
        key_type="ecdsa-p256",
        validity_days=1,
        passphrase_file=None,
    ),
    changes.IssueCertificate: lambda path, before: changes.IssueCertificate(
        path=path,
        subject=(),
        dns_names=("r.test",),
        addresses=(),
        key_type="ecdsa-p256",
        validity_days=1,
        authority_key_path=path,
        authority_certificate_path=path,
        passphrase_file=None,
        reason="a test",
        before=before,
    ),
    changes.RemoveTimer: lambda path, before: changes.RemoveTimer(
        name="nobody-has.timer", paths=(path,), before=(before or "",)
    ),
    changes.RemoveTree: lambda path, before: changes.RemoveTree(path=path, before=before),
    changes.SetMode: lambda path, _: changes.SetMode(path=path, before=0o640, after=0o600),
    changes.SetPassword: lambda path, before: changes.SetPassword(
        path=path, username="admin", cost=4, password_file=path.with_name("password"), reason="a test", before=before
    ),
}
TEXTS = {changes.ConfigureEngine, changes.ConfigureNginx, changes.RemoveSite, changes.WriteFile}  # see test_apply.py
LOSES_NOTHING = {changes.MakeDirectory, changes.ComposeUp}


def test_each_change_of_a_file_is_tried_here() -> None:
    """Fails if a kind of change is added that writes over somebody's edit."""
    of_files = {kind for kind in get_args(Change) if {"path", "paths", "certificate_path"} & set(kind.__slots__)}
    assert of_files - TEXTS - LOSES_NOTHING == set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("edited", ["written", "replaced", "new"])
def test_apply_leaves_what_somebody_edited_since_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type, edited: str
) -> None:
    """Fails if an edit between plan and apply is lost, or anything is made of the change that would have lost it."""
    monkeypatch.setenv("RUNBOOK_PASSWORD", PASSWORD)
    path = tmp_path / "f"
    if edited != "new":
        path.write_text("as planned\n", encoding="ascii")
        path.chmod(0o640)
    change = KINDS[kind](path, drift.state(path))
    if edited == "replaced":
        path.unlink()
    path.write_text("edited since\n", encoding="ascii")
    path.chmod(0o604)
    with pytest.raises(ApplyError, match=r"f as it was when the plan was made; found .*plan again") as caught:
        apply([change])
    assert isinstance(caught.value.__cause__, ChangedError)
    assert [item.name for item in tmp_path.iterdir()] == ["f"]
    assert (path.read_text(encoding="ascii"), path.stat().st_mode & 0o777) == ("edited since\n", 0o604)


def test_apply_leaves_a_folder_that_somebody_has_filled_since_the_plan(tmp_path: Path) -> None:
    """Fails if a folder that was to be empty goes with what was put there meanwhile."""
    folder = tmp_path / "folder"
    folder.mkdir()
    change = changes.RemoveTree(path=folder, before=drift.EMPTY)
    (folder / "theirs").touch()
    with pytest.raises(ApplyError, match="found it changed since the plan"):
        apply([change])
    (folder / "theirs").unlink()
    apply([change, change])
    assert list(tmp_path.iterdir()) == []
