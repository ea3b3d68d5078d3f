"""The program: what it prints, what it exits with, and that an error is no traceback."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runbook import catalogue
from runbook.changes import deployment, ledger
from runbook.cli import program
from runbook.diagnosis import page
from runbook.display import overview
from runbook.jupyter import server
from runbook.model.parameters import Parameters, schema
from runbook.record import folder, model
from runbook.system.host import lock, own_code
from tests.conftest import somebody_else, without_engine
from tests.records import BAD, GOOD, record


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the program ended with, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Return the function that calls the program; whatever engine this machine has, it is not the one asked."""
    without_engine(monkeypatch)

    def answer(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["registry-runbook", *arguments])
        code: object = 0
        try:
            program.main()
        except SystemExit as ended:
            code = ended.code
        found = capsys.readouterr()
        return Answer(code=int(str(code)), out=found.out, err=found.err)

    return answer


def call_as_users_do(*arguments: str) -> Answer:
    """Call the program in a process of its own."""
    nowhere = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
    argv = [sys.executable, "-m", "runbook", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=os.environ | nowhere, timeout=120)
    return Answer(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["--help"], ["run", "plan", "report", "runs", "parameters", "--version"], id="program"),
        pytest.param(["-h"], ["Usage:"], id="short"),
        pytest.param(["run", "--help"], ["--parameters-file", "--dry-run", "--output", "--json"], id="run"),
        pytest.param(["plan", "--help"], ["--parameters-file", "--json"], id="plan"),
        pytest.param(["prove", "--help"], ["--accept", "--url", "--no-image", "--install-timer"], id="prove"),
    ],
)
def test_help_names_what_there_is(call: Callable[..., Answer], arguments: list[str], expected: list[str]) -> None:
    """Fails if a command or an option is missing from the help, or help counts as a failure."""
    done = call(*arguments)
    assert (done.code, done.err) == (0, "")
    assert [word for word in expected if word not in done.out] == []


