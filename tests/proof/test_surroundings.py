"""What stands around the registry, as far as no engine is needed for it: rows, keys, and whose mounts reach it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from runbook.model.parameters import Parameters
from runbook.proof import surroundings
from runbook.proof.surroundings import Claim, NotVisibleError

NOBODY = DockerClient(base_url="tcp://127.0.0.1:1", version="1.41")
KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----\n"


def nothing_seen(*_: Any) -> list[str]:  # noqa: ANN401 (a stand-in for what takes anything)
    """See nothing, and say why."""
    raise NotVisibleError("no engine here")


@pytest.mark.parametrize(
    ("find", "passed", "found"),
    [
        pytest.param(lambda *_: [], True, "nothing", id="holds"),
        pytest.param(lambda *_: ["a", "b"], False, "a; b", id="does-not-hold"),
        pytest.param(nothing_seen, True, "not looked at: no engine here", id="not-seen"),
    ],
)
def test_check_makes_a_row_of_a_claim(find: Callable[..., list[str]], *, passed: bool, found: str) -> None:
    """Fails if what speaks against a claim passes, or what could not be looked at is not told."""
    row = surroundings.check(NOBODY, Parameters(), Claim(claim="c", find=find, remedy="r"))
    assert (passed, found, True) == (row.passed, row.found, row.refusal)


def test_exposed_keys_are_those_beside_the_server_s(
    make_parameters: Callable[..., Parameters], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if a key that a container gets passes, or the server's own, or what somebody has pushed, does not."""
    monkeypatch.setattr(surroundings, "_require_here", nothing_seen)
    kit, data = tmp_path / "kit", tmp_path / "data"
    parameters = make_parameters(
        client_kit_directory=str(kit), basic_data_directory=str(data), own_key_file=f"{tmp_path}/registry/mine.key"
    )
    mounted = Path(parameters.configuration_directory)
    pushed = data / "docker" / "registry" / "v2" / "blobs" / "data"
    for path in (parameters.certificate_path, mounted / "mine.key", pushed):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"certificate\n{KEY}", encoding="ascii")
    (mounted / "link.key").symlink_to(parameters.certificate_path)
    (mounted / "certificate.pem").write_text(KEY.replace("PRIVATE KEY", "CERTIFICATE"), encoding="ascii")
    assert surroundings.exposed_keys(NOBODY, parameters) == []
    exposed = [mounted / "ssl" / "old.pem", mounted / "notes", kit / "ca.key", data / "docker.key"]
    for path in exposed:
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"notes\n{KEY}", encoding="ascii")
    assert sorted(map(str, exposed)) == sorted(surroundings.exposed_keys(NOBODY, parameters))


@pytest.mark.parametrize(
    ("source", "writable", "expected"),
    [
        pytest.param("/etc/docker/registry", False, True, id="itself"),
        pytest.param("/etc/docker/registry/ssl", False, True, id="in-it"),
        pytest.param("/etc", True, True, id="above-it"),
        pytest.param("/", False, False, id="above-it-read-only"),
        pytest.param("/etc/docker/registry-else", True, False, id="beside-it"),
        pytest.param("/run/docker.sock", True, False, id="elsewhere"),
    ],
)
def test_mount_reaches_what_lies_in_it_or_above_it(source: str, *, writable: bool, expected: bool) -> None:
    """Fails if a container with the registry's folders passes, or one that watches the host is taken for one."""
    mount = {"Source": source, "RW": writable}
    assert expected is surroundings._reaches(mount, [Path("/etc/docker/registry")])  # noqa: SLF001 (its table)
