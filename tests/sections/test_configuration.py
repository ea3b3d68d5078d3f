"""40-configuration: what config.yml says, and what is planned where a file, a user or a secret is not as wanted."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from runbook.changes.base import Change
from runbook.changes.credentials import GenerateSecret, SetPassword
from runbook.changes.files import MakeDirectory, SetMode, WriteFile
from runbook.model.parameters import Parameters, read
from runbook.sections import configuration
from runbook.sections.configuration import ConfigurationFacts
from runbook.system.host import yaml_text

PRIVATE, SECRETS = Path("/etc/registry-runbook"), Path("/etc/registry-runbook/secrets")
HTTP_SECRET, KEPT = SECRETS / "http-secret", SECRETS / "password-admin"
CONFIG, AUTH = Path("/etc/docker/registry/config.yml"), Path("/etc/docker/registry/auth")
TEXT = yaml_text.render(configuration.content(Parameters()))
MODES = {PRIVATE: 0o700, SECRETS: 0o700, AUTH: 0o700, AUTH / "htpasswd": 0o600, CONFIG: 0o600}
MADE = ConfigurationFacts(
    text=TEXT,
    users=("admin",),
    password_known=True,
    password="matches",  # noqa: S106 (a state)
    http_secret_known=True,
    modes=tuple(MODES.items()),
)
NEW = ConfigurationFacts(
    text=None,
    users=(),
    password_known=False,
    password="absent",  # noqa: S106 (a state)
    http_secret_known=False,
    modes=tuple(dict.fromkeys(MODES).items()),
)
FOLDERS = [MakeDirectory(path=path, mode=0o700) for path in (PRIVATE, SECRETS, AUTH)]
WRITE = WriteFile(path=CONFIG, before=None, after=TEXT, mode=0o600, secrets=(HTTP_SECRET,))
NEW_SECRET = GenerateSecret(path=HTTP_SECRET, purpose="http.secret")
NEW_PASSWORD = GenerateSecret(path=KEPT, purpose="the password")


def user(reason: str) -> SetPassword:
    """Return the change that writes the user's line."""
    return SetPassword(path=AUTH / "htpasswd", username="admin", cost=5, password_file=KEPT, reason=reason)


def but(**values: object) -> ConfigurationFacts:
    """Return the facts of a configuration that complies, but for some of it."""
    return dataclasses.replace(MADE, **values)  # type: ignore[arg-type] # a table's


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(MADE, [], id="complies"),
        pytest.param(NEW, [*FOLDERS, NEW_SECRET, NEW_PASSWORD, user("there is none yet"), WRITE], id="nothing-there"),
        pytest.param(but(password="absent"), [user("there is none yet")], id="no-line"),  # noqa: S106 (a state)
        pytest.param(but(password="differs"), [user("the one there differs")], id="other-password"),  # noqa: S106 (a state)
        pytest.param(
            but(password="has another cost"),  # noqa: S106 (a state)
            [user("the one there has another cost")],
            id="other-cost",
        ),
        pytest.param(but(http_secret_known=False), [NEW_SECRET], id="no-http-secret"),
        pytest.param(but(text=None, modes=tuple((MODES | {CONFIG: None}).items())), [WRITE], id="no-config"),
        pytest.param(
            but(text="version: 0.1\n"),
            [dataclasses.replace(WRITE, before="version: 0.1\n", keep=True)],
            id="theirs-is-kept",
        ),
        pytest.param(
            but(text=f"{TEXT}# edited\n"), [dataclasses.replace(WRITE, before=f"{TEXT}# edited\n")], id="ours-edited"
        ),
    ],
)
def test_plan_brings_what_is_missing(facts: ConfigurationFacts, expected: list[Change]) -> None:
    """Fails if htpasswd is not there before the registry starts (A18), or something that is right is written again."""
    assert expected == configuration.plan(Parameters(), facts)


