"""The registry's storage on this host's disk: what the proof looks at before it pushes, and takes away afterwards.

Source: distribution, registry/storage/paths.go (the layout below docker/registry/v2).
"""

import json
from pathlib import Path

from runbook.outside import files, images

_ROOT = Path("docker", "registry", "v2")


def _repository(data: Path, repository: str) -> Path:
    return data / _ROOT / "repositories" / repository


def _blob(data: Path, digest: str) -> Path:
    algorithm, _, hexadecimal = digest.partition(":")
    return data / _ROOT / "blobs" / algorithm / hexadecimal[:2] / hexadecimal


def tags(data: Path, repository: str) -> tuple[str, ...]:
    """Return the tags of a repository; empty where there is none."""
    folder = _repository(data, repository) / "_manifests" / "tags"
    return tuple(sorted(tag.name for tag in folder.iterdir())) if folder.is_dir() else ()


def manifest(data: Path, repository: str, tag: str) -> tuple[str, dict[str, object]]:
    """Return a tag's manifest digest and its manifest; empty where the storage does not hold them."""
    link = _repository(data, repository) / "_manifests" / "tags" / tag / "current" / "link"
    digest = (files.read_text(link) or "").strip()
    found = files.read_text(_blob(data, digest) / "data") if digest else None
    return digest, json.loads(found) if found else {}


def digests(data: Path, repository: str, tag: str) -> tuple[str, ...]:
    """Return the digests of a tag's manifest, configuration and layers."""
    digest, content = manifest(data, repository, tag)
    described = [content.get("config"), *(content.get("layers") or ())]  # type: ignore[misc] # JSON
    return tuple(dict.fromkeys([digest, *(str(item["digest"]) for item in described if item)])) if digest else ()


def is_proof(data: Path, repository: str, tag: str) -> bool:
    """Return whether a tag holds a test image of the runbook, made on the spot: its label says so."""
    _, content = manifest(data, repository, tag)
    described = content.get("config")
    if not isinstance(described, dict):
        return False
    configuration = json.loads(files.read_text(_blob(data, described["digest"]) / "data") or "{}")
    return images.TEST_LABEL in ((configuration.get("config") or {}).get("Labels") or {})


def remove_repository(data: Path, repository: str, blobs: tuple[str, ...]) -> None:
    """Remove a repository, the folders above it that are empty then, and `blobs`, which nothing else may refer to."""
    root = data / _ROOT / "repositories"
    files.remove_tree(_repository(data, repository))
    for digest in blobs:
        files.remove_tree(_blob(data, digest))
    emptied = [*_repository(data, repository).parents, *(_blob(data, digest).parent for digest in blobs)]
    for folder in emptied:
        if folder.is_dir() and folder != root and data in folder.parents and not any(folder.iterdir()):
            folder.rmdir()
