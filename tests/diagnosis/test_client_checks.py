"""Checks of what the clients on this host are told, and of what the message itself says."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from runbook.diagnosis import client_checks as checks
from runbook.diagnosis.situation import look

from .situations import NO, OPEN, YES, Case, case, container, situation

OWN = {"x86_64": "amd64", "aarch64": "arm64"}
ANYTHING = '[{"type":"insecureAcceptAnything"}]'
PUSHED = "push access denied for "


@pytest.mark.parametrize(
    ("text", "confirmed"),
    [
        (None, True),
        ('{"default":[{"type":"reject"}]}', True),
        (f'{{"default":{ANYTHING}}}', False),
        (f'{{"default":[{{"type":"reject"}}],"transports":{{"docker":{{"registry.test":{ANYTHING}}}}}}}', False),
    ],
)
def test_policy_of_podman_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, *, confirmed: bool
) -> None:
    """Fails if a policy that refuses the registry's images is not confirmed, or one that takes them is."""
    monkeypatch.setattr(checks, "POLICIES", (str(tmp_path / "policy.json"),))
    if text is not None:
        (tmp_path / "policy.json").write_text(text, encoding="ascii")
    assert look(checks.policy_refuses, situation()).confirmed is confirmed


@pytest.mark.parametrize(
    ("message", "confirmed"),
    [
        (f"no matching manifest for linux/{OWN.get(os.uname().machine, 'unknown')} in the list", True),
        ("no matching manifest for linux/s390x in the list", False),
        ("exec format error", None),
    ],
)
def test_platform_is_that_of_the_message(message: str, *, confirmed: bool | None) -> None:
    """Fails if an image is said to lack this host's platform where another one was asked for, or the reverse."""
    assert look(checks.another_platform, situation(message)).confirmed is confirmed


@pytest.mark.parametrize(
    ("settings", "confirmed"),
    [({"auths": {"registry.test": {"auth": "x"}}}, True), ({"auths": {"registry.test": {}}}, False), ({}, False)],
)
def test_login_that_is_kept_plain_is_seen(settings: dict[str, object], *, confirmed: bool) -> None:
    """Fails if a login that a helper keeps is taken for one in the file, or the reverse."""
    assert look(checks.password_kept_plain, situation(client_settings=settings)).confirmed is confirmed


def logins(*hosts: str) -> dict[str, object]:
    """Return the settings of a client that is logged in to these hosts by a helper."""
    return {"auths": {host: {} for host in hosts}}


LOGINS = [
    case(checks.not_logged_in, "nowhere", YES, "not logged in to registry.test", client_settings={}),
    case(checks.not_logged_in, "null", YES, "not logged in", client_settings={"auths": None}),
    case(checks.not_logged_in, "port", YES, "but to registry.test:5", client_settings=logins("registry.test:5")),
    case(checks.not_logged_in, "here", NO, "logged in", client_settings=logins("registry.test")),
]
MESSAGES = [
    case(checks.name_has_capitals, "capitals", YES, "App has uppercase letters", "push registry.test/App:1"),
    case(checks.name_has_capitals, "host-alone", NO, "has none", "push Registry.test:443/app:V1"),
    case(checks.name_has_capitals, "path", NO, "has none", "docker run -v ./a:/b/C registry.test/app"),
    case(checks.name_has_capitals, "none", OPEN, "names no image", "invalid reference format"),
    case(checks.name_invalid, "separator", YES, "app- is not a valid name", "push registry.test:443/app-:1"),
    case(checks.name_invalid, "three", YES, "a___b is not a valid name", "push registry.test/a___b"),
    case(checks.name_invalid, "valid", NO, "a/b__c-d is a valid name", "push registry.test/a/b__c-d:1"),
    case(checks.name_invalid, "path", NO, "app is a valid name", "docker run -v ./A:/b/C- registry.test/app"),
    case(checks.name_invalid, "full-stop", NO, "app is a valid name", "docker pull registry.test/app."),
    case(checks.name_invalid, "none", OPEN, "names no image", "invalid reference format"),
    case(checks.named_elsewhere, "public", YES, "refers to the public registry", "for docker.io/library/a: x"),
    case(checks.named_elsewhere, "no-host", YES, "app refers to the public", f"{PUSHED}app, repository"),
    case(checks.named_elsewhere, "host", NO, "refers to registry.test", f"{PUSHED}registry.test/app"),
    case(checks.named_elsewhere, "port", NO, "refers to localhost:5000", f"{PUSHED}localhost:5000/app, repository"),
    case(checks.named_elsewhere, "localhost", NO, "refers to localhost", f"{PUSHED}localhost/app, repository"),
    case(checks.named_elsewhere, "none", OPEN, "names no image", "denied"),
    case(checks.stated_by_message, "message", OPEN, "the message reports it", "EOF"),
    case(checks.stated_by_message, "none", NO, "no message"),
]


