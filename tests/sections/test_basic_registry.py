"""20-basic-registry: the container as it is wanted, and one that is not ours."""

import dataclasses
import datetime
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from runbook.changes.base import Change
from runbook.changes.containers import RunContainer
from runbook.changes.engine import ConfigureEngine
from runbook.changes.files import MakeDirectory
from runbook.changes.manual import LeftToUser
from runbook.model.errors import HostError
from runbook.model.parameters import Parameters, read
from runbook.sections import basic_registry
from runbook.sections.basic_registry import BasicRegistryFacts
from runbook.system.docker.engine import ContainerFacts
from runbook.system.docker.engine_flags import Flag
from runbook.system.docker.images import RegistryImage
from runbook.system.docker.reload import Registries
from runbook.system.registry import config_yml

LABELS = (("org.registry-runbook.section", "basic_registry"),)
EVERYWHERE = "0.0.0.0"  # noqa: S104 (nothing is bound)
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
IMAGE = RegistryImage(reference="registry:3.1.2", image_id="sha256:1", environment=())
RUNNING = ContainerFacts(
    name="registry",
    image_id="sha256:1",
    running=True,
    started=NOW,
    restart_policy="always",
    publish=(("127.0.0.1", 5000, 5000),),
    binds=("/opt/data/registry:/var/lib/registry",),
    volumes=(),
    labels=LABELS,
    environment=(),
    networks=("bridge",),
)
NEW = BasicRegistryFacts(
    image=IMAGE,
    container=None,
    data_directory_exists=False,
    supervisor="systemd",
    daemon_json=None,
    registries=Registries(insecure=("127.0.0.0/8",), mirrors=()),
)
MADE = dataclasses.replace(NEW, container=RUNNING, data_directory_exists=True)
FOLDER = MakeDirectory(path=Path("/opt/data/registry"), mode=0o700, belongs="basic-data")
RUN = RunContainer(
    name="registry",
    image="registry:3.1.2",
    publish=("127.0.0.1", 5000, 5000),
    volume=(Path("/opt/data/registry"), "/var/lib/registry"),
    restart_policy="always",
    labels=LABELS,
    replaces=None,
    environment=tuple(config_yml.ENVIRONMENT.items()),
)


def but(**values: object) -> BasicRegistryFacts:
    """Return the facts of a registry that runs, but for some of its container."""
    return dataclasses.replace(MADE, container=dataclasses.replace(RUNNING, **values))  # type: ignore[arg-type] # a table's


def replaced(reason: str) -> RunContainer:
    """Return the change that makes the container anew."""
    return dataclasses.replace(RUN, replaces=reason)


PLANS = [
    pytest.param(MADE, [], id="complies"),
    pytest.param(NEW, [FOLDER, RUN], id="nothing-there"),
    pytest.param(dataclasses.replace(NEW, data_directory_exists=True), [RUN], id="data-of-an-earlier-one"),
    pytest.param(but(running=False), [replaced("it is not running")], id="stopped"),
    pytest.param(but(paused=True), [replaced("it is paused")], id="paused"),
    pytest.param(but(networks=()), [replaced("it is not connected to its network")], id="disconnected"),
    pytest.param(but(image_id="sha256:2"), [replaced("it runs another image")], id="other-image"),
    pytest.param(but(publish=((EVERYWHERE, 5000, 5000),)), [replaced("its port differs")], id="open-to-all"),
    pytest.param(but(publish=()), [replaced("its port differs")], id="no-port"),
    pytest.param(but(binds=("/srv:/var/lib/registry",)), [replaced("its data are elsewhere")], id="other-data"),
    pytest.param(but(binds=()), [replaced("its data are elsewhere")], id="data-in-the-container"),
    pytest.param(but(restart_policy="no"), [replaced("its restart policy differs")], id="gone-after-a-reboot"),
]


def after(facts: BasicRegistryFacts, changes: Sequence[Change]) -> BasicRegistryFacts:
    """Return how the registry is once the changes are made."""
    for change in changes:
        match change:
            case MakeDirectory():
                facts = dataclasses.replace(facts, data_directory_exists=True)
            case RunContainer():
                run = ContainerFacts(
                    name=change.name,
                    image_id=facts.image.image_id,
                    running=True,
                    started=NOW,
                    restart_policy=change.restart_policy,
                    publish=(change.publish,),
                    binds=(f"{change.volume[0]}:{change.volume[1]}",),
                    volumes=(),
                    labels=change.labels,
                    environment=(),
                    networks=("bridge",),
                )
                facts = dataclasses.replace(facts, container=run)
            case ConfigureEngine():
                listed = Registries(insecure=change.insecure_registries, mirrors=change.registry_mirrors)
                facts = dataclasses.replace(facts, daemon_json=change.after, registries=listed)
            case _:
                raise AssertionError(change)
    return facts


