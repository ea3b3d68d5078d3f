"""The versions of all parts, and what the host is."""

import os
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from runbook.model.parameters import Parameters
from runbook.record import versions
from tests.conftest import without_engine

PARTS = ["registry-runbook", "engine", "compose", "registry", "python"]


def compose_of(folder: Path, said: str) -> None:
    """Put a Docker client on the PATH whose Compose says this version."""
    path = folder / "docker"
    path.write_text(f'#!/bin/sh\n[ "$1" = compose ] || exit 1\necho asked >>{folder}/asked\necho {said}\n', "ascii")
    path.chmod(0o755)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be on a host without an engine, and return a folder that stands first on the PATH."""
    without_engine(monkeypatch)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_versions_names_each_part(nowhere: Path) -> None:
    """Fails if a part is left out, or a host without an engine is an error."""
    compose_of(nowhere, "2.26.1")
    found = versions.versions(Parameters())
    assert list(found) == PARTS
    assert found == {
        "registry-runbook": version("registry-runbook"),
        "engine": "none",
        "compose": "2.26.1",
        "registry": "none",
        "python": platform.python_version(),
    }


def test_versions_asks_again_only_for_what_there_was_not(nowhere: Path) -> None:
    """Fails if a run waits for what it knows, or does not learn what it has installed itself."""
    compose_of(nowhere, "2.26.1")
    found = versions.versions(Parameters(), {"engine": "20.10.24", "compose": "1.29.2", "registry": "none"})
    assert (found["engine"], found["compose"], found["registry"]) == ("20.10.24", "1.29.2", "none")
    assert not (nowhere / "asked").exists()
    assert versions.versions(Parameters(), {"compose": "none"})["compose"] == "2.26.1"


def test_versions_says_why_one_cannot_be_told(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if an engine that refuses this user ends the run that was proven before."""
    compose_of(nowhere, "2.26.1")

    def refuse(_seconds: float) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("runbook.system.docker.engine.connect", refuse)
    assert versions.versions(Parameters())["engine"] == "([Errno 13] Permission denied)"


def test_host_says_what_it_is(make_parameters: Callable[..., Parameters]) -> None:
    """Fails if a report of a fault does not say where it was, or an address that is not here ends the run."""
    found = versions.host(make_parameters())
    expected = (platform.node(), platform.release(), platform.machine())
    assert (found["name"], found["kernel"], found["architecture"]) == expected
    assert all(found.values())
    assert versions.host(make_parameters(address="192.0.2.77"))["address"].startswith("(")
