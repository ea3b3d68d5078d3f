"""The main job, and the way back, with the registry that people get: its newest release, by its default name."""

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


def test_newest_registry_is_proven_and_goes_again(before: tuple[Host, list[str]]) -> None:
    """Fails where it does not start with our configuration, does not delete, or leaves something."""
    host, found = before
    first = script_run(host)
    assert ("FAILED" in first.stdout, "65 of 65 proofs passed" in first.stdout) == (False, True)
    second = run(host)
    assert (second.error, second.changes, second.failed) == (None, [], [])
    assert run(host).data["versions"]["registry"].startswith(newest.REFERENCE)
    kept = run(host, "-p", "delete_enabled", "false")
    assert (kept.error, kept.failed) == (None, [])
    assert host.run("docker", "logs", "registry-registry-1").stderr.count("traces export") == 0
    proven = script_run(host, "prove", "-p", "delete_enabled", "false")
    assert "FAILED" not in proven.stdout
    fronted = run(host, "-f", "parameters/nginx.yml", "-p", "proxy_layer_megabytes", "2")
    assert (fronted.error, fronted.failed) == (None, [])
    torn = run(host, "90-tear-down", *NAMED)
    assert (torn.error, torn.failed) == (None, [])
    left = [line for line in differences(without_times(found), without_times(everything(host))) if "image" not in line]
    assert left == []
