"""Images: the registry's image, found on this host or obtained (even without a public registry), and the test image."""

import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from docker.models.images import Image

from runbook.model.errors import HostError, MissingError, RunbookError
from runbook.model.parameters import Parameters
from runbook.system.host import commands, json_text, packages, temporary

PACKAGE_REPOSITORY = "registry-runbook/docker-registry"  # of images built from the distribution's package
TEST_LABEL = "org.registry-runbook.proof"
_OBTAIN_SECONDS = 600  # an engine sends nothing while it unpacks a layer
Source = Literal["pull", "archive", "package"]
_BY_ARCHIVE = "set registry_image_source to archive, and registry_image_archive to a docker save file"

# As in the official image: a configuration path or subcommand is passed to the registry.
_ENTRY_POINT = b"""#!/bin/sh
set -e
case "$1" in
  *.yaml | *.yml) set -- registry serve "$@" ;;
  serve | garbage-collect | help | -*) set -- registry "$@" ;;
esac
exec "$@"
"""
_DEFAULT_CONFIGURATION = b"""version: 0.1
storage:
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
"""
_SETTINGS = (
    'ENTRYPOINT ["/entrypoint.sh"]',
    'CMD ["/etc/docker/registry/config.yml"]',
    "EXPOSE 5000",
    "VOLUME /var/lib/registry",
    "ENV PATH=/bin",
)
_APPLETS = ("sh", "wget", "rm", "rmdir")
# The shell equivalent of `_build`.
BUILD_BY_HAND = f"""{{
cd "$(mktemp -d)" && apt-get update && apt-get download docker-registry busybox-static
for package in *.deb; do dpkg-deb --extract "$package" .; done
mkdir -p image/bin image/tmp image/var/lib/registry image/etc/docker/registry
cp usr/bin/docker-registry image/bin/registry
cp bin/busybox image/bin/ || cp usr/bin/busybox image/bin/
ldd usr/bin/docker-registry | grep -o '/[^ ]*' | xargs -I LIBRARY cp --parents -L LIBRARY image
for applet in {" ".join(_APPLETS)}; do ln -s busybox "image/bin/$applet"; done
cat >image/entrypoint.sh <<'EOF'
{_ENTRY_POINT.decode()}EOF
chmod 0755 image/entrypoint.sh
cat >image/etc/docker/registry/config.yml <<'EOF'
{_DEFAULT_CONFIGURATION.decode()}EOF
version=$(dpkg-deb --field docker-registry_*.deb Version | tr -c 'A-Za-z0-9_.\\n-' _)
tar -C image -c . | docker import {" ".join(f"--change '{setting}'" for setting in _SETTINGS)} - \\
  "{PACKAGE_REPOSITORY}:$version"
}}"""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryImage:
    """An image of the registry on this host; `environment` are the variables that it sets in each container."""

    reference: str
    image_id: str
    environment: tuple[str, ...]


def local(client: docker.DockerClient, reference: str) -> Image | None:
    """Return the image with a reference or id, or None if it is not on this host."""
    try:
        return client.images.get(reference)
    except ImageNotFound:
        return None


def ours(client: docker.DockerClient, name: str) -> list[Image]:
    """Return the image with a reference, or all images built from the distribution's package."""
    if name == PACKAGE_REPOSITORY:
        return list(client.images.list(name))
    return [found] if (found := local(client, name)) is not None else []


def remove(client: docker.DockerClient, name: str) -> None:
    """Remove a reference, or all of the package's images, from the engine; it deletes images without another tag."""
    for image in ours(client, name):
        for tag in image.tags:
            if tag in (name, f"{name}:{tag.rpartition(':')[2]}"):
                client.images.remove(tag)


def find(client: docker.DockerClient, parameters: Parameters) -> RegistryImage | None:
    """Return the image for these parameters if it is on this host: the pinned one, or one built from the package.

    Raises HostError where the pinned image has another digest than the parameter.
    """
    return _find(client, parameters.registry_image, parameters.registry_image_digest, sources(parameters))


