"""What a shell is offered, in the words that click is asked with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runbook import catalogue
from runbook.cli import completion
from runbook.cli.program import program
from runbook.model.parameters import Parameters
from runbook.record import folder
from tests.records import GOOD, record

PROGRAM = Path(sys.executable).with_name("registry-runbook")


def offered(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], line: str) -> list[str]:
    """Return what bash is offered at the end of a line."""
    words = line.split(" ")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    monkeypatch.setenv("_REGISTRY_RUNBOOK_COMPLETE", "bash_complete")
    with pytest.raises(SystemExit) as ended:
        program.main(["run"], prog_name="registry-runbook", standalone_mode=False)
    assert ended.value.code == 0
    return [item.partition(",")[2] for item in capsysbinary.readouterr().out.decode().splitlines() if item]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("./script/run 60", ["60-push-pull"], id="notebook"),
        pytest.param("./script/run run 60", ["60-push-pull"], id="notebook-of-run"),
        pytest.param("./script/run 10-host --dry-run 60", ["60-push-pull"], id="second-notebook"),
        pytest.param("./script/run comp", ["completion"], id="command"),
        pytest.param("./script/run --dry", ["--dry-run"], id="option"),
        pytest.param("./script/run run -p log", ["log_level"], id="name"),
        pytest.param("./script/run -p log", ["log_level"], id="name-without-run"),
        pytest.param("./script/run plan --parameters log", ["log_level"], id="name-of-plan"),
        pytest.param("./script/run run -p log_level ", ["error", "warn", "info", "debug"], id="values"),
        pytest.param("./script/run -p port 5443 -p log_level w", ["warn"], id="value-without-run"),
        pytest.param("./script/run plan -p delete_enabled t", ["true"], id="yes-or-no"),
        pytest.param("./script/run -p domain re", [], id="any-value"),
        pytest.param("./script/run -p nothing x", [], id="value-of-nothing"),
        pytest.param("./script/run completion ", ["bash", "zsh", "fish"], id="shells"),
    ],
)
def test_completion_offers_what_fits(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], line: str, expected: list[str]
) -> None:
    """Fails if a name that is right is not offered, or one that a run would refuse is."""
    assert expected == offered(monkeypatch, capsysbinary, line)


def test_completion_offers_all_there_is(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    """Fails if a notebook, a command, a parameter or a run is left out."""
    first = offered(monkeypatch, capsysbinary, "./script/run ")
    assert [name for name in (*program.commands, *catalogue.names()) if name not in first] == []
    assert list(Parameters.model_fields) == offered(monkeypatch, capsysbinary, "./script/run -p ")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    kept = tmp_path / "registry-runbook" / "20260102T000000.000000"
    kept.mkdir(parents=True)
    folder.write(record(GOOD), kept)
    assert [kept.name] == offered(monkeypatch, capsysbinary, "./script/run report ")


def test_bash_completes_as_one_types(tmp_path: Path) -> None:
    """Fails if bash refuses the script, or it does not complete the commands that the README names.

    The others are tried in tests/hosts/test_shells.py.
    """
    script = tmp_path / "completion"
    script.write_text(completion.script(program, "bash"), encoding="utf-8")
    typed = f"""
        set -u; source {script}
        for command in registry-runbook ./script/run {catalogue.PROJECT}/script/run; do
            COMP_WORDS=("$command" 60); COMP_CWORD=1; COMPREPLY=()
            found=$(complete -p "$command"); found=${{found#*-F }}; "${{found%% *}}" "$command" 60 "$command"
            echo "${{COMPREPLY[@]}}"
        done
    """
    elsewhere = {"PATH": os.environ["PATH"].replace(str(PROGRAM.parent), "/nowhere")}
    argv = ["bash", "--norc", "-c", typed]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, cwd=tmp_path, env=os.environ | elsewhere, timeout=60
    )
    assert (done.stderr, done.stdout.split()) == ("", ["60-push-pull"] * 3)
