"""50-compose: the Compose file, when its container is made anew, and what must not win over config.yml."""

import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from runbook.changes.base import Change
from runbook.changes.containers import ComposeUp
from runbook.changes.files import WriteFile
from runbook.changes.manual import LeftToUser
from runbook.changes.nginx import RemoveSite
from runbook.model.errors import HostError
from runbook.model.parameters import Parameters
from runbook.sections import compose
from runbook.sections.compose import ComposeFacts
from runbook.system import nginx
from runbook.system.docker.engine import ContainerFacts
from runbook.system.docker.images import RegistryImage
from runbook.system.host import hosts_file, yaml_text
from runbook.system.registry import config_yml

IMAGE = RegistryImage(reference="registry:3.1.2", image_id="sha256:1", environment=("PATH=/bin",))
HOSTS = "127.0.0.1 localhost\n"
SECOND = datetime.timedelta(seconds=1)
REVISION = "org.registry-runbook.revision"
NEW = ComposeFacts(
    address="192.168.1.2",
    image=IMAGE,
    configuration="version: 0.1\n",
    certificate="c0ffee",
    changed=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    text=None,
    hosts=HOSTS,
    containers=(),
    nginx_site=None,
)
OURS = f"{HOSTS}# registry-runbook begin\n192.168.1.2 registry.test\n# registry-runbook end\n"
LABELLED = {"labels": {"org.registry-runbook.section": "compose"}}
COMPOSE_PATH = Path("/etc/docker/registry/docker-compose.yml")


CLOUD = "# a.) make changes to the master file in {path}\n127.0.0.1 localhost\n"


def test_name_is_in_the_template_of_cloud_init_too(tmp_path: Path) -> None:
    """Fails if the next boot takes the registry's name away, or a host without cloud-init gets a change."""
    path = tmp_path / "hosts.debian.tmpl"
    text = CLOUD.format(path=path)
    assert (hosts_file.template(text), hosts_file.template(HOSTS)) == (None, None)
    path.write_text("## template:jinja\n127.0.0.1 localhost\n", encoding="utf-8")
    assert hosts_file.template(text) == path
    facts = dataclasses.replace(NEW, hosts=text, template=(path, path.read_text(encoding="utf-8")))
    written = {change.path: change for change in compose.plan(Parameters(), facts) if isinstance(change, WriteFile)}
    block = "# registry-runbook begin\n192.168.1.2 registry.test\n# registry-runbook end\n"
    assert written[path].after == f"## template:jinja\n127.0.0.1 localhost\n{block}"
    assert written[hosts_file.PATH].after == text + block
    done = dataclasses.replace(facts, hosts=text + block, template=(path, written[path].after))
    assert path not in {change.path for change in compose.plan(Parameters(), done) if isinstance(change, WriteFile)}


def labels_of(facts: ComposeFacts, parameters: Parameters | None = None) -> dict[str, str]:
    """Return the labels that the Compose file gives to the container."""
    content: Any = compose.content(parameters or Parameters(), facts)
    labels: dict[str, str] = content["services"]["registry"]["labels"]
    return labels


def after(facts: ComposeFacts, changes: Sequence[Change], parameters: Parameters | None = None) -> ComposeFacts:
    """Return how the service is once the changes are made."""
    for change in changes:
        match change:
            case WriteFile(path=hosts_file.PATH):
                facts = dataclasses.replace(facts, hosts=change.after)
            case WriteFile():
                facts = dataclasses.replace(facts, text=change.after)
            case ComposeUp():
                container = ContainerFacts(
                    name="registry_registry_1",
                    image_id=facts.image.image_id,
                    running=True,
                    started=facts.changed + SECOND,
                    restart_policy="unless-stopped",
                    publish=(("0.0.0.0", 443, 443),),  # noqa: S104 (nothing is bound)
                    binds=(),
                    volumes=(),
                    labels=tuple(sorted(labels_of(facts, parameters).items())),
                    environment=facts.image.environment,
                    networks=(f"{change.project}_default",),
                )
                facts = dataclasses.replace(facts, containers=(container,))
            case _:
                raise AssertionError(change)
    return facts


