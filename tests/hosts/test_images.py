"""Where the registry's image comes from: a registry, a file, the distribution's package, or what is here already."""

import json
import re
from collections.abc import Iterator

import pytest

from .conftest import start_with_project
from .lab import Host
from .product import run

DAEMON_JSON = "/etc/docker/daemon.json"
DEFAULT = "registry:3.1.2"
ARCHIVE = "/root/registry.tar"
OTHER_DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def public(proven_bookworm: Host) -> Iterator[tuple[str, str]]:
    """Stand in for the public registry: another host with the registry's image; give its HOST:PORT and the digest."""
    host = proven_bookworm
    image = host.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()[0]
    host.run("docker", "run", "--detach", "--name=public", "--publish=5001:5000", image)
    try:
        pushed = f"127.0.0.1:5001/library/{DEFAULT}"
        host.run("curl", "-s", "--retry", "30", "--retry-all-errors", "http://127.0.0.1:5001/v2/")
        host.run("docker", "tag", image, pushed)
        digest = host.run("docker", "push", pushed).stdout.partition("digest: ")[2].split()[0]
        host.run("docker", "image", "rm", pushed)
        yield f"{host.reached_at}:5001", digest
    finally:
        host.run("docker", "rm", "--force", "--volumes", "public")


@pytest.fixture(scope="module")
def host(public: tuple[str, str]) -> Iterator[Host]:
    """Give a host without the image, which reaches the registry that stands in, and not the public one."""
    with start_with_project("trixie") as ready:
        ready.write("/etc/hosts", ready.read("/etc/hosts") + "127.0.0.1 registry-1.docker.io\n")
        ready.write(DAEMON_JSON, json.dumps({"insecure-registries": [public[0]]}))
        ready.run("systemctl", "reload", "docker")
        yield ready


def images(host: Host) -> list[str]:
    """Return the references of the images that are on the host."""
    return sorted(host.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split())


def remove_images(host: Host) -> None:
    """Remove the containers and images of the host."""
    host.run("sh", "-ec", "docker ps -aq | xargs -r docker rm -fv; docker images -q | xargs -r docker image rm -f")


def test_pull_takes_only_the_digest_asked_for(host: Host, public: tuple[str, str]) -> None:
    """Fails where an image of another digest is taken, from the registry or from here, or the right one is not."""
    registry, digest = public
    reference = f"{registry}/library/{DEFAULT}"
    pull = ("10-host", "-p", "registry_image", reference, "-p", "registry_image_source", "pull")
    wrong = (*pull, "-p", "registry_image_digest", OTHER_DIGEST)
    assert f"to pull {reference} with the digest {OTHER_DIGEST}" in str(run(host, *wrong, check=False).error)
    assert images(host) == []
    pulled = run(host, *pull, "-p", "registry_image_digest", digest)
    assert (pulled.error, pulled.failed, images(host)) == (None, [], [reference])
    assert run(host, *pull, "-p", "registry_image_digest", digest).changes == []
    refused = run(host, *wrong, check=False)
    assert f"found {registry}/library/registry@{digest}" in str(refused.error)
    assert (refused.changes, images(host)) == ([], [reference])


def test_archive_gives_the_image_that_was_saved(host: Host, public: tuple[str, str]) -> None:
    """Fails where a `docker save` file is not loaded, or one of another image leaves that image behind."""
    reference = f"{public[0]}/library/{DEFAULT}"
    host.run("docker", "pull", reference)
    host.run("docker", "save", f"--output={ARCHIVE}", reference)
    remove_images(host)
    load = ("10-host", "-p", "registry_image_source", "archive", "-p", "registry_image_archive", ARCHIVE)
    refused = run(host, *load, check=False)
    assert f"expected {DEFAULT} in {ARCHIVE}; found {reference}" in str(refused.error)
    assert images(host) == []
    loaded = run(host, *load, "-p", "registry_image", reference)
    assert (loaded.error, loaded.failed, images(host)) == (None, [], [reference])
    assert len(loaded.results) == 5
    remove_images(host)


def test_auto_takes_what_is_here_then_pulls_then_builds(host: Host, public: tuple[str, str]) -> None:
    """Fails where one of the endings of `auto` is not reached, or where none is, a reason is missing."""
    registry, _ = public
    host.run("mv", "/etc/apt/sources.list", "/root/sources.list")
    nothing = run(host, "10-host", check=False)
    assert 'pull: Get "https://registry-1.docker.io/v2/": dial tcp 127.0.0.1:443: ' in str(nothing.error)
    assert "package: exit code 100: E: Unable to locate package docker-registry" in str(nothing.error)
    assert "set registry_image_source to archive" in str(nothing.error)
    host.run("mv", "/root/sources.list", "/etc/apt/sources.list")

    built = run(host, "10-host")
    [image] = images(host)
    [outcome] = [item for notebook in built.data["notebooks"] for item in notebook["outcomes"]]
    assert f"took {image}, built from the distribution's package" in outcome["note"]
    assert "pull: Get" in outcome["note"]

    mirrored = ("20-basic-registry", "-p", "registry_mirrors", json.dumps([f"http://{registry}"]))
    assert run(host, *mirrored).failed == []
    assert run(host, "10-host").changes == []
    assert images(host) == [image]  # what is here, although the mirror has what is pinned

    remove_images(host)
    [pulled] = run(host, "10-host").changes
    assert images(host) == [DEFAULT]
    assert pulled.startswith(f"get the registry's image: pull {DEFAULT}; or else build it")
    [started] = run(host, *mirrored).changes
    assert f"run the container registry from {DEFAULT}" in started


def test_pull_goes_on_without_a_credential_helper_that_is_not_there(host: Host, public: tuple[str, str]) -> None:
    """Fails where the client's settings for logins, which `docker pull` passes over, end the run."""
    remove_images(host)
    host.write("/root/.docker/config.json", '{"credsStore": "secretservice"}')
    try:
        reference = f"{public[0]}/library/{DEFAULT}"
        pulled = run(host, "10-host", "-p", "registry_image", reference, "-p", "registry_image_source", "pull")
        assert (pulled.error, images(host)) == (None, [reference])
    finally:
        host.run("rm", "-r", "/root/.docker")


@pytest.mark.parametrize("seconds", [0, 1])
def test_image_that_ends_is_named_with_its_last_words(proven_bookworm: Host, seconds: int) -> None:
    """Fails if an image that is no registry's, or is for another processor, ends in an error without words."""
    host = proven_bookworm
    image = images(host)[0]
    made = f'FROM {image}\nENTRYPOINT ["sh", "-c", "sleep {seconds}; echo no registry; exit 3"]\n'
    host.run("docker", "build", "--tag=ends:1", "-", input_text=made)
    try:
        ended = run(host, "10-host", "-p", "registry_image", "ends:1", check=False)
        told = r"(to stay up; |answers at [\d.:]+: expected 200, )found no registry\. To repair: set registry_image to"
        assert re.search(told, str(ended.error))
    finally:
        host.run("docker", "image", "rm", "ends:1")
