"""40-configuration on real files: planned, made, looked at again, checked."""

import re
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest

from runbook.changes.apply import apply
from runbook.model.errors import HostError, SecretError
from runbook.model.parameters import Parameters
from runbook.sections import configuration

PASSWORD = "c4n4ry-pä-密码"  # noqa: S105 (a canary)
HASH = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()


@pytest.fixture
def parameters(make_parameters: Callable[..., Parameters]) -> Parameters:
    """Return parameters whose folders are the test's own; a cheap hash keeps the tests quick."""
    return make_parameters(bcrypt_cost=4)


def make(parameters: Parameters) -> list[str]:
    """Plan and make, and return the kinds of the changes made."""
    changes = configuration.plan(parameters, configuration.gather(parameters))
    apply(changes)
    return [type(change).__name__ for change in changes]


def failed(parameters: Parameters) -> list[str]:
    """Return the claims of the proof that do not hold."""
    return [result.claim for result in configuration.check(parameters) if not result.passed]


def contents(parameters: Parameters) -> dict[str, bytes]:
    """Return the content of each file below the two folders."""
    folders = (Path(parameters.private_directory), Path(parameters.configuration_directory))
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def put_users(parameters: Parameters, text: str) -> None:
    """Write the registry's users as somebody else would."""
    parameters.htpasswd_path.parent.mkdir(parents=True, exist_ok=True)
    parameters.htpasswd_path.write_text(text, encoding="utf-8")


def test_second_run_changes_nothing(parameters: Parameters) -> None:
    """Fails if randomness breaks idempotence: a hash is judged by bcrypt, a secret by the file that keeps it."""
    expected = [*["MakeDirectory"] * 3, "GenerateSecret", "GenerateSecret", "SetPassword", "WriteFile"]
    assert expected == make(parameters)
    before = contents(parameters)
    assert make(parameters) == []
    assert before == contents(parameters)
    assert failed(parameters) == []
    kinds = [result.refusal for result in configuration.check(parameters)]
    assert (kinds.count(True), kinds.count(False)) == (3, 3)


def test_config_holds_the_secret_and_no_plan_does(
    parameters: Parameters, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fails if the registry gets a placeholder, or a plan, a diff or a fact shows a secret or the password."""
    monkeypatch.setenv("RUNBOOK_PASSWORD", PASSWORD)
    make(parameters)
    secret = parameters.http_secret_path.read_text(encoding="ascii").strip()
    assert f"  secret: {secret}\n" in parameters.configuration_path.read_text(encoding="utf-8")
    parameters.configuration_path.write_text(f"http:\n  secret: {secret}\n", encoding="ascii")
    facts = configuration.gather(parameters)
    shown = repr((facts, configuration.plan(parameters, facts), configuration.check(parameters)))
    assert [text for text in (secret, PASSWORD, HASH) if text in shown] == []
    holding = [path for path, content in contents(parameters).items() if PASSWORD.encode() in content]
    assert (holding, list(tmp_path.rglob("password-*"))) == ([], [])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({"log_level": "debug"}, ["WriteFile"], id="configuration"),
        pytest.param({"bcrypt_cost": 5}, ["SetPassword"], id="cost"),
        pytest.param({"username": "bob"}, ["GenerateSecret", "SetPassword"], id="one-more-user"),
    ],
)
def test_change_of_a_parameter_changes_its_part_alone(
    make_parameters: Callable[..., Parameters], parameters: Parameters, values: dict[str, object], expected: list[str]
) -> None:
    """Fails if a user, a secret or a file is made anew that the parameter has no part in."""
    make(parameters)
    users = parameters.htpasswd_path.read_text(encoding="ascii")
    wanted = make_parameters(**({"bcrypt_cost": 4} | values))
    assert expected == make(wanted)
    assert make(wanted) == []
    assert failed(wanted) == []
    if wanted.username != parameters.username:
        assert parameters.htpasswd_path.read_text(encoding="ascii").startswith(users)


def test_new_password_replaces_the_old_one(parameters: Parameters, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the old password still lets somebody in, or the secret of the uploads changes with it."""
    make(parameters)
    old = parameters.password_path.read_bytes().strip()
    monkeypatch.setenv("RUNBOOK_PASSWORD", PASSWORD)
    assert make(parameters) == ["SetPassword"]
    _, _, hashed = parameters.htpasswd_path.read_bytes().strip().partition(b":")
    assert (bcrypt.checkpw(old, hashed), bcrypt.checkpw(PASSWORD.encode(), hashed)) == (False, True)
    assert make(parameters) == []


def test_file_that_is_not_ours_is_kept(parameters: Parameters) -> None:
    """Fails if the operator's own configuration is lost."""
    parameters.configuration_path.parent.mkdir()
    parameters.configuration_path.write_text("version: 0.1\n", encoding="ascii")
    make(parameters)
    kept = parameters.configuration_path.with_name("config.yml.before-registry-runbook")
    assert kept.read_text(encoding="ascii") == "version: 0.1\n"
    assert make(parameters) == []


def test_lost_http_secret_is_made_anew(parameters: Parameters) -> None:
    """Fails if config.yml keeps a secret that is kept nowhere else."""
    make(parameters)
    parameters.http_secret_path.unlink()
    assert make(parameters) == ["GenerateSecret", "WriteFile"]
    assert make(parameters) == []
    assert failed(parameters) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"a:{HASH}\nb\n", "line 2: not USER:BCRYPT-HASH", id="no-colon"),
        pytest.param(f":{HASH}\n", "line 1: not USER:BCRYPT-HASH", id="no-user"),
        pytest.param("a:$apr1$x$y\n", "line 1: not USER:BCRYPT-HASH", id="md5"),
        pytest.param("a:{SHA}x\n", "line 1: not USER:BCRYPT-HASH", id="sha"),
        pytest.param(f"a:{HASH}x\n", "line 1: not USER:BCRYPT-HASH", id="too-long"),
        pytest.param(f"# users\n\na:{HASH}\na:{HASH}\n", "line 4: the user a a second time", id="twice"),
        pytest.param(f"a:{HASH}\n  a:{HASH}\n", "line 2: the user a a second time", id="twice-after-spaces"),
    ],
)
def test_gather_refuses_users_that_no_registry_can_read(parameters: Parameters, text: str, expected: str) -> None:
    """Fails if one bad line stays: the registry then answers 400 to every login."""
    put_users(parameters, text)
    told = rf"one bcrypt hash a user in {parameters.htpasswd_path}; found {expected}\. To repair: mend or remove line"
    with pytest.raises(HostError, match=told):
        configuration.gather(parameters)


