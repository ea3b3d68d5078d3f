"""45-users on real files: planned, made, looked at again, checked; and what is refused before anything is written."""

import os
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest

from runbook.changes.apply import apply
from runbook.model.errors import ApplyError, HostError, MissingError, SecretError
from runbook.model.parameters import Parameters
from runbook.sections import configuration, users
from runbook.system.registry import htpasswd

FOREIGN = f"theirs:{bcrypt.hashpw(b'x', bcrypt.gensalt(4)).decode()}"
FIVE = ["ci", {"name": "deploy"}, "web", {"name": "former", "disabled": True}]


@pytest.fixture
def make_users(make_parameters: Callable[..., Parameters]) -> Callable[..., Parameters]:
    """Return what makes parameters with these users, and the first user's line, once, with one of somebody else's."""

    def make(*declared: object, **values: object) -> Parameters:
        parameters = make_parameters(bcrypt_cost=4, users=list(declared), **values)
        if not parameters.htpasswd_path.exists():
            apply(configuration.plan(parameters, configuration.gather(parameters)))
            with parameters.htpasswd_path.open("a", encoding="utf-8") as file:
                file.write(f"{FOREIGN}\n")
        return parameters

    return make


def make(parameters: Parameters) -> list[str]:
    """Plan and make, and return the kinds of the changes made."""
    changes = users.plan(parameters, users.gather(parameters))
    apply(changes)
    return [type(change).__name__ for change in changes]


def passwords(parameters: Parameters) -> dict[str, str]:
    """Return the kept password of each declared user who has one."""
    places = {user.name: parameters.user_password_path(user) for user in parameters.users}
    return {name: path.read_text(encoding="utf-8").strip() for name, path in places.items() if path.exists()}


def let_in(parameters: Parameters) -> set[str]:
    """Return the users whose kept password fits their line, and those with a line of somebody else's."""
    lines, kept = htpasswd.read(parameters.htpasswd_path), passwords(parameters)
    return {
        name
        for name, hashed in lines.items()
        if name not in kept or bcrypt.checkpw(kept[name].encode(), hashed.encode())
    }


def failed(parameters: Parameters) -> list[str]:
    """Return the claims of the proof that do not hold."""
    return [result.claim for result in users.check(parameters) if not result.passed]


def test_declared_users_get_in_and_a_second_run_changes_nothing(make_users: Callable[..., Parameters]) -> None:
    """Fails if a user has no line or password of its own, a disabled one gets in, or somebody else's line goes."""
    parameters = make_users(*FIVE)
    assert make(parameters) == [*["GenerateSecret"] * 3, "ChangeUsers"]
    assert let_in(parameters) == {"admin", "theirs", "ci", "deploy", "web"}
    assert len(set(passwords(parameters).values())) == 3
    assert {path.stat().st_mode & 0o777 for path in parameters.password_path.parent.iterdir()} == {0o600}
    before = parameters.htpasswd_path.read_bytes()
    assert make(parameters) == []
    assert parameters.htpasswd_path.read_bytes() == before
    assert failed(parameters) == []


def test_user_who_is_no_longer_declared_loses_line_and_password(make_users: Callable[..., Parameters]) -> None:
    """Fails if somebody who has left still gets in, another user's line changes, or a useless password stays."""
    every = make_users(*FIVE)
    make(every)
    lines = htpasswd.read(every.htpasswd_path)
    fewer = make_users("ci")
    assert failed(fewer) == ["users that are disabled or no longer declared"]
    assert make(fewer) == ["ChangeUsers", "RemoveTree", "RemoveTree"]
    assert htpasswd.read(fewer.htpasswd_path) == {name: lines[name] for name in ("admin", "theirs", "ci")}
    assert sorted(passwords(every)) == ["ci"]
    assert (make(fewer), failed(fewer)) == ([], [])
    assert make(make_users()) == ["ChangeUsers", "RemoveTree"]
    assert htpasswd.read(fewer.htpasswd_path).keys() == {"admin", "theirs"}
    assert "#" not in fewer.htpasswd_path.read_text(encoding="utf-8")


def test_disabled_user_comes_back_with_the_same_password(make_users: Callable[..., Parameters]) -> None:
    """Fails if a user who is disabled for a while gets in, or needs another password afterwards."""
    make(make_users("ci"))
    kept = passwords(make_users("ci"))
    off = make_users({"name": "ci", "disabled": True})
    assert make(off) == ["ChangeUsers"]
    assert "ci" not in htpasswd.read(off.htpasswd_path)
    assert make(make_users("ci")) == ["ChangeUsers"]
    assert (passwords(make_users("ci")), failed(make_users("ci"))) == (kept, [])


