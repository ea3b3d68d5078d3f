"""Checks of the engine's own files."""

import os
from pathlib import Path

import pytest

from runbook.diagnosis import engine_checks
from runbook.diagnosis.situation import look

from .situations import situation

THIS = "of this process"


@pytest.mark.parametrize(
    ("text", "confirmed"), [(None, False), ("", False), ("no number", False), (THIS, True), ("4194305", True)]
)
def test_file_of_an_engine_s_process_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, *, confirmed: bool
) -> None:
    """Fails if the number of a process that is no engine, or none, is not said to be left over."""
    monkeypatch.setattr(engine_checks, "PID_FILE", tmp_path / "docker.pid")
    if text is not None:
        (tmp_path / "docker.pid").write_text(text.replace(THIS, str(os.getpid())), encoding="ascii")
    assert look(engine_checks.pid_file_left, situation()).confirmed is confirmed


@pytest.mark.parametrize(
    ("message", "file", "confirmed"),
    [
        ("unknown or invalid runtime name: nvidia", None, True),
        ("Unknown runtime specified nvidia", "{}", True),
        ("unknown or invalid runtime name: nvidia", '{"runtimes": {"nvidia": {"path": "n"}}}', False),
        ("", '{"default-runtime": "crun"}', True),
        ("", '{"default-runtime": "runc"}', False),
    ],
)
def test_runtime_that_is_missing_is_named(message: str, file: str | None, *, confirmed: bool) -> None:
    """Fails if a runtime that is asked for, and not there, is not confirmed; or one that is."""
    given = situation(message, daemon_json=file, _engine=(None, "none answers"))
    assert look(engine_checks.runtime_missing, given).confirmed is confirmed
