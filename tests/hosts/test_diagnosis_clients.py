"""The same messages from other clients: skopeo and Podman on another host, Docker 28 on a host without systemd."""

import random
from collections.abc import Iterator

import pytest

from tests.draws import tries_all

from . import test_diagnosis_login, test_diagnosis_tls
from .conftest import start_with_project
from .faults import FaultyHost, FaultyHosts, confirmed, faulty_host
from .images import PODMAN
from .lab import Host, start_host
from .product import run

UNKNOWN = "x509: certificate signed by unknown authority"
SKOPEO = "skopeo inspect --creds admin:$PASSWORD docker://registry.test/a:1"
STORAGE = '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n'
POLICY = "/etc/containers/policy.json"
REJECTING = '{"default":[{"type":"reject"}]}'
REJECT = f"cp {POLICY} /root/kept; trap 'mv /root/kept {POLICY}' EXIT; echo '{REJECTING}' >{POLICY}"
IMAGE = (
    "mkdir --parents /root/i; echo Directory Transport Version: 1.1 >/root/i/version; echo '{}' >/root/i/manifest.json"
)
# A message, its cause, what is done to the registry, and what is typed on the other host.
WORDS = {
    "authority": (
        f"{UNKNOWN} (possibly because of … while trying to verify candidate authority certificate …)",
        "certificate-of-another-authority",
        "pair --other-authority; restart",
        SKOPEO,
    ),
    "dates": (
        "x509: certificate has expired or is not yet valid",
        "certificate-expired",
        "pair --begins=-40 --days=10; restart",
        SKOPEO,
    ),
    "name": (
        "x509: certificate is valid for …, not …",
        "certificate-name-missing",
        "pair --names other.test; restart",
        "podman pull registry.test/a:1",
    ),
    "plain": (
        "http: server gave HTTP response to HTTPS client",
        "configuration-no-tls",
        "sed -i /tls:/,+3d $CONFIG; restart",
        "podman pull registry.test/a:1",
    ),
    "user": (
        "unauthorized: authentication required",
        "user-unknown",
        "sed -i s/admin:/nobody:/ $USERS; restart",
        "podman login --username admin --password $PASSWORD registry.test; " + SKOPEO,
    ),
    "stopped": (
        "dial tcp …: connect: connection refused",
        "container-stopped",
        "docker stop --time 1 $(container)",
        SKOPEO,
    ),
    "tag": ("manifest unknown", "reference-absent", "true", f"{SKOPEO}; echo registry.test/a:1"),
    "short": (
        "short-name … did not resolve to an alias and no unqualified-search registries are defined",
        "short-name",
        "true",
        "podman pull a/b:1",
    ),
    "pinging": ("pinging container registry …", "container-stopped", "docker stop --time 1 $(container)", SKOPEO),
    "rejected": (
        "Source image rejected",
        "policy-refuses",
        "true",
        f"{REJECT}; {IMAGE}; skopeo copy dir:/root/i dir:/j",
    ),
    "no-policy": (
        "open /etc/containers/policy.json: no such file or directory",
        "policy-refuses",
        "true",
        f"mv {POLICY} /root/kept; podman pull registry.test/a:1; mv /root/kept {POLICY}",
    ),
    "no-docker": ("docker: command not found", "", "true", "docker ps"),
}


@pytest.fixture(scope="module")
def other(faulty_hosts: FaultyHosts) -> Iterator[Host]:
    """Give a host with skopeo and Podman that knows and trusts the registry of the newer engine."""
    registry = faulty_hosts.by_recipe["trixie"].host
    with start_host(PODMAN) as host:
        host.lead_to(registry)
        host.write("/etc/containers/storage.conf", STORAGE)
        host.write("/etc/hosts", f"{host.read('/etc/hosts')}{registry.address} registry.test\n")
        trusted = registry.read("/etc/registry-runbook/ca/ca.crt")
        host.write("/etc/containers/certs.d/registry.test/ca.crt", trusted)
        yield host


@pytest.mark.parametrize("name", WORDS)
def test_words_of_skopeo_and_podman_are_known(faulty_hosts: FaultyHosts, other: Host, name: str) -> None:
    """Fails where another client's words for the same are not known, or their cause is not confirmed."""
    message, cause, broken, typed = WORDS[name]
    found = faulty_hosts.by_recipe["trixie"]
    password = found.host.read("/etc/registry-runbook/secrets/password-admin").strip()
    found.shell(broken)
    try:
        done = other.run("bash", "-c", f"PASSWORD={password}; {typed}", check=False)
        answer = found.diagnose(done.stdout + done.stderr)
    finally:
        found.shell("mend; docker start $(container); restart")
    assert message in answer["messages"], done
    assert confirmed(answer)[:1] == [cause][: len(cause)], done


def test_trust_that_another_client_lacks(faulty_hosts: FaultyHosts, other: Host) -> None:
    """Fails where a client that does not trust the authority is told that the registry is at fault."""
    other.run("mv", "/etc/containers/certs.d", "/root/certs.d")
    done = other.run("skopeo", "inspect", "docker://registry.test/a:1", check=False)
    other.run("mv", "/root/certs.d", "/etc/containers/certs.d")
    answer = faulty_hosts.by_recipe["trixie"].diagnose(done.stdout + done.stderr)
    assert UNKNOWN in answer["messages"], done
    assert confirmed(answer) == []
    assert answer["causes"][0]["name"] == "client-trusts-not"


@pytest.fixture(scope="module")
def newest() -> Iterator[FaultyHost]:
    """Give a host with Docker 28."""
    with start_with_project("sid") as host:
        assert run(host).error is None
        with faulty_host(host) as found:
            found.shell("login")
            yield found
            assert confirmed(found.diagnose("")) == []


def test_words_of_docker_28_are_known(newest: FaultyHost, seeded: random.Random) -> None:
    """Fails where the newest client has other words for the same than the catalogue knows."""
    faults = {**test_diagnosis_tls.FAULTS, **test_diagnosis_login.FAULTS}
    able = [fault for fault in faults.values() if not fault.only]
    for fault in able if tries_all() else seeded.sample(able, 8):
        newest.reproduce(fault)