@pytest.mark.parametrize(("facts", "expected"), PLANS)
def test_plan_runs_the_container_as_it_is_wanted(facts: BasicRegistryFacts, expected: list[Change]) -> None:
    """Fails if a container that is right is replaced, or one that is wrong stays, or no reason is shown."""
    assert expected == basic_registry.plan(Parameters(), facts)


def test_plan_has_the_data_labelled_where_there_is_selinux() -> None:
    """Fails if SELinux keeps the container from its data, or a second run makes it anew."""
    facts = dataclasses.replace(NEW, has_selinux=True)
    changes = basic_registry.plan(Parameters(), facts)
    assert changes == [FOLDER, dataclasses.replace(RUN, volume=(RUN.volume[0], "/var/lib/registry:z"))]
    assert basic_registry.plan(Parameters(), after(facts, changes)) == []


@pytest.mark.parametrize(("facts", "changes"), PLANS)
def test_plan_of_the_registry_that_was_planned_is_empty(facts: BasicRegistryFacts, changes: list[Change]) -> None:
    """Fails if a second run would replace the container again."""
    assert basic_registry.plan(Parameters(), after(facts, changes)) == []


def test_plan_follows_the_parameters() -> None:
    """Fails if one of the document's own values does not reach the container."""
    parameters = Parameters(
        basic_container="r", basic_address=EVERYWHERE, basic_port=5005, basic_data_directory="/srv/data"
    )
    folder, run = basic_registry.plan(parameters, NEW)
    assert folder == MakeDirectory(path=Path("/srv/data"), mode=0o700, belongs="basic-data")
    assert isinstance(run, RunContainer)
    assert (run.name, run.publish, run.volume) == (
        "r",
        (EVERYWHERE, 5005, 5000),
        (Path("/srv/data"), "/var/lib/registry"),
    )
    assert basic_registry.plan(parameters, after(NEW, [folder, run])) == []


@pytest.mark.parametrize(
    "labels", [(), (("org.registry-runbook.section", "compose"),)], ids=["by-hand", "of-another-section"]
)
def test_plan_refuses_a_container_that_it_did_not_make(labels: tuple[tuple[str, str], ...]) -> None:
    """Fails if somebody's container is removed because it has our name."""
    told = r"no container named registry but the runbook's own; found .*docker rm -f registry.*basic_container"
    with pytest.raises(HostError, match=told):
        basic_registry.plan(Parameters(), but(labels=labels))


def test_is_made_looks_at_the_container() -> None:
    """Fails if a registry that was never there counts as one that was changed."""
    assert (basic_registry.is_made(MADE), basic_registry.is_made(NEW)) == (True, False)


LISTED = '{"insecure-registries": ["a:1"]}'
MINE = '{\n  "insecure-registries": [\n    "a:1"\n  ]\n}'
LAN = Parameters(insecure_registries=["a:1"])


def configure(before: str | None, after: str) -> ConfigureEngine:
    """Return the change that makes the engine use plain HTTP for a:1."""
    return ConfigureEngine(
        path=Path("/etc/docker/daemon.json"),
        before=before,
        after=after,
        supervisor="systemd",
        insecure_registries=("a:1",),
        registry_mirrors=(),
    )


ENGINE_PLANS = [
    pytest.param(None, (), configure(None, f"{MINE}\n"), id="no-file"),
    pytest.param('{"b": 1}', (), configure('{"b": 1}', '{"b": 1, "insecure-registries": ["a:1"]}'), id="merged"),
    pytest.param(LISTED, (), configure(LISTED, LISTED), id="only-the-running-engine-lacks-it"),
    pytest.param("{}", ("a:1",), configure("{}", MINE), id="only-the-file-lacks-it"),
    pytest.param(LISTED, ("a:1", "b:1"), None, id="complies"),
]


@pytest.mark.parametrize(("text", "running", "expected"), ENGINE_PLANS)
def test_plan_compares_the_file_and_the_running_engine(
    text: str | None, running: tuple[str, ...], expected: ConfigureEngine | None
) -> None:
    """Fails if a reload that was cut off is not made up for, or a file that lacks a registry passes."""
    facts = dataclasses.replace(MADE, daemon_json=text, registries=Registries(insecure=running, mirrors=()))
    found = basic_registry.plan(LAN, facts)
    assert ([] if expected is None else [expected]) == found
    assert basic_registry.plan(LAN, after(facts, found)) == []


ENDING = dataclasses.replace(MADE, keeps_loopback=False)


