"""What is stored, as a registry lays it out: counted, and each damage to it told."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.system.registry import stored

V2 = Path("docker", "registry", "v2")


def keep(root: Path, content: bytes) -> str:
    """Store a blob and return its digest."""
    digest = hashlib.sha256(content).hexdigest()
    write(blob_of(root, f"sha256:{digest}"), content)
    return f"sha256:{digest}"


def blob_of(root: Path, digest: str) -> Path:
    """Return the file of a blob."""
    number = digest.partition(":")[2]
    return root / V2 / "blobs" / "sha256" / number[:2] / number / "data"


def write(path: Path, content: bytes) -> None:
    """Write a file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def push(root: Path, repository: str, tag: str, layer: bytes) -> tuple[str, str]:
    """Store an image of one layer as a push leaves it; return the digests of its manifest and its layer."""
    folder = root / V2 / "repositories" / repository
    blobs = [(keep(root, content), len(content)) for content in (b"{}", layer)]
    config, layers = ({"digest": digest, "size": size} for digest, size in blobs)
    digest = keep(root, json.dumps({"config": config, "layers": [layers]}).encode())
    for name, link in (
        (f"_manifests/tags/{tag}/current", digest),
        (f"_manifests/revisions/{digest.replace(':', '/')}", digest),
        *((f"_layers/{each.replace(':', '/')}", each) for each, _ in blobs),
    ):
        write(folder / name / "link", link.encode())
    return digest, blobs[1][0]


def test_count_counts_tags_in_repositories_of_any_depth(tmp_path: Path) -> None:
    """Fails if a repository is counted that holds none, or one is not that lies in another."""
    assert stored.count(tmp_path) == "0 repositories, 0 tags"
    for repository, tag in (("a", "1"), ("a", "2"), ("a/b", "1"), ("c/d/e", "latest")):
        push(tmp_path, repository, tag, b"layer")
    (tmp_path / V2 / "repositories" / "emptied" / "_manifests" / "tags").mkdir(parents=True)
    assert stored.count(tmp_path) == "3 repositories, 4 tags"


def remove_blob(root: Path, _manifest: str, layer: str) -> None:
    """Take a layer away."""
    blob_of(root, layer).unlink()


def change_blob(root: Path, _manifest: str, layer: str) -> None:
    """Put other bytes of the same length in a layer's place."""
    blob_of(root, layer).write_bytes(b"LAYER")


def cut_blob(root: Path, _manifest: str, layer: str) -> None:
    """Cut a layer off."""
    blob_of(root, layer).write_bytes(b"lay")


def change_manifest(root: Path, manifest: str, _layer: str) -> None:
    """Put another manifest in one's place."""
    blob_of(root, manifest).write_bytes(b"{}")


def empty_link(root: Path, _manifest: str, _layer: str) -> None:
    """Empty the link of the tag."""
    (root / V2 / "repositories/a/_manifests/tags/1/current/link").write_text("", encoding="ascii")


def remove_revision(root: Path, manifest: str, _layer: str) -> None:
    """Take the link of the manifest away."""
    (root / V2 / "repositories/a/_manifests/revisions" / manifest.replace(":", "/") / "link").unlink()


def remove_layer_link(root: Path, _manifest: str, layer: str) -> None:
    """Take the link of the layer away."""
    (root / V2 / "repositories/a/_layers" / layer.replace(":", "/") / "link").unlink()


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (remove_blob, "No such file"),
        (change_blob, "is other bytes"),
        (cut_blob, "has 3 of 5 bytes"),
        (change_manifest, "its manifest is not sha256:"),
        (empty_link, "/_manifests/tags/1/current/link holds no digest"),
        (remove_revision, "No such file"),
        (remove_layer_link, "No such file"),
    ],
)
def test_damage_tells_what_is_not_whole(tmp_path: Path, harm: Callable[[Path, str, str], None], expected: str) -> None:
    """Fails if an image passes that nobody can pull whole, or one that is whole does not."""
    manifest, layer = push(tmp_path, "a", "1", b"layer")
    push(tmp_path, "b", "1", b"another layer")
    assert stored.damage(tmp_path) == []
    harm(tmp_path, manifest, layer)
    [told] = stored.damage(tmp_path)
    assert told.startswith("a:1: ")
    assert expected in told
    assert str(tmp_path) not in told


def test_damage_passes_over_what_is_gone_meanwhile_or_is_elsewhere(tmp_path: Path) -> None:
    """Fails if a layer that lies elsewhere, an index, or nothing at all is taken for damage."""
    assert stored.damage(tmp_path) == []
    folder = tmp_path / V2 / "repositories" / "a" / "_manifests"
    for tag, manifest in (
        ("index", {"manifests": [{"digest": f"sha256:{'0' * 64}", "size": 1}]}),
        ("elsewhere", {"layers": [{"digest": f"sha256:{'0' * 64}", "size": 1, "urls": ["https://x.test"]}]}),
    ):
        digest = keep(tmp_path, json.dumps(manifest).encode())
        write(folder / "tags" / tag / "current" / "link", digest.encode())
        write(folder / "revisions" / digest.replace(":", "/") / "link", digest.encode())
    assert stored.damage(tmp_path) == []
