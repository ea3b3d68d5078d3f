"""Which engine is asked, whatever the environment says."""

import hashlib
import json
from pathlib import Path

import pytest
from docker.errors import DockerException, TLSParameterError

from runbook.system.docker import engine


@pytest.fixture(autouse=True)
def _without_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what this machine's environment says of an engine."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


def test_elsewhere_names_a_context_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the client's own word, deep in a proof, is the first that tells of it; or the default is told."""
    assert engine.other_engine() == ""
    monkeypatch.setenv("DOCKER_CONTEXT", "nope")
    assert engine.other_engine() == "the Docker context nope, which is not there"
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert engine.other_engine() == ""


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param("unix:///var/run/docker.sock", "", id="own"),
        pytest.param("tcp://o.test:2376", "the Docker context own, tcp://o.test:2376", id="other"),
        pytest.param(
            "unix:///run/user/1000/docker.sock",
            "the Docker context own, unix:///run/user/1000/docker.sock (rootless Docker, which has neither this host's"
            " ports nor its files)",
            id="rootless",
        ),
    ],
)
def test_elsewhere_knows_a_context_without_settings_of_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, expected: str
) -> None:
    """Fails if a context that the client knows is not there for us where nobody has written a config.json."""
    folder = tmp_path / "contexts" / "meta" / hashlib.sha256(b"own").hexdigest()
    folder.mkdir(parents=True)
    text = json.dumps({"Name": "own", "Metadata": {}, "Endpoints": {"docker": {"Host": address}}})
    (folder / "meta.json").write_text(text, encoding="utf-8")
    monkeypatch.setenv("DOCKER_CONTEXT", "own")
    assert (engine.other_engine(), engine.address()) == (expected, address)


def test_elsewhere_names_a_rootless_engine_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if rootless Docker is taken for this host's engine, or not called by its name."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/0/docker.sock")
    assert engine.other_engine().startswith("DOCKER_HOST, unix:///run/user/0/docker.sock (rootless Docker,")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/docker.sock")
    assert engine.other_engine() == ""


def test_engine_of_this_host_is_asked_without_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if DOCKER_TLS_VERIFY, which is for another engine, lets this host's be taken for none."""
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    found = None
    try:
        engine._client.__wrapped__(1, 0)  # noqa: SLF001 (what it looks for before it asks)
    except DockerException as error:
        found = error
    assert not isinstance(found, TLSParameterError)