@pytest.mark.parametrize("row", LOGINS + MESSAGES)
def test_logins_and_names_in_the_message_are_read(tmp_path: Path, row: Case) -> None:
    """Fails if a missing login or a wrong name of an image is not named, or one that is right is."""
    assert row.found(tmp_path) == row.expected


SEARCH = "unqualified-search-registries = "


@pytest.mark.parametrize(
    "row",
    [
        case(checks.no_search_registry, "no-file", YES, "no unqualified-search-registries is set"),
        case(checks.no_search_registry, "comment", YES, "no unq", files={"r.conf": f'# {SEARCH}["docker.io"]'}),
        case(checks.no_search_registry, "empty", YES, "no unq", files={"r.conf": f"{SEARCH}[]"}),
        case(checks.no_search_registry, "set", NO, '["docker.io"]', files={"r.conf": f'{SEARCH}["docker.io"]'}),
        case(checks.no_search_registry, "latin-1", OPEN, "UTF-8", files={"r.conf": b"# \xe4"}),
    ],
)
def test_registries_of_short_names_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case) -> None:
    """Fails if a host where Podman knows no registry for a short name is not named, or one with a registry is."""
    monkeypatch.setattr(checks, "_REGISTRIES", (tmp_path / "r.conf", tmp_path / "none.conf"))
    assert row.found(tmp_path) == row.expected


ASK = f"""
import fcntl, os, termios
if os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from runbook.diagnosis import client_checks, situation
from runbook.model.parameters import Parameters
print(situation.look(client_checks.{checks.no_terminal.__name__}, situation.Situation(Parameters())).confirmed)
"""


@pytest.mark.parametrize(
    ("terminal", "expected"), [pytest.param(True, "False", id="a-terminal"), pytest.param(False, "True", id="none")]
)
def test_terminal_is_that_of_the_process(*, terminal: bool, expected: str) -> None:
    """Fails if a process without a terminal is said to have one, or the reverse."""
    outer, inner = pty.openpty()
    argv = [sys.executable, "-c", ASK]
    stdin = inner if terminal else subprocess.DEVNULL
    found = subprocess.run(argv, stdin=stdin, capture_output=True, text=True, start_new_session=True, check=True)
    os.close(inner)
    os.close(outer)
    assert found.stdout.strip() == expected


@pytest.mark.parametrize(
    "row",
    [
        case(checks.htpasswd_not_in_image, "none", YES, "registry-registry-1 has no", files={"usr/bin": None}),
        case(checks.htpasswd_not_in_image, "there", NO, "has it", files={"usr/bin/htpasswd": ""}),
    ],
)
def test_program_in_the_container_is_looked_for(tmp_path: Path, row: Case) -> None:
    """Fails if an image without htpasswd is not named, or one that has it is."""
    assert row.found(tmp_path, inside=tmp_path, containers=[container()]) == row.expected


@pytest.mark.parametrize(
    "row", [case(checks.htpasswd_not_in_image, "stopped", OPEN, "does not run", inspected={"State": {"Pid": 0}})]
)
def test_program_of_a_stopped_container_is_unknown(tmp_path: Path, row: Case) -> None:
    """Fails if a container that does not run is said to lack a program, or to have it."""
    assert row.found(tmp_path) == row.expected
