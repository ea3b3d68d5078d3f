"""Other programs: how they are called, and what is said when one fails."""

import contextlib
import time
from pathlib import Path

import psutil
import pytest

from runbook.model.errors import CommandError, NotReadyError
from runbook.system.host import commands


def test_run_gives_code_and_both_streams() -> None:
    """Fails if a stream is lost, or the two are mixed up."""
    found = commands.run("sh", "-c", "echo out; echo err >&2; exit 3", allowed=None)
    assert (found.code, found.output, found.error, found.text) == (3, "out\n", "err\n", "out\nerr")
    assert commands.run("true").text == ""


@pytest.mark.parametrize(
    ("output", "error", "expected"),
    [("a\nb \n", "", "b"), ("a", "c\nd\n", "d"), ("", "", "exit code 3"), (" \n", "\n", "exit code 3")],
)
def test_last_line_is_there_without_output(output: str, error: str, expected: str) -> None:
    """Fails with a traceback, or an empty reason, for a program that fails silently."""
    assert commands.Completed(code=3, output=output, error=error).last_line == expected


def test_run_takes_arguments_as_they_are() -> None:
    """Fails if a shell reads an argument."""
    assert commands.run("printf", "%s|", "$HOME", "a b", "; false").output == "$HOME|a b|; false|"


def test_run_passes_input_folder_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a secret would have to go through an argument, or the operator's language changes the messages."""
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("KEPT", "kept")
    found = commands.run(
        "sh", "-c", "cat; pwd; echo $LC_ALL $KEPT $GIVEN", stdin="s3cr3t\n", folder=tmp_path, environment={"GIVEN": "x"}
    )
    assert ["s3cr3t", str(tmp_path), "C kept x"] == found.output.splitlines()


def test_run_passes_no_secret_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if another program, and an engine for as long as it runs, has a password of ours in its environment."""
    monkeypatch.setenv("RUNBOOK_PASSWORD", "c4n4ry")
    monkeypatch.setenv("RUNBOOK_CA_PASSPHRASE", "c4n4ry")
    assert "c4n4ry" not in commands.run("env").output


@pytest.mark.parametrize(
    "name",
    [
        *("PYTHONPATH", "PYTHONHOME", "COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"),
        *("DOCKER_API_VERSION", "DOCKER_CONTENT_TRUST", "DOCKER_DEFAULT_PLATFORM", "DOCKER_TLS_VERIFY"),
        *("DOCKER_TLS", "DOCKER_CERT_PATH"),
    ],
)
def test_run_passes_nothing_that_changes_a_program(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if what the operator has set for another program makes Docker, or Compose in Python, do another thing."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv(name, "1")
    assert f"{name}=" not in commands.run("env").output


def test_run_passes_which_engine_is_asked_and_a_folder_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if the client asks another engine than this program, in clear text, or has no place for its files."""
    known = {"DOCKER_HOST": "tcp://h:2376", "DOCKER_CONTEXT": "c", "DOCKER_CONFIG": "/c", "DOCKER_TLS_VERIFY": "1"}
    for name, value in {**known, "TMPDIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    given = commands.passed_environment()
    assert {**known, "TMPDIR": str(tmp_path)} == {name: given[name] for name in (*known, "TMPDIR")}
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    assert "TMPDIR" not in commands.passed_environment()


def test_run_reads_output_that_is_no_text() -> None:
    """Fails if a program's stray byte ends in a traceback."""
    assert commands.run("printf", r"a\377b").output == "a\ufffdb"


@pytest.mark.parametrize(
    ("allowed", "code"), [pytest.param(frozenset({0, 1}), 1, id="listed"), pytest.param(None, 7, id="any")]
)
def test_run_returns_a_code_that_is_allowed(allowed: frozenset[int] | None, code: int) -> None:
    """Fails if an exit code that is an answer is taken for a failure."""
    assert code == commands.run("sh", "-c", f"exit {code}", allowed=allowed).code


def test_run_raises_with_command_code_and_words() -> None:
    """Fails if a failed command passes, or its own words are not in the message."""
    with pytest.raises(CommandError, match=r"`sh -c .*` to succeed; found exit code 3: out\nwhy"):
        commands.run("sh", "-c", "echo out; echo why >&2; exit 3", allowed=frozenset({0, 1}))


def test_run_names_a_program_that_is_not_there() -> None:
    """Fails if a missing program ends in a traceback."""
    with pytest.raises(CommandError, match="the program no-such-program; found it is not on this host"):
        commands.run("no-such-program", "--version", allowed=None)


def test_run_ends_at_the_deadline() -> None:
    """Fails if a program that hangs is waited for, also where one that it has started holds its output open."""
    started = time.monotonic()
    with pytest.raises(NotReadyError, match=r"`sh -c sleep 5 & wait` to end; found still running after 0.1 s"):
        commands.run("sh", "-c", "sleep 5 & wait", timeout_seconds=0.1)
    assert time.monotonic() - started < 2


def test_run_leaves_nothing_behind_at_the_deadline(tmp_path: Path) -> None:
    """Fails if what a program has started works on unseen, or what ends politely is not let clean up."""
    script = f"trap 'touch {tmp_path}/cleaned; exit' TERM; sleep 300 & echo $! >{tmp_path}/started; wait"
    with pytest.raises(NotReadyError):
        commands.run("sh", "-c", script, timeout_seconds=3)
    assert (tmp_path / "cleaned").exists()
    with contextlib.suppress(psutil.NoSuchProcess):  # it is dead, and may not have been reaped yet
        psutil.Process(int((tmp_path / "started").read_text(encoding="ascii"))).wait(timeout=60)
