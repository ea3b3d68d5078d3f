"""What has the name of Docker's client and is none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.model.errors import HostError
from runbook.system.docker import lookalikes

PODMAN = """#!/usr/bin/sh
[ -e /etc/containers/nodocker ] || echo "Emulate Docker CLI using podman." >&2
exec /usr/bin/podman "$@"
"""  # that of the package podman-docker


def give(folder: Path, name: str, text: str = "") -> Path:
    """Put a program into a folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")
    path.chmod(0o755)
    return path


def as_podman_script(folder: Path) -> Path:
    """Put Podman's script in the place of the client."""
    return give(folder, "bin/docker", PODMAN)


def as_link_to_podman(folder: Path) -> Path:
    """Put a link to Podman in the place of the client."""
    (folder / "bin").mkdir()
    (folder / "bin" / "docker").symlink_to(give(folder, "podman"))
    return folder / "bin" / "docker"


def as_snap(folder: Path) -> Path:
    """Put snap's client in the place of Docker's."""
    return give(folder, "snap/bin/docker")


def as_docker(folder: Path) -> Path:
    """Put a program there that is no script."""
    return give(folder, "bin/docker", "\x7fELF exec podman")


def as_wrapper(folder: Path) -> Path:
    """Put a script there that calls Docker, and speaks of Podman."""
    return give(folder, "bin/docker", '#!/bin/sh\n# not podman\nexec /opt/docker "$@"\n')


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (as_podman_script, "starts Podman"),
        (as_link_to_podman, "starts Podman"),
        (as_snap, "is the snap's"),
        (as_docker, None),
        (as_wrapper, None),
    ],
)
def test_find_knows_what_only_looks_like_docker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: Callable[[Path], Path], expected: str | None
) -> None:
    """Fails if Podman's script or snap's client is taken for Docker's, or a client of Docker's for one of them."""
    monkeypatch.setattr(lookalikes, "_SNAP", tmp_path / "snap")
    monkeypatch.setenv("PATH", str(how(tmp_path).parent))
    found = lookalikes.find()
    assert (found is None) is (expected is None)
    if expected is None:
        lookalikes.refuse(found)
    else:
        with pytest.raises(HostError, match=expected):
            lookalikes.refuse(found)
