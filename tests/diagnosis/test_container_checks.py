"""Checks of Compose, and of what the engine says of the container."""

import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runbook.changes.base import Change
from runbook.changes.files import MakeDirectory, WriteFile
from runbook.diagnosis import container_checks as checks
from runbook.diagnosis.catalogue import Check
from runbook.diagnosis.situation import look
from runbook.model.errors import HostError, MissingError, RightsError, RunbookError, SecretError
from runbook.sections import basic_registry, certificates, compose, configuration, host, nginx
from runbook.system.docker.images import RegistryImage
from runbook.system.host import selinux

from .situations import NO, NOW, OPEN, YES, Case, case, container, have_only, situation, write

NGINX = {"proxy": "nginx"}
PLUGIN = 'case "$*" in "compose version"*) echo 2.24.5;; *) exit 1;; esac'
NO_ENGINE = "the engine cannot be asked"
MISSING = "there is no container of the registry"


@pytest.mark.parametrize(
    ("user", "confirmed"), [("", False), ("root", False), ("0:0", False), ("1000", True), ("registry", True)]
)
def test_mounts_may_be_closed_to_the_container_s_user(user: str, *, confirmed: bool) -> None:
    """Fails if a container that does not run as root is not named, or one that does is."""
    found = look(checks.mount_not_readable, situation(inspected={"Config": {"User": user}}))
    assert found.confirmed is confirmed


@pytest.mark.parametrize(
    "row",
    [
        case(checks.mount_not_readable, "enforces", YES, "SELinux enforces", given="1", inspected={}),
        case(checks.mount_not_readable, "no-engine", OPEN, NO_ENGINE, given="0"),
    ],
)
def test_mounts_may_be_closed_by_selinux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case) -> None:
    """Fails if a host on which SELinux enforces is not named, or one on which it does not is."""
    monkeypatch.setattr(selinux, "_ENFORCE", write(tmp_path / "enforce", row.given))
    assert row.found(tmp_path) == row.expected


READS = {"docker-compose": 'case "$*" in *config*) exit 0;; *) echo 2.24.5;; esac'}
REFUSES = {"docker-compose": 'case "$*" in *config*) echo "mapping values" >&2; exit 15;; *) echo 2.24.5;; esac'}
OLD, BOTH = {"docker-compose": "echo 1.29.2"}, {"docker": PLUGIN, "docker-compose": ""}
NAMED, TO_NAMED = {"named.yml": "services: {}"}, "FOLDER/named.yml: x"
NO_PLUGIN = "sh: docker-compose: not found"
PROGRAMS = [
    case(checks.compose_missing, "none", YES, "neither `docker compose` nor docker-compose", given={}),
    case(checks.compose_missing, "plugin", NO, "there is Compose 2.24.5", given={"docker": PLUGIN}),
    case(checks.compose_missing, "program", NO, "1.29.2", given=OLD),
    case(checks.compose_missing, "client-alone", YES, "neither `docker compose`", given={"docker": "exit 1"}),
    case(checks.compose_1, "old", YES, "Compose is 1.29.2", given=OLD),
    case(checks.compose_1, "new", NO, "Compose is 2.24.5", given={"docker": PLUGIN}),
    case(checks.compose_1, "none", NO, "Compose is not here", given={}),
    case(checks.compose_other_name, "plugin", YES, "is `docker compose`", NO_PLUGIN, given={"docker": PLUGIN}),
    case(checks.compose_other_name, "both", NO, "a docker-compose, or", NO_PLUGIN, given=BOTH),
    case(checks.compose_other_name, "program", YES, "there is docker-compose", given={**OLD, "docker": "exit 1"}),
    case(checks.compose_other_name, "both-here", NO, "`docker compose`, or none", given=BOTH),
    case(checks.compose_other_name, "fits", NO, "`docker compose`, or", given={"docker": PLUGIN}),
    case(checks.compose_other_name, "none", OPEN, "the program docker", given={}),
    case(checks.compose_file_named_broken, "broken", YES, "mapping", TO_NAMED, files=NAMED, given=REFUSES),
    case(checks.compose_file_named_broken, "read", NO, "Compose reads", TO_NAMED, files=NAMED, given=READS),
    case(checks.compose_file_named_broken, "gone", OPEN, "names no file", TO_NAMED, given=READS),
    case(checks.compose_file_named_broken, "no-program", OPEN, "Compose", TO_NAMED, files=NAMED, given={}),
]