@pytest.mark.parametrize(
    "line",
    ["# comment", "", "   ", f"b:{HASH.replace('$2b$', '$2y$')}", f"b:{HASH}"],
    ids=["comment", "empty", "blank", "2y", "2b"],
)
def test_gather_takes_what_the_registry_takes(parameters: Parameters, line: str) -> None:
    """Fails if a file is refused that the registry reads: comments, blank lines, hashes of other tools."""
    put_users(parameters, f"{line}\na:{HASH}\n")
    assert "a" in configuration.gather(parameters).users


def test_gather_refuses_a_password_s_file_that_is_not_there(
    make_parameters: Callable[..., Parameters], tmp_path: Path
) -> None:
    """Fails if a password is generated into a file that the operator misspelt."""
    with pytest.raises(SecretError, match=f"a password in {tmp_path}/absent; found no such file.*password_file"):
        configuration.gather(make_parameters(password_file=f"{tmp_path}/absent"))


@pytest.mark.parametrize(
    ("pattern", "replacement", "expected"),
    [
        pytest.param("level: info", "level: debug", ["config.yml reads back as the parameters say"], id="value"),
        pytest.param("addr: :443", "addr: :443\n  auht: x", ["config.yml reads back as the parameters say"], id="key"),
        pytest.param(
            "secret: .*",
            "secret: other",
            ["config.yml reads back as the parameters say", "http.secret is the one kept"],
            id="secret",
        ),
    ],
)
def test_check_finds_a_configuration_that_was_edited(
    parameters: Parameters, pattern: str, replacement: str, expected: list[str]
) -> None:
    """Fails if the proof passes for a file that says something else."""
    make(parameters)
    text = parameters.configuration_path.read_text(encoding="ascii")
    parameters.configuration_path.write_text(re.sub(pattern, replacement, text), encoding="ascii")
    assert expected == failed(parameters)


def test_check_finds_a_password_that_does_not_fit(parameters: Parameters, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the proof passes for a password that lets nobody in."""
    make(parameters)
    monkeypatch.setenv("RUNBOOK_PASSWORD", "another")
    assert failed(parameters) == ["the password of admin fits its bcrypt hash"]