def test_list_gives_each_notebook_with_its_title(
    call: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fails if a notebook is missing, or the list depends on the folder that the program is called in."""
    monkeypatch.chdir(tmp_path)
    plain, data = call("list"), call("list", "--json")
    titles = json.loads(data.out)
    assert (plain.code, data.code) == (0, 0)
    assert catalogue.names() == list(titles)
    assert all(titles.values())
    assert [f"{name:20}  {title}" for name, title in titles.items()] == plain.out.splitlines()


def test_parameters_gives_name_type_default_and_help(call: Callable[..., Answer]) -> None:
    """Fails if what a user can set is not what the model takes."""
    plain, data = call("parameters"), call("parameters", "--json")
    assert (plain.code, data.code) == (0, 0)
    assert schema() == data.out
    lines = plain.out.splitlines()
    assert 'mode: apply | plan = "apply"' in lines
    assert "delete_enabled: boolean = true" in lines
    assert list(Parameters.model_fields) == [line.partition(":")[0] for line in lines[::2]]
    assert [field.description for field in Parameters.model_fields.values()] == [line.strip() for line in lines[1::2]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["run", "-p", "domian", "x.test"], "write domain, which is probably meant", id="near-name"),
        pytest.param(["plan", "-p", "domian", "x.test"], "write domain, which is probably meant", id="near-name-plan"),
        pytest.param(["run", "-p", "port", "no"], "for port: input should be a valid integer; found 'no'", id="type"),
        pytest.param(["run", "-p", "port", "0"], "on the command line with -p", id="where-on-the-command-line"),
        pytest.param(["run", "-f", "absent.yml"], "absent.yml: No such file or directory", id="no-file"),
        pytest.param(["run", "-f", "bad.yml"], "domian = 'x.test' (set in bad.yml)", id="where-in-the-file"),
        pytest.param(["run", "11-host"], "expected a notebook (00-index, 10-host", id="no-notebook"),
        pytest.param(["run", "--no-such-option"], "No such option", id="no-option"),
        pytest.param(["--no-such-option"], "No such option", id="no-option-of-run"),
        pytest.param(["11-host"], "expected a notebook (00-index, 10-host", id="no-notebook-of-run"),
        pytest.param(["completion", "tcsh"], "'tcsh' is not one of", id="no-shell"),
        pytest.param(["pln"], "No such command", id="no-command"),
        pytest.param(["run", "-p", "port"], "requires 2 arguments", id="no-value"),
    ],
)
def test_wrong_usage_exits_with_2(
    call: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    """Fails if a misspelt name or a wrong value runs, or its message does not say what is meant, on standard error."""
    (tmp_path / "bad.yml").write_text("domian: x.test\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    assert expected in done.err
    assert [tmp_path / "bad.yml"] == list(tmp_path.iterdir())


def test_version_names_all_parts(call: Callable[..., Answer]) -> None:
    """Fails if a report of a fault would not say what it is about, or asking for it needs an engine."""
    done = call("--version")
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert [line[0] for line in lines] == ["registry-runbook", "engine", "compose", "registry", "python"]
    assert (lines[1][1], lines[3][1]) == ("none", "none")


def below(folder: Path) -> list[str]:
    """Return the options that put all that a run makes below a folder, on ports that nobody has."""
    values = {"private_directory": f"{folder}/private", "configuration_directory": f"{folder}/registry"}
    ports = {"port": "64443", "basic_port": "64000"}
    return [word for name, value in (values | ports).items() for word in ("-p", name, value)]


def break_authority(folder: Path) -> Path:
    """Put a file that is no certificate where the authority's should be, and return its path."""
    path = folder / "private" / "ca" / "ca.crt"
    path.parent.mkdir(parents=True)
    path.write_text("no certificate", encoding="ascii")
    return path


def test_plan_gives_the_state_of_each_section(call: Callable[..., Answer], tmp_path: Path) -> None:
    """Fails if a section that waits for another keeps the others from being shown, or counts as a failure."""
    data, plain = call("plan", "--json", *below(tmp_path)), call("plan", *below(tmp_path))
    assert (data.code, plain.code, data.err, plain.err) == (0, 0, "", "")
    states = {item["notebook"]: item for item in json.loads(data.out)}
    assert overview.default_notebooks(Parameters()) == ["00-index", *states]
    expected = ["waits", "to do", "to do", "waits", "waits"]
    assert expected == [item["state"] for name, item in states.items() if name != "10-host"]
    assert "expected a Docker Engine that answers" in states["20-basic-registry"]["reason"]
    rows = [change["summary"] for item in states.values() for change in item["changes"]]
    heads = [f"{name}: {item['state']}" for name, item in states.items()]
    assert [line for line in (*rows, *heads) if line not in plain.out] == []
    assert list(tmp_path.iterdir()) == []


def test_plan_prints_commands(call: Callable[..., Answer], tmp_path: Path) -> None:
    """Fails if the commands are no script, or a section that waits is left out without a word."""
    script = call("plan", "--by-hand", *below(tmp_path)).out
    done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n# 20-basic-registry: expected a Docker Engine that answers" in script
    assert f"install -d -m 0700 {tmp_path}" in script
    assert list(tmp_path.iterdir()) == []


def test_plan_exits_with_1_where_a_section_refuses(call: Callable[..., Answer], tmp_path: Path) -> None:
    """Fails if a host that the runbook will not repair passes for one that it will, or the others are not shown."""
    broken = break_authority(tmp_path)
    done = call("plan", *below(tmp_path))
    assert done.code == 1
    assert "30-certificates: refuses" in done.out
    assert f"expected a certificate in {broken}" in done.out
    assert "40-configuration: to do" in done.out


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--ca", "x"], id="authority-without-url"),
        pytest.param(["--password-file", "x"], id="password-file-without-url"),
        pytest.param(["--days", "30"], id="days-without-url"),
        pytest.param(["--on-failure", "true"], id="command-without-timer"),
        pytest.param(["--url", "https://r.test"], id="url-without-user"),
        pytest.param(["--url", "https://r.test", "--username", "u", "-p", "port", "1"], id="url-with-parameters"),
        pytest.param(["--url", "http://r.test", "--username", "u"], id="url-without-tls"),
        pytest.param(["--install-timer", "--json"], id="timer-and-json"),
        pytest.param(["--install-timer", "--remove-timer"], id="timer-both-ways"),
        pytest.param(["-p", "domian", "r.test"], id="misspelt"),
    ],
)
def test_prove_that_cannot_be_meant_exits_with_2(call: Callable[..., Answer], arguments: list[str]) -> None:
    """Fails if options that do not belong together prove something else than was meant."""
    done = call("prove", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err


def test_prove_names_each_option_that_it_would_ignore(call: Callable[..., Answer]) -> None:
    """Fails if somebody believes that a proof used an option that it did not."""
    done = call("prove", "--ca", "x", "--password-file", "y", "--layer-megabytes", "2")
    assert "for a registry that --url names alone: --ca, --password-file, --layer-megabytes" in done.err
    assert "for --install-timer alone: --on-calendar" in call("prove", "--on-calendar", "weekly").err


def test_prove_exits_with_1_and_tells_each_section(call: Callable[..., Answer], tmp_path: Path) -> None:
    """Fails if a host without an engine ends in a traceback or without a section, or is taken for a proven one."""
    folders = [("private_directory", f"{tmp_path}/p"), ("configuration_directory", f"{tmp_path}/c")]
    given = [("domain", "r.test"), ("port", "44300"), ("timeout_seconds", "1"), *folders]
    words = [word for name, value in given for word in ("-p", name, value)]
    done = call("prove", *words, "--json", "--junit", f"{tmp_path}/proof.xml")
    told = json.loads(done.out)
    assert (done.code, told["passed"], told["accepted"]) == (1, False, None)
    assert [*overview.sections(Parameters()), "lasting"] == list(told["sections"])
    assert b"a Docker Engine that answers" in (tmp_path / "proof.xml").read_bytes()
    shown = call("prove", *words, "--no-image", "--accept")
    assert shown.code == 1
    assert "  expected a Docker Engine that answers\n  found none\n  To repair: run the notebook 10-host" in shown.out
    assert "Nothing was accepted: not all proofs hold." in shown.out
    assert not (tmp_path / "p").exists()


def test_prove_by_url_needs_a_password_that_nobody_else_sees(call: Callable[..., Answer], tmp_path: Path) -> None:
    """Fails if a proof without a password hangs at a prompt, or one is read that others may read."""
    known = ("prove", "--url", "https://127.0.0.1:1", "--username", "u")
    done = call(*known)
    assert (done.code, "expected a password in RUNBOOK_PASSWORD; found none" in done.err) == (3, True)
    (tmp_path / "password").write_text("secret\n", encoding="ascii")
    (tmp_path / "password").chmod(0o644)
    done = call(*known, "--password-file", f"{tmp_path}/password")
    assert (done.code, "to be for its owner alone (0600)" in done.err) == (3, True)
    (tmp_path / "password").chmod(0o600)
    done = call(*known, "--password-file", f"{tmp_path}/password", "--json")
    told = json.loads(done.out)
    assert (done.code, list(told["sections"])) == (1, ["certificate", "login"])
    assert "secret" not in done.out


def test_prove_that_cannot_look_exits_with_3(call: Callable[..., Answer], tmp_path: Path) -> None:
    """Fails if a proof that meets a run is told as one that does not hold, or waits for longer than it was told to."""
    argv = ("flock", str(lock.PATH), "sh", "-c", "echo held; cat")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        met = call("prove", *below(tmp_path), "--no-image", "--wait", "1")
        other.communicate()
    assert (met.code, met.out) == (3, "")
    assert f"expected no other run on this host within 1 s; found the process {other.pid} (" in met.err
    assert call("prove", *below(tmp_path), "--no-image").code == 1


def test_run_that_fails_exits_with_1_and_keeps_its_record(tmp_path: Path) -> None:
    """Fails if a failed notebook passes for a run, the next one is run after it, or others can read the record."""
    broken = break_authority(tmp_path)
    notebooks = ["40-configuration", "30-certificates", "60-push-pull"]
    done = call_as_users_do("run", *notebooks, "--dry-run", "--json", "--output", f"{tmp_path}/out", *below(tmp_path))
    assert done.code == 1
    found = json.loads(done.out)
    assert (found["passed"], [item["notebook"] for item in found["notebooks"]]) == (False, notebooks[:2])
    first, second = found["notebooks"]
    assert (first["error"], len(first["changes"]), first["outcomes"], first["results"]) == (None, 7, [], [])
    assert f"HostError: expected a certificate in {broken}" in second["error"]
    progress = done.err.splitlines()
    assert ["  ".join(line.split()[:2]) for line in progress] == [
        "begin  40-configuration",
        "done  40-configuration",
        "begin  30-certificates",
        "FAILED  30-certificates",
    ]
    records = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    made = {folder.DATA, folder.PAGE, folder.CASES, "30-certificates.ipynb", "40-configuration.ipynb"}
    assert records == dict.fromkeys(made, 0o600)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "out" / folder.DATA).read_text(encoding="utf-8") == done.out
    assert found["go_on"].split() == ["./script/run", *notebooks[1:], *below(tmp_path), "--dry-run"]
    assert {"out", "private"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("locale", "arguments", "expected"),
    [
        pytest.param("C", [], "en", id="default"),
        pytest.param("zh_CN.UTF-8", [], "zh", id="locale"),
        pytest.param("C", ["--language", "zh"], "zh", id="asked-for"),
        pytest.param("zh_CN.UTF-8", ["--language", "en"], "en", id="asked-for-against-the-locale"),
    ],
)
def test_lab_opens_the_notebooks_in_the_language_asked_for_or_the_locale(
    call: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, locale: str, arguments: list[str], expected: str
) -> None:
    """Fails if `--language` is ignored, or a Chinese locale is."""
    given: list[object] = []
    monkeypatch.setenv("LC_ALL", locale)
    monkeypatch.setattr(server, "serve", lambda **options: given.append(options["language"]))
    assert call("lab", *arguments).code == 0
    assert given == [expected]


