"""The main job on each registry where what is around it is unusual: no rules of iptables, proxies, IPv6 alone."""

import itertools

import pytest

from tests import draws

from . import newest
from .document import NAT_GONE
from .lab import Host, NewHost
from .product import run

REGISTRIES = {"2.8.2": "bookworm", "2.8.3": "trixie", newest.VERSION: "trixie"}
PROXY = "http://127.0.0.1:9"  # nobody listens there: what goes to it fails
EXEMPT = "localhost,127.0.0.1,registry.test"
VARIABLES = {"HTTPS_PROXY": PROXY, "HTTP_PROXY": PROXY, "NO_PROXY": EXEMPT}
ADDRESS_6 = "2001:db8::7"
SURROUNDINGS = {
    "without iptables": f"""
        echo '{{"iptables": false}}' >/etc/docker/daemon.json
        systemctl restart docker
        {NAT_GONE}
    """,
    "behind proxies": f"""
        mkdir -p /etc/systemd/system/docker.service.d /root/.docker
        printf '[Service]\\nEnvironment=HTTPS_PROXY={PROXY} HTTP_PROXY={PROXY} NO_PROXY={EXEMPT}\\n' \\
            >/etc/systemd/system/docker.service.d/proxy.conf
        printf '{{"proxies": {{"default": {{"httpProxy": "%s", "httpsProxy": "%s", "noProxy": "%s"}}}}}}' \\
            {PROXY} {PROXY} {EXEMPT} >/root/.docker/config.json
        systemctl daemon-reload
        systemctl restart docker
    """,
    "IPv6 alone": f"""
        ip -4 address flush dev eth0
        ip -6 address add {ADDRESS_6}/64 dev eth0 nodad
    """,
}


def has_nat_rules(host: Host) -> bool:
    """Return whether the engine keeps its chain."""
    return host.run("iptables", "-t", "nat", "-L", "DOCKER", check=False).code == 0


@pytest.mark.parametrize(
    ("registry", "surroundings"), draws.one_of(list(itertools.product(REGISTRIES, SURROUNDINGS)), "surroundings")
)
def test_run_proves_registry_in_its_surroundings(new_host: NewHost, registry: str, surroundings: str) -> None:
    """Fails where the registry is not proven there, a second run changes something, or the surroundings changed."""
    host = new_host(REGISTRIES[registry])
    if registry == newest.VERSION:
        newest.load(host)
    host.run("sysctl", "-qw", *(f"net.ipv6.conf.{card}.disable_ipv6=0" for card in ("all", "lo", "eth0")))
    if surroundings == "IPv6 alone" and registry != newest.VERSION:  # its package comes by IPv4 here
        assert run(host, "10-host").error is None
    host.run("sh", "-ec", SURROUNDINGS[surroundings])
    environment = VARIABLES if surroundings == "behind proxies" else None
    if surroundings == "IPv6 alone":
        refused = run(host, check=False)
        assert "found IPv6 addresses alone" in str(refused.error)
        assert "`ip address add 192.0.2.1/32 dev lo`" in str(refused.error)
        assert refused.changes == []
        host.run("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
    first = run(host, environment=environment)
    assert (first.error, first.failed, len(first.results)) == (None, [], 65)
    assert registry in first.data["versions"]["registry"]
    second = run(host, environment=environment)
    assert (second.error, second.failed, second.changes) == (None, [], [])
    if surroundings == "without iptables":
        assert not has_nat_rules(host)
    if surroundings == "IPv6 alone":
        trusted = ("--cacert", "/etc/docker/certs.d/registry.test/ca.crt")
        reached = ("curl", "-s", "-w", "%{http_code}", "--resolve", f"registry.test:443:[{ADDRESS_6}]", *trusted)
        assert host.run(*reached, "-o", "/dev/null", "https://registry.test/v2/").stdout == "401"