@pytest.mark.parametrize(
    ("address", "insecure", "facts", "expected"),
    [
        ("127.0.0.1", ["a:1"], ENDING, ("a:1", "127.0.0.0/8")),
        ("0.0.0.0", ["a:1"], ENDING, ("a:1", "127.0.0.0/8")),  # noqa: S104 (compared, not bound)
        ("192.168.1.2", ["a:1"], ENDING, ("a:1",)),
        ("127.0.0.1", ["a:1"], MADE, ("a:1",)),
        ("127.0.0.1", [], ENDING, ()),
    ],
)
def test_plan_lists_loopback_where_a_list_would_end_that_exception(
    address: str, insecure: list[str], facts: BasicRegistryFacts, expected: tuple[str, ...]
) -> None:
    """Fails if a list leaves engine 29.10 without plain HTTP for the registry on loopback, or any other gets more."""
    parameters = Parameters(basic_address=address, insecure_registries=insecure, registry_mirrors=["https://m.test"])
    [change] = [change for change in basic_registry.plan(parameters, facts) if isinstance(change, ConfigureEngine)]
    assert change.insecure_registries == expected
    assert json.loads(change.after).get("insecure-registries", []) == [*expected]


def test_plan_configures_the_engine_before_the_container() -> None:
    """Fails if a registry is opened to the network before the engine can be told of it."""
    assert [type(change) for change in basic_registry.plan(LAN, NEW)] == [ConfigureEngine, MakeDirectory, RunContainer]


DESKTOP = dataclasses.replace(MADE, is_desktop=True)
LISTS = read({"insecure_registries": ["192.168.1.2:5000"], "registry_mirrors": ["https://m.test"]}, where="here")


def test_plan_shows_on_docker_desktop_what_to_paste() -> None:
    """Fails if a host's daemon.json is written that Docker Desktop never reads, or the text to paste is not shown."""
    [left] = basic_registry.plan(LISTS, DESKTOP)
    assert isinstance(left, LeftToUser)
    assert "Settings, Docker Engine" in str(left)
    assert json.loads(left.text) == {
        "registry-mirrors": ["https://m.test"],
        "insecure-registries": ["192.168.1.2:5000"],
    }
    listed = Registries(insecure=("192.168.1.2:5000",), mirrors=("https://m.test",))
    assert basic_registry.plan(LISTS, dataclasses.replace(DESKTOP, registries=listed)) == []


def test_plan_refuses_a_list_that_is_a_flag_too() -> None:
    """Fails if daemon.json is written, and the engine reloaded, though it refuses the key beside its flag."""
    flag = Flag(name="insecure-registry", place="/etc/default/docker line 2", line="DOCKER_OPTS=…")
    with pytest.raises(HostError, match="the flag is in /etc/default/docker line 2: DOCKER_OPTS=…"):
        basic_registry.plan(LISTS, dataclasses.replace(MADE, flags=(flag,)))


def test_plan_leaves_daemon_json_alone_where_nothing_is_listed() -> None:
    """Fails if a run with the defaults touches, or trips over, a file that it has no business with."""
    assert basic_registry.plan(Parameters(), dataclasses.replace(MADE, daemon_json="broken")) == []


@pytest.mark.parametrize("text", ["", '{"registry-mirror": []}'], ids=["empty", "the-document's-key"])
def test_plan_refuses_a_file_that_nothing_can_be_merged_into(text: str) -> None:
    """Fails if the engine is touched although its file is broken."""
    with pytest.raises(HostError, match="nothing was written"):
        basic_registry.plan(LAN, dataclasses.replace(MADE, daemon_json=text))


ADDRESSES = ["192.168.1.2", "10.0.0.2"]


@pytest.mark.parametrize(
    ("address", "insecure", "expected"),
    [
        pytest.param(EVERYWHERE, ["192.168.1.2:5000"], "192.168.1.2:5000", id="listed"),
        pytest.param(EVERYWHERE, ["10.0.0.2:5000"], "10.0.0.2:5000", id="second-address"),
        pytest.param(EVERYWHERE, ["192.168.1.0/24"], "192.168.1.2:5000", id="in-a-listed-network"),
        pytest.param("10.0.0.2", ["10.0.0.0/8", "192.168.1.2:5000"], "10.0.0.2:5000", id="only-where-it-listens"),
        pytest.param("127.0.0.1", ["192.168.1.2:5000"], None, id="on-loopback"),
        pytest.param(EVERYWHERE, [], None, id="nothing-listed"),
        pytest.param(EVERYWHERE, ["192.168.1.3:5000", "fd00::/8"], None, id="another-host"),
        pytest.param(EVERYWHERE, ["192.168.1.2:5001", "192.168.1.2"], None, id="another-port"),
    ],
)
def test_lan_host_is_one_that_is_reached_and_listed(address: str, insecure: list[str], expected: str | None) -> None:
    """Fails if the proof goes where nothing listens, or is left out where the operator has asked for it."""
    parameters = Parameters(basic_address=address, insecure_registries=insecure)
    assert expected == basic_registry.lan_host(parameters, ADDRESSES)
