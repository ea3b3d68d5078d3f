"""10-host: what a host lacks for a registry, and what the runbook will not take into its own hands."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from runbook.changes.base import Change
from runbook.changes.containers import ObtainImage
from runbook.changes.engine import EnableEngine, InstallPackages, RestartEngine, SetKernel, StartEngine
from runbook.changes.files import WriteFile
from runbook.model.errors import HostError
from runbook.model.parameters import Parameters
from runbook.sections import host
from runbook.sections.host import EngineFacts, HostFacts
from runbook.system.docker import engine_flags
from runbook.system.docker.proxies import Proxy
from runbook.system.host import network
from runbook.system.host.network import Listener

ENGINE = EngineFacts(version="20.10.24", has_nat_chain=True, running=(), publishers=(), image="registry:3.1.2")
READY = HostFacts(
    distributions=("debian",),
    release="12",
    has_apt=True,
    supervisor="systemd",
    engine_installed=True,
    engine_enabled=True,
    engine=ENGINE,
    compose="docker-compose",
    forwarding=1,
    drop_in=host.DROP_IN_TEXT,
    daemon_json=None,
    flags=(),
    listeners=(),
    has_nginx_site=False,
)
BARE = dataclasses.replace(
    READY, engine_installed=False, engine_enabled=False, engine=None, compose=None, forwarding=0, drop_in=None
)
CHAIN_GONE = dataclasses.replace(ENGINE, has_nat_chain=False, running=("db", "web"))
INSTALL = InstallPackages(names=("docker.io", "docker-compose"))
DROP_IN = WriteFile(
    path=Path("/etc/sysctl.d/99-registry-runbook.conf"), before=None, after=host.DROP_IN_TEXT, mode=0o644
)
FORWARD = SetKernel(name="net.ipv4.ip_forward", before=0, after=1)
IMAGE = ObtainImage(sources=("pull", "package"), reference="registry:3.1.2", digest="", archive="")
RESTART = RestartEngine(
    supervisor="systemd", reason="its nat chain DOCKER is gone, and only its start puts it back", stops=("db", "web")
)
PLANS = [
    pytest.param(READY, [], id="complies"),
    pytest.param(
        BARE, [INSTALL, DROP_IN, FORWARD, EnableEngine(), StartEngine(supervisor="systemd"), IMAGE], id="bare"
    ),
    pytest.param(
        dataclasses.replace(BARE, supervisor="none"),
        [INSTALL, DROP_IN, FORWARD, StartEngine(supervisor="none"), IMAGE],
        id="bare-without-systemd",
    ),
    pytest.param(
        dataclasses.replace(READY, compose=None), [InstallPackages(names=("docker-compose",))], id="no-compose"
    ),
    pytest.param(dataclasses.replace(READY, engine_enabled=False), [EnableEngine()], id="gone-after-a-reboot"),
    pytest.param(
        dataclasses.replace(READY, supervisor="none", engine_enabled=False), [], id="nobody-to-start-it-at-boot"
    ),
    pytest.param(
        dataclasses.replace(READY, engine=None), [StartEngine(supervisor="systemd"), IMAGE], id="engine-stopped"
    ),
    pytest.param(dataclasses.replace(READY, engine=CHAIN_GONE), [RESTART], id="nat-chain-gone"),
    pytest.param(dataclasses.replace(READY, engine=dataclasses.replace(ENGINE, image=None)), [IMAGE], id="no-image"),
    pytest.param(dataclasses.replace(READY, forwarding=0), [FORWARD], id="not-forwarding"),
    pytest.param(
        dataclasses.replace(READY, forwarding=None),
        [dataclasses.replace(FORWARD, before=None)],
        id="kernel-without-the-setting",
    ),
    pytest.param(
        dataclasses.replace(READY, drop_in="theirs\n"), [dataclasses.replace(DROP_IN, before="theirs\n")], id="drop-in"
    ),
    pytest.param(dataclasses.replace(READY, has_apt=False), [], id="no-apt-needed"),
]

ENGINE_PROXY = Proxy(address="http://10.1.1.1:3128", exempt="localhost", place="/etc/docker/daemon.json")


def behind(proxy: Proxy) -> HostFacts:
    """Return the facts of a host whose engine has a proxy."""
    return dataclasses.replace(READY, engine=dataclasses.replace(ENGINE, proxy=proxy))


def test_plan_refuses_a_proxy_that_takes_the_registry_s_name() -> None:
    """Fails if it is met only by the proof; one that exempts the name is nobody's concern."""
    with pytest.raises(
        HostError, match=r"the engine to ask registry.test itself; found the proxy http://10.1.1.1:3128"
    ):
        host.plan(Parameters(), behind(ENGINE_PROXY))
    exempt = dataclasses.replace(ENGINE_PROXY, exempt="registry.test")
    assert host.plan(Parameters(), behind(exempt)) == []


