"""The executor, on files of the test's own: what it makes, where it stops, what it says then."""

import os
import re
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import pytest

from runbook.changes.apply import apply
from runbook.changes.containers import ComposeUp, ObtainImage
from runbook.changes.credentials import GenerateSecret, SetPassword
from runbook.changes.engine import ConfigureEngine, EnableEngine, InstallPackages, SetKernel
from runbook.changes.files import CopyFile, MakeDirectory, RemoveTree, SetMode, WriteFile
from runbook.changes.nginx import ConfigureNginx, RemoveSite
from runbook.model.errors import ApplyError, ChangedError, InterruptError, SecretError
from runbook.system.credentials import placeholder
from runbook.system.host import file_state, files
from tests.conftest import somebody_else

if TYPE_CHECKING:
    from runbook.changes.base import Change


def mode_of(path: Path) -> int:
    """Return the permission bits of a path."""
    return stat.S_IMODE(path.lstat().st_mode)


def names_in(folder: Path) -> list[str]:
    """Return the names of all that is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_apply_makes_the_changes_in_order(tmp_path: Path) -> None:
    """Fails if a change is left out, made twice, or not told: each before it is made, and all at the end."""
    path = tmp_path / "a" / "b"
    plan: list[Change] = [
        MakeDirectory(path=path, mode=0o700),
        WriteFile(path=path / "f", before=None, after="ä\n", mode=0o640),
        SetMode(path=path / "f", before=0o640, after=0o600),
        CopyFile(source=path / "f", path=path / "copy", mode=0o444),
        WriteFile(path=path / "f", before="ä\n", after="b\n", mode=0o600),
    ]
    seen: list[tuple[int, Change, list[Path]]] = []
    outcomes = apply(plan, before=lambda number, change: seen.append((number, change, sorted(tmp_path.rglob("*")))))
    assert [(number, change) for number, change, _ in seen] == list(enumerate(plan, start=1))
    there = [[path, path / "f"], [path, path / "f"], [path, path / "copy", path / "f"]]
    assert [names for *_, names in seen] == [[], [tmp_path / "a", path], *[[tmp_path / "a", *names] for names in there]]
    assert [(change, "done", "") for change in plan] == [(item.change, item.state, item.note) for item in outcomes]
    assert all(item.seconds >= 0 for item in outcomes)
    found = {file.name: (mode_of(file), file.read_text(encoding="utf-8")) for file in path.iterdir()}
    assert found == {"f": (0o600, "b\n"), "copy": (0o444, "ä\n")}
    assert (mode_of(tmp_path / "a"), mode_of(path)) == (0o755, 0o700)
    remove = RemoveTree(path=tmp_path / "a", before=file_state.fingerprint(tmp_path / "a") or "")
    apply([remove, remove])
    assert list(tmp_path.iterdir()) == []


def test_apply_stops_at_the_first_failure(tmp_path: Path) -> None:
    """Fails if what comes after a failure is made, or the message hides what was done before it."""
    (tmp_path / "f").write_text("edited\n", encoding="utf-8")
    plan: list[Change] = [
        MakeDirectory(path=tmp_path / "before", mode=0o700),
        WriteFile(path=tmp_path / "f", before="planned\n", after="new\n", mode=0o600),
        MakeDirectory(path=tmp_path / "after-1", mode=0o700),
        MakeDirectory(path=tmp_path / "after-2", mode=0o700),
    ]
    with pytest.raises(ApplyError, match=f"expected {tmp_path}/f as it was when the plan was made") as caught:
        apply(plan)
    assert isinstance(caught.value.__cause__, ChangedError)
    done = f"make the folder {tmp_path}/before (0700)"
    expected = f"it changed since the plan (failed: change {tmp_path}/f (0600); done before it: {done}; not reached: 2)"
    assert expected == caught.value.found
    assert caught.value.remedy == "plan again; then run this notebook again, it goes on from here"
    assert names_in(tmp_path) == ["before", "f"]
    assert (tmp_path / "f").read_text(encoding="utf-8") == "edited\n"


@pytest.mark.parametrize("kind", ["folder for a file", "file for a folder"])
def test_apply_begins_nothing_that_it_cannot_end(tmp_path: Path, kind: str) -> None:
    """Fails if a place that cannot be written is found when the changes before it are made."""
    place = tmp_path / "f"
    last: Change = WriteFile(path=place, before=None, after="new\n", mode=0o600)
    if kind == "folder for a file":
        place.mkdir()
    else:
        place.write_text("theirs", encoding="ascii")
        last = MakeDirectory(path=place, mode=0o700)
    with pytest.raises(ApplyError, match="done before it: nothing; not reached: 1"):
        apply([MakeDirectory(path=tmp_path / "before", mode=0o700), last])
    assert names_in(tmp_path) == ["f"]


def test_apply_says_what_an_interrupt_left(tmp_path: Path) -> None:
    """Fails if Ctrl-C ends in a traceback, or hides what was done before it."""
    plan: list[Change] = [MakeDirectory(path=tmp_path / name, mode=0o700) for name in ("a", "b", "c")]
    with pytest.raises(InterruptError) as caught:
        apply(plan, before=lambda number, _: signal.raise_signal(signal.SIGINT) if number == 2 else None)
    expected = f"an interrupt (failed: {plan[1]}; done before it: {plan[0]}; not reached: 1)"
    assert (expected, "run this notebook again, it goes on from here") == (caught.value.found, caught.value.remedy)
    assert names_in(tmp_path) == ["a"]


def test_apply_leaves_daemon_json_that_changed_since_the_plan(tmp_path: Path) -> None:
    """Fails if an edit between plan and apply is written over, or the engine hears of it."""
    path = tmp_path / "daemon.json"
    path.write_text('{"theirs": 1}', encoding="utf-8")
    change = ConfigureEngine(
        path=path,
        before="{}",
        after='{"insecure-registries": ["a:1"]}',
        supervisor="none",
        insecure_registries=("a:1",),
        registry_mirrors=(),
    )
    with pytest.raises(ApplyError, match="json as it was when the plan was made"):
        apply([change])
    assert path.read_text(encoding="utf-8") == '{"theirs": 1}'
    assert names_in(tmp_path) == ["daemon.json"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", "line 1 column 1: the file is empty", id="empty"),
        pytest.param(b"\xef\xbb\xbf{}\n", "line 1 column 1: a byte order mark", id="byte-order-mark"),
        pytest.param(b'{\r\n"a": 1,\r\n"a": 2}', "line 3 column 1: the key 'a' a second time", id="key-twice"),
        pytest.param(b'{"a": [1}', "line 1 column 9: ", id="broken"),
    ],
)
def test_apply_leaves_a_daemon_json_that_is_broken(tmp_path: Path, data: bytes, expected: str) -> None:
    """Fails if what nothing can be merged into loses a byte, a file is left beside it, or the place is not told."""
    path = tmp_path / "daemon.json"
    path.write_bytes(data)
    change = ConfigureEngine(
        path=path,
        before=data.decode(),
        after='{"insecure-registries": ["a:1"]}',
        supervisor="none",
        insecure_registries=("a:1",),
        registry_mirrors=(),
    )
    with pytest.raises(ApplyError, match=f"one object in JSON in .*; found {expected}"):
        apply([change])
    assert data == path.read_bytes()
    assert names_in(tmp_path) == ["daemon.json"]


@pytest.mark.parametrize("now", ["edited\n", None], ids=["edited", "gone"])
def test_apply_leaves_a_site_of_nginx_that_changed_since_the_plan(tmp_path: Path, now: str | None) -> None:
    """Fails if an edit between plan and apply is written over or removed, or nginx hears of it."""
    path = tmp_path / "site"
    if now is not None:
        path.write_text(now, encoding="utf-8")
    made = ConfigureNginx(
        path=path,
        before="planned\n",
        after="new\n",
        supervisor="none",
        domain="r.test",
        served_at="127.0.0.1:1",
        fingerprint="ff",
        reason="the registry's site changes",
    )
    for change in (made, RemoveSite(path=path, before="planned\n", frees_port=None)):
        with pytest.raises(ApplyError, match="site as it was when the plan was made"):
            apply([change])
        assert files.read_text(path) == now


def test_apply_tells_what_the_system_says(tmp_path: Path) -> None:
    """Fails if an error of the operating system ends in a traceback, or hides the change that met it."""
    change = CopyFile(source=tmp_path / "gone", path=tmp_path / "copy", mode=0o600)
    with pytest.raises(ApplyError, match=re.escape(f"expected to {change}")) as caught:
        apply([change])
    assert "No such file or directory" in caught.value.found
    assert "done before it: nothing; not reached: 0" in caught.value.found


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that others may enter: pytest's own are root's alone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_needs_root_asks_only_where_it_must(open_folder: Path) -> None:
    """Fails if root gets a change that the user can make, or the user one that ends in `Permission denied`."""
    mine, theirs = open_folder / "mine", open_folder / "theirs"
    for folder, mode in ((mine, 0o755), (mine / "theirs", 0o755), (theirs, 0o755), (theirs / "closed", 0o700)):
        folder.mkdir(mode=mode)
    os.chown(mine, 65534, 65534)
    (mine / "f").touch()
    system: list[Change] = [
        EnableEngine(),
        InstallPackages(names=("x",)),
        SetKernel(name="x", before=0, after=1),
        ObtainImage(sources=("pull", "package"), reference="x", digest="", archive=""),
        SetMode(path=mine / "f", before=0o644, after=0o600),
        RemoveTree(path=mine, before=""),
        RemoveTree(path=theirs / "f", before=""),
        SetMode(path=theirs / "closed" / "f", before=0o644, after=0o600),
        MakeDirectory(path=theirs / "a" / "b", mode=0o700),
    ]
    own: list[Change] = [
        ComposeUp(path=theirs / "c", project="p", volume="v", reason="x"),
        ObtainImage(sources=("pull",), reference="x", digest="", archive=""),
        MakeDirectory(path=mine / "a" / "b", mode=0o700),
        RemoveTree(path=mine / "f", before=""),
        SetMode(path=mine, before=0o755, after=0o700),
    ]
    with somebody_else():
        assert [change for change in (*system, *own) if change.needs_root()] == system


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param(None, "made meanwhile\n", id="appeared"),
        pytest.param("there\n", None, id="disappeared"),
        pytest.param("there\n", "there\nedited\n", id="edited"),
    ],
)
def test_write_file_refuses_what_changed_since_the_plan(tmp_path: Path, before: str | None, now: str | None) -> None:
    """Fails if somebody's edit between plan and apply is overwritten."""
    path = tmp_path / "f"
    if now is not None:
        path.write_text(now, encoding="utf-8")
    with pytest.raises(ApplyError, match="as it was when the plan was made"):
        apply([WriteFile(path=path, before=before, after="new\n", mode=0o600)])
    assert now == files.read_text(path)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_write_file_has_its_mode_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """Fails if the operator's umask decides who may read a file, or whether the container can."""
    earlier = os.umask(umask)
    try:
        apply(
            [
                WriteFile(path=tmp_path / "d" / "private", before=None, after="x", mode=0o600),
                WriteFile(path=tmp_path / "d" / "public", before=None, after="x", mode=0o644),
            ]
        )
    finally:
        os.umask(earlier)
    found = [mode_of(tmp_path / name) for name in ("d", "d/private", "d/public")]
    assert found == [0o755, 0o600, 0o644]


