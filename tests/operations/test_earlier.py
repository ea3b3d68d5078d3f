"""What an earlier version has made, told by its marks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.changes import ledger
from runbook.model.parameters import Parameters
from runbook.operations import earlier
from runbook.system.certificates import tls
from runbook.system.docker import engine
from runbook.system.host import files, yaml_text
from tests import chains
from tests.hosts.product import make_files


def marked(parameters: Parameters, monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Return the files below the test's own folder that are taken for the runbook's, on a host without an engine."""
    monkeypatch.setattr(engine, "is_installed", lambda: False)
    below = Path(parameters.private_directory).parent
    found = [Path(item.thing.name) for item in earlier.find(parameters) if item.thing.kind == "file"]
    return {path for path in found if path.is_relative_to(below)}


def test_find_takes_files_by_their_mark_alone(
    make_parameters: Callable[..., Parameters], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fails if a file of somebody else's, at a place of the runbook's, is taken for its own, or one of its own is not.

    A link, or what is no text, is somebody else's too.
    """
    parameters = make_parameters(client_kit_directory=f"{tmp_path}/kit")
    pair, kit = parameters.certificate_path, Path(parameters.client_kit_directory)
    configuration, compose_file = parameters.configuration_path, parameters.compose_path
    make_files(parameters)
    private = {parameters.ca_key_path, parameters.ca_certificate_path, parameters.http_secret_path}
    private |= {parameters.password_path}
    private = {path for path in private if path.exists()}
    assert marked(parameters, monkeypatch) == {configuration, pair, parameters.htpasswd_path, *private}

    chain = chains.issue(parameters.domain)
    compose_file.write_text("services: {}\n", encoding="ascii")
    kit.mkdir()
    (kit / "ca.crt").write_text("theirs\n", encoding="ascii")
    (kit / "trust-registry.sh").write_text("#!/bin/sh\n", encoding="ascii")
    chains.write(pair, tls.key_text(chain.key).decode() + chains.text(chain.server))
    configuration.write_bytes(b"# B\xfcro\nversion: 0.1\n")
    assert marked(parameters, monkeypatch) == set()

    compose_file.write_text(f"{yaml_text.HEADER}services: {{}}\n", encoding="ascii")
    configuration.rename(tmp_path / "theirs")
    configuration.symlink_to(compose_file)
    assert marked(parameters, monkeypatch) == {compose_file, *private}


def test_find_takes_folders_that_hold_nothing_else_and_what_was_kept(
    make_parameters: Callable[..., Parameters], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if a folder with a file of somebody else's is taken, or the version that was kept is forgotten."""
    monkeypatch.setattr(engine, "is_installed", lambda: False)
    parameters = make_parameters()
    make_files(parameters)
    kept = files.backup_path(parameters.configuration_path)
    kept.write_text("theirs\n", encoding="ascii")
    found = {item.thing.name: item for item in earlier.find(parameters)}
    assert found[str(parameters.configuration_path)].kept == kept
    assert str(kept) in found
    private = parameters.ca_key_path.parent
    assert found[str(private)].thing.kind == "folder"
    (private / "theirs").touch()
    assert str(private) not in {item.thing.name for item in earlier.find(parameters)}


def test_find_gives_nothing_where_a_ledger_is_begun(
    make_parameters: Callable[..., Parameters], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if marks count beside a ledger, which knows better."""
    monkeypatch.setattr(engine, "is_installed", lambda: False)
    parameters = make_parameters()
    make_files(parameters)
    assert earlier.find(parameters)
    ledger.FOLDER.mkdir()
    assert earlier.find(parameters) == ()