def _find(client: docker.DockerClient, reference: str, digest: str, among: tuple[Source, ...]) -> RegistryImage | None:
    if among != ("package",) and (pinned := local(client, reference)) is not None:
        _refuse_other_digest(pinned.attrs["RepoDigests"], reference, digest)
        return _registry_image(reference, pinned)
    if "package" in among:
        for image in client.images.list(PACKAGE_REPOSITORY):
            own = [tag for tag in image.tags if tag.startswith(f"{PACKAGE_REPOSITORY}:")]  # others are for a push
            return _registry_image(own[0], image)
    return None


def require(client: docker.DockerClient, parameters: Parameters) -> RegistryImage:
    """Return the registry's image; raises MissingError if it is not on this host."""
    found = find(client, parameters)
    if found is None:
        raise MissingError(
            f"an image of the registry ({parameters.registry_image})", "none", "run the notebook 10-host"
        )
    return found


def _registry_image(reference: str, image: Image) -> RegistryImage:
    environment = tuple(image.attrs["Config"].get("Env") or ())
    return RegistryImage(reference=reference, image_id=image.attrs["Id"], environment=environment)


def sources(parameters: Parameters) -> tuple[Source, ...]:
    """Return the sources of the registry's image, in order; a required digest rules out the package."""
    if parameters.registry_image_source != "auto":
        return (parameters.registry_image_source,)
    return ("pull",) if parameters.registry_image_digest else ("pull", "package")