def up(reason: str) -> list[Change]:
    """Return the plan that only makes the container anew."""
    return [ComposeUp(path=COMPOSE_PATH, project="registry", volume="registry-data", reason=reason)]


MADE = after(NEW, compose.plan(Parameters(), NEW))
[RUNNING] = MADE.containers


def but(**values: object) -> ComposeFacts:
    """Return the facts of a service that runs, but for some of its container."""
    return dataclasses.replace(MADE, containers=(dataclasses.replace(RUNNING, **values),))  # type: ignore[arg-type] # a table's


OLDER = "it started before its configuration or certificate was written"
OTHER = "it was made from another Compose file, configuration, certificate or image"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(MADE, [], id="complies"),
        pytest.param(dataclasses.replace(MADE, containers=()), up("it is not there"), id="down"),
        pytest.param(
            dataclasses.replace(MADE, containers=(RUNNING, RUNNING)), up("there are 2 containers of it"), id="scaled"
        ),
        pytest.param(but(running=False), up("it is not running"), id="stopped"),
        pytest.param(but(paused=True), up("it is paused"), id="paused"),
        pytest.param(but(networks=("bridge",)), up("it is not connected to its network"), id="disconnected"),
        pytest.param(dataclasses.replace(MADE, network_mtu=1400), [], id="packets-that-pass"),
        pytest.param(but(started=NEW.changed), up(OLDER), id="started-while-they-were-written"),
        pytest.param(but(labels=((REVISION, "0"),)), up(OTHER), id="from-another-file"),
        pytest.param(but(labels=()), up(OTHER), id="by-hand"),
        pytest.param(but(image_id="sha256:2"), up("it runs another image"), id="other-image"),
        pytest.param(but(restart_policy="no"), up("its restart policy differs"), id="gone-after-a-reboot"),
        pytest.param(but(environment=("REGISTRY_AUTH=none",)), up("REGISTRY_* is set in it"), id="overridden"),
        pytest.param(
            dataclasses.replace(MADE, more_rights=("privileged", "the network host")),
            up("it has more rights than it needs: privileged; the network host"),
            id="more-rights",
        ),
    ],
)
def test_plan_makes_the_container_anew_where_it_is_not_as_wanted(facts: ComposeFacts, expected: list[Change]) -> None:
    """Fails if a service that is right is restarted, or one that runs with something else stays."""
    assert expected == compose.plan(Parameters(), facts)


@pytest.mark.parametrize(
    ("facts", "written"),
    [
        pytest.param(NEW, [hosts_file.PATH, COMPOSE_PATH], id="nothing-there"),
        pytest.param(dataclasses.replace(NEW, text="services: {}\n"), [hosts_file.PATH, COMPOSE_PATH], id="theirs"),
        pytest.param(dataclasses.replace(MADE, text="services: {}\n"), [COMPOSE_PATH], id="theirs-under-ours"),
        pytest.param(dataclasses.replace(MADE, configuration="version: 0.1\nlog: {}\n"), [COMPOSE_PATH], id="config"),
        pytest.param(dataclasses.replace(MADE, certificate="decaf"), [COMPOSE_PATH], id="certificate"),
        pytest.param(
            dataclasses.replace(MADE, image=dataclasses.replace(IMAGE, image_id="sha256:2")), [COMPOSE_PATH], id="image"
        ),
    ],
)
def test_plan_follows_all_that_the_container_is_made_from(facts: ComposeFacts, written: list[Path]) -> None:
    """Fails if the registry goes on with an old configuration or certificate, which it reads once; or comes twice."""
    changes = compose.plan(Parameters(), facts)
    assert written == [change.path for change in changes if isinstance(change, WriteFile)]
    assert isinstance(changes[-1], ComposeUp)
    assert compose.plan(Parameters(), after(facts, changes)) == []


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(dataclasses.replace(MADE, hosts=HOSTS), id="name-gone"),
        pytest.param(dataclasses.replace(MADE, address="192.168.1.3"), id="other-address"),
    ],
)
def test_plan_lets_the_container_run_where_only_its_name_differs(facts: ComposeFacts) -> None:
    """Fails if the registry stops for a change that it has no part in, or that change is not made."""
    changes = compose.plan(Parameters(), facts)
    assert [type(change) for change in changes] == [WriteFile]
    assert compose.plan(Parameters(), after(facts, changes)) == []


