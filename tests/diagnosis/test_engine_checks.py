"""Checks of the engine's own files, its flags, its log, and what it says of itself."""

import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from runbook.diagnosis import engine_checks as checks
from runbook.diagnosis.situation import look
from runbook.system.docker import daemon_json
from runbook.system.docker.engine_flags import Flag
from runbook.system.registry import api

from .situations import CLIENT, NO, OPEN, YES, Case, case, have_only, process, situation, space, write

THIS = "of this process"


@pytest.mark.parametrize(
    ("text", "confirmed"), [(None, False), ("", False), ("no number", False), (THIS, True), ("4194305", True)]
)
def test_file_of_an_engine_s_process_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, *, confirmed: bool
) -> None:
    """Fails if the number of a process that is no engine, or none, is not said to be left over."""
    monkeypatch.setattr(checks, "PID_FILE", tmp_path / "docker.pid")
    if text is not None:
        (tmp_path / "docker.pid").write_text(text.replace(THIS, str(os.getpid())), encoding="ascii")
    assert look(checks.pid_file_left, situation()).confirmed is confirmed


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
    assert look(checks.runtime_missing, given).confirmed is confirmed


DENIED, SILENT, UP = (None, "permission denied at its socket"), (None, "it takes it, and says nothing"), (CLIENT, "")
LOG = 'msg="Starting up"\nlevel=error msg="old"\nmsg="Starting up"\nlevel=info\nfailed to start daemon: no room\n'
UNKNOWN = "the following directives don't match any configuration option: a, c"
UNKNOWN_FLAG = "unknown flag: --xyz"
HOSTS = Flag(name="host", place="docker.service line 3", line="ExecStart=dockerd --host=fd://")
MIRRORS = Flag(name="registry-mirrors", place="docker.service line 3", line="ExecStart=dockerd --registry-mirrors=a")
LISTS = {"RegistryConfig": {"IndexConfigs": {"a.test:5000": {"Secure": False}, "docker.io": {"Secure": True}}}}
ASKS_A, ASKS_B = (f"Get https://{name}.test:5000/v2/: http: server gave" for name in "ab")
HAS_A: dict[str, Any] = {"_engine": UP, "daemon_json": None, "engine_information": {"Runtimes": {"a": {}}}}
STATES = [
    case(checks.not_allowed, "denied", YES, "permission denied", _engine=DENIED),
    case(checks.not_allowed, "none", NO, "can access its socket"),
    case(checks.not_allowed, "up", NO, "can access its socket", _engine=UP),
    case(checks.hangs, "silent", YES, "says nothing", _engine=SILENT),
    case(checks.hangs, "none", NO, "none answers"),
    case(checks.hangs, "up", NO, "it answers", _engine=UP),
    case(checks.stopped, "none", YES, "no engine answers; its last error: failed to start", journal=LOG),
    case(checks.stopped, "no-log", YES, "no engine answers", journal=""),
    case(checks.stopped, "denied", NO, "permission denied", _engine=DENIED),
    case(checks.stopped, "unknown", OPEN, "Connection refused", _engine=UP),
    case(checks.start_limit, "gave-up", YES, "systemd gave up", journal="Start request repeated too quickly."),
    case(checks.start_limit, "none", NO, "it did not", journal=LOG),
    case(checks.start_limit, "up", NO, "the engine runs", _engine=UP),
    case(checks.unknown_flag, "known", YES, "--registry-mirrors in docker.service", flags=(MIRRORS,)),
    case(checks.unknown_flag, "log", YES, UNKNOWN_FLAG, flags=(), journal=UNKNOWN_FLAG),
    case(checks.unknown_flag, "up", NO, "all of its flags", flags=(), journal=UNKNOWN_FLAG, _engine=UP),
    case(checks.unknown_flag, "none", NO, "all of its flags", flags=(HOSTS,), journal=LOG),
    case(checks.file_is_no_json, "broken", YES, "line 1", daemon_json="{"),
    case(checks.file_is_no_json, "list", YES, "", daemon_json="[]"),
    case(checks.file_is_no_json, "object", NO, "with the keys a", daemon_json='{"a": 1}'),
    case(checks.file_is_no_json, "empty", NO, "the keys none", daemon_json=" \n"),
    case(checks.file_is_no_json, "no-file", NO, "there is no", daemon_json=None),
    case(checks.unknown_key, "of-a-flag", YES, "has registry-mirror", daemon_json='{"registry-mirror": 1}', journal=""),
    case(checks.unknown_key, "log", YES, "daemon.json has a", daemon_json='{"a": 1, "b": 2}', journal=UNKNOWN),
    case(checks.unknown_key, "message", YES, "json has a", UNKNOWN, daemon_json='{"a": 1}', journal=""),
    case(checks.unknown_key, "gone", NO, "no unknown key", daemon_json='{"b": 1}', journal=UNKNOWN),
    case(checks.unknown_key, "no-file", NO, "there is no", daemon_json=None),
    case(checks.unknown_key, "no-json", OPEN, "Expecting", daemon_json="{"),
    case(checks.wrong_value, "text", YES, "of dns is not a list", daemon_json='{"dns": "10.0.0.1"}'),
    case(checks.wrong_value, "bare", YES, "the mirror a.test", daemon_json='{"registry-mirrors": ["a.test"]}'),
    case(checks.wrong_value, "right", NO, "the right form", daemon_json='{"registry-mirrors": ["http://a"]}'),
    case(checks.wrong_value, "no-file", NO, "the right form", daemon_json=None),
    case(checks.wrong_value, "no-json", OPEN, "Expecting", daemon_json="{"),
    case(checks.flag_and_file, "both", YES, "in docker.service line 3", daemon_json='{"hosts": []}', flags=(HOSTS,)),
    case(checks.flag_and_file, "one", NO, "no key", daemon_json='{"dns": []}', flags=(HOSTS,)),
    case(checks.flag_and_file, "no-json", NO, "no key", daemon_json="{", flags=(HOSTS,)),
    case(checks.basic_is_not_listed, "absent", YES, "not list b.test", ASKS_B, engine_information=LISTS),
    case(checks.basic_is_not_listed, "listed", NO, "lists a.test:5000", ASKS_A, engine_information=LISTS),
    case(checks.basic_is_not_listed, "secure", YES, "docker.io", "https://docker.io/v1/", engine_information=LISTS),
    case(checks.basic_is_not_listed, "none-named", OPEN, "lists a.test:5000", engine_information=LISTS),
    case(checks.basic_is_not_listed, "no-engine", OPEN, "cannot be asked", ASKS_B),
    case(checks.runtime_missing, "up", YES, "b is requested", "runtime b", **HAS_A),
    case(checks.runtime_missing, "configured", NO, "available: a, ", "runtime a", **HAS_A),
    case(checks.runtime_missing, "unasked", OPEN, "Connection refused", _engine=UP, daemon_json=None),
]


