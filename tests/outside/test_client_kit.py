"""The kit for another host: its script as plain shell, and an image whose digest is known before it is pushed."""

import gzip
import hashlib
import io
import json
import re
import subprocess
import tarfile

import pytest

from runbook.outside import client_kit

SCRIPT = client_kit.script(
    registry="registry.test:8443", name="registry.test", address="192.168.1.2", reference="a/b:1"
)


def test_image_is_always_the_same() -> None:
    """Fails if a kit that was handed out is refused its image after the runbook was run again, on whatever host."""
    assert client_kit.image() == client_kit.image()
    assert client_kit.image().digest == "sha256:3495d67ea929c24ae2f9695851ab57aaf5aa6d16ad160a7c2b088d17b650ad73"


def test_image_is_one_that_an_engine_takes() -> None:
    """Fails if a digest or size in the manifest is not that of its blob, or the layer is not what the image says."""
    image = client_kit.image()
    layer, configuration = image.blobs
    manifest = json.loads(image.manifest)
    described = [(item["digest"], item["size"]) for item in (*manifest["layers"], manifest["config"])]
    assert described == [(f"sha256:{hashlib.sha256(blob).hexdigest()}", len(blob)) for blob in (layer, configuration)]
    unpacked = gzip.decompress(layer)
    assert json.loads(configuration)["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(unpacked).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
        assert [(entry.name, entry.mtime, entry.uid) for entry in archive] == [("client-check", 0, 0)]


def test_script_says_which_registry_and_image() -> None:
    """Fails if a value is left out of the script, or stands in another place."""
    lines = ("registry=registry.test:8443", "name=registry.test", "address=192.168.1.2", "image=a/b:1")
    assert set() == {*lines, f"digest={client_kit.image().digest}"} - set(SCRIPT.splitlines())
    assert re.findall("@[a-z]+@", SCRIPT) == []
    assert client_kit.digest_in(SCRIPT) == client_kit.image().digest
    assert client_kit.digest_in("#!/bin/sh\n") == ""


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_script_is_plain_shell(shell: str) -> None:
    """Fails if a shell that is /bin/sh somewhere cannot read the script."""
    done = subprocess.run([shell, "-n"], input=SCRIPT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_fingerprint_is_written_as_openssl_does() -> None:
    """Fails if what the operator reads out cannot be compared with what openssl prints."""
    assert client_kit.fingerprint_text("00ff1a") == "sha256 Fingerprint=00:FF:1A\n"


def test_manifest_path_is_the_api_s() -> None:
    """Fails if another tag or repository is asked for."""
    assert client_kit.manifest_path("a/b:1.2") == "/v2/a/b/manifests/1.2"