@pytest.mark.parametrize("row", PROGRAMS)
def test_compose_is_looked_for_under_both_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case) -> None:
    """Fails if a host without Compose, or with the other or the old one, is not named; or a file that it refuses."""
    have_only(monkeypatch, tmp_path, row.given)
    assert row.found(tmp_path) == row.expected


COMPOSE_FILE = "registry/docker-compose.yml"
OURS = {COMPOSE_FILE: "services: {}"}


@pytest.mark.parametrize(
    "row",
    [
        case(checks.compose_file_broken, "broken", YES, "mapping", files=OURS, given=(REFUSES, COMPOSE_FILE)),
        case(checks.compose_file_broken, "read", NO, "reads it", files=OURS, given=(READS, COMPOSE_FILE)),
        case(checks.compose_file_broken, "as-planned", NO, "it is as", files=OURS, given=(REFUSES, "another")),
        case(checks.compose_file_broken, "none", OPEN, "there is no ", given=(REFUSES, COMPOSE_FILE)),
    ],
)
def test_compose_reads_the_file_that_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case) -> None:
    """Fails if a file that Compose refuses is not named, or one that is as the notebook writes it is."""
    programs, changed = row.given
    have_only(monkeypatch, tmp_path, programs)
    change = WriteFile(path=tmp_path / changed, before="", after="", mode=0o600)
    assert row.found(tmp_path, _plans={compose.__name__: [change]}) == row.expected


FILES = [
    case(checks.compose_file_has_version, "named", YES, "has it", "FOLDER/a.yml:", files={"a.yml": "version : 2"}),
    case(checks.compose_file_has_version, "ours", YES, "has it", files={COMPOSE_FILE: "version: '2'"}),
    case(checks.compose_file_has_version, "below", NO, "has none", files={COMPOSE_FILE: "a:\n  version: 2"}),
    case(checks.compose_file_has_version, "no-file", OPEN, "there is no "),
    case(checks.compose_other_folder, "none", YES, "there is none in"),
    case(checks.compose_other_folder, "here", NO, "there is", files={"here/compose.yaml": ""}),
    case(checks.compose_other_folder, "above", NO, "there is", files={"docker-compose.yml": ""}),
    case(checks.mount_is_folder, "folder", YES, "is a folder", 'mounting "FOLDER/a" to', files={"a": None}),
    case(checks.mount_is_folder, "file", NO, "is not a folder", 'mounting "FOLDER/a" to', files={"a": ""}),
    case(checks.mount_is_folder, "none", OPEN, "names no path", "mounting a"),
]


@pytest.mark.parametrize("row", FILES)
def test_files_that_compose_reads_and_mounts_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case
) -> None:
    """Fails if the fault of a file that the message names, or of this folder, is not named, or where there is none."""
    monkeypatch.chdir(write(tmp_path / "here", None))
    assert row.found(tmp_path) == row.expected


def state(**values: object) -> dict[str, object]:
    """Return what the engine says of a container whose state has these values."""
    usual = {"Status": "exited", "ExitCode": 2, "Paused": False}
    return {"State": {**usual, **values}, "RestartCount": 3, "Config": {"Image": "registry:3.1.2"}}


def command(*arguments: str) -> dict[str, object]:
    """Return what the engine says of a container that was started with these arguments."""
    return {"Config": {"Entrypoint": None, "Cmd": list(arguments)}}