def test_plan_of_the_document_s_values_converges() -> None:
    """Fails if a parameter does not reach the file, or a second run would change something again."""
    parameters = Parameters(
        domain="docker.funet8.com",
        port=8443,
        compose_project="p",
        data_volume="v",
        configuration_directory="/srv/registry",
    )
    changes = compose.plan(parameters, NEW)
    assert compose.plan(parameters, after(NEW, changes, parameters)) == []
    hosts, file, start = changes
    assert isinstance(hosts, WriteFile)
    assert isinstance(file, WriteFile)
    assert "\n192.168.1.2 docker.funet8.com\n" in hosts.after
    assert (hosts.keep, file.keep, hosts.mode, file.mode) == (True, False, 0o644, 0o644)
    file_path = Path("/srv/registry/docker-compose.yml")
    assert start == ComposeUp(path=file_path, project="p", volume="v", reason="it is not there")
    content: Any = yaml_text.read_back(file.after)
    service = content["services"]["registry"]
    assert (service["ports"], content["volumes"]) == (["8443:443"], {"v": LABELLED})
    assert service["volumes"] == ["/srv/registry:/etc/docker/registry:ro", "v:/var/lib/registry"]


def test_content_has_mounts_labelled_where_there_is_selinux() -> None:
    """Fails if SELinux keeps the registry from its configuration, or other hosts get a flag that they do not need."""
    with_it: Any = compose.content(Parameters(), dataclasses.replace(NEW, has_selinux=True))
    without: Any = compose.content(Parameters(), NEW)
    assert with_it["services"]["registry"]["volumes"][0] == "/etc/docker/registry:/etc/docker/registry:ro,z"
    assert without["services"]["registry"]["volumes"][0] == "/etc/docker/registry:/etc/docker/registry:ro"


def test_content_repairs_the_document_s_file() -> None:
    """Fails if the registry reads another configuration (A1), or does not come back (A17); or for an old key (A13)."""
    content: Any = compose.content(Parameters(), NEW)
    assert (set(content), content["networks"]) == ({"services", "volumes", "networks"}, {"default": LABELLED})
    service = content["services"]["registry"]
    assert (service["image"], service["restart"]) == ("registry:3.1.2", "unless-stopped")
    assert service["command"] == ["serve", "/etc/docker/registry/config.yml"]
    assert service["environment"] == config_yml.ENVIRONMENT
    assert [name for name in config_yml.ENVIRONMENT if name.startswith("REGISTRY_")] == []  # it would win
    command, *argv = service["healthcheck"].pop("test")
    assert service["healthcheck"] == {"interval": "10s", "timeout": "5s", "retries": 3}
    assert (command, argv[0], argv[-1]) == ("CMD", "wget", "http://127.0.0.1:5001/debug/health")


def test_plan_takes_nginx_s_site_away_before_the_registry_needs_its_port() -> None:
    """Fails if the way back from nginx ends at a taken port, or the site goes while nginx is to stay in front."""
    facts = dataclasses.replace(NEW, nginx_site="server {}\n")
    first, *others = compose.plan(Parameters(port=8443), facts)
    assert first == RemoveSite(path=nginx.PATH, before="server {}\n", frees_port=8443)
    assert isinstance(others[-1], ComposeUp)
    behind = compose.plan(Parameters(proxy="nginx"), facts)
    assert [change for change in behind if isinstance(change, RemoveSite)] == []