def after(facts: HostFacts, changes: Sequence[Change]) -> HostFacts:
    """Return how the host is once the changes are made."""
    for change in changes:
        running = facts.engine or dataclasses.replace(ENGINE, image=None)
        match change:
            case InstallPackages():
                facts = dataclasses.replace(facts, engine_installed=True, compose="docker-compose")
            case WriteFile():
                facts = dataclasses.replace(facts, drop_in=change.after)
            case SetKernel():
                facts = dataclasses.replace(facts, forwarding=change.after)
            case EnableEngine():
                facts = dataclasses.replace(facts, engine_enabled=True)
            case StartEngine():
                facts = dataclasses.replace(facts, engine=running)
            case RestartEngine():
                facts = dataclasses.replace(facts, engine=dataclasses.replace(running, has_nat_chain=True, running=()))
            case ObtainImage():
                facts = dataclasses.replace(facts, engine=dataclasses.replace(running, image=change.reference))
            case _:
                raise AssertionError(change)
    return facts


@pytest.mark.parametrize(("facts", "expected"), PLANS)
def test_plan_brings_what_is_missing(facts: HostFacts, expected: list[Change]) -> None:
    """Fails if a host that complies gets a change, or another fault than the one found is repaired (A4)."""
    assert expected == host.plan(Parameters(), facts)


@pytest.mark.parametrize(("image", "expected"), [("registry:3.1.2", []), (None, [IMAGE])])
def test_plan_leaves_the_host_of_docker_desktop_alone(image: str | None, expected: list[Change]) -> None:
    """Fails if a host is changed whose engine is in a virtual machine of its own."""
    desktop = dataclasses.replace(ENGINE, is_desktop=True, image=image)
    facts = dataclasses.replace(
        BARE, engine_installed=True, compose="docker compose", engine=desktop, forwarding=None, has_apt=False
    )
    assert expected == host.plan(Parameters(), facts)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param('{"log-level": "info"}', "the flag is in /etc/default/docker line 2", id="clash"),
        pytest.param('{"log-level": "info"', "one object in JSON", id="no-brace"),
    ],
)
def test_plan_refuses_files_that_the_engine_does_not_start_with(text: str, told: str) -> None:
    """Fails if the engine is started, or restarted, with files that it refuses, and its message is all there is."""
    flag = engine_flags.Flag(name="log-level", place="/etc/default/docker line 2", line="")
    facts = dataclasses.replace(READY, engine=None, daemon_json=text, flags=(flag,))
    with pytest.raises(HostError, match=told):
        host.plan(Parameters(), facts)


@pytest.mark.parametrize(("facts", "changes"), PLANS)
def test_plan_of_the_host_that_was_planned_is_empty(facts: HostFacts, changes: list[Change]) -> None:
    """Fails if a second run would change something again."""
    assert host.plan(Parameters(), after(facts, changes)) == []


def test_drop_in_is_a_file_of_our_own_and_stays_after_a_reboot() -> None:
    """Fails if the setting goes into the host's own sysctl.conf, or into no file at all (A4)."""
    assert host.DROP_IN_TEXT.splitlines()[-1] == "net.ipv4.ip_forward = 1"
    assert network.DROP_IN.parent == Path("/etc/sysctl.d")


@pytest.mark.parametrize(
    ("distribution", "release", "engine_installed", "compose", "expected"),
    [
        pytest.param("debian", "12", False, None, ("docker.io", "docker-compose"), id="debian-12"),
        pytest.param("debian", "13", False, None, ("docker.io", "docker-cli", "docker-compose"), id="debian-13"),
        pytest.param("debian", "", False, None, ("docker.io", "docker-cli", "docker-compose"), id="debian-unstable"),
        pytest.param("ubuntu", "22.04", False, None, ("docker.io", "docker-compose-v2"), id="ubuntu-22.04"),
        pytest.param("ubuntu", "26.04", False, None, ("docker.io", "docker-compose-v2"), id="ubuntu-26.04"),
        pytest.param("debian", "13", True, None, ("docker-compose",), id="only-compose"),
        pytest.param("debian", "13", False, "docker-compose 2", ("docker.io", "docker-cli"), id="only-the-engine"),
        pytest.param("debian", "13", True, "docker compose 2", (), id="nothing"),
        pytest.param("linuxmint", "22", False, None, ("docker.io", "docker-compose-v2"), id="like-ubuntu"),
        pytest.param("kali", "2026.1", False, None, ("docker.io", "docker-cli", "docker-compose"), id="like-debian"),
    ],
)
def test_packages_for_names_those_of_the_release(
    distribution: str, release: str, *, engine_installed: bool, compose: str | None, expected: tuple[str, ...]
) -> None:
    """Fails if a release gets a package that it has not, or no client beside the engine."""
    like = {"ubuntu": ("debian",), "linuxmint": ("ubuntu", "debian"), "kali": ("debian",)}.get(distribution, ())
    facts = dataclasses.replace(
        BARE, distributions=(distribution, *like), release=release, engine_installed=engine_installed, compose=compose
    )
    assert expected == host.packages_for(facts)
    if engine_installed and not compose:
        assert host.packages_for(dataclasses.replace(facts, has_docker_ce=True)) == ("docker-compose-plugin",)


