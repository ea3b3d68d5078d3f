"""The main job, the proof again and the way back with Docker Engine 29, built by Go, beside Debian sid's containerd."""

import json
from collections.abc import Iterator

import pytest

from tests.waiting import wait_for

from . import newest
from .conftest import start_with_project
from .lab import Host
from .machine import execute
from .product import NAMED, run, script_run

MODULE = "github.com/moby/moby/v2"
RELEASE = "v2.0.0-beta.24"  # of the branch that the engine's releases 29 are made from
VERSION = "29.9.0"
REGISTRY, CERTS_D = "registry.test", "/etc/docker/certs.d"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
HOSTS_TOML = f"{CERTS_D}/{REGISTRY}/hosts.toml"
UNKNOWN = "x509: certificate signed by unknown authority"
STARTED = "setsid dockerd >/var/log/dockerd.log 2>&1 &"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Give a host whose engine is of version 29, with the registry's newest image."""
    folder = tmp_path_factory.mktemp("engine")
    stamped = ("-ldflags", f"-X {MODULE}/dockerversion.Version={VERSION}")
    programs = [
        newest.build(folder, f"{MODULE}/cmd/{name}@{RELEASE}", *stamped) for name in ("dockerd", "docker-proxy")
    ]
    with start_with_project("sid") as ready:
        for program in programs:
            place = ready.run("sh", "-c", f"command -v {program.name}").stdout.strip()
            execute("docker", "cp", str(program), f"{ready.name}:{place}")
        ready.run("sh", "-c", STARTED)
        wait_for("the engine to answer", lambda: ready.run("docker", "info", check=False).code == 0)
        newest.load(ready)
        yield ready


def test_engine_29_is_proven_and_its_registry_goes_again(host: Host) -> None:
    """Fails where its image store, its rules or its answers are not what the runbook takes them for."""
    information = host.run("docker", "info", "--format", "{{.ServerVersion}} {{.Driver}} {{.DriverStatus}}").stdout
    assert (VERSION in information, "io.containerd.snapshotter" in information) == (True, True)
    first = run(host)
    assert (first.error, first.failed, len(first.results)) == (None, [], 65)
    assert first.data["versions"]["engine"].startswith(VERSION)
    second = run(host)
    assert (second.error, second.failed, second.changes) == (None, [], [])
    assert "FAILED" not in script_run(host, "prove").stdout
    causes = json.loads(script_run(host, "diagnose", "--json").stdout)["causes"]
    assert [cause["name"] for cause in causes if cause["confirmed"]] == []
    assert_what_containerd_reads_instead_is_named(host)
    torn = run(host, "90-tear-down", *NAMED)
    assert (torn.error, torn.failed) == (None, [])


def assert_what_containerd_reads_instead_is_named(host: Host) -> None:
    """Put what containerd reads before ca.crt in its way: the engine does not verify by ours, and that is said."""

    def is_trusted(name: str = REGISTRY) -> bool:
        return UNKNOWN not in host.run("sh", "-c", f"docker pull {name}/no/such:1 2>&1", check=False).stdout

    host.run("sh", "-ec", f"cd {CERTS_D}; mkdir {REGISTRY}:443; cp {REGISTRY}/ca.crt {REGISTRY}:443")
    assert is_trusted(f"{REGISTRY}:443")
    host.run("mkdir", f"{CERTS_D}/{REGISTRY}_443_")
    assert not is_trusted(f"{REGISTRY}:443")
    host.run("sh", "-ec", f"cd {CERTS_D}; rm -r {REGISTRY}_443_ {REGISTRY}:443")

    for text in (f'server = "https://{REGISTRY}"\n', f'ca = "{AUTHORITIES}"\n'):
        host.write(HOSTS_TOML, text)
        assert not is_trusted()
        refused = run(host, "30-certificates", check=False)
        assert f"its image store, containerd's, reads {HOSTS_TOML} instead" in str(refused.error)
    causes = json.loads(script_run(host, "diagnose", "--json", UNKNOWN, check=False).stdout)["causes"]
    assert "trust-overruled" in [cause["name"] for cause in causes if cause["confirmed"]]
    host.write(HOSTS_TOML, f'server = "https://{REGISTRY}"\nca = "ca.crt"\n')
    assert (is_trusted(), run(host, "30-certificates").failed) == (True, [])
    host.run("rm", HOSTS_TOML)
