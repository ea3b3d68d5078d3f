"""The executor on targets that somebody edits between plan and apply: nothing of theirs is lost."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.changes.apply import apply
from runbook.changes.base import Change, kinds
from runbook.changes.certificates import InstallCertificate, IssueAuthority, IssueCertificate
from runbook.changes.containers import ComposeUp
from runbook.changes.credentials import ChangeUsers, GenerateSecret, SetPassword
from runbook.changes.engine import ConfigureEngine
from runbook.changes.files import CopyFile, MakeDirectory, RemoveTree, SetMode, WriteFile
from runbook.changes.nginx import ConfigureNginx, RemoveSite
from runbook.changes.timer import RemoveTimer
from runbook.model.errors import ApplyError, ChangedError
from runbook.system.host import file_state

PASSWORD = "of the test"  # noqa: S105 (a test's)
# Each kind of change that overwrites or removes a file, made for a path and what drift said of it at the plan.
KINDS: dict[type, Callable[[Path, str | None], Change]] = {
    CopyFile: lambda path, before: CopyFile(source=path.parent, path=path, mode=0o644, before=before),
    GenerateSecret: lambda path, _: GenerateSecret(path=path, purpose="http.secret"),
    InstallCertificate: lambda path, before: InstallCertificate(
        key_path=path, chain_path=path, path=path, fingerprints=("ff",), before=before
    ),
    IssueAuthority: lambda path, _: IssueAuthority(
        key_path=path.with_name("key"),
        certificate_path=path,
        subject=(("CN", "ours"),),
        key_type="ecdsa-p256",
        validity_days=1,
        passphrase_file=None,
    ),
    IssueCertificate: lambda path, before: IssueCertificate(
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
    RemoveTimer: lambda path, before: RemoveTimer(name="nobody-has.timer", paths=(path,), before=(before or "",)),
    RemoveTree: lambda path, before: RemoveTree(path=path, before=before),
    ChangeUsers: lambda path, before: ChangeUsers(
        path=path, passwords=(("ci", path.with_name("password")),), removed=("web",), cost=4, before=before
    ),
    SetMode: lambda path, _: SetMode(path=path, before=0o640, after=0o600),
    SetPassword: lambda path, before: SetPassword(
        path=path, username="admin", cost=4, password_file=path.with_name("password"), reason="a test", before=before
    ),
}
TEXTS = {ConfigureEngine, ConfigureNginx, RemoveSite, WriteFile}  # see test_apply.py
LOSES_NOTHING = {MakeDirectory, ComposeUp}


def test_each_change_of_a_file_is_tried_here() -> None:
    """Fails if a kind of change is added that writes over somebody's edit."""
    places = {"path", "paths", "certificate_path"}
    of_files = {kind for kind in kinds() if places & {item.name for item in dataclasses.fields(kind)}}
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
    change = KINDS[kind](path, file_state.fingerprint(path))
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
    change = RemoveTree(path=folder, before=file_state.EMPTY)
    (folder / "theirs").touch()
    with pytest.raises(ApplyError, match="found it changed since the plan"):
        apply([change])
    (folder / "theirs").unlink()
    apply([change, change])
    assert list(tmp_path.iterdir()) == []