def test_write_file_keeps_the_first_version_of_what_is_not_ours(tmp_path: Path) -> None:
    """Fails if the operator's file is lost, or a second run puts ours in the place of the kept one."""
    path = tmp_path / "hosts"
    path.write_text("theirs\n", encoding="utf-8")
    path.chmod(0o640)
    kept = tmp_path / "hosts.before-registry-runbook"
    for before, after in (("theirs\n", "ours\n"), ("ours\n", "ours again\n")):
        [outcome] = apply([WriteFile(path=path, before=before, after=after, mode=0o644, keep=True)])
        assert f"the earlier version is {kept}" == outcome.note
    assert (files.read_text(kept), mode_of(kept)) == ("theirs\n", 0o640)
    [outcome] = apply([WriteFile(path=tmp_path / "new", before=None, after="", mode=0o644, keep=True)])
    assert ("", ["hosts", kept.name, "new"]) == (outcome.note, names_in(tmp_path))


def test_write_file_puts_secrets_in_only_while_it_writes(tmp_path: Path) -> None:
    """Fails if a file holds a placeholder, or a change a secret, or the same text is taken for another."""
    secret, path = tmp_path / "secret", tmp_path / "config.yml"
    apply([GenerateSecret(path=secret, purpose="http.secret")])
    assert mode_of(secret) == 0o600
    generated = secret.read_text(encoding="utf-8").strip()
    text = f"http:\n  secret: {placeholder(secret)}\n"
    first = WriteFile(path=path, before=None, after=text, mode=0o600, secrets=(secret,))
    second = WriteFile(path=path, before=text, after=f"{text}# 2\n", mode=0o600, secrets=(secret,))
    apply([first, second])
    assert f"http:\n  secret: {generated}\n# 2\n" == files.read_text(path)
    assert generated not in repr((first, second)) + first.detail() + second.detail()


