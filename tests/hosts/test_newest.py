"""The main job, and the way back, with the registry that people get: its newest release, by its default name."""

import json
from collections.abc import Iterator

import pytest

from . import newest
from .conftest import start_with_project
from .lab import Host
from .product import NAMED, differences, everything, run, script_run, without_times


@pytest.fixture(scope="module")
def before() -> Iterator[tuple[Host, list[str]]]:
    """Give a host that has the image, and what was on it."""
    with start_with_project("trixie-nginx") as host:
        newest.load(host)
        yield host, everything(host)


@pytest.mark.one_of("set-ups")
def test_newest_registry_is_proven_and_goes_again(before: tuple[Host, list[str]]) -> None:
    """Fails where it does not start with our configuration, does not delete, or leaves something."""
    host, found = before
    first = script_run(host)
    assert ("FAILED" in first.stdout, "65 of 65 proofs passed" in first.stdout) == (False, True)
    [*_, login, tag, push] = first.stdout.splitlines()
    assert login.startswith("docker login registry.test --username admin --password-stdin <")
    assert f"docker tag {newest.REFERENCE} registry.test/{newest.REFERENCE}" == tag
    assert "digest: sha256:" in host.run("sh", "-ec", f"{login}\n{tag}\n{push}").stdout
    host.run("sh", "-ec", f"docker logout registry.test; docker image rm {push.split()[-1]}")
    second = run(host)
    assert (second.error, second.changes, second.failed) == (None, [], [])
    assert second.data["versions"]["registry"].startswith(newest.REFERENCE)
    kept = run(host, "-p", "delete_enabled", "false")
    assert (kept.error, kept.failed) == (None, [])
    assert host.run("docker", "logs", "registry-registry-1").stderr.count("traces export") == 0
    proven = script_run(host, "prove", "-p", "delete_enabled", "false")
    assert "FAILED" not in proven.stdout
    fronted = run(host, "-f", "parameters/nginx.yml", "-p", "proxy_layer_megabytes", "2")
    assert (fronted.error, fronted.failed) == (None, [])
    listed = ("-p", "insecure_registries", json.dumps([f"{host.address}:5000"]))
    lan = run(host, "10-host", "20-basic-registry", "-p", "basic_address", "0.0.0.0", *listed)  # noqa: S104 (a test host)
    assert (lan.error, lan.failed) == (None, [])
    assert f"docker push to {host.address}:5000, which insecure_registries lists" in [
        result["claim"] for result in lan.results
    ]
    torn = run(host, "90-tear-down", *NAMED)
    assert (torn.error, torn.failed) == (None, [])
    left = [line for line in differences(without_times(found), without_times(everything(host))) if "image" not in line]
    assert left == []