CONFIG = "/etc/docker/registry/config.yml"
TOLD, SRV = command("serve", CONFIG), {"configuration_directory": "/srv/r"}
MOUNTED = container(
    binds=("/srv/r:/etc/docker/registry:ro",),
    volumes=(("/var/lib/registry", "registry_registry-data"),),
    environment=("OTEL_TRACES_EXPORTER=none",),
)
IMAGE, SAME_IMAGE = (RegistryImage(reference="registry:3.1.2", image_id=f"sha256:{n}", environment=()) for n in (1, 0))
STOPPED: dict[str, Any] = {
    "containers": [container(running=False)],
    "inspected": state(),
    "log": 'time="x" level=fatal msg="no such file"\nlevel=info\n',
}
EARLIER, LATER = (container(started=NOW + days * datetime.timedelta(days=1)) for days in (-1, 1))
PAIR = {"registry/ssl/registry.test.pem": ""}
BOTH_FILES = {**PAIR, "registry/config.yml": ""}
STATES = [
    case(checks.container_restarts, "ends", YES, "it exits with 2; its last error: time", restarts=True, **STOPPED),
    case(checks.container_restarts, "stays", NO, "restarted 3 times", restarts=False, inspected=state()),
    case(checks.container_restarts, "no-engine", OPEN, NO_ENGINE),
    case(checks.container_stopped, "stopped", YES, "exit code 2; its last error: time", **STOPPED),
    case(checks.container_stopped, "runs", NO, "registry-registry-1 runs", containers=[container()]),
    case(checks.container_stopped, "no-container", OPEN, MISSING, containers=[]),
    case(checks.off_network, "none", YES, "on no network, expected registry_def", containers=[container()]),
    case(checks.off_network, "on", NO, "on registry_d", containers=[container(networks=("registry_default",))]),
    case(checks.off_network, "no-container", OPEN, MISSING, containers=[]),
    case(checks.container_paused, "p", YES, "is paused", containers=[container()], inspected=state(Paused=True)),
    case(checks.container_paused, "runs", NO, "not paused", containers=[container()], inspected=state()),
    case(checks.container_paused, "no-engine", OPEN, NO_ENGINE),
    case(checks.no_restart_policy, "none", YES, "it is no, expected", containers=[container(restart_policy="")]),
    case(checks.no_restart_policy, "failure", YES, "on-f", containers=[container(restart_policy="on-failure")]),
    case(checks.no_restart_policy, "always", NO, "it is always", containers=[container()]),
    case(checks.no_restart_policy, "no-container", OPEN, MISSING, containers=[]),
    case(checks.other_image, "other", YES, "(sha256:0…), expected registry:3", image=IMAGE, **STOPPED),
    case(checks.other_image, "same", NO, "it runs registry:3.1.2", image=SAME_IMAGE, **STOPPED),
    case(checks.other_image, "no-image", OPEN, "is not on this host", image=None),
    case(checks.image_missing, "none", YES, "registry:3.1.2 is not here", image=None),
    case(checks.image_missing, "there", NO, "registry:3.1.2 is here", image=IMAGE),
    case(checks.image_missing, "no-engine", OPEN, "the engine cannot be asked"),
    case(checks.configuration_not_read, "other", YES, "`serve a`, which", inspected=command("serve", "a")),
    case(checks.configuration_not_read, "no-mount", YES, "is not mounted", containers=[container()], inspected=TOLD),
    case(checks.configuration_not_read, "mounted", NO, CONFIG, values=SRV, containers=[MOUNTED], inspected=TOLD),
    case(checks.configuration_not_read, "no-engine", OPEN, NO_ENGINE),
    case(checks.overridden, "set", YES, "REGISTRY_A is", containers=[container(environment=("REGISTRY_A=b",))]),
    case(checks.overridden, "none", NO, "no REGISTRY_*", containers=[container(environment=("A=REGISTRY_",))]),
    case(checks.overridden, "no-container", OPEN, MISSING, containers=[]),
    case(checks.other_port, "other", YES, "443, expected 5443", values={"port": 5443}, containers=[container()]),
    case(checks.other_port, "none", YES, "no port, expected 443", containers=[container(publish=())]),
    case(checks.other_port, "same", NO, "publishes 443", containers=[container()]),
    case(checks.other_port, "nginx", YES, "expected 5002", values=NGINX, containers=[container()]),
    case(checks.other_port, "no-container", OPEN, MISSING, containers=[]),
    case(checks.other_volume, "none", YES, "no volume, expected registry_registry-data", containers=[container()]),
    case(checks.other_volume, "same", NO, "it is registry_registry-data", containers=[MOUNTED]),
    case(checks.other_volume, "no-container", OPEN, MISSING, containers=[]),
    case(checks.traces_are_sent, "sent", YES, "does not have OTEL", containers=[container()]),
    case(checks.traces_are_sent, "ended", NO, "disables them", containers=[MOUNTED]),
    case(checks.traces_are_sent, "no-container", OPEN, MISSING, containers=[]),
    case(checks.configuration_not_loaded, "newer", YES, "is newer", files=BOTH_FILES, containers=[EARLIER]),
    case(checks.configuration_not_loaded, "older", NO, "it started", files=BOTH_FILES, containers=[LATER]),
    case(checks.configuration_not_loaded, "none", NO, "it started", containers=[EARLIER]),
    case(checks.configuration_not_loaded, "pair", YES, "test.pem is newer", files=PAIR, containers=[EARLIER]),
    case(checks.configuration_not_loaded, "nginx", NO, "it started", files=PAIR, values=NGINX, containers=[EARLIER]),
    case(checks.configuration_not_loaded, "no-container", OPEN, MISSING, files=PAIR, containers=[]),
    case(checks.accepted_is_another, "none", NO, "no state was accepted"),
    case(checks.accepted_is_another, "no-json", OPEN, "accepted state", files={"private/accepted.json": "{"}),
]


