"""The Docker Engine of this host: state, start and stop, containers, volumes and networks."""

import datetime
import functools
import hashlib
import io
import os
import re
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

import docker
from docker.context.config import get_current_context_name
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from runbook.model.errors import ChangedError, HostError, MissingError, NotReadyError, RightsError
from runbook.system.host import commands, files, json_text, patience, polling, systemd
from runbook.system.host.systemd import Supervisor

Client = docker.DockerClient
LABEL = "org.registry-runbook.section"  # on each container that the runbook makes
PROCESS_LOG = Path("/var/log/registry-runbook-engine.log")
KEY_FILE = Path("/etc/docker/key.json")  # created by an engine before 23 when it starts
# The engine and containerd create these; no package contains them.
FOLDERS = tuple(map(Path, ("/etc/cni", "/opt/containerd", "/var/lib/containerd", "/var/lib/docker")))
GROUP = "docker"
_WHICH_ENGINE = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
_OWN_SOCKET = re.compile(r"unix:///(?:var/)?run/docker\.sock")
_ROOTLESS_SOCKET = re.compile(r"unix:///run/user/\d+/docker\.sock")  # docs.docker.com, "Rootless mode"
THIS_HOST_S = "for this host's engine: unset DOCKER_HOST and DOCKER_CONTEXT, and `docker context use default`"
_DATA_ROOT = Path("/var/lib/docker")
_PID_FILE = Path("/var/run/docker.pid")
SOCKET = Path("/run/docker.sock")
_ENGINE = "the engine"


def connect(timeout_seconds: float = 60) -> Client | None:
    """Return a client of the engine that the environment or the Docker context names, or None if none answers.

    Raises RightsError where this user may not connect to it, and NotReadyError after the timeout.
    """
    timeout_seconds = patience.for_answer(timeout_seconds)
    try:
        if patience.has_timed_out(_ENGINE):
            raise TimeoutError("timed out before, and is not asked again")
        client = _client(int(timeout_seconds), os.geteuid(), *(os.environ.get(name) for name in _WHICH_ENGINE))
        client.ping()
    except (DockerException, OSError) as error:  # the errors of requests are OSErrors
        if _is_timeout(error):
            patience.note_timeout(_ENGINE)
            raise NotReadyError(
                f"the engine to answer within {timeout_seconds:g} s",
                "it takes the connection, and says nothing",
                "see what holds it up: `systemctl status docker`, `journalctl -u docker`; a restart stops containers",
            ) from error
        if "Permission denied" in str(error):
            raise RightsError(
                "to be allowed to speak to the engine",
                "permission denied at its socket: this user is not in the group docker",
                'run `sudo usermod -aG docker "$USER"`, log in again, and run this again; or run it as root',
            ) from error
        return None
    return client


@functools.cache  # a new client first requests the engine's version, which takes time
def _client(timeout_seconds: int, _user: int, *_which: str | None) -> Client:
    return docker.from_env(timeout=timeout_seconds, environment=commands.passed_environment())


def _is_timeout(error: BaseException) -> bool:
    return "timed out" in str(error)


def error_text(error: BaseException) -> str:
    """Return the text of an error of the engine or the host."""
    if isinstance(error, OSError | DockerException) and _is_timeout(error):
        return f"the engine takes the connection, and says nothing ({error})"
    return str(getattr(error, "explanation", None) or error).strip()


def other_engine() -> str:
    """Return the setting that selects another engine than this host's, with its address; empty if none does."""
    name, found = _context(), address()
    if not found:
        return "" if name == "default" else f"the Docker context {name}, which is not there"
    setting = "DOCKER_HOST" if os.environ.get("DOCKER_HOST") else f"the Docker context {name}"
    kind = " (rootless Docker, which has neither this host's ports nor its files)"
    rootless = kind if _ROOTLESS_SOCKET.fullmatch(found) else ""
    return "" if _OWN_SOCKET.fullmatch(found) else f"{setting}, {found}{rootless}"


