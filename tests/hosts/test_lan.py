"""The basic registry for the whole network: plain HTTP listed in daemon.json, with systemd and without."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.waiting import UNTIL_SO

from .conftest import start_with_project
from .document import NAT_GONE
from .lab import Host
from .product import Report, papermill, run, snapshot

DAEMON_JSON = "/etc/docker/daemon.json"
FOREIGN = '{\n\t"debug": false,\n\t"labels": ["rack=7", "note=http://me:hidden@rack"]\n}\n'
PLAIN_HTTP = "server gave HTTP response to HTTPS client"
UNKNOWN_KEY = "the following directives don't match any configuration option: nonsense"


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    """Give two hosts of one network with an engine: the first with systemd and a registry that is open, one without."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(start_with_project(recipe)) for recipe in ("bookworm", "plain"))
        with ThreadPoolExecutor() as both:
            opened = both.submit(run, first, "10-host", "20-basic-registry", "-p", "basic_address", "0.0.0.0")  # noqa: S104 (a test host)
            other = both.submit(run, second, "10-host")
        assert [opened.result().error, other.result().error] == [None, None]
        yield first, second


def run_listed(host: Host, *registries: str, address: str = "0.0.0.0", check: bool = True) -> Report:  # noqa: S104 (a test host)
    """Run the notebook with these registries listed."""
    listed = ("-p", "insecure_registries", json.dumps(registries))
    return run(host, "20-basic-registry", "-p", "basic_address", address, *listed, check=check)


def push(host: Host, registry: str) -> str:
    """Push an image of the host as its operator does, and return what the client says."""
    image = host.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()[0]
    reference = f"{registry}/theirs/{host.recipe.name}:1"
    host.run("docker", "tag", image, reference)
    done = host.run("docker", "push", reference, check=False)
    host.run("docker", "image", "rm", reference)
    return done.stdout + done.stderr


def started(host: Host) -> str:
    """Return when the registry's container and the engine were started."""
    container = host.run("docker", "inspect", "--format={{.State.StartedAt}}", "registry").stdout
    return container + host.run("cat", "/var/run/docker.pid").stdout


def test_lan_push_is_refused_before_and_works_after(hosts: tuple[Host, Host]) -> None:
    """Fails where the engine is not told, a container stops, a foreign key is touched, or a second run changes more."""
    host, _ = hosts
    registry = f"{host.address}:5000"
    host.write(DAEMON_JSON, FOREIGN, mode=0o600)
    before = started(host)
    assert PLAIN_HTTP in push(host, registry)
    made = run_listed(host, registry)
    assert (made.error, made.failed) == (None, [])
    [change] = made.changes
    assert f"reload the engine: plain HTTP for {registry} (no container stops)" in change
    refusals = [(result["claim"], result["found"]) for result in made.results if result["refusal"]]
    assert ("docker push to this host at a port that insecure_registries does not list", PLAIN_HTTP) in refusals
    assert f"docker push to {registry}, which insecure_registries lists" in [item["claim"] for item in made.results]
    assert "digest: sha256:" in push(host, registry)
    added = f',\n\t"insecure-registries": [\n\t\t"{registry}"\n\t]\n}}\n'
    assert host.read(DAEMON_JSON) == FOREIGN.removesuffix("\n}\n") + added
    assert host.read(f"{DAEMON_JSON}.before-registry-runbook") == FOREIGN
    assert host.run("stat", "-c", "%a", DAEMON_JSON).stdout == "600\n"
    assert "hidden" not in json.dumps(made.data)

    as_it_was = snapshot(host)
    by_file = ("-f", "parameters/lan.yml", "-y", f"insecure_registries: ['{registry}']")
    assert papermill(host, "20-basic-registry", *by_file) == []
    assert snapshot(host) == as_it_was
    assert started(host) == before


def test_lan_second_host_pushes_and_pulls_once_it_lists_the_first(hosts: tuple[Host, Host]) -> None:
    """Fails where a host without systemd does not reload, or its push to another host still asks for TLS."""
    first, second = hosts
    registry = f"{first.address}:5000"
    assert PLAIN_HTTP in push(second, registry)
    made = run_listed(second, registry, address="127.0.0.1")
    assert (made.error, made.failed) == (None, [])
    assert any(change.startswith(f"write {DAEMON_JSON} and reload the engine") for change in made.changes)
    pushed = push(second, registry)
    assert "digest: sha256:" in pushed
    digest = pushed.partition("digest: ")[2].split()[0]
    assert digest in second.run("docker", "pull", f"{registry}/theirs/{second.recipe.name}:1").stdout
    before = started(second)
    host_text = second.read(DAEMON_JSON)
    second.write(DAEMON_JSON, host_text.replace(registry, f'{registry}", "other.test:5000'))  # and killed before reload
    [change] = run_listed(second, "other.test:5000", registry, address="127.0.0.1").changes
    assert change.startswith("reload the engine, which does not know yet")
    assert started(second) == before


