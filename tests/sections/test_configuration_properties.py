"""40-configuration on random hosts: what is announced is made, what others wrote stays, and a second plan is empty."""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.changes.apply import apply
from runbook.changes.credentials import SetPassword
from runbook.changes.files import MakeDirectory, SetMode, WriteFile
from runbook.model.parameters import Parameters, read
from runbook.sections import configuration
from runbook.system import credentials
from runbook.system.host import files, yaml_text

PASSWORD = "c4n4ry-pä-密码"  # noqa: S105 (a canary)
RIGHT, OTHER_COST, WRONG = (
    bcrypt.hashpw(word.encode(), bcrypt.gensalt(cost)).decode()
    for word, cost in ((PASSWORD, 4), (PASSWORD, 5), ("x", 4))
)
LINE = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20)
USER = (
    st.from_regex(r"[a-z0-9äß_.@ -]{0,6}[a-z0-9]", fullmatch=True).map(str.strip).filter(lambda name: name != "admin")
)
HASHES = st.sampled_from([RIGHT, WRONG, WRONG.replace("$2b$", "$2y$"), WRONG.replace("$2b$", "$2a$")])
FOREIGN = st.tuples(USER, HASHES).map(":".join) | LINE.map("#{}".format) | st.sampled_from(["", "  ", "#", "\t# x"])
USERS = st.lists(FOREIGN, max_size=6, unique_by=lambda line: line.partition(":")[0] if "$2" in line else line + "#")
CONFIGURATIONS = (
    st.none()
    | st.just("ours")
    | st.lists(
        LINE | st.sampled_from([f"http: {{secret: {PASSWORD}}}", "auht:", f"  secret: {PASSWORD}"]), max_size=5
    ).map("\n".join)
)
MODES = st.sampled_from([0o600, 0o644, 0o666, 0o400])


def make_host(parameters: Parameters, draw: Callable[..., Any]) -> list[str]:
    """Make files as a host may have them, and return the foreign lines among the registry's users."""
    users = draw(st.none() | USERS, label="users")
    own = draw(st.sampled_from([None, RIGHT, OTHER_COST, WRONG]), label="line of the user")
    lines: list[str] = users or []
    if users is not None:
        place = draw(st.integers(0, len(lines)))
        with_own = [*lines[:place], *([f"admin:{own}"] if own else []), *lines[place:]]
        put(parameters.htpasswd_path, "".join(f"{line}\n" for line in with_own), draw(MODES))
    text = draw(CONFIGURATIONS, label="config.yml")
    if text == "ours":
        text = yaml_text.render(configuration.content(parameters.model_copy(update={"realm": "earlier"})))
    if text is not None:
        put(parameters.configuration_path, text, draw(MODES))
    if draw(st.booleans(), label="http.secret"):
        put(parameters.http_secret_path, "kept-secret\n", 0o600)
    if draw(st.booleans(), label="password kept"):
        put(parameters.password_path, f"{PASSWORD}\n", 0o600)
    return lines


def put(path: Path, text: str, mode: int) -> None:
    """Write a file as somebody else would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    path.chmod(mode)


def is_made(change: object, kept: bytes | None) -> bool:
    """Return whether a change has come out as it was announced; `kept` is what the file held before."""
    match change:
        case WriteFile():
            found = credentials.conceal(change.path.read_bytes().decode(), change.secrets)
            beside = files.existing_backup(change.path)
            is_kept = beside is not None and beside.read_bytes() == kept if change.keep else beside is None
            return found == change.after and is_kept and stat.S_IMODE(change.path.stat().st_mode) == change.mode
        case MakeDirectory():
            return stat.S_IMODE(change.path.stat().st_mode) == change.mode
        case SetMode():
            return stat.S_IMODE(change.path.stat().st_mode) == change.after
        case SetPassword():
            return any(line.startswith(f"{change.username}:") for line in change.path.read_text().split("\n"))
    return files.mode_of(change.path) == 0o600  # type: ignore[attr-defined] # the last kind: a generated secret


@given(st.data())
def test_apply_makes_what_was_planned_on_any_host(tmp_path: Path, data: st.DataObject) -> None:
    """Fails if a file is other than announced, a foreign line or file is lost, or a plan is left or shows a secret."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder, pytest.MonkeyPatch.context() as monkeypatch:
        folders = {"private_directory": f"{folder}/private", "configuration_directory": f"{folder}/registry"}
        parameters = read({**folders, "bcrypt_cost": 4, "realm": "a realm"}, where="a test")
        foreign = make_host(parameters, data.draw)
        if data.draw(st.booleans(), label="password given"):
            monkeypatch.setenv(credentials.PASSWORD_VARIABLE, PASSWORD)
        before = parameters.configuration_path.read_bytes() if parameters.configuration_path.exists() else None
        changes = configuration.plan(parameters, configuration.gather(parameters))
        assert PASSWORD not in repr(changes)
        apply(changes)
        assert [change for change in changes if not is_made(change, before)] == []
        lines = parameters.htpasswd_path.read_bytes().decode().removesuffix("\n").split("\n")
        assert foreign == [line for line in lines if not line.startswith("admin:")]
        assert configuration.plan(parameters, configuration.gather(parameters)) == []
        assert [result.claim for result in configuration.check(parameters) if not result.passed] == []
        left = [name for _, _, names in os.walk(folder) for name in names if name.endswith(".part")]
        assert left == []
