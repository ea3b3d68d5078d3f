"""The tear-down on a host: as before the first run, and then up again on the data that were kept."""

from .lab import NewHost
from .product import run

PLACES = "/etc/hosts /etc/sysctl.d /etc/docker /etc/registry-runbook"
FILES = f"find {PLACES} -type f -exec sha256sum {{}} + 2>/dev/null | LC_ALL=C sort -k 2"
FOREIGN = "127.0.0.1 registry.test mine.test\n"
PUSHED = "registry.test/theirs/app:1"


def test_tear_down_brings_back_what_was_there(new_host: NewHost) -> None:
    """Fails where a file differs from before the first run, or the images that were kept are not served again."""
    host = new_host("trixie")
    host.write("/etc/hosts", host.read("/etc/hosts") + FOREIGN)
    before = host.run("sh", "-c", FILES).stdout
    assert run(host).error is None

    image = host.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()[0]
    password = host.read("/etc/registry-runbook/secrets/password-admin")
    host.run("docker", "login", "registry.test", "-u", "admin", "--password-stdin", input_text=password)
    host.run("docker", "tag", image, PUSHED)
    pushed = host.run("docker", "push", PUSHED, timeout_seconds=300).stdout

    planned = run(host, "90-tear-down", "-p", "mode", "plan")
    assert planned.changes == []
    torn = run(host, "90-tear-down")
    assert torn.failed == []
    assert "put /etc/hosts.before-registry-runbook back as /etc/hosts" in torn.changes
    left = host.run("sh", "-c", FILES).stdout.splitlines()
    kept = [line for line in left if "/etc/registry-runbook/" in line or line.endswith("/auth/htpasswd")]
    assert sorted(set(left) - set(kept)) == sorted(before.splitlines())
    assert len(kept) == 5
    assert host.run("docker", "ps", "--all", "--quiet").stdout == ""
    assert run(host, "90-tear-down").changes == []

    assert run(host).error is None
    host.run("docker", "image", "rm", PUSHED)
    assert pushed.split("digest: ")[1].split()[0] in host.run("docker", "pull", PUSHED, timeout_seconds=300).stdout
    host.run("docker", "logout", "registry.test")

    host.run("docker", "image", "rm", PUSHED)
    everything = "[data, basic-data, authority, secrets, image]"
    assert run(host, "90-tear-down", "-p", "also_remove", everything).failed == []
    assert host.run("sh", "-c", FILES).stdout == before
    assert host.run("docker", "volume", "ls", "--quiet").stdout == ""
    assert host.run("docker", "images", "--quiet").stdout == ""
