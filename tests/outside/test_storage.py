"""The registry's storage: which images are the proof's, and what goes when it ends."""

import hashlib
import json
from pathlib import Path

import pytest

from runbook.outside import storage

ROOT = Path("docker", "registry", "v2")
REPOSITORY = "runbook/proof"


def put(data: Path, content: object) -> str:
    """Write a blob as the registry does, and return its digest."""
    text = json.dumps(content).encode()
    digest = hashlib.sha256(text).hexdigest()
    path = data / ROOT / "blobs" / "sha256" / digest[:2] / digest / "data"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return f"sha256:{digest}"


def tag(data: Path, repository: str, name: str, digest: str) -> None:
    """Let a tag point to a manifest, as the registry does."""
    link = data / ROOT / "repositories" / repository / "_manifests" / "tags" / name / "current" / "link"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.write_text(digest, encoding="ascii")


def push(data: Path, repository: str, name: str, config: object) -> tuple[str, ...]:
    """Put an image of one layer under a tag; return the digests of manifest, configuration and layer."""
    described, layer = (
        put(data, {"config": config, "of": f"{repository}:{name}"}),
        put(data, f"layer of {repository}:{name}"),
    )
    manifest = put(data, {"config": {"digest": described}, "layers": [{"digest": layer}, {"digest": layer}]})
    tag(data, repository, name, manifest)
    return manifest, described, layer


def test_tags_are_those_of_the_repository_alone(tmp_path: Path) -> None:
    """Fails if a repository that is not there has tags, or one has those of another below it."""
    assert storage.tags(tmp_path, REPOSITORY) == ()
    push(tmp_path, REPOSITORY, "2", {})
    push(tmp_path, REPOSITORY, "1", {})
    push(tmp_path, "runbook/proof/below", "3", {})
    assert storage.tags(tmp_path, REPOSITORY) == ("1", "2")


def test_digests_are_those_of_manifest_configuration_and_layers(tmp_path: Path) -> None:
    """Fails if a blob of the proof would stay, or one would be counted twice."""
    expected = push(tmp_path, REPOSITORY, "1", {})
    assert expected == storage.digests(tmp_path, REPOSITORY, "1")
    assert storage.digests(tmp_path, REPOSITORY, "2") == ()


def test_digests_of_an_index_are_its_own(tmp_path: Path) -> None:
    """Fails if a manifest without configuration and layers ends in a traceback."""
    index = put(tmp_path, {"manifests": [{"digest": "sha256:0"}]})
    tag(tmp_path, REPOSITORY, "1", index)
    assert (index,) == storage.digests(tmp_path, REPOSITORY, "1")
    tag(tmp_path, REPOSITORY, "2", "sha256:absent")
    assert storage.digests(tmp_path, REPOSITORY, "2") == ("sha256:absent",)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({"Labels": {"org.registry-runbook.proof": "1"}}, True, id="ours"),
        pytest.param({"Labels": {"other": "1"}}, False, id="other-label"),
        pytest.param({"Labels": None}, False, id="no-labels"),
        pytest.param({}, False, id="no-label"),
        pytest.param(None, False, id="no-configuration"),
    ],
)
def test_is_proof_knows_the_image_that_the_runbook_made(tmp_path: Path, config: object, *, expected: bool) -> None:
    """Fails if somebody's image would be removed with the proof, or a left proof keeps the next one from running."""
    push(tmp_path, REPOSITORY, "1", config)
    assert expected == storage.is_proof(tmp_path, REPOSITORY, "1")


def test_is_proof_says_no_where_the_storage_is_incomplete(tmp_path: Path) -> None:
    """Fails if an index, a missing configuration or a missing tag passes for the runbook's image."""
    tag(tmp_path, REPOSITORY, "index", put(tmp_path, {"manifests": []}))
    tag(tmp_path, REPOSITORY, "gone", put(tmp_path, {"config": {"digest": "sha256:gone"}}))
    found = [storage.is_proof(tmp_path, REPOSITORY, name) for name in ("index", "gone", "absent")]
    assert found == [False, False, False]


def test_remove_repository_takes_the_proof_and_nothing_else(tmp_path: Path) -> None:
    """Fails if another repository or its blobs go too, or an empty folder of the proof stays."""
    theirs = push(tmp_path, "runbook/theirs", "1", {})
    before = sorted(tmp_path.rglob("*"))
    ours = push(tmp_path, REPOSITORY, "1", {})
    storage.remove_repository(tmp_path, REPOSITORY, ours)
    assert before == sorted(tmp_path.rglob("*"))
    assert theirs == storage.digests(tmp_path, "runbook/theirs", "1")


def test_remove_repository_leaves_an_empty_storage_usable(tmp_path: Path) -> None:
    """Fails if the folder that the registry lists its catalog from goes with the last repository, or twice is once."""
    ours = push(tmp_path, REPOSITORY, "1", {})
    for _ in range(2):
        storage.remove_repository(tmp_path, REPOSITORY, ours)
    left = [path for path in tmp_path.rglob("*") if path.name in {"repositories", "runbook", "data"}]
    assert left == [tmp_path / ROOT / "repositories"]