@pytest.mark.parametrize(
    ("values", "sources"),
    [
        pytest.param({}, ("pull", "package"), id="auto"),
        pytest.param({"registry_image_digest": f"sha256:{'0' * 64}"}, ("pull",), id="auto-with-digest"),
        pytest.param({"registry_image_source": "package"}, ("package",), id="package"),
        pytest.param({"registry_image_source": "archive", "registry_image_archive": "/r.tar"}, ("archive",), id="file"),
    ],
)
def test_plan_gets_a_pinned_image_from_where_it_may_come(values: dict[str, str], sources: tuple[str, ...]) -> None:
    """Fails if the image is not pinned (A1), or comes from where the operator does not want it from."""
    parameters = Parameters.model_validate({"registry_image": "registry:2.8.3"} | values)
    [image] = host.plan(parameters, dataclasses.replace(READY, engine=dataclasses.replace(ENGINE, image=None)))
    assert isinstance(image, ObtainImage)
    assert (image.reference, image.sources) == ("registry:2.8.3", sources)
    assert (image.digest, image.archive) == (
        values.get("registry_image_digest", ""),
        values.get("registry_image_archive", ""),
    )


NGINX = Listener(port=443, process="nginx", pid=7)
PROXY = Listener(port=5000, process="docker-proxy", pid=8)
HIDDEN = Listener(port=5000, process="a process of another namespace", pid=None)


@pytest.mark.parametrize(
    ("listener", "publishers", "found", "name"),
    [
        pytest.param(NGINX, (), r"nginx \(pid 7\) listens there", "port", id="process"),
        pytest.param(HIDDEN, (), "a process of another namespace listens there", "basic_port", id="hidden-process"),
        pytest.param(PROXY, ((5000, "web", False),), "the container web listens there", "basic_port", id="container"),
        pytest.param(
            PROXY, (), r"docker-proxy \(pid 8\), for a container .* listens there", "basic_port", id="other-engine"
        ),
        pytest.param(NGINX, ((5000, "r", True),), r"nginx \(pid 7\) listens there", "port", id="ours-is-elsewhere"),
    ],
)
def test_plan_refuses_a_taken_port(
    listener: Listener, publishers: tuple[tuple[int, str, bool], ...], found: str, name: str
) -> None:
    """Fails if a port that somebody holds is found only when a container cannot start, or nobody is named."""
    engine = dataclasses.replace(ENGINE, publishers=publishers)
    told = rf"the port {listener.port} to be free; found {found}\. To repair: .* parameter {name}\."
    with pytest.raises(HostError, match=told):
        host.plan(Parameters(), dataclasses.replace(READY, engine=engine, listeners=(listener,)))


def test_plan_refuses_a_taken_port_without_an_engine() -> None:
    """Fails if a bare host's taken port is found only after its packages were installed."""
    with pytest.raises(HostError, match="the port 443 to be free"):
        host.plan(Parameters(), dataclasses.replace(BARE, listeners=(NGINX,)))


def test_plan_takes_ports_that_are_ours() -> None:
    """Fails if a second run takes the registry of the first for a stranger."""
    engine = dataclasses.replace(ENGINE, publishers=((443, "registry_1", True), (5000, "registry", True)))
    assert host.plan(Parameters(), dataclasses.replace(READY, engine=engine, listeners=(NGINX, PROXY))) == []


BEHIND = Parameters(proxy="nginx")