def _refuse_other_digest(found: list[str], reference: str, digest: str) -> None:
    if digest and not any(repo_digest.endswith(f"@{digest}") for repo_digest in found):
        raise HostError(
            f"{reference} with the digest {digest}",
            ", ".join(found) or "no digest",
            "correct registry_image_digest, or the image",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The requested registry image: `digest` is empty if any will do, `archive` is a docker save file."""

    reference: str
    digest: str
    archive: str


def obtain(client: docker.DockerClient, wanted: Wanted, among: tuple[Source, ...]) -> str:
    """Get the registry's image from the first source that works; return which one, and why others failed.

    An image on this host is used: the plan cannot see it if the engine is started only afterwards.
    Raises the error of the only source, or HostError with the errors of all sources.
    """
    if (found := _find(client, wanted.reference, wanted.digest, among)) is not None:
        return f"found {found.reference} here"
    refusals: list[str] = []
    with _long_timeout(client):
        for source in among:
            try:
                taken = _OBTAIN[source](client, wanted)
            except RunbookError as error:
                if len(among) == 1:
                    raise
                refusals.append(f"{source}: {error.found}")
            else:
                return "; ".join((f"took {taken}", *refusals))
    raise HostError("an image of the registry", "; ".join(refusals), _BY_ARCHIVE)


@contextmanager
def _long_timeout(client: docker.DockerClient) -> Iterator[None]:
    timeout = client.api.timeout
    client.api.timeout = _OBTAIN_SECONDS
    try:
        yield
    finally:
        client.api.timeout = timeout


def _pull(client: docker.DockerClient, wanted: Wanted) -> str:
    repository, _, tag = wanted.reference.rpartition(":")
    try:
        pulled = _pulled(client, repository, wanted.digest or tag)
    except APIError as error:
        expected = f"to pull {wanted.reference}" + (f" with the digest {wanted.digest}" if wanted.digest else "")
        raise HostError(expected, str(error.explanation).strip(), f"correct it, or {_BY_ARCHIVE}") from error
    _refuse_other_digest(pulled.attrs["RepoDigests"], wanted.reference, wanted.digest)
    if wanted.digest:
        pulled.tag(repository, tag=tag)
    return wanted.reference


def _pulled(client: docker.DockerClient, repository: str, tag: str) -> Image:
    """Pull an image; without a login if the credential helper fails, like `docker pull`."""
    try:
        return client.images.pull(repository, tag=tag)
    except APIError:
        raise
    except DockerException:
        return client.images.pull(repository, tag=tag, auth_config={})


def load(client: docker.DockerClient, wanted: Wanted) -> str:
    """Load the image from its file and return a description; raises HostError if the file does not contain it."""
    expected = f"a docker save file at {wanted.archive}"
    path = Path(wanted.archive)
    if path.exists() and not path.is_file():  # reading a named pipe could block forever
        raise HostError(expected, "no regular file", "set registry_image_archive to one")
    try:
        tags = _tags_in(path)
        if wanted.reference not in tags:
            raise HostError(
                f"{wanted.reference} in {wanted.archive}", ", ".join(tags) or "no tag", "set registry_image to its tag"
            )
        with path.open("rb") as archive:
            client.images.load(archive)
    except (OSError, tarfile.TarError, KeyError, TypeError, ValueError, DockerException) as error:
        raise HostError(expected, str(error), "save the image again") from error
    return f"{wanted.reference} from {wanted.archive}"


def _tags_in(archive: Path) -> list[str]:
    """Return the references of the images in a docker save file (Docker Image Specification 1.2, manifest.json)."""
    with tarfile.open(archive) as opened:
        manifest = opened.extractfile("manifest.json")
        found = json_text.read(manifest.read() if manifest else b"")
        return [tag for image in found for tag in image["RepoTags"] or ()]


def _build(client: docker.DockerClient, _: Wanted) -> str:
    with temporary.folder() as folder:
        version = packages.unpack(("docker-registry", "busybox-static"), folder)
        archive = _registry_archive(folder)
    tag = re.sub(r"[^A-Za-z0-9_.-]", "_", version)
    imported = client.api.import_image_from_data(
        archive, repository=PACKAGE_REPOSITORY, tag=tag, changes=list(_SETTINGS)
    )
    _refuse_import_error(imported)
    built = f"{PACKAGE_REPOSITORY}:{tag}, built from the distribution's package docker-registry {version}"
    return f"{built} (compiled with an older Go: prefer a pulled image where you can)"


_OBTAIN = {"pull": _pull, "archive": load, "package": _build}


def _registry_archive(folder: Path) -> bytes:
    """Return the file system of an image: the registry, its shared libraries, and a shell with wget."""
    registry, busybox = folder / "usr/bin/docker-registry", folder / "bin/busybox"
    if not busybox.exists():
        busybox = folder / "usr/bin/busybox"  # since the distribution merged /bin into /usr/bin
    libraries = re.findall(r"/\S+", commands.run("ldd", str(registry)).output)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _add(archive, "bin/registry", registry.read_bytes(), 0o755)
        _add(archive, "bin/busybox", busybox.read_bytes(), 0o755)
        for library in libraries:
            _add(archive, library[1:], Path(library).read_bytes(), 0o755)
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for name in ("var/lib/registry", "tmp"):
            empty = tarfile.TarInfo(name)
            empty.type, empty.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(empty)
        _add(archive, "entrypoint.sh", _ENTRY_POINT, 0o755)
        _add(archive, "etc/docker/registry/config.yml", _DEFAULT_CONFIGURATION, 0o644)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))


def _refuse_import_error(answer: str) -> None:
    """Raise HostError if the engine's response to an import, one JSON object a line, contains an error."""
    for line in answer.splitlines():
        if "error" in (status := json.loads(line)):
            raise HostError("the engine to take the image", status["error"], "see the engine's log")


def test_images(client: docker.DockerClient) -> tuple[str, ...]:
    """Return the ids of the test images of proofs, in use or left behind by a killed one."""
    found = client.images.list(filters={"label": f"{TEST_LABEL}=1"})
    return tuple(str(image.short_id).removeprefix("sha256:") for image in found)


def remove_test_images(client: docker.DockerClient) -> None:
    """Remove the test images that a killed run left behind."""
    for leftover in test_images(client):
        client.images.remove(leftover, force=True)


def remove_test_image(client: docker.DockerClient, reference: str) -> None:
    """Remove the test image's reference from the engine; does nothing if it is missing or in use."""
    with suppress(APIError):
        client.images.remove(reference)


def make_test_image(client: docker.DockerClient, reference: str) -> None:
    """Create an image of a few kilobytes as `reference`, with random content so that its digests are unique."""
    repository, _, tag = reference.rpartition(":")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _add(archive, "proof", os.urandom(2048), 0o644)
    answer = client.api.import_image_from_data(
        buffer.getvalue(), repository=repository, tag=tag, changes=[f"LABEL {TEST_LABEL}=1", 'CMD ["/proof"]']
    )
    _refuse_import_error(answer)
