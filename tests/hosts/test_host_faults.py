"""The faults of a host that 10-host repairs, or names: each brought about for real."""

import json
from collections.abc import Iterator

import pytest

from tests.waiting import wait_for

from .conftest import start_with_project
from .document import DAEMON_JSON, NAT_GONE
from .lab import Host
from .product import run, script_run, snapshot

NO_CHAIN = "iptables: No chain/target/match by that name."
FIREWALL = """
apt-get -qq update --error-on=any
apt-get -qq install --yes --no-install-recommends firewalld
sed -i s/^FirewallBackend=.*/FirewallBackend=iptables/ /etc/firewalld/firewalld.conf
systemctl restart firewalld docker
systemctl stop firewalld
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Give a host that the notebook has been run on; each test leaves it so."""
    with start_with_project("bookworm") as ready:
        run(ready, "10-host")
        yield ready


def start_container(host: Host, name: str, *options: str) -> None:
    """Run a registry in the background, from the image that is on the host."""
    image = host.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()[0]
    host.run("docker", "run", "--detach", f"--name={name}", *options, image)


def publish(host: Host) -> str:
    """Run a container with a published port for a moment, and return what the client says."""
    image = host.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()[0]
    return host.run("docker", "run", "--rm", "--publish=5001:5000", image, "help", check=False).stderr


def test_host_repairs_what_a_stopped_firewall_took(host: Host) -> None:
    """Fails where firewalld that is stopped after the engine was started leaves no way to publish a port."""
    host.run("sh", "-ec", FIREWALL, environment={"DEBIAN_FRONTEND": "noninteractive"})
    assert NO_CHAIN in publish(host)
    repaired = run(host, "10-host")
    assert ["its nat chain DOCKER is gone" in change for change in repaired.changes] == [True]
    assert (repaired.failed, publish(host)) == ([], "")


def test_host_repairs_nat_chain_and_names_what_stops(host: Host) -> None:
    """Fails where the document's iptables error stays, or a container stops that the plan did not name."""
    start_container(host, "bystander")
    host.run("sh", "-c", NAT_GONE)
    assert NO_CHAIN in publish(host)
    refused = host.run("docker", "start", "bystander", check=False)
    assert refused.code == 0  # it publishes nothing, and so needs no chain
    [restart] = run(host, "10-host").changes
    assert "its nat chain DOCKER is gone" in restart
    assert "stops bystander" in restart
    assert run(host, "10-host").changes == []
    host.run("docker", "rm", "--force", "--volumes", "bystander")


def test_host_turns_forwarding_on(host: Host) -> None:
    """Fails where forwarding that is off stays off, in the running kernel or at the next boot."""
    host.run("sysctl", "-w", "net.ipv4.ip_forward=0")
    assert run(host, "10-host").changes == ["set net.ipv4.ip_forward from 0 to 1 in the running kernel"]
    assert host.read("/proc/sys/net/ipv4/ip_forward") == "1\n"
    host.run("rm", "/etc/sysctl.d/99-registry-runbook.conf")
    assert run(host, "10-host").changes == ["write /etc/sysctl.d/99-registry-runbook.conf (0644)"]


def test_host_names_who_holds_port(host: Host) -> None:
    """Fails where a port that is taken is not found, its holder not named, or anything changed in spite of it."""
    host.run("rm", "/etc/sysctl.d/99-registry-runbook.conf")
    before = snapshot(host)
    host.run("sh", "-c", "setsid python3 -m http.server 443 >/dev/null 2>&1 &")
    wait_for("port 443 to answer", lambda: host.run("curl", "-s", "http://127.0.0.1:443/", check=False).code == 0)
    taken = run(host, "10-host", check=False)
    assert "the port 443 to be free" in str(taken.error)
    assert "python3 (pid " in str(taken.error)
    assert snapshot(host) == before
    elsewhere = run(host, "10-host", "-p", "port", "5443")
    assert elsewhere.changes == ["write /etc/sysctl.d/99-registry-runbook.conf (0644)"]
    host.run("pkill", "-f", "[h]ttp.server 443")
    assert run(host, "10-host").changes == []


def test_host_names_container_that_holds_port(host: Host) -> None:
    """Fails where a port that another container publishes is laid to docker-proxy."""
    start_container(host, "squatter", "--publish=5000:5000")
    done = script_run(host, "10-host", check=False)
    assert done.code == 1
    assert "the container squatter listens there" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    host.run("docker", "rm", "--force", "--volumes", "squatter")


def test_engine_without_iptables_needs_no_nat_chain(host: Host) -> None:
    """Fails where each run restarts an engine that keeps no chain, or a diagnosis advises that."""
    host.write(DAEMON_JSON, '{"iptables": false}')
    host.run("sh", "-ec", f"systemctl restart docker; {NAT_GONE}")
    for _ in range(2):
        done = run(host, "10-host")
        assert (done.error, done.changes, done.failed) == (None, [], [])
    told = json.loads(script_run(host, "diagnose", "--json", NO_CHAIN, check=False).stdout)
    assert [cause["name"] for cause in told["causes"] if cause["confirmed"]] == []
    host.run("sh", "-ec", f"rm {DAEMON_JSON}; systemctl restart docker")


def test_linked_daemon_json_is_read_and_not_written(host: Host) -> None:
    """Fails where a link to a folder of settings stops what only reads it, or is followed by what writes."""
    host.run(
        "sh",
        "-ec",
        f"""mkdir /root/dotfiles; echo '{{"debug": false}}' >/root/dotfiles/daemon.json
ln -s /root/dotfiles/daemon.json {DAEMON_JSON}""",
    )
    assert run(host, "00-index", "10-host").error is None
    refused = run(host, "20-basic-registry", "-p", "insecure_registries", "[r.test:5000]", check=False)
    assert "a symbolic link to /root/dotfiles/daemon.json" in str(refused.error)
    assert "cp --remove-destination /root/dotfiles/daemon.json" in str(refused.error)
    assert host.read("/root/dotfiles/daemon.json") == '{"debug": false}\n'
    host.run("rm", "-r", DAEMON_JSON, "/root/dotfiles")


# In the words of the helper of the package golang-docker-credential-helpers, which brings ninety others.
HELPER = """#!/bin/sh
echo 'Cannot autolaunch D-Bus without X11 $DISPLAY'; exit 1
"""


def test_credential_helper_of_the_host_is_not_asked(host: Host) -> None:
    """Fails where the client of a proof chooses a helper by itself, which finds no desktop to keep a login on."""
    place = "/usr/local/bin/docker-credential-secretservice"
    host.write(place, HELPER, mode=0o755)
    done = run(host, "20-basic-registry")
    assert (done.error, done.failed) == (None, [])
    host.run("rm", place)


def test_context_of_another_engine_is_named_first(host: Host) -> None:
    """Fails where a client that asks another engine has ports, packages or a start of this one's blamed."""
    host.run("docker", "context", "create", "other", "--docker", "host=tcp://127.0.0.1:2399")
    host.run("docker", "context", "use", "other")
    for notebook in ("10-host", "20-basic-registry"):
        refused = run(host, notebook, check=False)
        assert "the client asks the Docker context other, tcp://127.0.0.1:2399" in str(refused.error)
        assert "docker context use default" in str(refused.error)
    told = json.loads(script_run(host, "diagnose", "--json", check=False).stdout)
    assert "the client asks the Docker" in next(cause["found"] for cause in told["causes"] if cause["confirmed"])
    host.run("docker", "context", "use", "default")
    host.run("docker", "context", "rm", "other")
    assert run(host, "10-host").error is None
