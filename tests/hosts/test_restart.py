"""A proven registry after a restart of the engine, and of the whole host."""

import pytest

from .lab import Host
from .product import run

STATUS = ("curl", "-sk", "-o/dev/null", "-w%{http_code}", "--retry", "30", "--retry-delay", "1", "--retry-all-errors")


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Host:
    """Give the session's host that the test's table names."""
    found: Host = request.getfixturevalue(request.param)
    return found


def assert_back(host: Host) -> None:
    """Wait for both registries, which nobody has started, and run all notebooks, which have nothing to do."""
    assert host.run(*STATUS, "https://registry.test/v2/").stdout == "401"
    assert host.run(*STATUS, "http://127.0.0.1:5000/v2/").stdout == "200"
    again = run(host)
    assert (again.error, again.changes, again.failed) == (None, [], [])
    assert len(again.results) == 65


@pytest.mark.parametrize("host", ["proven_bookworm", "proven_trixie"], indirect=True)
def test_registry_comes_back_by_itself(host: Host) -> None:
    """Fails where a registry stays down after a restart of the engine or of the host, or a proof no longer holds."""
    host.run("systemctl", "restart", "docker")
    assert_back(host)
    host.restart()
    assert_back(host)
