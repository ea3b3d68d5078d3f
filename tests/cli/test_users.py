"""The commands `users`: what they declare, where they write it, and the list. On a host: tests/hosts/test_users.py."""

import json
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest

from runbook.changes import deployment, ledger
from runbook.changes.apply import apply
from runbook.cli import program, users
from runbook.model.errors import ParameterError
from runbook.model.parameters import Parameters, load_file, read
from runbook.model.project import FOLDER
from runbook.sections import configuration
from runbook.sections import users as section
from runbook.system.registry import htpasswd

DECLARED = ["ci", {"name": "web", "may": "pull", "disabled": True}]
TEAM = read({"users": DECLARED, "proxy": "nginx"}, where="a test")
FOREIGN = f"theirs:{bcrypt.hashpw(b'x', bcrypt.gensalt(4)).decode()}"
OWN = "# ours\ndomain: a.test  # the name\nusers: [old]\nport: 5443\n"


def shown(found: object) -> list[str]:
    """Return users in words."""
    assert isinstance(found, list)
    return list(map(str, found))


def test_add_changes_one_user_alone() -> None:
    """Fails if a user is declared twice, loses its place, stays disabled, or another one changes."""
    new = users.added(TEAM, "robot", may="pull", password_file=Path("/root/p"))
    assert shown(new) == ["ci", "web (pull, disabled)", "robot (pull)"]
    assert new[-1].password_file == "/root/p"  # noqa: S105 (a path)
    assert shown(users.added(TEAM, "web", may="pull", password_file=None)) == ["ci", "web (pull)"]
    assert shown(users.added(TEAM, "ci", may="pull", password_file=None)) == ["ci (pull)", "web (pull, disabled)"]


@pytest.mark.parametrize("name", ["a:b", "", "a\n", "x" * 300])
def test_name_that_no_user_can_have_is_refused(name: str) -> None:
    """Fails if it ends in a traceback, or makes a line that the registry cannot read."""
    with pytest.raises(ParameterError, match=r"for users.*typed here"):
        users.added(TEAM, name, may="push", password_file=None)


def test_remove_and_disable_change_one_user_alone() -> None:
    """Fails if another user goes, or what a disabled one may do is lost."""
    assert shown(users.removed(TEAM, "ci")) == ["web (pull, disabled)"]
    assert shown(users.disabled(TEAM, "ci")) == ["ci (disabled)", "web (pull, disabled)"]


@pytest.mark.parametrize(
    "change",
    [
        lambda name: users.removed(TEAM, name),
        lambda name: users.disabled(TEAM, name),
        lambda name: users.rotate(TEAM, name),
    ],
    ids=["remove", "disable", "rotate"],
)
def test_unknown_user_is_named(change: Callable[[str], object]) -> None:
    """Fails if a misspelt name changes nothing without a word."""
    with pytest.raises(ParameterError, match=r"a declared user \(ci, web\); found 'cii'"):
        change("cii")


@pytest.mark.parametrize(
    "change",
    [
        lambda: users.added(TEAM, "admin", may="push", password_file=None),
        lambda: users.removed(TEAM, "admin"),
        lambda: users.disabled(TEAM, "admin"),
    ],
    ids=["add", "remove", "disable"],
)
def test_first_user_is_username(change: Callable[[], object]) -> None:
    """Fails if the user that all proofs need can be taken away."""
    with pytest.raises(ParameterError, match="another user than the first one; found admin"):
        change()


def test_rotate_writes_the_file_that_the_runbook_keeps(make_parameters: Callable[..., Parameters]) -> None:
    """Fails if the operator's own file is written over, or the old password stays in the runbook's."""
    parameters = make_parameters(users=["ci", {"name": "deploy", "password_file": "/root/p"}])
    path = users.rotate(parameters, "ci")
    first = path.read_text(encoding="utf-8")
    assert (path.name, path.stat().st_mode & 0o777) == ("password-ci", 0o600)
    assert users.rotate(parameters, "ci").read_text(encoding="utf-8") != first
    assert users.rotate(parameters, "admin").name == "password-admin"
    with pytest.raises(ParameterError, match="password_file: /root/p"):
        users.rotate(parameters, "deploy")


def test_save_changes_the_users_of_a_file_alone(tmp_path: Path) -> None:
    """Fails if a comment or another value is lost, or the file no longer holds what was declared."""
    path = tmp_path / "own.yml"
    path.write_text(OWN, encoding="utf-8")
    path.chmod(0o640)
    users.save(path, DECLARED)
    text = path.read_text(encoding="utf-8")
    assert [line for line in OWN.splitlines() if "users" not in line and line not in text] == []
    assert path.stat().st_mode & 0o777 == 0o640
    found = load_file(path)
    assert found == {
        "domain": "a.test",
        "users": ["ci", {"name": "web", "may": "pull", "disabled": True}],
        "port": 5443,
    }
    path.write_text("", encoding="utf-8")
    users.save(path, DECLARED)
    assert list(load_file(path)) == ["users"]


def test_save_leaves_what_is_not_the_operator_s() -> None:
    """Fails if a file of the project is changed, which an update would replace, or the host's own out of turn."""
    with pytest.raises(ParameterError, match=r"a parameter file of your own; found .*team\.yml"):
        users.save(FOLDER / "parameters" / "team.yml", DECLARED)
    ledger.FOLDER.mkdir()
    deployment.update({"domain": "a.test"}, has_started=True)
    path = deployment.path()
    assert path
    users.save(path, DECLARED)
    users.save(FOLDER / "parameters" / "local.yml", DECLARED)
    assert load_file(path) == {"domain": "a.test"}


def test_list_tells_of_each_user_what_counts(
    make_parameters: Callable[..., Parameters], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails if somebody who gets in is not listed, or seems to, or a password stands in the list."""
    values = {"bcrypt_cost": 4, "proxy": "nginx"}
    parameters = make_parameters(**values, users=["ci", "gone", {"name": "web", "may": "pull"}])
    apply(configuration.plan(parameters, configuration.gather(parameters)))
    with parameters.htpasswd_path.open("a", encoding="utf-8") as file:
        file.write(f"{FOREIGN}\n")
    apply(section.plan(parameters, section.gather(parameters)))
    users.rotate(parameters, "ci")
    folders = {name: getattr(parameters, name) for name in ("private_directory", "configuration_directory")}
    later = [{"name": "web", "may": "pull", "disabled": True}, "ci", "new"]
    own = tmp_path / "own.yml"
    own.write_text(json.dumps(values | folders | {"users": later}), encoding="utf-8")
    program.program(["users", "list", "--json", "-f", str(own)], standalone_mode=False)
    text = capsys.readouterr().out
    rows = {row["user"]: (row["may"], row["state"]) for row in json.loads(text)}
    assert rows == {
        "admin": ("push", "may log in"),
        "web": ("pull", "may log in"),  # until the next run
        "ci": ("push", "has another password"),
        "new": ("push", "not written yet"),
        "theirs": ("pull", "somebody else's"),
        "gone": ("", "no longer declared"),
    }
    kept = parameters.password_path.read_text(encoding="utf-8").strip()
    assert kept not in text
    program.program(["users", "remove", "theirs", "-f", str(own)], standalone_mode=False)
    assert "remove theirs" in capsys.readouterr().out
    assert "theirs" not in htpasswd.read(parameters.htpasswd_path)
    assert "web" in htpasswd.read(parameters.htpasswd_path)