def test_user_who_becomes_the_first_one_keeps_the_line(make_users: Callable[..., Parameters]) -> None:
    """Fails if the user that all proofs need loses its line, or the kept password."""
    make(make_users("ci"))
    promoted = make_users(username="ci")
    assert configuration.plan(promoted, configuration.gather(promoted)) == []
    assert make(promoted) == []
    assert (failed(promoted), promoted.password_path.exists()) == ([], True)


def test_disabled_user_who_is_no_longer_declared_leaves_nothing(make_users: Callable[..., Parameters]) -> None:
    """Fails if the password of somebody who was disabled first stays for good."""
    make(make_users("ci"))
    make(make_users({"name": "ci", "disabled": True}))
    assert "ci" in htpasswd.marked(make_users().htpasswd_path)
    assert make(make_users({"name": "ci", "disabled": True})) == []
    assert make(make_users()) == ["ChangeUsers", "RemoveTree"]
    assert (passwords(make_users("ci")), make(make_users())) == ({}, [])


def test_changed_password_file_changes_the_line_alone(make_users: Callable[..., Parameters], tmp_path: Path) -> None:
    """Fails if a rotated password is not taken, the old one still gets in, or another user's line is written anew."""
    brought = tmp_path / "brought"
    brought.write_text("canary wren\n", encoding="utf-8")
    brought.chmod(0o600)
    parameters = make_users("ci", {"name": "deploy", "password_file": str(brought)})
    assert make(parameters) == ["GenerateSecret", "ChangeUsers"]
    lines = htpasswd.read(parameters.htpasswd_path)
    brought.write_text("canary robin\n", encoding="utf-8")
    assert failed(parameters) == ["the users whose password fits its bcrypt hash"]
    [change] = users.plan(parameters, users.gather(parameters))
    assert "deploy" in str(change)
    assert "canary" not in str(change)
    apply([change])
    after = htpasswd.read(parameters.htpasswd_path)
    assert {name for name in lines if lines[name] != after[name]} == {"deploy"}
    assert bcrypt.checkpw(b"canary robin", after["deploy"].encode())
    assert make(make_users("ci")) == ["ChangeUsers"]
    assert brought.exists()  # the operator's own


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        pytest.param({"name": "web", "may": "pull"}, "nginx in front, which refuses what web may not push", id="pull"),
        pytest.param({"name": "ci", "password_file": "/nowhere/p"}, "the password of ci in /nowhere/p", id="no-file"),
        pytest.param("theirs", "no line of somebody else's for theirs", id="somebody-else-s"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    make_users: Callable[..., Parameters], declared: object, expected: str
) -> None:
    """Fails if a user gets rights that nobody enforces, or another password than the one that somebody else gave."""
    parameters = make_users("first", declared)
    before = {path: path.read_bytes() for path in Path(parameters.private_directory).rglob("*") if path.is_file()}
    with pytest.raises((HostError, SecretError), match=expected):
        make(parameters)
    after = {path: path.read_bytes() for path in Path(parameters.private_directory).rglob("*") if path.is_file()}
    assert before == after


def test_malformed_line_is_refused_before_anything_is_written(make_users: Callable[..., Parameters]) -> None:
    """Fails if a line that makes the registry answer each login with 400 is kept, or lost without a word."""
    parameters = make_users("ci")
    with parameters.htpasswd_path.open("a", encoding="utf-8") as file:
        file.write("broken\n")
    before = parameters.htpasswd_path.read_bytes()
    with pytest.raises(HostError, match="line 3: not USER:BCRYPT-HASH"):
        make(parameters)
    assert parameters.htpasswd_path.read_bytes() == before
    assert passwords(parameters) == {}


def test_pull_only_users_are_for_nginx_to_refuse(make_users: Callable[..., Parameters]) -> None:
    """Fails if a user who may only pull has no line where nginx is in front."""
    parameters = make_users({"name": "web", "may": "pull"}, proxy="nginx")
    assert make(parameters) == ["GenerateSecret", "ChangeUsers"]
    assert "web" in let_in(parameters)


def test_users_wait_for_the_first_one(make_parameters: Callable[..., Parameters]) -> None:
    """Fails if htpasswd is made without the user that all other notebooks need."""
    with pytest.raises(MissingError, match="40-configuration"):
        users.gather(make_parameters(users=["ci"]))


def test_edit_after_the_plan_is_not_lost(make_users: Callable[..., Parameters]) -> None:
    """Fails if a user that somebody has added since the plan is overwritten."""
    parameters = make_users("ci")
    changes = users.plan(parameters, users.gather(parameters))
    before = parameters.htpasswd_path.stat()
    with parameters.htpasswd_path.open("a", encoding="utf-8") as file:
        file.write(f"{FOREIGN.replace('theirs', 'later')}\n")
    os.utime(parameters.htpasswd_path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(ApplyError, match="as it was when the plan was made"):
        apply(changes)
    assert "later" in htpasswd.read(parameters.htpasswd_path)
