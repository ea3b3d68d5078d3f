"""The kit for other hosts: the files in its folder, and the small image that it pulls as a test.

Source: Docker Image Manifest V2, Schema 2, the only format that old engines such as that of CentOS 7 accept.
"""

import hashlib
import io
import json
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from runbook.model.value_types import split_reference

CERTIFICATE, FINGERPRINT, SCRIPT = "ca.crt", "ca.crt.fingerprint", "trust-registry.sh"
MARK = "Written by registry-runbook, notebook 70-clients."
FILES = (CERTIFICATE, FINGERPRINT, SCRIPT)  # the script is removed last, since it identifies a kit folder
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_TEMPLATE = Path(__file__).with_name(SCRIPT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """An image to push: its blobs and the manifest that lists them."""

    blobs: tuple[bytes, ...]
    manifest: bytes

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return digest(self.manifest)


def digest(content: bytes) -> str:
    """Return a registry's digest of a content: `sha256:` and the hexadecimal hash."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image() -> Image:
    """Return the kit's image. It is reproducible, so its digest is known before it is pushed."""
    archive = io.BytesIO()
    text = b"registry-runbook: what the script of 70-clients pulls\n"
    with tarfile.open(fileobj=archive, mode="w") as layers:
        entry = tarfile.TarInfo("client-check")
        entry.size, entry.mode = len(text), 0o644
        layers.addfile(entry, io.BytesIO(text))
    gzip = zlib.compressobj(0, wbits=31)  # stored, not compressed: the same bytes with every version of zlib
    layer = gzip.compress(archive.getvalue()) + gzip.flush()
    configuration = _json(
        {
            "architecture": "amd64",
            "config": {"Cmd": ["/client-check"]},
            "created": "1970-01-01T00:00:00Z",
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "registry-runbook"}],
            "os": "linux",
            "rootfs": {"diff_ids": [digest(archive.getvalue())], "type": "layers"},
        }
    )
    manifest = {
        "config": _descriptor("application/vnd.docker.container.image.v1+json", configuration),
        "layers": [_descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)],
        "mediaType": MANIFEST_TYPE,
        "schemaVersion": 2,
    }
    return Image(blobs=(layer, configuration), manifest=_json(manifest))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"digest": digest(blob), "mediaType": media_type, "size": len(blob)}


def script(*, registry: str, name: str, address: str, reference: str) -> str:
    """Return the kit's script for a registry HOST[:PORT], its name and address, and the image as REPOSITORY:TAG."""
    values = {"registry": registry, "name": name, "address": address, "image": reference, "digest": image().digest}
    text = _TEMPLATE.read_text(encoding="ascii")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def digest_in(text: str) -> str:
    """Return the digest of the image that a script expects, or an empty text."""
    return next((line.removeprefix("digest=") for line in text.splitlines() if line.startswith("digest=")), "")


def manifest_path(reference: str) -> str:
    """Return the path of the image's manifest in a registry's API."""
    repository, tag = split_reference(reference)
    return f"/v2/{repository}/manifests/{tag}"


def fingerprint_text(fingerprint: str) -> str:
    """Return a hexadecimal SHA-256 as `openssl x509 -noout -fingerprint -sha256` prints it."""
    return f"sha256 Fingerprint={bytes.fromhex(fingerprint).hex(':').upper()}\n"
