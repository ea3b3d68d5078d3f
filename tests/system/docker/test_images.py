"""The registry's image from a file: what is refused before the engine is asked."""

import io
import json
import os
import tarfile
from pathlib import Path

import docker
import pytest

from runbook.model.errors import HostError
from runbook.system.docker import images


def save_file(path: Path, members: dict[str, bytes]) -> Path:
    """Write a tar of these members."""
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def manifest(*tags: str) -> dict[str, bytes]:
    """Return what `docker save` writes beside the layers."""
    return {"manifest.json": json.dumps([{"Config": "0.json", "RepoTags": list(tags) or None, "Layers": []}]).encode()}


@pytest.mark.parametrize(
    ("members", "found", "remedy"),
    [
        pytest.param(None, "No such file", "save the image again", id="absent"),
        pytest.param({}, "manifest.json", "save the image again", id="another-tar"),
        pytest.param({"manifest.json": b"{"}, "Expecting property name", "save the image again", id="cut-short"),
        pytest.param({"manifest.json": b"[" * 100_000}, "levels", "save the image again", id="too-deep"),
        pytest.param({"manifest.json": b"{}"}, "no tag", "set registry_image to its tag", id="no-image"),
        pytest.param({"manifest.json": b"[1]"}, "not subscriptable", "save the image again", id="other-data"),
        pytest.param({"manifest.json": b"[{}]"}, "RepoTags", "save the image again", id="no-tags"),
        pytest.param(manifest(), "no tag", "set registry_image to its tag", id="saved-by-identifier"),
        pytest.param(manifest("registry:2"), "registry:2", "set registry_image to its tag", id="another-image"),
    ],
)
def test_load_refuses_archive(tmp_path: Path, members: dict[str, bytes] | None, found: str, remedy: str) -> None:
    """Fails where a file that is no `docker save` of this image is given to the engine, or its fault is not named."""
    path = tmp_path / "registry.tar"
    if members is not None:
        save_file(path, members)
    wanted = images.Wanted(reference="registry:3.1.2", digest="", archive=str(path))
    nowhere = docker.DockerClient(base_url="unix:///nowhere", version="1.41")
    with pytest.raises(HostError) as refused:
        images.load(nowhere, wanted)
    assert found in refused.value.found
    assert refused.value.remedy == remedy


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_load_refuses_what_is_no_regular_file(tmp_path: Path, kind: str) -> None:
    """Fails if a named pipe, or a device without an end, is waited for."""
    path = Path("/dev/zero") if kind == "device" else tmp_path / "pipe"
    if kind == "pipe":
        os.mkfifo(path)
    wanted = images.Wanted(reference="registry:2", digest="", archive=str(path))
    with pytest.raises(HostError, match=r"a docker save file at .*; found no regular file"):
        images.load(docker.DockerClient("tcp://127.0.0.1:1", version="1.41"), wanted)
