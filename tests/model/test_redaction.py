"""Texts that somebody pastes: what may be a credential in them goes, and the message stays."""

import pytest

from runbook.model.redaction import CONCEALED, redact

CANARY = "Tr0ub4dor&3xyz"
HASH = "$2b$10$" + "a" * 53


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"Authorization: Basic {CANARY}", id="basic"),
        pytest.param(f'authorization="Bearer {CANARY}"', id="bearer"),
        pytest.param(f"X-Registry-Auth: {CANARY}", id="engine"),
        pytest.param(f'Get "https://admin:{CANARY}@registry.test/v2/": EOF', id="address"),
        pytest.param(f"docker login -u admin -p {CANARY} registry.test", id="login"),
        pytest.param(f"docker login --password={CANARY} registry.test", id="login-long"),
        pytest.param(f"curl -u admin:{CANARY} https://registry.test", id="curl"),
        pytest.param(f"skopeo copy --dest-creds admin:{CANARY} a b", id="skopeo"),
        pytest.param(f"provisioning with default user password={CANARY} user=docker", id="log"),
        pytest.param(f'{{"auths": {{"registry.test": {{"auth": "{CANARY}"}}}}}}', id="config.json"),
        pytest.param(f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----", id="key"),
        pytest.param(f"-----BEGIN EC PRIVATE KEY-----\n{CANARY}", id="key-cut-off"),
    ],
)
def test_redact_conceals_each_credential(text: str) -> None:
    """Fails if what somebody pastes is shown with the password in it, or is another text after a second time."""
    found = redact(text)
    assert CANARY not in found
    assert CONCEALED in found
    assert found == redact(found)


def test_redact_conceals_a_hash() -> None:
    """Fails if a bcrypt hash out of htpasswd is shown."""
    assert redact(f"admin:{HASH}") == f"admin:{CONCEALED}"


@pytest.mark.parametrize(
    "text",
    [
        "unauthorized: authentication required",
        "docker run -d -p 5000:5000 registry",
        "docker login registry.test -u admin --password-stdin",
        'blob upload invalid: {"code":"BLOB_UPLOAD_INVALID"}, invalid secret',
        "x509: certificate is valid for a.test, not b.test",
        'Get "https://registry.test:5000/v2/": dial tcp 192.168.1.2:5000: i/o timeout',
    ],
)
def test_redact_leaves_a_message(text: str) -> None:
    """Fails if a message without a credential is no longer the one that the catalogue knows."""
    assert text == redact(text)
