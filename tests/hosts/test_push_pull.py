"""The proof on a host: what it leaves, and delete in both positions."""

import pytest

from runbook.model.parameters import Parameters
from tests import draws
from tests.waiting import UNTIL_SO

from .lab import Host
from .product import run, script_run

STORAGE = "find /var/lib/docker/volumes/registry_registry-data/_data /opt/data/registry -type f | LC_ALL=C sort"
BOTH = ("proven_trixie", "proven_bookworm")
LOGIN = '{"auths": {"registry.test": {"auth": "bWluZTptaW5l"}}}'


def test_push_pull_leaves_host_and_registry_as_they_were(proven_trixie: Host) -> None:
    """Fails where a proof leaves a blob, a repository, an image, a container, or touches the operator's own login."""
    host = proven_trixie
    host.write("/root/.docker/config.json", LOGIN, mode=0o600)
    engine = "docker images -a --no-trunc -q | sort; docker ps -a -q --no-trunc | sort"
    looked_at = ("sh", "-c", f"{STORAGE}; {engine}; ls /tmp")
    before = host.run(*looked_at).stdout
    assert run(host, "10-host", "20-basic-registry", "60-push-pull").error is None
    assert host.run(*looked_at).stdout == before
    assert host.read("/root/.docker/config.json") == LOGIN


def test_push_pull_leaves_nothing_where_delete_is_off(proven_trixie: Host) -> None:
    """Fails where delete that is off does not answer 405, or its test image stays."""
    host = proven_trixie
    before = host.run("sh", "-c", STORAGE).stdout
    found = run(host, "-p", "delete_enabled", "false")
    answers = {result["claim"]: result["found"] for result in found.results}
    assert answers["delete, which is off"] == "405"
    assert answers["the same by tag (some registries before 3.1.1 do it, CVE-2026-41888)"] == "405"
    assert answers["the image that was not deleted"] == "200"
    assert host.run("sh", "-c", STORAGE).stdout == before
    wrong = run(host, "60-push-pull", check=False)  # delete_enabled is true here, and the registry's is not
    assert "delete, which is on" in wrong.failed
    assert host.run("sh", "-c", STORAGE).stdout == before
    assert run(host).error is None


def image_of(host: Host) -> str:
    """Return the reference of an image that the host's engine has."""
    return host.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()[0]


def push_theirs(host: Host) -> None:
    """Push an image of somebody's to the registry."""
    password = host.read("/etc/registry-runbook/secrets/password-admin")
    host.run("docker", "login", "registry.test", "-u", "admin", "--password-stdin", input_text=password)
    host.run("docker", "tag", image_of(host), "registry.test/theirs/app:1")
    host.run("docker", "push", "registry.test/theirs/app:1", timeout_seconds=300)


def test_push_pull_refuses_repository_in_use(proven_trixie: Host) -> None:
    """Fails where the proof takes over, and then removes, a repository that somebody else's images are in."""
    host = proven_trixie
    push_theirs(host)
    before = host.run("sh", "-c", STORAGE).stdout
    refused = run(host, "60-push-pull", "-p", "test_reference", "theirs/app:2", check=False)
    assert "set test_reference to another repository" in str(refused.error)
    assert host.run("sh", "-c", STORAGE).stdout == before
    host.run("docker", "logout", "registry.test")
    host.run("docker", "image", "rm", "registry.test/theirs/app:1")


# What a run leaves that was cut off: its test image, pushed after it had ended, and layers of another test_image.
LEFT = """
tar -C / -c etc/hostname | docker import --change 'LABEL org.registry-runbook.proof=1' - registry.test/$1
docker push registry.test/$1; docker image rm registry.test/$1
cp -r $2/theirs/app/_layers/* $2/${1%:*}/_layers
"""
REPOSITORIES = "/var/lib/docker/volumes/registry_registry-data/_data/docker/registry/v2/repositories"


def test_push_pull_takes_away_what_a_run_left_that_was_cut_off(proven_trixie: Host) -> None:
    """Fails where a test image that was left fails the next proof, or a layer goes that another repository has too."""
    host = proven_trixie
    push_theirs(host)
    before, reference = host.run("sh", "-c", STORAGE).stdout, Parameters().test_reference
    for own in ((), ("-p", "test_image", image_of(host))):
        host.run("sh", "-ec", LEFT, "left", reference, REPOSITORIES)
        assert host.run("sh", "-c", STORAGE).stdout != before
        proven = run(host, "60-push-pull", *own)
        assert (proven.error, proven.failed) == (None, [])
        assert host.run("sh", "-c", STORAGE).stdout == before
    host.run("docker", "logout", "registry.test")
    host.run("docker", "image", "rm", "registry.test/theirs/app:1")


def test_push_pull_waits_until_the_engine_knows_the_name(proven_trixie: Host) -> None:
    """Fails where the engine, which keeps what it has read of /etc/hosts for five seconds, is asked but once."""
    host = proven_trixie
    forget = "sed -i /registry.test/d /etc/hosts; has_forgotten() { docker pull registry.test/a:1 2>&1 | grep lookup; }"
    host.run("sh", "-c", f"{UNTIL_SO}{forget}; until_so 'the engine to forget the name' has_forgotten")
    assert run(host, "50-compose", "60-push-pull").failed == []


# What an operator may have set for something else, each of which failed a proof or a change once.
FOREIGN = {
    "DOCKER_API_VERSION": "1.10",
    "DOCKER_CONTENT_TRUST": "1",
    "DOCKER_TLS_VERIFY": "1",
    "DOCKER_CONTEXT": "own",
    "COMPOSE_FILE": "/nonexistent",
    "COMPOSE_PROFILES": "x",
    "COMPOSE_PROJECT_NAME": "theirs",
    "PYTHONPATH": "/root/other",
    "PYTHONHOME": "/nonexistent",
    "PYTHONWARNINGS": "error",
    "PYTHONINSPECT": "1",
    "TMPDIR": f"/root/{'x' * 100}",
}


@pytest.mark.parametrize("fixture", draws.one_of(BOTH, "environment"))
def test_environment_that_is_set_for_something_else_changes_nothing(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    """Fails where a Docker client, Compose or Python does another thing than on a host where nothing is set."""
    host: Host = request.getfixturevalue(fixture)
    host.run("mkdir", "-p", "/root/other", FOREIGN["TMPDIR"])
    host.write("/root/other/yaml.py", "raise SystemExit('another yaml')\n")
    host.run("docker", "context", "create", "own", "--docker", "host=unix:///var/run/docker.sock")
    proxies = '{"proxies": {"default": {"httpProxy": "http://10.1.1.1:3128"}}, "credsStore": "secretservice"}'
    host.write("/root/.docker/config.json", proxies)  # Compose hands the proxy on to what it makes
    compose = "/etc/docker/registry/docker-compose.yml"
    host.write(compose, host.read(compose) + "\n")
    try:
        done = run(host, "50-compose", "60-push-pull", environment=FOREIGN)
        assert (done.error, done.failed, len(done.changes)) == (None, [], 2)
        gone = script_run(host, "60-push-pull", check=False, environment={"DOCKER_CONTEXT": "nope"})
        named = run(host, "10-host", check=False, environment={"DOCKER_CONTEXT": "nope"})
    finally:
        host.run("docker", "context", "rm", "own")
        host.run("rm", "/root/.docker/config.json")
        host.run("rm", "-r", "/root/other", FOREIGN["TMPDIR"])
    assert "Traceback" not in gone.stderr
    assert "the client asks the Docker context nope, which is not there" in str(named.error)
