"""The tear-down on a host: as before the first run, and then up again on the data that were kept."""

from .lab import NewHost
from .product import papermill, run

PLACES = "/etc/hosts /etc/sysctl.d /etc/docker /etc/registry-runbook"
FILES = f"find {PLACES} -type f -exec sha256sum {{}} + 2>/dev/null | LC_ALL=C sort -k 2"
ENGINE_FILE = "/etc/docker/daemon.json"
OWN_ENGINE_FILE = '{ "log-level" : "info",\n"insecure-registries":["own.test:5000"] }'
LISTED = '{"insecure_registries": ["own.test:5000", "other.test:5000"], "registry_mirrors": ["https://m.test"]}'
LISTS = ("-p", "insecure_registries", "[own.test:5000, other.test:5000]", "-p", "registry_mirrors", "[https://m.test]")
FOREIGN = "127.0.0.1 registry.test mine.test\n"
PUSHED = "registry.test/theirs/app:1"


def test_tear_down_brings_back_what_was_there(new_host: NewHost) -> None:
    """Fails where a file differs from before the first run, or the images that were kept are not served again."""
    host = new_host("trixie")
    host.write("/etc/hosts", host.read("/etc/hosts") + FOREIGN)
    host.write(ENGINE_FILE, OWN_ENGINE_FILE)
    host.run("systemctl", "reload", "docker")
    before = host.run("sh", "-c", FILES).stdout
    assert run(host, *LISTS).error is None

    image = host.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()[0]
    password = host.read("/etc/registry-runbook/secrets/password-admin")
    host.run("docker", "login", "registry.test", "-u", "admin", "--password-stdin", input_text=password)
    host.run("docker", "tag", image, PUSHED)
    pushed = host.run("docker", "push", PUSHED, timeout_seconds=300).stdout

    planned = run(host, "90-tear-down", "-p", "mode", "plan")
    assert planned.changes == []
    refused = run(host, "90-tear-down", "-p", "insecure_registries", "[third.test:5000]", check=False)
    assert refused.failed == ["planning again finds nothing to change"]
    assert f"left to you: {ENGINE_FILE} was changed since, or by another list" in str(refused.error)
    by_file = ("90-tear-down", "-f", "parameters/tear-down.yml", "-y", LISTED)
    assert "put /etc/docker/daemon.json.before-registry-runbook back" in " ".join(papermill(host, *by_file))
    assert host.read(ENGINE_FILE) == OWN_ENGINE_FILE
    listed = host.run("docker", "info").stdout
    assert "own.test:5000" in listed
    assert [name for name in ("other.test", "https://m.test") if name in listed] == []
    left = host.run("sh", "-c", FILES).stdout.splitlines()
    kept = [line for line in left if "/etc/registry-runbook/" in line or line.endswith("/auth/htpasswd")]
    assert sorted(set(left) - set(kept)) == sorted(before.splitlines())
    assert len(kept) == 5
    assert host.run("docker", "ps", "--all", "--quiet").stdout == ""
    assert papermill(host, *by_file) == []

    host.run("rm", ENGINE_FILE)
    assert run(host, *LISTS).error is None
    assert "https://m.test" in host.run("docker", "info").stdout
    host.run("docker", "image", "rm", PUSHED)
    assert pushed.split("digest: ")[1].split()[0] in host.run("docker", "pull", PUSHED, timeout_seconds=300).stdout
    host.run("docker", "logout", "registry.test")

    host.run("docker", "image", "rm", PUSHED)
    everything = "[data, basic-data, authority, secrets, image]"
    assert run(host, "90-tear-down", *LISTS, "-p", "also_remove", everything).failed == []
    assert "m.test" not in host.run("docker", "info").stdout
    assert host.run("ls", ENGINE_FILE, check=False).code != 0
    host.write(ENGINE_FILE, OWN_ENGINE_FILE)
    assert host.run("sh", "-c", FILES).stdout == before
    assert host.run("docker", "volume", "ls", "--quiet").stdout == ""
    assert host.run("docker", "images", "--quiet").stdout == ""
