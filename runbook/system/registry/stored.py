"""The content of a registry's storage folder: its size, and an integrity check of a sample.

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
_TAGS = 20  # in the sample
_HASHED_BYTES = 32 << 20  # in total, of their blobs
_MANIFEST_BYTES = 4 << 20  # the largest that a registry accepts
_DIGEST = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")
_BEING_WRITTEN_SECONDS = 0.3  # a push or deletion in progress looks like damage


def _tags(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the repository folder and the name of each tag."""
    folders = [root / _LAYOUT / "repositories"]
    while folders:
        folder = folders.pop()
        with suppress(FileNotFoundError, NotADirectoryError):
            inside = [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
            folders += [Path(entry.path) for entry in inside if not entry.name.startswith("_")]
        with suppress(FileNotFoundError, NotADirectoryError):
            yield from [(folder, tag.name) for tag in Path(folder, "_manifests", "tags").iterdir()]


def count(root: Path) -> str:
    """Return the number of repositories with a tag and the number of tags, as a text."""
    found = list(_tags(root))
    return f"{len({folder for folder, _ in found})} repositories, {len(found)} tags"


def damage(root: Path) -> list[str]:
    """Return the damage of a random sample of tags: in their links, manifests and blobs."""
    found = list(_tags(root))
    sample = random.SystemRandom().sample(found, min(_TAGS, len(found)))
    first = _Check(root=root)
    if not (suspects := [tag for tag in sample if first.damage_of(*tag)]):
        return []
    time.sleep(_BEING_WRITTEN_SECONDS)
    second, repositories = _Check(root=root), root / _LAYOUT / "repositories"
    return [
        f"{folder.relative_to(repositories)}:{tag}: {why}"
        for folder, tag in suspects
        if (why := second.damage_of(folder, tag))
    ]


@dataclass(kw_only=True, slots=True)
class _Check:
    """One integrity check; each blob is hashed at most once, and `left` bytes of all blobs."""

    root: Path
    left: int = _HASHED_BYTES
    hashed: set[str] = field(default_factory=set)

    def damage_of(self, folder: Path, tag: str) -> str:
        """Return the damage of a tag; empty if there is none, or if the tag was deleted meanwhile."""
        tag_folder = folder / "_manifests" / "tags" / tag
        try:
            return self._mismatch(folder, tag_folder)
        except (OSError, ValueError) as error:
            return (str(error).replace(str(self.root), "") or type(error).__name__) if tag_folder.exists() else ""

    def _mismatch(self, folder: Path, tag_folder: Path) -> str:
        digest = _link(tag_folder / "current" / "link")
        if _link(folder / "_manifests" / "revisions" / digest.replace(":", "/") / "link") != digest:
            return "its revision is another"
        manifest = self._blob(digest)
        if manifest.stat().st_size > _MANIFEST_BYTES or self._hash(manifest, digest) != digest:
            return f"its manifest is not {digest[:19]}…"
        content = json.loads(manifest.read_bytes())
        descriptors = [content.get("config"), *(content.get("layers") or ())]
        for blob in (item for item in descriptors if isinstance(item, dict) and not item.get("urls")):
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
        with path.open("rb") as file:
            found = hashlib.file_digest(file, algorithm)
            self.left -= file.tell()
        self.hashed.add(digest)
        return f"{algorithm}:{found.hexdigest()}"


def _link(path: Path) -> str:
    """Return the digest in a link file; raises ValueError if it has none, OSError if it cannot be read."""
    with path.open(encoding="ascii", errors="replace") as file:
        found = file.read(200).strip()
    if not _DIGEST.fullmatch(found):
        raise ValueError(f"{path} holds no digest")
    return found
