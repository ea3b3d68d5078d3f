"""Checks of what the clients on this host are told, and of what the message itself says."""

import os
from pathlib import Path

import pytest

from runbook.diagnosis import client_checks
from runbook.diagnosis.situation import look

from .situations import situation

OWN = {"x86_64": "amd64", "aarch64": "arm64"}
ANYTHING = '[{"type":"insecureAcceptAnything"}]'


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
    monkeypatch.setattr(client_checks, "POLICIES", (str(tmp_path / "policy.json"),))
    if text is not None:
        (tmp_path / "policy.json").write_text(text, encoding="ascii")
    assert look(client_checks.policy_refuses, situation()).confirmed is confirmed


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
    assert look(client_checks.another_platform, situation(message)).confirmed is confirmed


@pytest.mark.parametrize(
    ("settings", "confirmed"),
    [({"auths": {"registry.test": {"auth": "x"}}}, True), ({"auths": {"registry.test": {}}}, False), ({}, False)],
)
def test_login_that_is_kept_plain_is_seen(settings: dict[str, object], *, confirmed: bool) -> None:
    """Fails if a login that a helper keeps is taken for one in the file, or the reverse."""
    assert look(client_checks.password_kept_plain, situation(client_settings=settings)).confirmed is confirmed
