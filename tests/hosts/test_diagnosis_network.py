"""Messages about the network: each brought about for real, recognised, and its cause confirmed."""

import random

import pytest

from .document import NAT_GONE
from .faults import Fault, FaultyHosts

DOWN = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
# After each: its files are put back before, so that the engine starts.
BLACK_HOLE = (
    "sed -i 's/.* registry.test/203.0.113.9 registry.test/' /etc/hosts;"  # an engine keeps what it has read a while
)
PROXY = """
mkdir -p /etc/systemd/system/docker.service.d
printf '[Service]\\nEnvironment=HTTPS_PROXY=http://127.0.0.1:9\\n' >/etc/systemd/system/docker.service.d/proxy.conf
systemctl daemon-reload; restart_engine; login
"""
OTHER_SERVER, NAME_GONE = "echo 'nameserver 127.0.0.1' >/etc/resolv.conf", "sed -i /registry.test/d /etc/hosts"
UNTIL = "until_says '127.0.0.1:53: %s' login"  # an engine keeps both a while
RESOLVER = f"{OTHER_SERVER}; {NAME_GONE}; python3 tests/hosts/answering.py names"
FAULTS = {
    "nat-chain": Fault(
        messages=("iptables: No chain/target/match by that name",),
        cause="nat-chain-gone",
        say=f"{NAT_GONE}; docker run --rm --publish 5056:5000 $IMAGE help",
        repair="restart_engine",
    ),
    "forwarding": Fault(
        messages=("IPv4 forwarding is disabled. Networking will not work.",),
        cause="forwarding-off",
        say="sysctl -qw net.ipv4.ip_forward=0; docker run --rm $IMAGE help",
        only="bookworm",
        repair="sysctl -qw net.ipv4.ip_forward=1",
    ),
    "port-of-a-process": Fault(
        messages=("bind: address already in use",),
        cause="named-port-taken",
        say="with page; docker run --rm --publish 5060:5000 $IMAGE help",
        repair="pkill -f '[a]nswering.py page'",
    ),
    "port-of-a-container": Fault(
        messages=(
            "Bind for … failed: port is already allocated",
            "driver failed programming external connectivity on endpoint …",
        ),
        cause="named-port-taken",
        say="docker run --detach --name one -p 5058:5000 $IMAGE >/dev/null; docker run --rm -p 5058:5000 $IMAGE help",
        repair="docker rm --force one",
    ),
    "subnet-of-another": Fault(
        messages=("Pool overlaps with other one on this address space",),
        cause="",
        say="docker network create --subnet 172.17.0.0/16 beside",
        repair=":",
    ),
    "name-gone": Fault(
        messages=("lookup … on …: read udp …: connection refused (or i/o timeout)", "Could not resolve host"),
        cause="name-unknown",
        say=f"{OTHER_SERVER}; {NAME_GONE}; {UNTIL % 'read'}; curl -sS https://registry.test/",
        repair=":",
    ),
    "no-such-host": Fault(
        messages=("lookup …: no such host",),
        cause="name-unknown",
        say=f"{RESOLVER} 3 & {UNTIL % 'no such host'}",
        repair="pkill -f '[a]nswering.py names'",
    ),
    "name-server-fails": Fault(
        messages=("lookup … on …: server misbehaving",),
        cause="name-unknown",
        say=f"{RESOLVER} 2 & {UNTIL % 'server misbehaving'}",
        repair="pkill -f '[a]nswering.py names'",
    ),
    "name-first": Fault(
        messages=("Could not resolve host",),
        cause="name-after-address",
        say="sed -i 's/.* registry.test/registry.test 127.0.0.1/' /etc/hosts; curl -sS https://registry.test/",
        repair=":",
    ),
    "registry-stopped": Fault(
        messages=("dial tcp …: connect: connection refused",),
        cause="container-stopped",
        say="docker stop --time 1 $(container) >/dev/null; curl -sS https://registry.test/",
        repair="docker start $(container)",
    ),
    "registry-removed": Fault(
        messages=("dial tcp …: connect: connection refused",),
        cause="container-missing",
        say="docker rm --force $(container) >/dev/null; curl -sS https://registry.test/; login",
        repair="bring_up",
    ),
    "no-route": Fault(
        messages=("dial tcp …: connect: no route to host",),
        cause="name-elsewhere",
        say=f"ip route add unreachable 203.0.113.0/24; {BLACK_HOLE} until_says 'no route to host' login",
        repair="ip route del unreachable 203.0.113.0/24",
    ),
    "no-answer": Fault(
        messages=("dial tcp …: i/o timeout",),
        cause="name-elsewhere",
        say=f"iptables -I OUTPUT -d 203.0.113.9 -j DROP; {BLACK_HOLE}\n"
        "curl -m 3 -sS https://registry.test/; until_says 'timeout\\|canceled\\|deadline' login",
        repair="iptables -D OUTPUT -d 203.0.113.9 -j DROP",
    ),
    "proxy-of-the-engine": Fault(
        messages=("proxyconnect tcp: …",),
        cause="engine-proxy",
        say=PROXY,
        repair="rm -r /etc/systemd/system/docker.service.d; systemctl daemon-reload; restart_engine",
    ),
    "proxy-of-a-client": Fault(
        messages=("dial tcp …: connect: connection refused",),
        cause="client-proxy",
        say="HTTPS_PROXY=http://127.0.0.1:9 curl -sS https://registry.test/",
        repair=":",
        environment={"HTTPS_PROXY": "http://127.0.0.1:9"},
        lasts=True,
    ),
    "another-engine": Fault(
        messages=(DOWN,),
        cause="engine-elsewhere",
        say="DOCKER_HOST=tcp://127.0.0.1:9 docker ps",
        repair=":",
        environment={"DOCKER_HOST": "tcp://127.0.0.1:9"},
        lasts=True,
    ),
    "no-public-registry": Fault(
        messages=("Unable to find image … locally",),
        cause="public-registry-unreachable",
        say="docker run --rm nobody/nothing:1",
        repair=":",
        lasts=True,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_recognised_and_confirmed(faulty_hosts: FaultyHosts, name: str, seeded: random.Random) -> None:
    """Fails where the client's words are not known, their cause not confirmed, or still confirmed once it is gone."""
    faulty_hosts.reproduce(FAULTS[name], seeded)
