"""The registry's storage, accessed through its container: what the proof checks first and removes at the end.

Its mounted folders may be readable by root only, or lie in a virtual machine: so it is not read on the host.
Source: distribution, registry/storage/paths.go (the layout below docker/registry/v2).
"""

import io
import shlex
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import docker
from docker.errors import NotFound

from runbook.system.docker import engine, images
from runbook.system.host import json_text

ROOT = PurePosixPath("/var/lib/registry")
_LAYOUT = ROOT / "docker" / "registry" / "v2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """The storage of the registry in the named container."""

    client: docker.DockerClient
    container: str

    def _files(self, path: PurePosixPath) -> dict[PurePosixPath, bytes]:
        """Return the files at and below a path by their relative paths; empty if the path does not exist."""
        try:
            stream, _ = self.client.containers.get(self.container).get_archive(str(path))
        except NotFound:
            return {}
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            members = [(member, archive.extractfile(member)) for member in archive if member.isfile()]
            return {
                PurePosixPath(*PurePosixPath(member.name).parts[1:]): file.read() for member, file in members if file
            }

    def _links(self, repository: str) -> dict[str, str]:
        """Return the tags of a repository with their digests."""
        found = self._files(_repository(repository) / "_manifests" / "tags")
        current = PurePosixPath("current", "link")
        return {
            path.parts[0]: content.decode().strip()
            for path, content in sorted(found.items())
            if path.relative_to(path.parts[0]) == current
        }

    def _blob(self, digest: str) -> dict[str, object]:
        """Return the JSON object in a blob; empty if the blob is not in the storage."""
        found = self._files(_blob(digest) / "data").values()
        return next((json_text.read_object(content) for content in found), {})

    def tags(self, repository: str) -> tuple[str, ...]:
        """Return the tags of a repository; empty if it does not exist."""
        return tuple(self._links(repository))

    def digests(self, repository: str) -> tuple[str, ...]:
        """Return all digests pushed to a repository and not deleted, including those of interrupted pushes."""
        links = (self._files(_repository(repository) / folder) for folder in ("_layers", "_manifests/revisions"))
        return tuple(sorted({content.decode().strip() for found in links for content in found.values()}))

    def is_proof(self, repository: str, tag: str) -> bool:
        """Return whether a tag is a generated test image of the runbook, which has a label."""
        digest = self._links(repository).get(tag)
        return bool(digest) and self._is_proof(self._blob(str(digest)))

    def _is_proof(self, manifest: Mapping[str, object]) -> bool:
        descriptor = manifest.get("config")
        if not isinstance(descriptor, dict):
            return False
        configuration = self._blob(descriptor["digest"]).get("config") or {}
        return images.TEST_LABEL in (configuration.get("Labels") or {})  # type: ignore[attr-defined] # JSON

    def proof_digests(self, repository: str) -> tuple[str, ...]:
        """Return the digests of the runbook's test images in a repository, with those of their own blobs.

        Other linked blobs, such as those of an interrupted push of another image, may be in other repositories.
        """
        found: set[str] = set()
        for digest in self._links(repository).values():
            manifest: dict[str, Any] = self._blob(digest)
            if self._is_proof(manifest):
                found |= {digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
        return tuple(sorted(found))

    def remove_repository(self, repository: str, blobs: Iterable[str]) -> None:
        """Remove a repository, folders above it that become empty, and `blobs`, which must not be used elsewhere."""
        removed = [_repository(repository), *map(_blob, blobs)]
        tops = {_LAYOUT / "repositories", _LAYOUT / "blobs"}
        above = {folder for path in removed for folder in path.parents if tops & {*folder.parents}}
        inner_first = sorted(above, key=lambda folder: -len(folder.parts))
        commands = [("rm", "-rf", *map(str, removed)), ("rmdir", *map(str, inner_first))]  # keeps non-empty folders
        script = "; ".join(shlex.join(command) for command in commands if len(command) > 1)
        engine.execute(self.client, self.container, ("sh", "-c", script))


def _repository(repository: str) -> PurePosixPath:
    return _LAYOUT / "repositories" / repository


def _blob(digest: str) -> PurePosixPath:
    algorithm, _, hexadecimal = digest.partition(":")
    return _LAYOUT / "blobs" / algorithm / hexadecimal[:2] / hexadecimal