@pytest.mark.parametrize("row", STATES)
def test_engine_s_state_log_and_file_are_read(tmp_path: Path, row: Case) -> None:
    """Fails if what keeps the engine from a start, or from an answer, is not named, or is where there is nothing."""
    assert row.found(tmp_path) == row.expected


SYSTEMD: dict[str, Any] = {"supervisor": "systemd"}
MASKED = 'case $1 in show) printf "Id=docker.service\\nUnitFileState=masked\\n";; *) echo masked; exit 1;; esac'
ENABLED = 'case $1 in show) printf "Id=docker.service\\nUnitFileState=enabled\\n";; *) echo enabled;; esac'
DISABLED = ENABLED.replace("enabled", "disabled")
BOTH = {"docker": "", "dockerd": ""}
HELPER, OF_A_HOST = {"docker-credential-a": ""}, {"credHelpers": {"registry.test": "b"}}
PROGRAMS = [
    case(checks.not_installed, "neither", YES, "dockerd or docker is missing", given={}),
    case(checks.not_installed, "client", YES, "dockerd or docker is missing", given={"docker": ""}),
    case(checks.not_installed, "both", NO, "is on this host", given=BOTH),
    case(checks.masked, "masked", YES, "`systemctl unmask docker.service`", given={"systemctl": MASKED}, **SYSTEMD),
    case(checks.masked, "enabled", NO, "none of its", given={"systemctl": ENABLED}, **SYSTEMD),
    case(checks.masked, "no-systemd", NO, "no systemd", given={"systemctl": MASKED}),
    case(checks.masked, "no-systemctl", OPEN, "the program systemctl", given={}, **SYSTEMD),
    case(checks.not_at_boot, "disabled", YES, "is not enabled", given={"systemctl": DISABLED}, **SYSTEMD),
    case(checks.not_at_boot, "enabled", NO, "it is enabled", given={"systemctl": ENABLED}, **SYSTEMD),
    case(checks.not_at_boot, "masked", NO, "it is masked", given={"systemctl": MASKED}, **SYSTEMD),
    case(checks.not_at_boot, "no-systemd", OPEN, "no systemd here", given={"systemctl": DISABLED}),
    case(checks.helper_missing, "gone", YES, "no docker-credential-a", client_settings={"credsStore": "a"}, given={}),
    case(checks.helper_missing, "host", YES, "no docker-credential-b", client_settings=OF_A_HOST, given=HELPER),
    case(checks.helper_missing, "there", NO, "no missing helper", client_settings={"credsStore": "a"}, given=HELPER),
    case(checks.helper_missing, "none", NO, "no missing helper", client_settings={}, given={}),
]