def test_lab_refuses_a_language_that_it_does_not_have(call: Callable[..., Answer]) -> None:
    """Fails if a language is replaced by another one without a word."""
    done = call("lab", "--language", "fr")
    assert done.code == 2
    assert "'fr' is not one of 'en', 'zh'" in done.err


def test_run_is_what_options_and_notebooks_alone_mean(call: Callable[..., Answer]) -> None:
    """Fails if `./script/run --dry-run` is no run, or a command's own help is that of `run`."""
    assert call("run", "-p", "port", "0").err == call("-p", "port", "0").err
    assert "Usage: registry-runbook [OPTIONS] COMMAND" in call("-h").out
    assert "Usage: registry-runbook run " in call("10-host", "--help").out


def keep_runs(state: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Keep two runs in a state folder, and return their folders, the newest first."""
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    kept = [state / "registry-runbook" / name for name in ("20260103T000000.000000", "20260102T000000.000000")]
    for path, run in zip(kept, (BAD, GOOD), strict=True):
        path.mkdir(parents=True)
        folder.write(record(run, folder=path), path)
    return kept


def test_runs_are_listed_newest_first(
    call: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if a run cannot be found again, or no run at all is an error."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "none"))
    assert call("runs") == Answer(code=0, out="There is no run yet.\n", err="")
    newest, oldest = keep_runs(tmp_path, monkeypatch)
    listed = json.loads(call("runs", "--json").out)
    assert [(item["folder"], item["result"]) for item in listed] == [(str(newest), "FAILED"), (str(oldest), "done")]
    lines = call("runs").out.splitlines()
    assert [line.split()[-1] for line in lines[1:]] == [str(newest), str(oldest)]
    (newest / folder.DATA).write_text("{", encoding="ascii")
    assert [item["result"] for item in json.loads(call("runs", "--json").out)] == ["cannot be read", "done"]


def test_report_is_made_again_from_its_data(
    call: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if a page that was lost cannot be had again, by the name of its run, its folder, or as the newest."""
    newest, oldest = keep_runs(tmp_path, monkeypatch)
    for arguments, expected in (([], newest), ([oldest.name], oldest), ([str(oldest)], oldest)):
        page = expected / folder.PAGE
        before = page.read_bytes()
        page.unlink()
        done = call("report", *arguments)
        assert done == Answer(code=0, out=f"{page}\n", err="")
        assert before == page.read_bytes()
        assert page.stat().st_mode & 0o777 == 0o600


def test_report_opens_a_browser_only_where_asked(
    call: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if a server without a browser is asked to open one, or `--open` does not."""
    newest, _ = keep_runs(tmp_path, monkeypatch)
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >>{tmp_path}/opened\n', encoding="ascii")
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    call("report")
    assert not (tmp_path / "opened").exists()
    call("report", "--open")
    assert (tmp_path / "opened").read_text(encoding="utf-8") == f"{(newest / folder.PAGE).as_uri()}\n"


def test_report_says_what_it_cannot_read(
    call: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if a run that is not there, or is no record, ends in a traceback or writes anything."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    none = call("report")
    assert (none.code, "run `./script/run`" in none.err) == (1, True)
    missing = call("report", "nothing")
    assert (missing.code, "see `./script/run runs`" in missing.err) == (1, True)
    newest, _ = keep_runs(tmp_path, monkeypatch)
    (newest / folder.DATA).write_text("{}", encoding="ascii")
    broken = call("report")
    assert (broken.code, f"remove {newest / folder.DATA}" in broken.err) == (1, True)


def test_report_gives_its_schema(call: Callable[..., Answer]) -> None:
    """Fails if a program that reads report.json is told something else than the project publishes."""
    assert call("report", "--schema") == Answer(code=0, out=model.SCHEMA_FILE.read_text(encoding="utf-8"), err="")


def test_run_that_is_interrupted_exits_with_130_and_keeps_its_record(tmp_path: Path) -> None:
    """Fails if Ctrl-C ends in a traceback, another exit code, or without the record of what was done so far."""
    notebooks = ["40-configuration", "50-compose", "60-push-pull"]
    options = ["--dry-run", "--json", "--output", f"{tmp_path}/out", *below(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-m", "runbook", "run", *notebooks, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"DOCKER_HOST": "tcp://127.0.0.1:1"},
    ) as process:
        assert process.stderr is not None
        told = ""
        while "begin  50-compose" not in told:
            line = process.stderr.readline()
            assert line, told
            told += line
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err
    found = json.loads(out)
    assert (found["result"], found["passed"]) == ("interrupted", False)
    assert [(item["notebook"], item["result"]) for item in found["notebooks"]] == [
        ("40-configuration", "done"),
        ("50-compose", "interrupted"),
    ]
    assert found["go_on"].split()[:3] == ["./script/run", *notebooks[1:]]
    assert (tmp_path / "out" / folder.DATA).read_text(encoding="utf-8") == out


@pytest.mark.parametrize(
    ("arguments", "standard_input"),
    [
        pytest.param(["no", "basic", "auth", "credentials"], "", id="words"),
        pytest.param(["no basic auth credentials"], "", id="quoted"),
        pytest.param(["-"], "denied\nno basic auth credentials\n", id="dash"),
        pytest.param([], "no basic auth\n  credentials\n", id="pipe"),
        pytest.param(["-p", "message", "no basic auth credentials"], "", id="parameter"),
    ],
)
def test_diagnose_takes_a_message_from_each_place(arguments: list[str], standard_input: str) -> None:
    """Fails if a message that is given as argument, through a pipe or as parameter is not looked up."""
    done = diagnose(arguments, standard_input)
    told = json.loads(done.stdout)
    assert (told["asked"], "no basic auth credentials" in told["messages"]) == (True, True)
    assert [item["command"] for item in told["causes"] if item["name"] == "not-logged-in"] == [""]


def diagnose(arguments: list[str], standard_input: str) -> subprocess.CompletedProcess[str]:
    """Run `diagnose --json` as a shell does, with an engine that is not there."""
    executable = Path(sys.executable).with_name("registry-runbook")
    return subprocess.run(
        [executable, "diagnose", "--json", *arguments],
        input=standard_input,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DOCKER_HOST": "tcp://127.0.0.1:1"},
    )


def test_diagnose_exits_with_1_for_what_it_does_not_know_and_shows_no_secret() -> None:
    """Fails if an unknown message ends as if all were well, or a password in it is printed."""
    done = diagnose(["https://admin:Tr0ub4dor@r.test: who knows"], "")
    told = json.loads(done.stdout)
    assert (done.returncode, told["messages"], told["asked"]) == (1, [], True)
    assert "Tr0ub4dor" not in done.stdout + done.stderr


def test_diagnose_prints_the_page(call: Callable[..., Answer]) -> None:
    """Fails if the page of all messages cannot be made by a command."""
    done = call("diagnose", "--page")
    assert (done.code, done.out) == (0, page.text())


@pytest.mark.parametrize(
    "command", [("parameters",), ("list",), ("diagnose", "no basic auth credentials"), ("--help",)]
)
def test_locale_that_cannot_hold_the_output_ends_no_command(command: tuple[str, ...]) -> None:
    """Fails if a letter that a terminal of another encoding cannot show ends in a traceback."""
    argv = (sys.executable, "-m", "runbook", *command)
    environment = {**os.environ, "PYTHONIOENCODING": "iso-8859-1:strict"}
    done = subprocess.run(argv, cwd=catalogue.PROJECT, env=environment, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    assert done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is warned, and can give a file to another user")
def test_root_is_warned_once_of_code_that_others_could_change(
    call: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if root runs another user's tree without a word, or a sound tree is told, or the word is in the output."""
    assert call("list").err == ""
    (tmp_path / "runbook").mkdir()
    monkeypatch.setattr(own_code, "_TREES", [tmp_path / "runbook"])
    assert call("list").err == ""
    tmp_path.chmod(0o777)
    warned = call("list", "--json")
    assert (warned.code, warned.err.count("whoever may change this code is root here")) == (0, 1)
    assert list(json.loads(warned.out)) == catalogue.names()
    with somebody_else():
        assert call("list").err == ""


def test_file_of_the_form_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a command without -f is about another registry than the notebooks, or needs a file of the form."""
    monkeypatch.setattr(program, "MINE", tmp_path / "mine.yml")
    assert program.default_file() == catalogue.PROJECT / "parameters" / "local.yml"
    ledger.FOLDER.mkdir()
    deployment.update({"port": 6443}, has_started=True)
    assert program.checked_values(program.default_file(), ()) == {"port": 6443}
    (tmp_path / "mine.yml").write_text("port: 5443\n", encoding="ascii")
    assert program.checked_values(program.default_file(), ()) == {"port": 5443}
    assert program.checked_values(program.default_file(), (("port", "6443"),)) == {"port": 6443}


@pytest.mark.parametrize("options", [(), ("--json",), ("--by-hand",)], ids=["table", "json", "by-hand"])
def test_plan_of_another_registry_says_first_which_one_stands_here(
    call: Callable[..., Answer], options: tuple[str, ...]
) -> None:
    """Fails if a registry is replaced without a word, the word is in the output, or is told of the registry itself."""
    assert "stands here" not in call("plan", *options, "-p", "domain", "b.test").err
    ledger.FOLDER.mkdir()
    deployment.update({"domain": "a.test"}, has_started=True)
    assert "stands here" not in call("plan", *options).err
    told = call("plan", *options, "-p", "domain", "b.test")
    assert told.err.splitlines()[-1].startswith("Another deployment stands here: a.test.")
    assert "stands here" not in told.out
