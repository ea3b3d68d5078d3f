"""The kit for another host: what is in its folder, and the small image that it pulls as its proof.

Source: Docker Image Manifest V2, Schema 2: old engines, that of CentOS 7 among them, take no other.
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
FILES = (CERTIFICATE, FINGERPRINT, SCRIPT)  # the script is the last to go: by it, a folder is known for a kit
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_TEMPLATE = Path(__file__).with_name(SCRIPT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """An image as a registry takes it: its blobs, then the manifest that names them."""

    blobs: tuple[bytes, ...]
    manifest: bytes

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return digest(self.manifest)


def digest(content: bytes) -> str:
    """Return the digest by which a registry knows a content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image() -> Image:
    """Return the kit's image: always the same bytes, so that its digest is known before it is pushed."""
    archive = io.BytesIO()
    text = b"registry-runbook: what the script of 70-clients pulls\n"
    with tarfile.open(fileobj=archive, mode="w") as layers:
        entry = tarfile.TarInfo("client-check")
        entry.size, entry.mode = len(text), 0o644
        layers.addfile(entry, io.BytesIO(text))
    stored = zlib.compressobj(0, wbits=31)  # gzip, uncompressed: no other version of zlib makes other bytes of it
    layer = stored.compress(archive.getvalue()) + stored.flush()
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
        "config": _described("application/vnd.docker.container.image.v1+json", configuration),
        "layers": [_described("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)],
        "mediaType": MANIFEST_TYPE,
        "schemaVersion": 2,
    }
    return Image(blobs=(layer, configuration), manifest=_json(manifest))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _described(media_type: str, blob: bytes) -> dict[str, object]:
    return {"digest": digest(blob), "mediaType": media_type, "size": len(blob)}


def script(*, registry: str, name: str, address: str, reference: str) -> str:
    """Return the kit's script for a registry HOST[:PORT], its name and address, and REPOSITORY:TAG of the image."""
    values = {"registry": registry, "name": name, "address": address, "image": reference, "digest": image().digest}
    text = _TEMPLATE.read_text(encoding="ascii")
    for known, value in values.items():
        text = text.replace(f"@{known}@", value)
    return text


def digest_in(text: str) -> str:
    """Return the digest that a script expects of the image; empty where it expects none."""
    found = [line.removeprefix("digest=") for line in text.splitlines() if line.startswith("digest=")]
    return found[0] if found else ""


def manifest_path(reference: str) -> str:
    """Return the path of the image's manifest in a registry's API."""
    repository, tag = split_reference(reference)
    return f"/v2/{repository}/manifests/{tag}"


def fingerprint_text(fingerprint: str) -> str:
    """Return a SHA-256 in hexadecimal as `openssl x509 -noout -fingerprint -sha256` prints it."""
    pairs = [fingerprint[at : at + 2] for at in range(0, len(fingerprint), 2)]
    return f"sha256 Fingerprint={':'.join(pairs).upper()}\n"
