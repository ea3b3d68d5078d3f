"""The main job: from a clean clone to a proven registry on each kind of host, then again with nothing to change."""

import json

import pytest

from .lab import Host
from .product import run, script_run, snapshot

HOSTS = ["bookworm", "trixie", "bare", "plain"]


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Host:
    """Give the host that the test's parameter names."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Host)
    return found


@pytest.mark.parametrize("host", HOSTS, indirect=True)
def test_run_proves_registry_then_changes_nothing(host: Host) -> None:
    """Fails where the README's command does not end with all proven, or a second one changes anything at all."""
    planned = json.loads(script_run(host, "plan", "--json").stdout)
    assert planned[0]["state"] == "to do"
    before = host.run("sh", "-c", "ls -d /etc/registry-runbook /etc/docker/registry /opt/data", check=False).stdout
    assert before == ""  # a plan makes none of them

    first = script_run(host)
    assert "FAILED" not in first.stdout
    assert "65 of 65 proofs passed" in first.stdout

    as_it_was = snapshot(host)
    second = run(host)
    assert second.error is None
    assert second.changes == []
    assert second.failed == []
    assert len(second.results) == 65
    assert snapshot(host) == as_it_was
    states = {item["notebook"]: item["state"] for item in json.loads(script_run(host, "plan", "--json").stdout)}
    assert set(states.values()) == {"done"}


@pytest.mark.parametrize("host", HOSTS, indirect=True)
def test_run_brings_document_after_default(host: Host) -> None:
    """Fails where the document's own values do not end proven after the default, or change something twice."""
    document = ("-f", "parameters/document.yml")
    first = run(host, *document)
    assert first.error is None
    assert "issue a server certificate for docker.funet8.com" in " ".join(first.changes)
    assert run(host, *document).changes == []
    assert "docker.funet8.com" in host.read("/etc/hosts")


def test_run_says_when_engine_will_not_come_back(plain: Host) -> None:
    """Fails where a host without systemd is told nothing of its engine at boot."""
    results = run(plain, "10-host").results
    [boot] = [result for result in results if "boot" in result["claim"]]
    assert "start it at boot yourself" in boot["found"]
