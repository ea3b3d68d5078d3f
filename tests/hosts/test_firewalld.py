"""firewalld beside nginx in front of the registry: its port is opened, and closed again."""

from collections.abc import Iterator

import pytest

from .conftest import start_with_project
from .lab import Host
from .product import NAMED, run

FRONT = ("-f", "parameters/nginx.yml", "-p", "proxy_layer_megabytes", "2")
OPENS = "open port 443 in firewalld's zone public, for clients on other hosts"
INSTALL = """
apt-get -qq update --error-on=any
apt-get -qq install --yes --no-install-recommends firewalld
systemctl restart firewalld docker
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Give a host with nginx whose firewalld lets nobody to its port."""
    with start_with_project("trixie-nginx") as ready:
        ready.run("sh", "-ec", INSTALL, environment={"DEBIAN_FRONTEND": "noninteractive"}, timeout_seconds=300)
        yield ready


def ports(host: Host) -> list[str]:
    """Return the open ports of the zone: now, and after firewalld's next start."""
    command = ("firewall-cmd", "--zone=public", "--list-ports")
    return [host.run(*command, *permanent).stdout.strip() for permanent in ((), ("--permanent",))]


def test_port_is_opened_and_a_tear_down_closes_it(host: Host) -> None:
    """Fails if clients on other hosts are kept out, a second run changes anything, or the port stays open."""
    first = run(host, *FRONT)
    assert (first.error, first.failed, OPENS in first.changes, ports(host)) == (None, [], True, ["443/tcp"] * 2)
    assert run(host, *FRONT).changes == []
    torn = run(host, "90-tear-down", *NAMED)
    assert (torn.error, torn.failed, ports(host)) == (None, [], ["", ""])


def test_port_that_somebody_has_opened_stays_his(host: Host) -> None:
    """Fails if a tear-down closes a port that the runbook did not open."""
    host.run("firewall-cmd", "--zone=public", "--add-service=https")
    host.run("firewall-cmd", "--permanent", "--zone=public", "--add-port=443/tcp")
    made = run(host, *FRONT)
    assert (made.error, OPENS in made.changes) == (None, False)
    assert run(host, "90-tear-down", *NAMED).error is None
    assert ports(host) == ["", "443/tcp"]