def address() -> str:
    """Return the address of the selected engine; empty for the client's default."""
    return os.environ.get("DOCKER_HOST") or _address_of_context(_context())


def _context() -> str:
    return os.environ.get("DOCKER_CONTEXT") or get_current_context_name()


def _address_of_context(name: str) -> str:
    """Return the engine's address in a Docker context; empty if there is no such context.

    docker-py finds contexts only if there is a config.json. Source: docker/cli, cli/context/store.
    """
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "contexts" / "meta"
    text = files.read_text(folder / hashlib.sha256(name.encode()).hexdigest() / "meta.json")
    try:
        return str(json_text.read(text or "{}")["Endpoints"]["docker"]["Host"])
    except (KeyError, TypeError, ValueError):
        return ""


def other_engine_of(client: Client | None) -> str:
    """Return `other_engine()`, or an empty text for Docker Desktop, which is this host's engine at any socket."""
    return "" if client and is_desktop(client) else other_engine()


def require(timeout_seconds: float = 60) -> Client:
    """Return a client of this host's engine; raises MissingError if none answers, HostError if another is selected."""
    client = connect(timeout_seconds)
    if asked := other_engine_of(client):
        raise HostError("this host's engine to be asked", f"the client asks {asked}", THIS_HOST_S)
    if client is None:
        raise MissingError("a Docker Engine that answers", "none", "run the notebook 10-host")
    return client


def version(client: Client) -> tuple[int, int]:
    """Return the engine's version, as two numbers that compare; (0, 0) for one that is not written in numbers."""
    found = re.match(r"\D*(\d+)\.(\d+)", str(client.version()["Version"]))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def stores_in_containerd(client: Client) -> bool:
    """Return whether the engine keeps its images in containerd's image store."""
    return "io.containerd.snapshotter" in str(client.info().get("DriverStatus"))


@functools.cache
def is_desktop(client: Client) -> bool:
    """Return whether the engine is that of Docker Desktop, which runs in a virtual machine with its own settings."""
    return str(client.info()["OperatingSystem"]) == "Docker Desktop"


def refuse_other_root(client: Client, volume: str) -> None:
    """Raise HostError where the engine uses another storage folder than before, or cannot read root's private files.

    Causes are userns-remap, and another data-root while the default one has a volume of that name. Source:
    Docker Engine documentation, "Isolate containers with a user namespace" and "Daemon data directory".
    """
    found = client.info()
    root, usual_place = str(found["DockerRootDir"]), _DATA_ROOT / "volumes" / volume
    key = "userns-remap" if any("name=userns" in option for option in found["SecurityOptions"] or ()) else "data-root"
    apart = root != str(_DATA_ROOT) and os.path.isdir(usual_place) and volume_labels(client, volume) is None  # noqa: PTH112 (raises no PermissionError)
    if key == "userns-remap" or apart:
        raise HostError(
            f"an engine that stores in {_DATA_ROOT}, as root",
            f"{key} is set, so it stores in {root}" + (f"; the volume {volume} is in {_DATA_ROOT}" if apart else ""),
            f"take {key} out of daemon.json, or of the engine's flags, then `systemctl restart docker`: what it stored"
            " before is there again",
        )


def masked(*, is_up: bool) -> dict[str, str]:
    """Return the masked units that keep systemd from starting the engine, each with the command to unmask it.

    For a running engine, only its own unit counts: the others may be masked on purpose.
    """
    others = () if is_up else ("docker.socket", "containerd.service")
    return systemd.masked("docker.service", *others)


def is_installed() -> bool:
    """Return whether the engine and its client are installed."""
    return commands.which("dockerd") is not None and commands.which("docker") is not None


def is_enabled() -> bool:
    """Return whether systemd starts the engine at boot."""
    return systemd.is_enabled("docker.service")


