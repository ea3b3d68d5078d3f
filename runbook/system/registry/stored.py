"""What a registry has stored, read from its folder: how much it is, and whether a sample of it is whole.

Source: distribution, registry/storage/paths.go (the layout below docker/registry/v2); OCI Image Specification 1.1,
"Image Manifest".
"""

import hashlib
import json
import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_LAYOUT = Path("docker", "registry", "v2")
_TAGS = 20  # that are looked at
_HASHED_BYTES = 32 << 20  # of all that they refer to
_PIECE_BYTES = 1 << 20
_MANIFEST_BYTES = 4 << 20  # the largest that a registry takes
_DIGEST = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")
_BEING_WRITTEN_SECONDS = 0.3  # what somebody pushes or deletes at this moment is half there


def _tags(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield each repository's folder with each of its tags."""
    folders = [root / _LAYOUT / "repositories"]
    while folders:
        folder = folders.pop()
        with suppress(FileNotFoundError, NotADirectoryError):
            inside = [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
            folders += [Path(entry.path) for entry in inside if not entry.name.startswith("_")]
        with suppress(FileNotFoundError, NotADirectoryError):
            yield from [(folder, tag.name) for tag in Path(folder, "_manifests", "tags").iterdir()]


def count(root: Path) -> str:
    """Return how many repositories have a tag, and how many tags there are, in words."""
    found = list(_tags(root))
    return f"{len({folder for folder, _ in found})} repositories, {len(found)} tags"


def damage(root: Path) -> list[str]:
    """Return what is not whole of a sample of tags: their links, manifests, and the blobs that these name."""
    found = list(_tags(root))
    sample = random.SystemRandom().sample(found, min(_TAGS, len(found)))
    first = _Look(root=root)
    if not (broken := [(tag, why) for tag in sample if (why := first.at(*tag))]):
        return []
    time.sleep(_BEING_WRITTEN_SECONDS)
    second = _Look(root=root)
    return [f"{_name(root, *tag)}: {why}" for tag, _ in broken if (why := second.at(*tag))]


def _name(root: Path, folder: Path, tag: str) -> str:
    return f"{folder.relative_to(root / _LAYOUT / 'repositories')}:{tag}"


@dataclass(kw_only=True, slots=True)
class _Look:
    """A look at what is stored; each blob is hashed once, and only so much of them all."""

    root: Path
    left: int = _HASHED_BYTES
    hashed: set[str] = field(default_factory=set)

    def at(self, folder: Path, tag: str) -> str:
        """Return what is wrong with a tag, empty where nothing is, or it is gone by now."""
        place = folder / "_manifests" / "tags" / tag
        try:
            return self._wrong(folder, place)
        except (OSError, ValueError) as error:
            return (str(error).replace(str(self.root), "") or type(error).__name__) if place.exists() else ""

    def _wrong(self, folder: Path, place: Path) -> str:
        digest = _link(place / "current" / "link")
        if _link(folder / "_manifests" / "revisions" / digest.replace(":", "/") / "link") != digest:
            return "its revision is another"
        manifest = self._blob(digest)
        if manifest.stat().st_size > _MANIFEST_BYTES or self._hash(manifest, digest) != digest:
            return f"its manifest is not {digest[:19]}…"
        described = json.loads(manifest.read_bytes())
        named = [described.get("config"), *(described.get("layers") or ())]
        for blob in (item for item in named if isinstance(item, dict) and not item.get("urls")):
            digest = str(blob["digest"])
            if _link(folder / "_layers" / digest.replace(":", "/") / "link") != digest:
                return f"the link to {digest[:19]}… is another"
            data = self._blob(digest)
            if data.stat().st_size != blob["size"]:
                return f"{digest[:19]}… has {data.stat().st_size} of {blob['size']} bytes"
            if digest not in self.hashed and blob["size"] <= self.left and self._hash(data, digest) != digest:
                return f"{digest[:19]}… is other bytes"
        return ""

    def _blob(self, digest: str) -> Path:
        algorithm, _, hexadecimal = digest.partition(":")
        return self.root / _LAYOUT / "blobs" / algorithm / hexadecimal[:2] / hexadecimal / "data"

    def _hash(self, path: Path, digest: str) -> str:
        algorithm = digest.partition(":")[0]
        found = hashlib.new(algorithm)
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                found.update(piece)
                self.left -= len(piece)
        self.hashed.add(digest)
        return f"{algorithm}:{found.hexdigest()}"


def _link(path: Path) -> str:
    """Return the digest in a link; raises ValueError where it holds none, OSError where it is not there."""
    with path.open(encoding="ascii", errors="replace") as file:
        found = file.read(200).strip()
    if not _DIGEST.fullmatch(found):
        raise ValueError(f"{path} holds no digest")
    return found
