"""Checks of config.yml, of what overrides it, and of htpasswd."""

from pathlib import Path

import bcrypt
import pytest

from runbook.diagnosis import configuration_checks as checks
from runbook.diagnosis.situation import look
from runbook.model.parameters import Parameters
from runbook.sections import configuration

from .situations import NO, OPEN, YES, Case, case, container, situation

FILE, USERS, PASSWORD = "registry/config.yml", "registry/auth/htpasswd", "private/secrets/password-admin"
NO_FILE, ABSENT = "config.yml", "there is no "
ADMIN = "admin:" + bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
SHA1 = "b:{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ="
SECRET = {"private/secrets/http-secret": "abc\n"}
NGINX = {"proxy": "nginx"}


@pytest.mark.parametrize(
    ("variable", "confirmed"),
    [
        ("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=true", True),
        ('REGISTRY_STORAGE_MAINTENANCE_READONLY={"enabled": true}', True),
        ("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=false", False),
        ('REGISTRY_STORAGE_MAINTENANCE_READONLY={"enabled":false}', False),
        ("REGISTRY_HTTP_ADDR=true", False),
    ],
)
def test_read_only_mode_is_what_the_environment_sets(variable: str, *, confirmed: bool) -> None:
    """Fails if a registry that takes pushes is said to be read-only since the setting's name is there."""
    found = look(checks.read_only_mode, situation(containers=[container(environment=(variable,))], configuration={}))
    assert found.confirmed is confirmed


TEXTS = [
    case(checks.configuration_missing, "none", YES, ABSENT),
    case(checks.configuration_missing, "folder", YES, "config.yml is a folder", files={FILE: None}),
    case(checks.configuration_missing, "there", NO, "is there", files={FILE: ""}),
    case(checks.configuration_no_yaml, "tab", YES, "found character", files={FILE: "a:\n\t- b"}),
    case(checks.configuration_no_yaml, "list", YES, "not a mapping", files={FILE: "- a"}),
    case(checks.configuration_no_yaml, "latin-1", YES, "can't decode", files={FILE: b"a: \xe4"}),
    case(checks.configuration_no_yaml, "yaml", NO, "it is YAML", files={FILE: "a: b"}),
    case(checks.configuration_no_yaml, "none", OPEN, ABSENT),
    case(checks.version_missing, "no-mapping", OPEN, "no mapping", files={FILE: "- a"}),
    case(checks.http_secret_is_another, "plain", YES, "it differs from the", files={FILE: "http:\n  secret: a\n"}),
    case(checks.http_secret_is_another, "kept", NO, "the stored one", files={FILE: "http:\n  secret: abc", **SECRET}),
    case(checks.http_secret_is_another, "none", YES, "there is none", files={FILE: "http: {}"}),
]


@pytest.mark.parametrize("row", TEXTS)
def test_file_of_the_configuration_is_read(tmp_path: Path, row: Case) -> None:
    """Fails if a config.yml that is missing or broken is not named, one that is right is, or a secret is compared."""
    assert row.found(tmp_path) == row.expected


def storage(**values: object) -> dict[str, object]:
    """Return a configuration with these values below `storage`."""
    return {"storage": values}


def http(**values: object) -> dict[str, object]:
    """Return a configuration with these values below `http`."""
    return {"http": values}


