"""The host: an engine that runs and starts at boot, Compose, forwarding, the nat chain, free ports, an image.

Notebook: 10-host. Source: Docker Engine documentation, "Packet filtering and firewalls".
"""

import dataclasses
import platform
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from runbook.changes.base import Change
from runbook.changes.containers import ObtainImage
from runbook.changes.engine import EnableEngine, InstallPackages, RestartEngine, SetKernel, StartEngine
from runbook.changes.files import WriteFile
from runbook.model.errors import HostError, NotReadyError
from runbook.model.parameters import Parameters
from runbook.model.results import Result, refused, works
from runbook.system import nginx
from runbook.system.docker import compose, engine, engine_flags, images, lookalikes, ports, proxies, reload
from runbook.system.host import files, network, packages, systemd
from runbook.system.host.systemd import Supervisor
from runbook.system.registry import api

FORWARDING = "net.ipv4.ip_forward"
_CLIENT_APART = 13  # since Debian 13 the package docker.io only recommends the client
DROP_IN_TEXT = (
    f"# Made by registry-runbook: containers reach the network, and are reached, only with this.\n{FORWARDING} = 1\n"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFacts:
    """A running engine; `running` are the containers that a restart stops.

    `publishers` are port, container, and whether that is ours. `has_nat_chain` is also true if the engine needs none.
    """

    version: str
    has_nat_chain: bool
    running: tuple[str, ...]
    publishers: tuple[tuple[int, str, bool], ...]
    image: str | None
    is_desktop: bool = False
    proxy: proxies.Proxy | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HostFacts:
    """The current state of the host; `engine` is None if none responds, `compose` is its command, None without it.

    `elsewhere` is the other engine that the client uses, empty if it uses this host's. `masked` are the engine's masked
    units, each with the command to unmask it. `lookalike` is what else has the name of Docker's client, with a remedy.
    """

    distributions: tuple[str, ...]
    release: str
    has_apt: bool
    supervisor: Supervisor
    engine_installed: bool
    engine_enabled: bool
    engine: EngineFacts | None
    compose: str | None
    forwarding: int | None
    drop_in: str | None
    daemon_json: str | None
    flags: tuple[engine_flags.Flag, ...]
    listeners: tuple[network.Listener, ...]
    has_nginx_site: bool
    elsewhere: str = ""
    masked: tuple[tuple[str, str], ...] = ()
    has_docker_ce: bool = False
    lookalike: tuple[str, str] | None = None


def gather(parameters: Parameters) -> HostFacts:
    """Return the facts of this host; changes nothing."""
    supervisor = systemd.supervisor()
    installed = engine.is_installed()
    listeners = tuple(network.listeners(set(_ports(parameters))))
    with ThreadPoolExecutor() as pool:  # an interrupt waits for these commands, but not for a stuck engine
        compose_future = pool.submit(compose.argv)
        boot_future = pool.submit(engine.is_enabled) if supervisor == "systemd" and installed else None
        flags_future = pool.submit(engine_flags.gather, supervisor) if installed else None
        try:
            found_engine = _gather_engine(parameters, listeners, supervisor) if installed else None
        except NotReadyError:  # systemd holds the connection while it starts, again and again, what cannot start
            engine_flags.refuse(reload.read_file(), flags_future.result() if flags_future else ())
            raise
    found_compose = compose_future.result()
    flags = flags_future.result() if flags_future else ()
    if found_engine is not None and not found_engine.has_nat_chain:
        client = engine.require(parameters.timeout_seconds)
        needs_none = not reload.wants_nat_chain(client, flags)
        found_engine = dataclasses.replace(found_engine, has_nat_chain=needs_none)
    return HostFacts(
        distributions=packages.distributions(),
        release=platform.freedesktop_os_release().get("VERSION_ID", ""),
        has_apt=packages.has_apt(),
        supervisor=supervisor,
        engine_installed=installed,
        engine_enabled=boot_future is not None and boot_future.result(),
        engine=found_engine,
        compose=" ".join(found_compose) if found_compose else None,
        forwarding=network.read_setting(FORWARDING),
        drop_in=files.read_text(network.DROP_IN),
        daemon_json=reload.read_file(),
        flags=flags,
        listeners=listeners,
        has_nginx_site=nginx.read_site() is not None,
        elsewhere="" if found_engine is not None and found_engine.is_desktop else engine.other_engine(),
        masked=tuple(engine.masked(is_up=found_engine is not None).items()) if boot_future else (),
        has_docker_ce=found_compose is None and bool(packages.installed(("docker-ce",))),
        lookalike=lookalikes.find(),
    )


def _ports(parameters: Parameters) -> dict[int, str]:
    """Return the ports that the registries need, each with its parameter's name."""
    behind = {parameters.backend_port: "backend_port"} if parameters.proxy == "nginx" else {}
    return behind | {parameters.basic_port: "basic_port", parameters.port: "port"}


def _gather_engine(
    parameters: Parameters, listeners: Sequence[network.Listener], supervisor: Supervisor
) -> EngineFacts | None:
    client = engine.connect(parameters.timeout_seconds)
    if client is None or engine.other_engine_of(client):
        return None
    is_kept = parameters.http_secret_path.exists()
    compose.require_own(client, parameters.compose_project, parameters.data_volume, is_kept=is_kept)
    running = [found for found in engine.containers(client) if found.running]
    image = images.find(client, parameters)
    desktop = engine.is_desktop(client)
    return EngineFacts(
        version=client.version()["Version"],
        has_nat_chain=desktop or network.has_nat_chain("DOCKER"),
        running=tuple(sorted(found.name for found in running)),
        publishers=tuple((port, found.name, _is_ours(found)) for port, found in ports.publishers(client, listeners)),
        image=image.reference if image else None,
        is_desktop=desktop,
        proxy=None if desktop else proxies.gather(client.info(), supervisor),
    )


def _is_ours(found: engine.ContainerFacts) -> bool:
    """Return whether the runbook made a container: the next sections may replace it."""
    return found.label(engine.LABEL) is not None


def packages_for(facts: HostFacts) -> tuple[str, ...]:
    """Return the packages of this release for a missing engine, client or Compose."""
    ubuntu = "ubuntu" in facts.distributions
    number = re.match(r"\d+", facts.release)  # Debian unstable has none
    client_apart = number is None or int(number.group()) >= _CLIENT_APART
    engine_packages = ("docker.io", "docker-cli") if client_apart and not ubuntu else ("docker.io",)
    compose_package = "docker-compose-v2" if ubuntu else "docker-compose"
    if facts.has_docker_ce:  # the distribution's would bring its own engine
        compose_package = "docker-compose-plugin"
    missing = () if facts.engine_installed else engine_packages
    return missing if facts.compose else (*missing, compose_package)


def is_made(facts: HostFacts) -> bool:
    """Return whether this section has been applied before."""
    return facts.drop_in is not None


def plan(parameters: Parameters, facts: HostFacts) -> list[Change]:
    """Return the changes that make the host ready; empty if there are none.

    On Docker Desktop only the image can change: engine and kernel are in its virtual machine. Raises HostError for what
    the runbook cannot repair: a port in use by another process, a daemon.json that keeps the engine from starting, a
    masked unit, a proxy that intercepts the registry's traffic, no engine and no apt.
    """
    lookalikes.refuse(facts.lookalike)
    _refuse_other_engine(facts)
    systemd.refuse_masked(dict(facts.masked))
    _refuse_taken_ports(parameters, facts)
    engine_flags.refuse(facts.daemon_json, facts.flags)
    proxies.refuse(facts.engine.proxy if facts.engine else None, parameters.domain, parameters.port)
    if facts.engine is not None and facts.engine.is_desktop:
        return [] if facts.engine.image else [_obtain(parameters)]
    changes: list[Change] = []
    if missing := packages_for(facts):
        if not facts.has_apt:
            raise HostError(
                "a Docker Engine and Compose",
                f"no {' and no '.join(missing)}, and no apt here",
                packages.by_hand(facts.distributions, "engine"),
            )
        changes.append(InstallPackages(names=missing))
    if facts.drop_in != DROP_IN_TEXT:
        changes.append(WriteFile(path=network.DROP_IN, before=facts.drop_in, after=DROP_IN_TEXT, mode=0o644))
    if facts.forwarding != 1:
        changes.append(SetKernel(name=FORWARDING, before=facts.forwarding, after=1))
    if facts.supervisor == "systemd" and not facts.engine_enabled:
        changes.append(EnableEngine())
    if facts.engine is None:
        changes.append(StartEngine(supervisor=facts.supervisor))
    elif not facts.engine.has_nat_chain:
        reason = "its nat chain DOCKER is gone, and only its start puts it back"
        changes.append(RestartEngine(supervisor=facts.supervisor, reason=reason, stops=facts.engine.running))
    if facts.engine is None or facts.engine.image is None:
        changes.append(_obtain(parameters))
    return changes


def _obtain(parameters: Parameters) -> ObtainImage:
    return ObtainImage(
        sources=images.sources(parameters),
        reference=parameters.registry_image,
        digest=parameters.registry_image_digest,
        archive=parameters.registry_image_archive,
    )


def _refuse_other_engine(facts: HostFacts) -> None:
    if facts.elsewhere:
        raise HostError("this host's engine to be asked", f"the client asks {facts.elsewhere}", engine.THIS_HOST_S)


def _refuse_taken_ports(parameters: Parameters, facts: HostFacts) -> None:
    publishers = facts.engine.publishers if facts.engine else ()
    holders = {port: name for port, name, is_ours in publishers if not is_ours}
    ours = {port for port, _, is_ours in publishers if is_ours}
    for listener in facts.listeners:
        if listener.port not in ours and not _is_nginx_in_front(parameters, facts, listener):
            holder, hint = ports.holder(listener, holders)
            name = _ports(parameters)[listener.port]
            in_front = "set proxy: nginx, " if (name, listener.process) == ("port", "nginx") else ""
            raise HostError(
                f"the port {listener.port} to be free",
                f"{holder} listens there",
                f"{hint}, {in_front}or set the parameter {name}",
            )


def _is_nginx_in_front(parameters: Parameters, facts: HostFacts, listener: network.Listener) -> bool:
    """Return whether a listener is the nginx in front, or the one that 50-compose removes our site from."""
    is_nginx = (listener.port, listener.process) == (parameters.port, "nginx")
    return is_nginx and (parameters.proxy == "nginx" or facts.has_nginx_site)


def check(parameters: Parameters) -> list[Result]:
    """Return the proof that this host can run a registry: a container with a published port responds."""
    return [*check_container(parameters), *check_settings(parameters)]


def check_container(parameters: Parameters) -> list[Result]:
    """Return the proof that a container with a published port responds; it is removed again."""
    client = engine.require(parameters.timeout_seconds)
    image = images.require(client, parameters)
    address = network.default_address()
    ended, publishes_nothing = "", reload.publishes_nothing(engine_flags.gather(systemd.supervisor()))
    with engine.probe_container(client, image.reference, inside=5000) as port:
        probed = api.Registry(url=f"http://{address}:{port}")
        try:
            ready = api.wait_until_ready(probed, timeout_seconds=15, has_ended=lambda: engine.probe_end(client))
            answered: object = ready.status
        except NotReadyError as error:
            ended = engine.probe_end(client)
            answered = ended or error.found
    afterwards = probed.ask("/v2/")
    remedy = (
        reload.ENABLE_PUBLISHING
        if publishes_nothing
        else "see `iptables -t nat -L DOCKER` and any firewall of this host"
    )
    return [
        works(
            f"a container with a published port answers at {address}",
            expected=200,
            found=answered,
            remedy="set registry_image to another image: its container has ended" if ended else remedy,
        ),
        refused(
            "the same address, once that container is gone",
            expected="no answer",
            found="no answer" if afterwards.status is None else f"status {afterwards.status}",
            remedy="something else answers on the ports of this host: find it with `ss -ltnp`",
        ),
    ]


def check_settings(parameters: Parameters) -> list[Result]:
    """Return the proof of this host's settings; empty if the engine is in a virtual machine."""
    if engine.is_desktop(engine.require(parameters.timeout_seconds)):
        return []
    boot = engine.is_enabled() if systemd.supervisor() == "systemd" else "no systemd here: start it at boot yourself"
    return [
        works(
            "containers are forwarded",
            expected=1,
            found=network.read_setting(FORWARDING),
            remedy=f"see what sets {FORWARDING}: `grep -r ip_forward /etc/sysctl.d /etc/sysctl.conf`",
        ),
        works(
            "the engine starts at boot",
            expected=True if systemd.supervisor() == "systemd" else boot,
            found=boot,
            remedy="run `systemctl enable docker`",
        ),
    ]