def test_content_publishes_on_loopback_alone_behind_nginx() -> None:
    """Fails if the network reaches the registry past nginx, over plain HTTP; or a change of the two is not seen."""
    behind = Parameters(proxy="nginx", backend_port=5003)
    content: Any = compose.content(behind, NEW)
    assert content["services"]["registry"]["ports"] == ["127.0.0.1:5003:5000"]
    assert isinstance(compose.plan(behind, MADE)[-1], ComposeUp)


def test_plan_keeps_a_compose_file_that_is_not_ours() -> None:
    """Fails if the operator's own file is lost, or ours is kept at each change."""
    theirs, ours = (dataclasses.replace(MADE, text=text) for text in ("services: {}\n", f"{yaml_text.HEADER}a: b\n"))
    found = [compose.plan(Parameters(), facts)[0] for facts in (theirs, ours)]
    assert [change.keep for change in found if isinstance(change, WriteFile)] == [True, False]


def test_plan_refuses_an_image_that_overrides_the_configuration() -> None:
    """Fails if REGISTRY_* of the image wins over config.yml unseen."""
    image = dataclasses.replace(IMAGE, environment=("PATH=/bin", "REGISTRY_AUTH=none", "REGISTRY_LOG_LEVEL=debug"))
    told = r"no REGISTRY_\* in the image registry:3.1.2; found REGISTRY_AUTH=none, REGISTRY_LOG_LEVEL=debug"
    with pytest.raises(HostError, match=told):
        compose.plan(Parameters(), dataclasses.replace(NEW, image=image))


def test_is_made_looks_at_the_containers() -> None:
    """Fails if a service that was never up counts as one that went down."""
    assert (compose.is_made(MADE), compose.is_made(NEW)) == (True, False)


def test_plan_shows_on_docker_desktop_the_line_for_hosts() -> None:
    """Fails if /etc/hosts is changed beside Docker Desktop, or the line to paste is not shown."""
    left = compose.plan(Parameters(), dataclasses.replace(NEW, is_desktop=True))[0]
    assert isinstance(left, LeftToUser)
    assert left.text.splitlines()[1] == "192.168.1.2 registry.test"


def test_plan_makes_the_network_anew_where_its_packets_do_not_pass() -> None:
    """Fails if the registry answers with packets that this host cannot pass on, or what Compose makes takes such."""
    narrow = dataclasses.replace(MADE, mtu=1400, network_mtu=1500)
    [written, up_again] = compose.plan(Parameters(), narrow)
    assert isinstance(written, WriteFile)
    assert yaml_text.read_back(written.after)["networks"] == {  # type: ignore[index] # YAML data
        "default": LABELLED | {"driver_opts": {"com.docker.network.driver.mtu": "1400"}}
    }
    assert isinstance(up_again, ComposeUp)
    assert "larger packets" in up_again.reason
    narrowed = dataclasses.replace(narrow, text=written.after, network_mtu=1400)
    assert compose.plan(Parameters(), narrowed) == []
    [back, _] = compose.plan(Parameters(), dataclasses.replace(narrowed, mtu=1500))
    assert isinstance(back, WriteFile)
    assert back.after == MADE.text


def test_plan_states_the_usual_packets_where_the_engine_s_own_are_larger() -> None:
    """Fails if an engine's default for networks is taken again, so that each run makes the network anew."""
    jumbo = dataclasses.replace(MADE, network_mtu=9000)
    [written, _] = compose.plan(Parameters(), jumbo)
    assert isinstance(written, WriteFile)
    assert 'mtu: "1500"' in written.after
    assert compose.plan(Parameters(), dataclasses.replace(jumbo, text=written.after, network_mtu=1500)) == []