def enable() -> None:
    """Make systemd start the engine at boot."""
    commands.run("systemctl", "enable", "docker.service")


def _wait_until(*, answers: bool, timeout_seconds: float) -> bool:
    @retry(
        retry=retry_if_result(lambda found: found is not answers),
        stop=stop_after_delay(timeout_seconds),
        wait=wait_fixed(0.2),
        retry_error_callback=lambda _: None,
    )
    def poll() -> bool | None:
        try:
            return connect(timeout_seconds) is not None
        except NotReadyError:
            return None

    return poll() is answers


def _start_by_init_script() -> bool:
    if not Path("/etc/init.d/docker").exists() or commands.which("service") is None:
        return False
    if commands.run("service", "docker", "start", allowed=None).code != 0:
        return False
    return _wait_until(answers=True, timeout_seconds=10)


def pid() -> int:
    """Return the engine's pid; raises OSError or ValueError where its pid file is missing or invalid."""
    return int(_PID_FILE.read_text(encoding="ascii"))


def command_line() -> tuple[str, ...]:
    """Return the command line of the running engine (proc(5)); empty if none runs."""
    try:
        argv = tuple(Path(f"/proc/{pid()}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1])
    except (OSError, ValueError):
        return ()
    return argv if argv and Path(argv[0]).name == "dockerd" else ()


def _start_as_process(argv: tuple[str, ...], timeout_seconds: float) -> None:
    _PID_FILE.unlink(missing_ok=True)
    with PROCESS_LOG.open("ab") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=commands.passed_environment(),
        )
    if not _wait_until(answers=True, timeout_seconds=timeout_seconds):
        process.terminate()
        lines = PROCESS_LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
        raise NotReadyError(
            f"the engine to answer within {timeout_seconds:g} s", " / ".join(lines), f"read {PROCESS_LOG}"
        )


def start(by: Supervisor, timeout_seconds: float = 60, argv: tuple[str, ...] = ("dockerd",)) -> None:
    """Start the engine and wait until it answers. Without systemd, run its init script or, if that fails, `argv`.

    Raises NotReadyError with the engine's last log lines after the timeout.
    """
    if by == "none":
        if not _start_by_init_script():
            _start_as_process(argv, timeout_seconds)
        return
    units = ("docker.service", "docker.socket")  # after several failed starts, systemd refuses both
    commands.run("systemctl", "reset-failed", *units, allowed=None)
    since = f"--since=@{int(time.time())}"
    started = commands.run("systemctl", "start", "docker.service", allowed=None, timeout_seconds=timeout_seconds)
    if started.code != 0 or not _wait_until(answers=True, timeout_seconds=timeout_seconds):
        options = ("-u", "docker.service", "-t", "dockerd", since, "-n", "3", "--no-pager", "-o", "cat")

        def log() -> str:
            return commands.run("journalctl", *options, allowed=None).output.replace("\n", " / ").strip(" /")

        # The journal may get the engine's last line only after systemd has reported its end.
        polling.until_empty(lambda: "" if log() else "no line yet", timeout_seconds=2)
        raise NotReadyError(
            f"the engine to answer within {timeout_seconds:g} s", log() or started.text, "see `journalctl -u docker`"
        )


def restart(by: Supervisor, timeout_seconds: float = 60) -> None:
    """Restart the engine with the same flags; containers stop unless live-restore is set."""
    argv = command_line() or ("dockerd",)
    if by == "systemd":
        commands.run("systemctl", "restart", "docker.service", allowed=None, timeout_seconds=timeout_seconds)
    else:
        stop_process(timeout_seconds)
    start(by, timeout_seconds, argv)


def stop_process(timeout_seconds: float) -> None:
    """Stop an engine that systemd does not run, and wait for its exit; raises NotReadyError if it still answers."""
    os.kill(pid(), signal.SIGTERM)
    if not _wait_until(answers=False, timeout_seconds=timeout_seconds):
        raise NotReadyError("the engine to stop", f"still answering after {timeout_seconds:g} s", f"read {PROCESS_LOG}")
    polling.until_empty(lambda: "there" if _PID_FILE.exists() else "", timeout_seconds=timeout_seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerFacts:
    """The state of a container, to compare with a plan; `started` is in the year 1 if it never ran.

    `publish` has address, host port and container port; the host port is 0 if the engine chooses it. `ports` are the
    host ports that it has now, `networks` the names of its networks.
    """

    name: str
    image_id: str
    running: bool
    started: datetime.datetime
    restart_policy: str
    publish: tuple[tuple[str, int, int], ...]
    binds: tuple[str, ...]
    volumes: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...]
    environment: tuple[str, ...]
    paused: bool = False
    identifier: str = ""
    ports: tuple[int, ...] = ()
    networks: tuple[str, ...] = ()

    def label(self, name: str) -> str | None:
        """Return a label's value, or None if the container does not have it."""
        return dict(self.labels).get(name)


def _facts_of(container: Container) -> ContainerFacts:
    host, config, networking = (container.attrs[part] for part in ("HostConfig", "Config", "NetworkSettings"))
    published = [binding for bindings in (networking["Ports"] or {}).values() for binding in bindings or ()]
    return ContainerFacts(
        name=container.attrs["Name"].removeprefix("/"),
        image_id=container.attrs["Image"],
        running=bool(container.attrs["State"]["Running"]),
        paused=bool(container.attrs["State"]["Paused"]),
        started=datetime.datetime.fromisoformat(container.attrs["State"]["StartedAt"]),
        restart_policy=host["RestartPolicy"]["Name"],
        publish=tuple(
            (binding["HostIp"], _port(binding["HostPort"]), int(inside.partition("/")[0]))
            for inside, bindings in sorted((host["PortBindings"] or {}).items())
            for binding in bindings or ()
        ),
        binds=tuple(host["Binds"] or ()),
        volumes=tuple(
            (mount["Destination"], mount["Name"]) for mount in container.attrs["Mounts"] if mount["Type"] == "volume"
        ),
        labels=tuple(sorted((config["Labels"] or {}).items())),
        environment=tuple(config["Env"] or ()),
        identifier=str(container.id),
        ports=tuple(sorted({_port(binding["HostPort"]) for binding in published})),
        networks=tuple(sorted(networking["Networks"] or ())),
    )


def _port(text: str) -> int:
    """Return a host port; 0 if the engine chooses one, also from a range."""
    return int(text) if text.isdigit() else 0


def containers(client: Client, labels: tuple[str, ...] = ()) -> list[ContainerFacts]:
    """Return the containers, running or not, with all `labels` (`name` or `name=value`), if not removed meanwhile."""
    found = client.containers.list(all=True, filters={"label": list(labels)}, ignore_removed=True)
    return [_facts_of(item) for item in found]


def container(client: Client, name: str) -> ContainerFacts | None:
    """Return the container with a name, or None."""
    try:
        return _facts_of(client.containers.get(name))
    except NotFound:
        return None


def remove_own_container(client: Client, name: str) -> None:
    """Remove the runbook's container with a name, if there is one; its volumes stay.

    Raises ChangedError if the container is not the runbook's.
    """
    with suppress(NotFound):
        found = client.containers.get(name)
        if LABEL not in found.labels:
            expected = f"no container named {name} but the runbook's own, as when the plan was made"
            raise ChangedError(expected, "one made by other means", "plan again")
        found.remove(force=True)


def remove_container(client: Client, name: str) -> None:
    """Remove a container, running or not, if there is one of this name; its volumes stay."""
    with suppress(NotFound):
        client.containers.get(name).remove(force=True)


def remove_volume(client: Client, name: str) -> None:
    """Remove a volume with its data, if there is one of this name."""
    with suppress(NotFound):
        client.volumes.get(name).remove()


def volume_labels(client: Client, name: str) -> dict[str, str] | None:
    """Return the labels of a volume, or None if there is none of this name."""
    try:
        return dict(client.volumes.get(name).attrs["Labels"] or {})
    except NotFound:
        return None


def network_labels(client: Client, name: str) -> dict[str, str] | None:
    """Return the labels of a network, or None if there is none of this name."""
    found = network(client, name)
    return None if found is None else dict(found.attrs["Labels"] or {})


def network(client: Client, name: str) -> Network | None:
    """Return the network with exactly this name, or None; the engine's filter also finds parts of names."""
    return next((found for found in client.networks.list(names=[name]) if found.name == name), None)


def bridge_addresses(client: Client) -> list[str]:
    """Return the IPv4 addresses of this host on the engine's default bridge."""
    try:
        subnets = client.networks.get("bridge").attrs["IPAM"]["Config"] or ()
    except NotFound:
        return []
    gateways = [subnet.get("Gateway", "") for subnet in subnets]
    return [address for address in gateways if "." in address]


def read_file(client: Client, name: str, path: PurePath) -> bytes:
    """Return the content of a file inside a container; raises HostError if it does not exist."""
    try:
        stream, _ = client.containers.get(name).get_archive(str(path))
    except NotFound as error:
        found = str(error.explanation)
        raise HostError(f"{path} in the container {name}", found, "run the notebook 50-compose") from error
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        file = next((archive.extractfile(member) for member in archive if member.isfile()), None)
        return file.read() if file else b""


def execute(client: Client, name: str, argv: tuple[str, ...]) -> int:
    """Run a command in a running container and return its exit code; raises HostError if it cannot be started."""
    try:
        return client.containers.get(name).exec_run(list(argv)).exit_code or 0
    except APIError as error:
        raise HostError(
            f"the container {name} to run {argv[0]}", str(error.explanation), f"see `docker logs {name}`"
        ) from error


def _start(container: Container) -> None:
    try:
        container.start()
    except APIError as error:
        expected = "a container with a published port to start"
        raise HostError(expected, str(error.explanation), "run the notebook 10-host") from error


def probes(client: Client) -> tuple[str, ...]:
    """Return the names of the containers of checks, running or left behind by a killed one."""
    return tuple(str(found.name) for found in client.containers.list(all=True, filters={"label": f"{LABEL}=probe"}))


@contextmanager
def probe_container(client: Client, image: str, *, inside: int) -> Iterator[int]:
    """Run a container in this context and yield the host port to which its port `inside` is published.

    Containers left behind by a killed run are removed first. Raises HostError if the container exits immediately.
    """
    for leftover in probes(client):
        remove_container(client, leftover)
    probe = client.containers.create(
        image,
        detach=True,
        ports={f"{inside}/tcp": None},
        labels={LABEL: "probe"},
        tmpfs={"/var/lib/registry": ""},  # without it, the engine creates an anonymous volume
    )
    try:
        _start(probe)
        probe.reload()
        bindings = (probe.attrs["NetworkSettings"]["Ports"] or {}).get(f"{inside}/tcp")
        if not bindings:
            raise HostError(f"a container of {image} to stay up", _end_of(probe), "set registry_image to another image")
        yield int(bindings[0]["HostPort"])
    finally:
        probe.remove(force=True)


def _end_of(ended: Container) -> str:
    """Return the last log line of an exited container, or its exit code."""
    last = ended.logs(tail=1).decode(errors="replace").strip()
    return last or f"it ended with code {ended.attrs['State']['ExitCode']}"


def probe_end(client: Client) -> str:
    """Return the last log line of a probe that has exited; empty while it runs."""
    found = client.containers.list(all=True, filters={"label": f"{LABEL}=probe", "status": "exited"})
    return _end_of(found[0]) if found else ""