@pytest.mark.parametrize("row", STATES)
def test_container_is_compared_with_what_it_is_to_be(tmp_path: Path, row: Case) -> None:
    """Fails if a container in a wrong state, or made of other parts, is not named, or a right one is."""
    assert row.found(tmp_path) == row.expected


PLANS: list[tuple[list[Change] | RunbookError, bool | None, str]] = [
    ([MakeDirectory(path=Path("/a"), mode=0o700)], True, "it would make the folder /a (0700)"),
    ([], False, "it would change nothing"),
    (MissingError("an engine", "none", "start it"), True, "it waits for an engine, found none"),
    (HostError("a", "an odd host", "b"), True, "it refuses: expected a, found an odd host"),
    (SecretError("a", "an open file", "b"), True, "it refuses: expected a, found an open file"),
    (RightsError("a", "not root", "b"), None, "not root"),
]


@pytest.mark.parametrize(("plan", "confirmed", "words"), PLANS, ids=[words for _, _, words in PLANS])
@pytest.mark.parametrize(
    ("check", "section"),
    [
        pytest.param(checks.host_differs, host, id="host"),
        pytest.param(checks.certificates_differ, certificates, id="certificates"),
        pytest.param(checks.configuration_differs, configuration, id="configuration"),
        pytest.param(checks.compose_differs, compose, id="compose"),
        pytest.param(checks.nginx_differs, nginx, id="nginx"),
        pytest.param(checks.basic_differs, basic_registry, id="basic"),
    ],
)
def test_plan_of_a_notebook_is_the_finding(
    check: Check, section: ModuleType, plan: list[Change] | RunbookError, words: str, *, confirmed: bool | None
) -> None:
    """Fails if a notebook that would change something, waits or refuses is not named, or one that is done is."""
    found = look(check, situation(_plans={section.__name__: plan}))
    assert (found.confirmed, found.found) == (confirmed, words)