@pytest.mark.parametrize(
    ("path", "mode", "after"),
    [
        pytest.param(PRIVATE, 0o755, 0o700, id="private-folder"),
        pytest.param(SECRETS, 0o750, 0o700, id="folder-of-the-secrets"),
        pytest.param(AUTH, 0o777, 0o700, id="folder-of-the-users"),
        pytest.param(AUTH / "htpasswd", 0o644, 0o600, id="htpasswd"),
        pytest.param(CONFIG, 0o644, 0o600, id="config-with-its-secret"),
    ],
)
def test_plan_repairs_a_mode(path: Path, mode: int, after: int) -> None:
    """Fails if hashes or the secret stay readable for others, or the repair is not shown."""
    facts = but(modes=tuple((MODES | {path: mode}).items()))
    assert [SetMode(path=path, before=mode, after=after)] == configuration.plan(Parameters(), facts)


@pytest.mark.parametrize(
    ("values", "path", "expected"),
    [
        pytest.param({}, ["version"], 0.1, id="version-stays"),
        pytest.param({}, ["log", "level"], "info", id="not-debug"),
        pytest.param({"log_level": "debug"}, ["log", "level"], "debug", id="log-level"),
        pytest.param({}, ["http", "host"], "https://registry.test", id="host-on-443"),
        pytest.param({"port": 8443}, ["http", "host"], "https://registry.test:8443", id="host-on-another-port"),
        pytest.param({}, ["http", "addr"], ":443", id="address-in-the-container"),
        pytest.param({}, ["http", "debug", "addr"], "127.0.0.1:5001", id="debug-on-loopback-alone"),
        pytest.param({}, ["http", "secret"], f"registry-runbook-secret:{HTTP_SECRET}", id="secret-is-a-placeholder"),
        pytest.param({}, ["http", "tls", "minimumtls"], "tls1.2", id="no-old-tls"),
        pytest.param({}, ["http", "tls", "key"], "/etc/docker/registry/ssl/registry.test.pem", id="pair-in-one-file"),
        pytest.param({"realm": "r"}, ["auth", "htpasswd", "realm"], "r", id="realm"),
        pytest.param({}, ["auth", "htpasswd", "path"], "/etc/docker/registry/auth/htpasswd", id="users"),
        pytest.param({}, ["storage", "delete", "enabled"], True, id="delete-on"),
        pytest.param({"delete_enabled": False}, ["storage", "delete", "enabled"], False, id="delete-off"),
        pytest.param({}, ["storage", "filesystem", "rootdirectory"], "/var/lib/registry", id="storage"),
        pytest.param({}, ["log", "accesslog", "disabled"], True, id="no-access-log"),
        pytest.param({}, ["http", "http2", "disabled"], False, id="http2"),
        pytest.param({}, ["health", "storagedriver", "enabled"], True, id="health"),
        pytest.param({}, ["health", "storagedriver", "threshold"], 3, id="health-at-the-third-failure"),
    ],
)
def test_content_says_what_the_parameters_say(values: dict[str, object], path: list[str], expected: object) -> None:
    """Fails if one of the document's faults comes back (A13 to A16), or a parameter does not reach the registry."""
    found: Any = yaml_text.read_back(yaml_text.render(configuration.content(read(values, where="a test"))))
    for key in path:
        found = found[key]
    assert expected == found


def test_content_names_places_as_the_container_sees_them() -> None:
    """Fails if the registry looks for its files at the paths of the host, which it cannot see."""
    parameters = Parameters(configuration_directory="/srv/elsewhere", private_directory="/srv/private")
    content: Any = configuration.content(parameters)
    assert content["auth"]["htpasswd"]["path"] == "/etc/docker/registry/auth/htpasswd"
    assert content["http"]["tls"]["certificate"] == content["http"]["tls"]["key"]
    assert "/srv/elsewhere" not in str(content)


def test_content_behind_nginx_leaves_tls_and_the_public_address_to_it() -> None:
    """Fails if the registry behind nginx speaks TLS, or names an address whatever nginx's headers say."""
    content: Any = configuration.content(Parameters(proxy="nginx"))
    assert content["http"]["addr"] == ":5000"
    assert not {"tls", "host"} & set(content["http"])
    assert content["auth"] == configuration.content(Parameters())["auth"]


def test_is_made_looks_at_config_yml() -> None:
    """Fails if a host without a configuration counts as one whose configuration differs."""
    assert (configuration.is_made(MADE), configuration.is_made(NEW)) == (True, False)
