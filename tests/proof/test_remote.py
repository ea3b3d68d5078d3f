"""The proof by a URL: which URLs it takes, and whom it takes for a registry on plain HTTP."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path

import pytest

from runbook.model.errors import ParameterError
from runbook.proof import remote
from runbook.system.certificates import tls
from runbook.system.registry import api
from runbook.system.registry.api import Answer
from tests.odd_certificates import LEAF, ROWS, Made, but, names
from tests.system.registry.test_api import serving


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
    assert expected == remote.host_of(url)


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
        remote.host_of(url)


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
    assert expected == remote.who(answer)


@pytest.mark.parametrize(
    ("title", "reached", "noted"),
    [
        pytest.param("plain", "^an answer$", "^$", id="plain"),
        pytest.param("authority without keyUsage", "^an answer$", "Python 3.13.*key usage", id="noted"),
        pytest.param("3650 days", "^an answer$", "Apple's systems: it is valid for 3650 days", id="long"),
        pytest.param(
            "authority without basicConstraints", "CN=Example CA: no basicConstraints", "", id="by-the-engine"
        ),
        pytest.param("server signed with SHA-1", "CN=registry.test: the digest SHA-1", "^$", id="by-each"),
        pytest.param("intermediate missing", "unable to get local issuer", "^$", id="in-the-client-s-words"),
    ],
)
def test_prove_judges_a_certificate_as_clients_do(tmp_path: Path, title: str, reached: str, noted: str) -> None:
    """Fails if a registry that each client takes fails the proof, or a wrong certificate is not named."""
    row = next(row for row in ROWS if row.title == title)
    here = (names("127.0.0.1"), False)

    def at_loopback(made: Made) -> Made:
        return but(made, here) if made.subject == LEAF.subject else made

    row = dataclasses.replace(row, chain=[at_loopback(made) for made in row.chain])
    key, chain, authority = row.files()
    (tmp_path / "pair").write_text(key + chain, encoding="ascii")
    with serving(tls.server_context(tmp_path / "pair")) as port:
        known = api.Registry(
            url=f"https://127.0.0.1:{port}", tls=tls.client_context(authority), login=("nobody", "nothing")
        )
        target = remote.Target(known=known, authority=authority, days=0, repository="a/b", layer_bytes=1)
        rows = remote.prove(target)["certificate"]
    assert re.search(reached, rows[0].found), rows[0].found
    assert rows[0].passed == (reached == "^an answer$")
    notes = [f"{item.claim}: {item.found}" for item in rows if "stricter" in item.claim]
    assert re.search(noted, "".join(notes)), notes


def test_image_is_new_each_time_and_fits_its_manifest() -> None:
    """Fails if a test image is somebody's, so that deleting it deletes theirs, or a registry would refuse it."""
    (configuration, layer), text = remote.image(1000)
    manifest = json.loads(text)
    described = [manifest["config"], *manifest["layers"]]
    assert [item["digest"] for item in described] == [
        f"sha256:{hashlib.sha256(blob).hexdigest()}" for blob in (configuration, layer)
    ]
    assert [item["size"] for item in described] == [len(configuration), 1000]
    again = json.loads(remote.image(1000)[1])
    assert {item["digest"] for item in described}.isdisjoint(
        item["digest"] for item in [again["config"], *again["layers"]]
    )
