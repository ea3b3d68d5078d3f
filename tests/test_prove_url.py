"""The proof by a URL: which URLs it takes, and whom it takes for a registry on plain HTTP."""

import hashlib
import json

import pytest

from runbook import prove_url
from runbook.errors import ParameterError
from runbook.outside.registry_api import Answer


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://r.test", "r.test"),
        ("https://R.test:5000/", "r.test:5000"),
        ("https://192.168.1.2:443/v2/", "192.168.1.2:443"),
        ("https://[2001:db8::1]:443", "[2001:db8::1]:443"),
    ],
)
def test_host_of_takes_what_clients_name(url: str, expected: str) -> None:
    """Fails if a registry cannot be named as its clients do."""
    assert expected == prove_url.host_of(url)


@pytest.mark.parametrize(
    "url",
    [
        "r.test",
        "http://r.test",
        "https://",
        "https://a:b@r.test",
        "https://r.test/x",
        "https://r.test?x",
        "https://r t",
    ],
)
def test_host_of_refuses_another_url(url: str) -> None:
    """Fails if a login is sent in clear, stands in a URL, or goes to a place that was not meant."""
    with pytest.raises(ParameterError, match=r"for --url: https://HOST\[:PORT\]"):
        prove_url.host_of(url)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(Answer(status=400), "no registry", id="go-refuses"),
        pytest.param(Answer(status=None, error="refused"), "no registry", id="nobody"),
        pytest.param(Answer(status=301), "no registry", id="sent-to-https"),
        pytest.param(Answer(status=200), "a registry, status 200", id="open"),
        pytest.param(Answer(status=401), "a registry, status 401", id="asks-for-a-login-in-clear"),
        pytest.param(
            Answer(status=404, headers={"docker-distribution-api-version": "registry/2.0"}),
            "a registry, status 404",
            id="named",
        ),
    ],
)
def test_who_tells_a_registry_on_plain_http(answer: Answer, expected: str) -> None:
    """Fails if a registry that takes logins in clear passes, or one that refuses to fails."""
    assert expected == prove_url.who(answer)


def test_image_is_new_each_time_and_fits_its_manifest() -> None:
    """Fails if a test image is somebody's, so that deleting it deletes theirs, or a registry would refuse it."""
    (configuration, layer), text = prove_url.image(1000)
    manifest = json.loads(text)
    described = [manifest["config"], *manifest["layers"]]
    assert [item["digest"] for item in described] == [
        f"sha256:{hashlib.sha256(blob).hexdigest()}" for blob in (configuration, layer)
    ]
    assert [item["size"] for item in described] == [len(configuration), 1000]
    again = json.loads(prove_url.image(1000)[1])
    assert {item["digest"] for item in described}.isdisjoint(
        item["digest"] for item in [again["config"], *again["layers"]]
    )