INSIDE = "/etc/docker/registry"
PEM, A_PEM = f"{INSIDE}/ssl/a.pem", {"registry/ssl/a.pem": ""}
HTPASSWD = {"auth": {"htpasswd": {"path": f"{INSIDE}/auth/htpasswd"}}}
ON, READ_ONLY = storage(delete={"enabled": True}), storage(maintenance={"readonly": {"enabled": True}})
KEYS = [
    case(checks.version_missing, "none", YES, "version: None", configuration={}),
    case(checks.version_missing, "other", YES, "version: 2", configuration={"version": 2}),
    case(checks.version_missing, "number", NO, "0.1", configuration={"version": 0.1}),
    case(checks.version_missing, "text", NO, "0.1", configuration={"version": "0.1"}),
    case(checks.version_missing, "no-file", OPEN, NO_FILE),
    case(checks.no_storage, "empty", YES, "has no storage", configuration={"storage": None}),
    case(checks.no_storage, "there", NO, "it has storage", configuration=storage(a=1)),
    case(checks.no_storage, "no-file", OPEN, NO_FILE),
    case(checks.unknown_key, "unknown", YES, "auht in config.yml; probably auth", configuration={"auht": 1}),
    case(checks.unknown_key, "below", YES, "http.adr in", configuration=http(adr=1)),
    case(checks.unknown_key, "known", NO, "only keys", configuration=http(addr=":443")),
    case(checks.unknown_key, "no-file", OPEN, NO_FILE),
    case(checks.no_login_asked, "none", YES, "no auth.htpasswd", configuration={}),
    case(checks.no_login_asked, "text", YES, "no auth.htpasswd", configuration={"auth": "htpasswd"}),
    case(checks.no_login_asked, "there", NO, "is there", configuration={"auth": {"htpasswd": {"a": 1}}}),
    case(checks.no_login_asked, "no-file", OPEN, NO_FILE),
    case(checks.delete_is_another, "absent", YES, "False, expected True", configuration={}),
    case(checks.delete_is_another, "same", NO, "it is True", configuration=ON),
    case(checks.delete_is_another, "more", YES, "expected False", values={"delete_enabled": False}, configuration=ON),
    case(checks.delete_is_another, "no-file", OPEN, NO_FILE),
    case(checks.delete_off, "off", YES, "delete is off", configuration=storage(delete={})),
    case(checks.delete_off, "on", NO, "delete is on", configuration=ON),
    case(checks.delete_off, "no-file", OPEN, NO_FILE),
    case(checks.read_only_mode, "file", YES, "is on", configuration=READ_ONLY, containers=[container()]),
    case(checks.read_only_mode, "no-container", OPEN, "no container", configuration={}, containers=[]),
    case(checks.host_is_another, "other", YES, "expected https://registry.test", configuration=http(host="a")),
    case(checks.host_is_another, "same", NO, "it is https", configuration=http(host="https://registry.test")),
    case(checks.host_is_another, "absent", NO, "it is None", configuration={}),
    case(checks.host_is_another, "nginx", NO, "nginx", values=NGINX, configuration=http(host="a")),
    case(checks.host_is_another, "no-file", OPEN, NO_FILE),
    case(checks.tls_off, "off", YES, "plain HTTP", configuration=http(tls={})),
    case(checks.tls_off, "on", NO, "it has /a", configuration=http(tls={"certificate": "/a"})),
    case(checks.tls_off, "nginx", NO, "nginx terminates TLS", values=NGINX, configuration={}),
    case(checks.tls_off, "no-file", OPEN, NO_FILE),
    case(checks.certificate_path_wrong, "gone", YES, f"{PEM} is not", configuration=http(tls={"certificate": PEM})),
    case(checks.certificate_path_wrong, "users", YES, f"{INSIDE}/auth/htpasswd is", configuration=HTPASSWD),
    case(checks.certificate_path_wrong, "outside", YES, "/a is", files=A_PEM, configuration=http(tls={"key": "/a"})),
    case(checks.certificate_path_wrong, "there", NO, "are there", files=A_PEM, configuration=http(tls={"key": PEM})),
    case(checks.certificate_path_wrong, "no-file", OPEN, NO_FILE),
    case(checks.http_secret_is_another, "no-file", OPEN, NO_FILE),
    case(checks.configuration_is_another, "no-file", OPEN, NO_FILE),
]


@pytest.mark.parametrize("row", KEYS)
def test_keys_of_the_configuration_are_compared(tmp_path: Path, row: Case) -> None:
    """Fails if a key that the registry needs, or takes for nothing, is not named, or one that is right is."""
    assert row.found(tmp_path) == row.expected