@pytest.mark.parametrize("row", PROGRAMS)
def test_programs_and_units_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case) -> None:
    """Fails if a program that is not here, or a unit that systemd may not start, is not named, or a right one is."""
    more = {} if row.check is checks.not_installed else BOTH
    have_only(monkeypatch, tmp_path, {**more, **row.given})
    assert row.found(tmp_path) == row.expected


@pytest.mark.parametrize(
    "row",
    [
        case(checks.elsewhere, "tcp", YES, "DOCKER_HOST, tcp://a.test", given="tcp://a.test"),
        case(checks.elsewhere, "own", NO, "asks this host", given="unix:///var/run/docker.sock"),
        case(checks.elsewhere, "desktop", NO, "asks this host", given="tcp://a.test", _engine=UP),
    ],
)
def test_client_that_asks_another_engine_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case) -> None:
    """Fails if a client that asks another engine is not named, or one that asks this host's is."""
    monkeypatch.setenv("DOCKER_HOST", row.given)
    assert row.found(tmp_path) == row.expected


OFF = Flag(name="iptables", place="a", line="dockerd --iptables=false")
ANSWERS = api.Answer(status=401)
NO_PROXY = {"daemon.json": '{"userland-proxy": false}'}


@pytest.mark.parametrize(
    "row",
    [
        case(checks.deaf, "both-off", YES, "are both off", files=NO_PROXY, flags=(OFF,)),
        case(checks.deaf, "proxy", NO, "it has chains, or a proxy", flags=(OFF,)),
        case(checks.deaf, "chains", NO, "it has chains, or a proxy", files=NO_PROXY, flags=()),
        case(checks.deaf, "reached", NO, "reachable nevertheless", files=NO_PROXY, flags=(OFF,), anonymous=ANSWERS),
        case(checks.deaf, "folder", OPEN, "a folder", files={"daemon.json": None}, flags=()),
    ],
)
def test_engine_without_chains_and_proxy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case) -> None:
    """Fails if an engine that reaches no port is not named, or one that has chains, a proxy or other rules is."""
    monkeypatch.setattr(daemon_json, "PATH", tmp_path / "daemon.json")
    assert row.found(tmp_path) == row.expected


ROOT: dict[str, Any] = {"_engine": UP, "engine_information": {"DockerRootDir": "/data"}}


@pytest.mark.parametrize(
    "row",
    [
        case(checks.data_root_full, "full", YES, "31 MB are free at /data", given=space(free=31_999_999), **ROOT),
        case(checks.data_root_full, "room", NO, "1073 MB are free at /data", given=space(), **ROOT),
        case(checks.data_root_full, "stopped", NO, "free at /var/lib/docker", given=space()),
        case(checks.data_root_full, "unknown", OPEN, "'DockerRootDir'", _engine=UP, engine_information={}),
        case(checks.temporary_full, "no-inode", YES, "no inode is free at", given=space(inodes=0)),
        case(checks.temporary_full, "full", YES, "0 MB are free at", given=space(free=0)),
        case(checks.temporary_full, "no-count", NO, "1073 MB are free at", given=space(inodes=0, limit=0)),
        case(checks.temporary_full, "room", NO, "1073 MB are free at", given=space()),
    ],
)
def test_room_for_images_and_temporary_files_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case
) -> None:
    """Fails if a full file system is not named, one with room is, or one that keeps no count of inodes is full."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(os, "statvfs", lambda _: row.given)
    assert row.found(tmp_path) == row.expected


def test_process_of_an_engine_is_no_leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the file of an engine that runs is said to be left over."""
    with process("dockerd") as number:
        monkeypatch.setattr(checks, "PID_FILE", write(tmp_path / "docker.pid", f"{number}\n"))
        found = look(checks.pid_file_left, situation())
    assert (found.confirmed, found.found.rpartition(", ")[2]) == (False, "a dockerd")


@pytest.mark.parametrize(
    ("name", "confirmed"), [pytest.param("containerd", False, id="it"), pytest.param("containers", True, id="another")]
)
def test_containerd_is_looked_for_among_the_processes(
    monkeypatch: pytest.MonkeyPatch, name: str, *, confirmed: bool
) -> None:
    """Fails if a containerd that runs is not seen, or another process is taken for it."""
    with process(name) as number:
        [this] = [found for found in psutil.process_iter(["name"]) if found.pid == number]
        monkeypatch.setattr(psutil, "process_iter", lambda _: [this])  # this machine may have one of its own
        assert look(checks.containerd_stopped, situation()).confirmed is confirmed
