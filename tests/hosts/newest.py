"""The registry's newest release, built by Go from its source into an image that is laid out as the official one."""

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

from .images import has_image, tag
from .lab import Host
from .machine import alone, execute

VERSION = "3.1.2"
REFERENCE = f"registry:{VERSION}"
MODULE = f"github.com/distribution/distribution/v3/cmd/registry@v{VERSION}"
# The official image's own files (github.com/distribution/distribution-library-image).
ENTRY_POINT = """#!/bin/sh
set -e
case "$1" in
    *.yaml|*.yml) set -- registry serve "$@" ;;
    serve|garbage-collect|help|-*) set -- registry "$@" ;;
esac
exec "$@"
"""
CONFIGURATION = """version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""
SETTINGS = (
    'ENTRYPOINT ["/entrypoint.sh"]',
    'CMD ["/etc/distribution/config.yml"]',
    "EXPOSE 5000",
    "VOLUME /var/lib/registry",
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)


def build(folder: Path, module: str = MODULE, *options: str) -> Path:
    """Return a program that links nothing, built by Go; skip where Go, or what it needs, cannot be had."""
    if shutil.which("go") is None:
        pytest.skip(f"no Go on this machine, to build {module}")
    environment = os.environ | {"GOBIN": str(folder), "CGO_ENABLED": "0"}
    argv = ("timeout", "900", "go", "install", *options, module)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"{module} cannot be had: {(done.stderr.strip() or 'no end in 900 s').splitlines()[-1]}")
    return folder / module.partition("@")[0].rpartition("/")[2]


def ensure_registry() -> str:
    """Return the name of the image on this machine's engine, made on first use."""
    reference = tag("registry", f"{MODULE}{ENTRY_POINT}{CONFIGURATION}{SETTINGS} with libraries")
    with alone("newest"):
        if has_image(reference):
            return reference
        with tempfile.TemporaryDirectory() as name:
            program, root = build(Path(name)), Path(name, "root")
            for path in ("bin", "tmp", "etc/distribution", "var/lib/registry"):
                (root / path).mkdir(parents=True)
            shutil.copy(program, root / "bin" / "registry")
            busybox = shutil.which("busybox") or ""
            shutil.copy(busybox, root / "bin" / "busybox")
            for library in re.findall(r"/\S+", execute("ldd", busybox, check=False).stdout):  # none of a static one
                place = root / library.removeprefix("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, place)
            for applet in ("sh", "wget", "rm", "rmdir", "cat", "ls"):
                (root / "bin" / applet).symlink_to("busybox")
            (root / "entrypoint.sh").write_text(ENTRY_POINT, encoding="ascii")
            (root / "entrypoint.sh").chmod(0o755)
            (root / "etc/distribution/config.yml").write_text(CONFIGURATION, encoding="ascii")
            archive = Path(name, "image.tar")
            with tarfile.open(archive, "w") as opened:
                opened.add(root, arcname=".")
            changes = [word for setting in SETTINGS for word in ("--change", setting)]
            execute("docker", "import", *changes, str(archive), reference, timeout_seconds=120)
    return reference


def load(host: Host) -> None:
    """Give a host the image under the name that the public registry has it by, as a pull would have left it."""
    reference = ensure_registry()
    saved = f"docker save {reference} | docker exec --interactive {host.name} docker load"
    execute("sh", "-c", saved, timeout_seconds=300)
    host.run("docker", "tag", reference, REFERENCE)
    host.run("docker", "image", "rm", reference)