@pytest.mark.parametrize(
    "row",
    [
        case(checks.configuration_is_another, "key", YES, "different: http.addr, http", given={"http": {}}),
        case(checks.configuration_is_another, "more", YES, "different: proxy", given={"proxy": {"a": 1}}),
        case(checks.configuration_is_another, "same", NO, "as the parameters specify", given={}),
    ],
)
def test_configuration_is_compared_with_what_the_parameters_make(tmp_path: Path, row: Case) -> None:
    """Fails if a key that is another, more or missing is not named, or one is where nothing differs."""
    folders = {"private_directory": f"{tmp_path}/private", "configuration_directory": f"{tmp_path}/registry"}
    made = configuration.content(Parameters.model_validate(folders))
    assert row.found(tmp_path, configuration={**made, **row.given}) == row.expected


ENTRIES = [
    case(checks.users_missing, "none", YES, ABSENT),
    case(checks.users_missing, "folder", YES, "is a folder", files={USERS: None}),
    case(checks.users_missing, "there", NO, "is there", files={USERS: ""}),
    case(checks.users_malformed, "no-colon", YES, "line 3 is not", files={USERS: f"# a\n{ADMIN}\nadmin\n"}),
    case(checks.users_malformed, "no-hash", YES, "line 1, 2 is not", files={USERS: "a:\n:b\n"}),
    case(checks.users_malformed, "right", NO, "each line", files={USERS: f"# a\n\n{ADMIN}\n"}),
    case(checks.users_malformed, "no-file", OPEN, ABSENT),
    case(checks.users_not_bcrypt, "sha-1", YES, "line 2 (SHA-1) is", files={USERS: f"{ADMIN}\n{SHA1}"}),
    case(checks.users_not_bcrypt, "plain", YES, "line 1 (no hash)", files={USERS: "admin:secret"}),
    case(checks.users_not_bcrypt, "right", NO, "each hash is", files={USERS: ADMIN}),
    case(checks.users_not_bcrypt, "no-file", OPEN, ABSENT),
    case(checks.user_twice, "twice", YES, "admin is listed twice", files={USERS: f"{ADMIN}\n{SHA1}\n{ADMIN}"}),
    case(checks.user_twice, "once", NO, "is listed once", files={USERS: f"{ADMIN}\n{SHA1}\nc\nd"}),
    case(checks.user_twice, "no-file", OPEN, ABSENT),
    case(checks.user_unknown, "other", YES, "there is no user admin", files={USERS: SHA1}),
    case(checks.user_unknown, "comment", YES, "there is no user admin", files={USERS: f"# {ADMIN}"}),
    case(checks.user_unknown, "there", NO, "admin is listed", files={USERS: f"{SHA1}\n{ADMIN}"}),
    case(checks.user_unknown, "no-file", OPEN, ABSENT),
    case(checks.password_is_another, "none-kept", OPEN, "no password is stored", files={USERS: ADMIN}),
    *(
        case(checks.password_is_another, name, confirmed, words, files={USERS: text, PASSWORD: f"{password}\n"})
        for name, text, password, confirmed, words in (
            ("other", ADMIN, "wrong", YES, "is not that of admin"),
            ("same", f"{SHA1}\n{ADMIN}", "right", NO, "fits"),
            ("last-counts", f"{ADMIN}\nadmin:a", "right", OPEN, "has no bcrypt hash"),
            ("unknown", SHA1, "right", OPEN, "has no bcrypt hash"),
        )
    ),
    case(checks.password_is_another, "no-file", OPEN, ABSENT, files={PASSWORD: "right\n"}),
]


@pytest.mark.parametrize("row", ENTRIES)
def test_users_are_read_line_by_line(tmp_path: Path, row: Case) -> None:
    """Fails if a line of htpasswd that the registry takes for nothing is not named, or a right one is."""
    assert row.found(tmp_path) == row.expected