@pytest.mark.parametrize("purpose", ["http.secret", "the password"])
def test_generate_secret_keeps_a_random_one(tmp_path: Path, purpose: str) -> None:
    """Fails if two secrets are the same, or others may read one."""
    paths = [tmp_path / "deep" / "1", tmp_path / "deep" / "2"]
    apply([GenerateSecret(path=path, purpose=purpose) for path in paths])
    first, second = (path.read_text(encoding="utf-8") for path in paths)
    assert first != second
    assert (len(first), first[-1], mode_of(paths[0])) == (33, "\n", 0o600)


def test_set_password_keeps_the_lines_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if another user is locked out, a comment is lost, or the user stands there twice."""
    monkeypatch.setenv("RUNBOOK_PASSWORD", "密码 p:w")
    path = tmp_path / "auth" / "htpasswd"
    path.parent.mkdir()
    path.write_text("# users\nadmin2:x\nadmin:old\n  admin:older\n\nbob:admin:y", encoding="utf-8")
    password_file, before = tmp_path / "none", file_state.fingerprint(path)
    change = SetPassword(path=path, username="admin", cost=4, password_file=password_file, reason="r", before=before)
    apply([change])
    *others, last = path.read_text(encoding="utf-8").splitlines()
    assert others == ["# users", "admin2:x", "", "bob:admin:y"]
    user, _, hashed = last.partition(":")
    assert (user, hashed[:7], mode_of(path)) == ("admin", "$2b$04$", 0o600)
    assert bcrypt.checkpw("密码 p:w".encode(), hashed.encode())
    assert not bcrypt.checkpw(b"p:w", hashed.encode())


def test_set_password_refuses_without_a_password(tmp_path: Path) -> None:
    """Fails if a user comes to be with a password that nobody knows."""
    change = SetPassword(path=tmp_path / "htpasswd", username="a", cost=4, password_file=tmp_path / "p", reason="r")
    with pytest.raises(ApplyError, match=f"a password in RUNBOOK_PASSWORD or {tmp_path}/p; found neither") as caught:
        apply([change])
    assert isinstance(caught.value.__cause__, SecretError)
    assert list(tmp_path.iterdir()) == []


def test_set_kernel_names_the_setting_that_is_not_there() -> None:
    """Fails if a kernel without the setting ends in a traceback."""
    with pytest.raises(ApplyError, match=r"net\.ipv4\.no_such_setting to be writable"):
        apply([SetKernel(name="net.ipv4.no_such_setting", before=None, after=1)])