@pytest.mark.parametrize("number", [0, 1], ids=["systemd", "no-systemd"])
def test_lan_puts_back_what_the_engine_refuses(hosts: tuple[Host, Host], number: int) -> None:
    """Fails where a file that the engine refuses stays, the engine is down, or its words are not quoted."""
    host = hosts[number]
    own = host.run("cat", DAEMON_JSON, check=False).stdout
    host.write(DAEMON_JSON, '{"nonsense": 1}')
    refused = run_listed(host, "new.test:5000", check=False)
    assert UNKNOWN_KEY in str(refused.error)
    assert f"{DAEMON_JSON} is as it was before, and the engine answers" in str(refused.error)
    assert host.read(DAEMON_JSON) == '{"nonsense": 1}'
    assert "new.test" not in host.run("docker", "info").stdout
    assert host.run("sh", "-c", "ls /etc/docker/.*.part", check=False).stdout == ""
    host.write(DAEMON_JSON, own or "{}")


def test_lan_finds_the_document_s_key_before_the_engine_is_touched(hosts: tuple[Host, Host]) -> None:
    """Fails where `registry-mirror`, which the engine takes without a word, stays unseen, or is written over."""
    host, _ = hosts
    own = host.run("cat", DAEMON_JSON, check=False).stdout
    host.write(
        DAEMON_JSON, '{\n"registry-mirror": [\n"https://registry.docker-cn.com"\n],\n"insecure-registries": []\n}'
    )
    before = snapshot(host)
    refused = run_listed(host, "new.test:5000", check=False)
    assert "line 2 column 1: the key 'registry-mirror'" in str(refused.error)
    assert "write registry-mirrors there" in str(refused.error)
    assert snapshot(host) == before
    host.write(DAEMON_JSON, own or "{}")


def test_lan_lets_the_engine_check_the_file_before_it_is_written(proven_trixie: Host) -> None:
    """Fails where an engine that has `dockerd --validate` is reloaded with a file that it would refuse."""
    host = proven_trixie
    host.write(DAEMON_JSON, '{"nonsense": 1}')
    before = snapshot(host)
    refused = run_listed(host, "new.test:5000", address="127.0.0.1", check=False)
    assert UNKNOWN_KEY in str(refused.error)
    assert "nothing was written" in str(refused.error)
    assert snapshot(host) == before
    host.run("rm", DAEMON_JSON)


def test_lan_finds_a_flag_that_clashes_before_the_engine_is_touched(hosts: tuple[Host, Host]) -> None:
    """Fails where the document's DOCKER_OPTS, beside daemon.json, is found only by an engine that does not start."""
    host, _ = hosts
    own = host.run("cat", DAEMON_JSON, check=False).stdout
    defaults = host.read("/etc/default/docker")
    options = 'DOCKER_OPTS="--registry-mirror=https://m.test --insecure-registry=192.168.199.100:5000"'
    host.write("/etc/default/docker", f"{defaults}{options}\n")
    host.write(DAEMON_JSON, "{}")
    before, line = snapshot(host), len(defaults.splitlines()) + 1
    refused = run_listed(host, "new.test:5000", check=False)
    assert f"the flag is in /etc/default/docker line {line}: {options}" in str(refused.error)
    assert snapshot(host) == before

    host.write(DAEMON_JSON, '{"insecure-registries": ["new.test:5000"]}')  # what the engine says to it
    said = host.run("sh", "-c", f"{options}; dockerd $DOCKER_OPTS", check=False)
    assert "specified both as a flag and in the configuration file: insecure-registries" in said.stderr
    refused = run(host, "10-host", check=False)
    assert f"the flag is in /etc/default/docker line {line}" in str(refused.error)
    host.write("/etc/default/docker", defaults)
    host.write(DAEMON_JSON, own or "{}")


def test_host_without_systemd_restarts_the_engine_as_it_ran(hosts: tuple[Host, Host]) -> None:
    """Fails where an engine that somebody started by hand is not restarted, or loses the flags that it was given."""
    _, host = hosts
    host.run(
        "sh", "-c", f"{UNTIL_SO} gone() {{ ! pgrep -x dockerd; }}; kill $(cat /run/docker.pid); until_so 'its end' gone"
    )
    host.run("sh", "-c", "setsid dockerd --debug >/var/log/dockerd.log 2>&1 </dev/null &")
    host.run("sh", "-c", f"{UNTIL_SO} until_so 'the engine to answer' docker info")
    host.run("sh", "-c", NAT_GONE)
    [restart] = run(host, "10-host").changes
    assert restart.startswith("restart the engine: its nat chain DOCKER is gone")
    assert "Debug Mode: true" in host.run("docker", "info").stdout
    assert run(host, "10-host").changes == []
