"""What the proof finds: a registry that runs, and is not as it should be."""

from .lab import Host
from .product import run

COMPOSE = "/etc/docker/registry/docker-compose.yml"
CONFIGURATION = "/etc/docker/registry/config.yml"


def up(host: Host) -> None:
    """Bring the service up as the files on the host say, whatever they say, and wait until it answers."""
    host.run("docker-compose", "-p", "registry", "-f", COMPOSE, "up", "-d", "--force-recreate")
    host.run("curl", "-sk", "--retry", "30", "--retry-delay", "1", "--retry-all-errors", "https://registry.test/")


def test_push_pull_finds_misspelt_auth(proven_bookworm: Host) -> None:
    """Fails where a registry that `auht:` has opened to everybody passes the proof, or would be started."""
    host = proven_bookworm
    host.run("sed", "-i", "s/^auth:/auht:/", CONFIGURATION)
    up(host)
    assert host.run("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "https://registry.test/v2/").stdout == "200"
    found = run(host, "60-push-pull", check=False)
    assert "no login" in found.failed
    refused = run(host, "50-compose", check=False)
    assert "auht in config.yml; probably auth is meant" in str(refused.error)
    assert run(host, "40-configuration", "50-compose", "60-push-pull").failed == []


def test_compose_finds_environment_that_wins_over_configuration(proven_bookworm: Host) -> None:
    """Fails where REGISTRY_* in the container's environment, which wins over config.yml, is not found and undone."""
    host = proven_bookworm
    text = host.read(COMPOSE)
    given, override = (
        "    environment:\n",
        ('REGISTRY_STORAGE_DELETE_ENABLED: "false"', "REGISTRY_AUTH_HTPASSWD_REALM: elsewhere"),
    )
    assert given in text
    host.write(COMPOSE, text.replace(given, given + "".join(f"      {line}\n" for line in override)))
    up(host)
    found = run(host, "60-push-pull", check=False)
    assert "delete, which is on" in found.failed
    assert "the realm and the headers are those of config.yml" in found.failed
    repaired = run(host, "50-compose", "60-push-pull")
    assert any("REGISTRY_* is set in it" in change or "another Compose file" in change for change in repaired.changes)
    assert repaired.failed == []


def test_push_pull_finds_name_on_loopback(proven_bookworm: Host) -> None:
    """Fails where the proof passes over 127.0.0.1, where the engine does not verify TLS."""
    host = proven_bookworm
    hosts = host.read("/etc/hosts")
    host.write("/etc/hosts", hosts.replace(f"{host.address} registry.test", "127.0.0.1 registry.test"))
    found = run(host, "60-push-pull", check=False)
    assert found.failed == ["a client that verifies reaches registry.test at an address that is not loopback"]
    assert run(host, "50-compose", "60-push-pull").failed == []


def test_compose_finds_certificate_that_is_not_served(proven_bookworm: Host) -> None:
    """Fails where a certificate that was renewed on disk, and not yet served, goes unnoticed."""
    host = proven_bookworm
    host.run("rm", "/etc/docker/registry/ssl/registry.test.pem")
    assert any("issue a server certificate" in change for change in run(host, "30-certificates").changes)
    repaired = run(host, "50-compose")
    assert any("bring up" in change for change in repaired.changes)
    assert "it serves the certificate that is on disk" in [result["claim"] for result in repaired.results]
    assert repaired.failed == []
