"""The registry's storage, in a real container: which images are the proof's, and what goes when it ends."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator

import docker
import pytest

from runbook.system.registry.storage import ROOT, Storage

from .images import PLAIN, ensure_image

LAYOUT = ROOT / "docker" / "registry" / "v2"
REPOSITORY = "runbook/proof"


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    """Give a client of this machine's engine."""
    connected = docker.from_env()
    yield connected
    connected.close()


@pytest.fixture
def stored(client: docker.DockerClient) -> Iterator[Storage]:
    """Give an empty storage in a container that has the tools that a registry's image has."""
    container = client.containers.run(ensure_image(PLAIN), ["sleep", "infinity"], detach=True, init=True)
    container.exec_run(["mkdir", "-p", str(LAYOUT / "repositories"), str(LAYOUT / "blobs")])
    yield Storage(client=client, container=str(container.name))
    container.remove(force=True, v=True)


def listed(stored: Storage) -> list[str]:
    """Return all paths in the storage."""
    _, output = stored.client.containers.get(stored.container).exec_run(["find", str(ROOT)])
    assert isinstance(output, bytes)
    return sorted(output.decode().splitlines())


def write(stored: Storage, path: str, data: bytes) -> None:
    """Write a file of the storage."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(path)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    assert stored.client.containers.get(stored.container).put_archive(str(LAYOUT), packed.getvalue())


def put(stored: Storage, content: object) -> str:
    """Write a blob as the registry does, and return its digest."""
    text = json.dumps(content).encode()
    digest = hashlib.sha256(text).hexdigest()
    write(stored, f"blobs/sha256/{digest[:2]}/{digest}/data", text)
    return f"sha256:{digest}"


def link(stored: Storage, repository: str, folder: str, digest: str) -> None:
    """Let a repository hold a blob, as the registry does."""
    hexadecimal = digest.partition(":")[2]
    write(stored, f"repositories/{repository}/{folder}/sha256/{hexadecimal}/link", digest.encode())


def tag(stored: Storage, repository: str, name: str, digest: str) -> None:
    """Let a tag point to a manifest, as the registry does."""
    folder = f"repositories/{repository}/_manifests/tags/{name}"
    link(stored, repository, "_manifests/revisions", digest)
    write(stored, f"{folder}/current/link", digest.encode())
    write(stored, f"{folder}/index/sha256/{digest.partition(':')[2]}/link", digest.encode())


def push(stored: Storage, repository: str, name: str, config: object) -> tuple[str, ...]:
    """Put an image of one layer under a tag; return the digests of manifest, configuration and layer."""
    described = put(stored, {"config": config, "of": f"{repository}:{name}"})
    layer = put(stored, f"layer of {repository}:{name}")
    manifest = put(stored, {"config": {"digest": described}, "layers": [{"digest": layer}, {"digest": layer}]})
    for blob in (described, layer):
        link(stored, repository, "_layers", blob)
    tag(stored, repository, name, manifest)
    return tuple(sorted((manifest, described, layer)))


def test_tags_are_those_of_the_repository_alone(stored: Storage) -> None:
    """Fails if a repository that is not there has tags, or one has those of another below it."""
    assert stored.tags(REPOSITORY) == ()
    push(stored, REPOSITORY, "2", {})
    push(stored, REPOSITORY, "1", {})
    push(stored, "runbook/proof/below", "3", {})
    assert stored.tags(REPOSITORY) == ("1", "2")


def test_digests_are_those_of_manifest_configuration_and_layers(stored: Storage) -> None:
    """Fails if a blob of the proof would stay, of a push that was cut off too, or one is counted twice."""
    assert stored.digests(REPOSITORY) == ()
    pushed = push(stored, REPOSITORY, "1", {})
    tag(stored, REPOSITORY, "2", pushed[0])
    assert pushed == stored.digests(REPOSITORY)
    alone = put(stored, "layer without its manifest")
    link(stored, REPOSITORY, "_layers", alone)
    assert sorted((*pushed, alone)) == list(stored.digests(REPOSITORY))


def test_is_proof_knows_the_image_that_the_runbook_made(stored: Storage) -> None:
    """Fails if somebody's image would be removed with the proof, or a left proof keeps the next one from running."""
    configurations: dict[str, object] = {
        "ours": {"Labels": {"org.registry-runbook.proof": "1"}},
        "other": {"Labels": {"other": "1"}},
        "none": {"Labels": None},
        "empty": {},
        "null": None,
    }
    for name, config in configurations.items():
        push(stored, REPOSITORY, name, config)
    tag(stored, REPOSITORY, "index", put(stored, {"manifests": []}))
    tag(stored, REPOSITORY, "gone", put(stored, {"config": {"digest": "sha256:gone"}}))
    asked = (*configurations, "index", "gone", "absent")
    assert [name for name in asked if stored.is_proof(REPOSITORY, name)] == ["ours"]


def test_proof_digests_are_those_of_the_runbook_s_images_alone(stored: Storage) -> None:
    """Fails if a layer of somebody's image goes, of whose push to the proof's repository a link was left."""
    ours = push(stored, REPOSITORY, "1", {"Labels": {"org.registry-runbook.proof": "1"}})
    assert ours == stored.proof_digests(REPOSITORY)
    theirs = push(stored, "theirs/app", "1", {})
    link(stored, REPOSITORY, "_layers", theirs[0])
    push(stored, REPOSITORY, "2", {})
    assert ours == stored.proof_digests(REPOSITORY)


def test_remove_repository_takes_the_proof_and_nothing_else(stored: Storage) -> None:
    """Fails if another repository or its blobs go too, or an empty folder of the proof stays."""
    theirs = push(stored, "runbook/theirs", "1", {})
    before = listed(stored)
    push(stored, REPOSITORY, "1", {})
    stored.remove_repository(REPOSITORY, stored.digests(REPOSITORY))
    assert before == listed(stored)
    assert theirs == stored.digests("runbook/theirs")
    again = push(stored, REPOSITORY, "1", {})
    stored.remove_repository(REPOSITORY, ())
    kept = set(listed(stored)) - set(before)
    assert {f"{digest.partition(':')[2]}/data" for digest in again} <= {"/".join(path.split("/")[-2:]) for path in kept}


def test_remove_repository_leaves_an_empty_storage_usable(stored: Storage) -> None:
    """Fails if the folder that the registry lists its catalog from goes with the last repository, or twice is once."""
    before = listed(stored)
    push(stored, REPOSITORY, "1", {})
    for _ in range(2):
        stored.remove_repository(REPOSITORY, stored.digests(REPOSITORY))
    assert before == listed(stored)