@pytest.mark.parametrize(
    ("parameters", "has_site"),
    [pytest.param(BEHIND, False, id="nginx-in-front"), pytest.param(Parameters(), True, id="our-site-goes-first")],
)
def test_plan_takes_an_nginx_on_the_port_of_the_registry(parameters: Parameters, *, has_site: bool) -> None:
    """Fails if an nginx with other sites is no place for the registry, or our own site keeps it from coming back."""
    assert host.plan(parameters, dataclasses.replace(READY, listeners=(NGINX,), has_nginx_site=has_site)) == []


@pytest.mark.parametrize(
    ("listener", "told"),
    [
        pytest.param(Listener(port=443, process="apache2", pid=7), "apache2 .* parameter port", id="not-nginx"),
        pytest.param(Listener(port=5002, process="nginx", pid=7), "nginx .* parameter backend_port", id="backend"),
        pytest.param(Listener(port=5000, process="nginx", pid=7), "nginx .* parameter basic_port", id="basic"),
    ],
)
def test_plan_refuses_what_takes_a_port_from_nginx_or_the_registry_behind_it(listener: Listener, told: str) -> None:
    """Fails if a proxy lets any listener pass, or nginx on a port where it has no place."""
    with pytest.raises(HostError, match=told):
        host.plan(BEHIND, dataclasses.replace(READY, listeners=(listener,)))


def test_plan_names_the_way_beside_an_nginx() -> None:
    """Fails if an operator whose nginx has the port is not told that the registry can stand behind it."""
    with pytest.raises(HostError, match="stop it, set proxy: nginx, or set the parameter port"):
        host.plan(Parameters(), dataclasses.replace(READY, listeners=(NGINX,)))


@pytest.mark.parametrize(
    ("distributions", "remedy"),
    [
        pytest.param("fedora", "type `dnf install moby-engine docker-compose`, then run this again", id="fedora"),
        pytest.param("rhel fedora", "type `dnf config-manager .*/linux/rhel/.* && dnf install docker-ce ", id="rhel"),
        pytest.param("rocky rhel centos fedora", "type `dnf config-manager .*/linux/centos/.* docker-ce ", id="rocky"),
        pytest.param("centos rhel fedora", "type `dnf config-manager .*/linux/centos/.* docker-ce ", id="stream"),
        pytest.param("opensuse-leap suse opensuse", "type `zypper install docker docker-compose`", id="leap"),
        pytest.param("opensuse-tumbleweed opensuse suse", "type `zypper install docker", id="tumbleweed"),
        pytest.param("sles suse", "type `zypper install docker docker-compose`", id="sles"),
        pytest.param("void", "install docker-ce and docker-compose-plugin as docs.docker.com", id="unknown"),
        pytest.param("", "install docker-ce and docker-compose-plugin as docs.docker.com", id="no-name"),
    ],
)
def test_plan_refuses_a_host_without_apt_that_lacks_something(distributions: str, remedy: str) -> None:
    """Fails if the operator is not told what to type on his distribution, or on the one that it is like."""
    facts = dataclasses.replace(BARE, has_apt=False, distributions=tuple(distributions.split()))
    with pytest.raises(HostError, match=rf"found no docker.io and no .*, and no apt here\. To repair: {remedy}"):
        host.plan(Parameters(), facts)


def test_is_made_looks_at_the_drop_in() -> None:
    """Fails if a host that was never touched counts as one that was changed back."""
    assert (host.is_made(READY), host.is_made(BARE)) == (True, False)


def test_plan_names_another_engine_before_anything_else() -> None:
    """Fails if ports or packages of this host are judged by an engine of another one."""
    facts = dataclasses.replace(READY, elsewhere="the Docker context other, tcp://other.test:2376", compose=None)
    with pytest.raises(HostError, match=r"the client asks the Docker context other.*docker context use default"):
        host.plan(Parameters(), facts)


def test_plan_names_what_only_looks_like_docker() -> None:
    """Fails if packages are planned that apt would take Podman's script away for, or snap's engine is set up."""
    facts = dataclasses.replace(BARE, lookalike=("/usr/bin/docker starts Podman", "remove it"))
    with pytest.raises(HostError, match=r"found /usr/bin/docker starts Podman\. To repair: remove it"):
        host.plan(Parameters(), facts)


def test_plan_names_a_masked_unit_before_it_fails() -> None:
    """Fails if systemd is told to start or enable what somebody has masked, which it refuses each time."""
    masked = (
        ("docker.service", "systemctl unmask docker.service"),
        ("docker.socket", "systemctl unmask docker.socket"),
    )
    told = r"docker.service, docker.socket to be startable .* run `systemctl unmask docker.service`, `systemctl unmask"
    with pytest.raises(HostError, match=told):
        host.plan(Parameters(), dataclasses.replace(READY, engine=None, engine_enabled=False, masked=masked))
