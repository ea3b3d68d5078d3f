"""The tear-down on a host: as before the first run, and then up again on the data that were kept."""

import pytest

from tests.waiting import UNTIL_SO

from .lab import Host, NewHost
from .product import papermill, run, script_run

PLACES = "/etc/hosts /etc/sysctl.d /etc/docker /etc/registry-runbook"
FILES = f"find {PLACES} -type f -exec sha256sum {{}} + 2>/dev/null | LC_ALL=C sort -k 2"
ENGINE_FILE = "/etc/docker/daemon.json"
OWN_ENGINE_FILE = '{ "log-level" : "info",\n"insecure-registries":["own.test:5000"] }'
LISTS = ("-p", "insecure_registries", "[own.test:5000, other.test:5000]", "-p", "registry_mirrors", "[https://m.test]")
FOREIGN = "127.0.0.1 registry.test mine.test\n"
PUSHED = "registry.test/theirs/app:1"


@pytest.mark.one_of("ways back")
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
    by_file = ("90-tear-down", "-f", "parameters/tear-down.yml", "-p", "confirm", "registry.test")
    assert papermill(host, *by_file[:3]) == []
    assert "put back /etc/docker/daemon.json as it was" in " ".join(papermill(host, *by_file))
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
    assert run(host, "90-tear-down", "-p", "also_remove", everything).failed == []
    assert "m.test" not in host.run("docker", "info").stdout
    assert host.run("ls", ENGINE_FILE, check=False).code != 0
    host.write(ENGINE_FILE, OWN_ENGINE_FILE)
    assert host.run("sh", "-c", FILES).stdout == before
    assert host.run("docker", "volume", "ls", "--quiet").stdout == ""
    assert host.run("docker", "images", "--quiet").stdout == ""


# A registry that somebody made by hand, at the places that the runbook would use, with a key of its own.
BY_HAND = r"""
mkdir -p /etc/docker/registry/ssl /etc/docker/certs.d/registry.test /opt/registry-client-kit
printf 'version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /srv/images\n' >/etc/docker/registry/config.yml
printf 'services:\n  registry:\n    image: registry:2\n' >/etc/docker/registry/docker-compose.yml
openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=registry.test -keyout /root/k -out /root/c 2>/dev/null
cat /root/k /root/c >/etc/docker/registry/ssl/registry.test.pem
cp /root/c /etc/docker/certs.d/registry.test/ca.crt; cp /root/c /opt/registry-client-kit/ca.crt
rm /root/k /root/c
"""
THERE = r"""
find /etc/docker /opt -printf '%p %m %U:%G %T@\n' | LC_ALL=C sort
find /etc/docker /opt -type f -exec sha256sum {} + | LC_ALL=C sort
"""


def there(host: Host) -> str:
    """Return the files and folders of somebody's registry: names, modes, owners, times and content."""
    return host.run("sh", "-c", THERE).stdout


def test_tear_down_leaves_what_the_runbook_has_not_made(trixie: Host) -> None:
    """Fails where a registry goes, or a folder, because of its place, on a host where the runbook never ran."""
    trixie.run("sh", "-ec", BY_HAND)
    before = there(trixie)
    torn = run(trixie, "90-tear-down", "-p", "also_remove", "[data, basic-data, authority, secrets, image]")
    assert (torn.error, torn.changes, torn.failed) == (None, [], [])
    assert there(trixie) == before
    trixie.run("rm", "-r", "/etc/docker/registry", "/etc/docker/certs.d", "/opt/registry-client-kit")


# A Compose project is named after its folder: many people have one that is called registry.
OWN_PROJECT = (
    UNTIL_SO
    + r"""
image=$(docker images --format '{{.Repository}}:{{.Tag}}' | grep -m1 docker-registry)
printf 'FROM %s\nVOLUME /var/lib/registry\n' "$image" | docker build -q -t theirs:2 -
mkdir /root/registry; cd /root/registry
printf 'version: "3"\nservices:\n  registry:\n    image: theirs:2\n    ports: ["5001:5000"]\n' >docker-compose.yml
docker compose up -d
until_so 'their registry to answer' answers http://127.0.0.1:5001/v2/
docker tag theirs:2 127.0.0.1:5001/mine/app:1; docker push -q 127.0.0.1:5001/mine/app:1
"""
)
OBJECTS = """
docker ps --all --no-trunc --format '{{.ID}} {{.State}}'; docker volume ls --quiet
docker network ls --no-trunc --quiet
"""
THEIR_IMAGES = ("curl", "-sf", "http://127.0.0.1:5001/v2/_catalog")
END_PROJECT = """
cd /root/registry; docker compose down --volumes; rm -r /root/registry
docker image rm theirs:2 127.0.0.1:5001/mine/app:1
"""


def test_tear_down_leaves_a_project_of_somebody_else(trixie: Host) -> None:
    """Fails where a container, network or volume without a label of ours goes because of its project's name."""
    assert run(trixie, "10-host").error is None
    trixie.run("sh", "-ec", OWN_PROJECT)
    before = trixie.run("sh", "-c", OBJECTS).stdout
    torn = run(trixie, "90-tear-down", "-p", "also_remove", "[data]")
    assert (torn.error, torn.failed) == (None, [])
    assert trixie.run("sh", "-c", OBJECTS).stdout == before
    assert "mine/app" in trixie.run(*THEIR_IMAGES).stdout

    refused = run(trixie, check=False)
    assert refused.failed == []
    assert "set compose_project to another name" in str(refused.error)
    assert "the container registry" in str(refused.error)
    assert trixie.run("sh", "-c", OBJECTS).stdout == before

    moved = run(trixie, "-p", "compose_project", "ours")
    assert (moved.error, moved.failed) == (None, [])
    torn = run(trixie, "90-tear-down", "-p", "also_remove", "[data]")
    assert (torn.error, torn.failed) == (None, [])
    assert trixie.run("sh", "-c", OBJECTS).stdout == before
    assert "mine/app" in trixie.run(*THEIR_IMAGES).stdout
    trixie.run("sh", "-c", END_PROJECT)


CONFFILE = "/etc/docker/registry/config.yml"
PACKAGE = """
apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes docker-registry
systemctl disable --now docker-registry
chown daemon:games /etc/docker/registry/config.yml; chmod 640 /etc/docker/registry/config.yml
"""


def test_file_of_a_package_comes_back_with_its_mode_and_owner_and_stays(trixie: Host) -> None:
    """Fails where a package's own file comes back as another than it was, or goes with a second tear-down."""
    trixie.run("sh", "-ec", PACKAGE, timeout_seconds=300)
    look = f"stat -c '%a %U:%G' {CONFFILE}; sha256sum {CONFFILE}; dpkg --verify docker-registry"
    before = trixie.run("sh", "-c", look).stdout
    assert run(trixie).error is None
    for _ in range(2):
        torn = script_run(trixie, "90-tear-down", check=False)
        assert torn.code == 0, torn
        assert trixie.run("sh", "-c", look).stdout == before
