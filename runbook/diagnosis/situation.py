"""The state that checks read. Each part is read from this host once, on first use; nothing is changed."""

import datetime
import os
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from cryptography import x509

from runbook.changes.base import Change
from runbook.model.errors import HostError, NotReadyError, RunbookError
from runbook.model.parameters import Parameters
from runbook.model.redaction import redact
from runbook.system import credentials, nginx
from runbook.system.certificates import tls
from runbook.system.docker import compose, engine, engine_flags, images
from runbook.system.host import commands, files, json_text, network, systemd, yaml_text
from runbook.system.registry import api

_SECONDS = 3.0  # timeout for engine, name server and port: a diagnosis has to be quick
_LOG_LINES = 200
_SERVER_ERROR = 500
_RECENT_SECONDS = 15.0
_REFERENCE = r"(?:/v2/(?P<path>[a-z0-9][a-z0-9._/-]*)/manifests/(?P<of_path>[\w.:-]+))"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The result of a check: `confirmed` is None if it is undecided, with the reason in `found`.

    `remedy` replaces the cause's remedy with what a person has to do first; empty if the cause's applies.
    `refusal` is what a notebook found when it refused.
    """

    confirmed: bool | None
    found: str
    remedy: str = ""
    refusal: str = ""


def yes(found: str, remedy: str = "", refusal: str = "") -> Finding:
    """Return the finding that confirms a cause."""
    return Finding(confirmed=True, found=found, remedy=remedy, refusal=refusal)


def no(found: str) -> Finding:
    """Return the finding that rules a cause out."""
    return Finding(confirmed=False, found=found)


def untold(why: str) -> Finding:
    """Return the finding that neither confirms a cause nor rules it out."""
    return Finding(confirmed=None, found=why)


class UndecidedError(RunbookError):
    """A check cannot read what it needs; `found` is the reason."""

    def __init__(self, why: str) -> None:
        """Store the reason."""
        super().__init__("to be able to look", why, "see the other causes")


class Situation:
    """This host, its engine and its registry as they are now; `message` is the text to diagnose, if any."""

    def __init__(self, parameters: Parameters, *, message: str = "") -> None:
        """Read nothing yet."""
        self.parameters = parameters
        self.message = message
        self.now = datetime.datetime.now(datetime.UTC)
        self._plans: dict[str, list[Change] | RunbookError] = {}

    # The message.

    def named(self, pattern: str, what: str) -> re.Match[str]:
        """Return the first match of a pattern in the message; raises UndecidedError if the message names no `what`."""
        found = re.search(pattern, self.message)
        if found is None:
            raise UndecidedError(f"the message names no {what}")
        return found

    @cached_property
    def reference(self) -> tuple[str, str] | None:
        """Repository and tag (or digest) of this registry that the message names, None if it names none."""
        host = re.escape(self.parameters.registry_host)
        for pattern in (rf"\b{host}/(?P<path>[\w./-]+?)[:@](?P<of_path>\w[\w.:-]*)", _REFERENCE):
            if found := re.search(pattern, self.message):
                return found["path"], found["of_path"].rstrip(".:")
        return None

    # The engine.

    @cached_property
    def _engine(self) -> tuple[engine.Client | None, str]:
        try:
            client = engine.connect(_SECONDS)
            if asked := engine.other_engine_of(client):
                return None, f"the client asks {redact(asked)}"
        except NotReadyError:
            return None, "it takes the connection, and says nothing"
        except HostError as error:
            return None, error.found
        return client, "" if client else "none answers"

    @property
    def client(self) -> engine.Client | None:
        """A client of the engine, None if none answers."""
        return self._engine[0]

    @property
    def engine_obstacle(self) -> str:
        """Why no engine answers; empty if one does."""
        return self._engine[1]

    def require_engine(self) -> engine.Client:
        """Return a client of the engine; raises UndecidedError if none answers."""
        if self.client is None:
            raise UndecidedError(f"the engine cannot be asked: {self.engine_obstacle}")
        return self.client

    def require_own_root(self) -> engine.Client:
        """Return a client of the engine; raises UndecidedError if the registry's volume is not in its data root.

        Without an engine it raises the same.
        """
        name = compose.volume_name(self.parameters.compose_project, self.parameters.data_volume)
        try:
            engine.refuse_other_root(self.require_engine(), name)
        except HostError as error:
            raise UndecidedError(error.found) from error
        return self.require_engine()

    @cached_property
    def engine_information(self) -> Mapping[str, Any]:
        """The output of `docker info`."""
        return self.require_engine().info()

    @cached_property
    def supervisor(self) -> systemd.Supervisor:
        """The name of the service manager of this host."""
        return systemd.supervisor()

    @cached_property
    def journal(self) -> str:
        """The last 200 lines of the engine's log, redacted."""
        if self.supervisor == "systemd":
            argv = ("journalctl", "-u", "docker.service", "-n", str(_LOG_LINES), "--no-pager", "-o", "cat")
            return redact(commands.run(*argv, allowed=None, timeout_seconds=_SECONDS).output)
        return redact("\n".join(files.lines(engine.PROCESS_LOG)[-_LOG_LINES:]))

    @cached_property
    def daemon_json(self) -> str | None:
        """The text of the engine's configuration file, None if there is none."""
        return files.read_text(Path("/etc/docker/daemon.json").resolve())

    @cached_property
    def flags(self) -> tuple[engine_flags.Flag, ...]:
        """The command-line flags of the engine."""
        return engine_flags.gather(self.supervisor)

    # The registry's container.

    @cached_property
    def containers(self) -> Sequence[engine.ContainerFacts]:
        """The containers of the registry with TLS, running or not."""
        return compose.registry_containers(self.require_own_root(), self.parameters.compose_project)

    @property
    def container(self) -> engine.ContainerFacts:
        """The registry's container; raises UndecidedError if there is none."""
        if not self.containers:
            raise UndecidedError("there is no container of the registry")
        return self.containers[0]

    @cached_property
    def inspected(self) -> Mapping[str, Any]:
        """The output of `docker inspect` for the registry's container."""
        return self.require_engine().containers.get(self.container.name).attrs

    @cached_property
    def log(self) -> str:
        """The last 200 lines of the registry's log since its last start, redacted."""
        container = self.require_engine().containers.get(self.container.name)
        started = datetime.datetime.fromisoformat(self.inspected["State"]["StartedAt"])
        output = container.logs(tail=_LOG_LINES, since=max(started.timestamp() - 1, 1))
        return redact(output.decode(errors="replace"))

    @cached_property
    def restarts(self) -> bool:
        """Whether the container is in a restart loop: the engine waits before the next start, or has just started it.

        A start by hand does not reset the engine's restart counter. Therefore, if the counter is not zero and the last
        start is recent, this reads the container's state a second time, one second later.
        """
        if self.inspected["State"]["Restarting"] or not self.inspected["RestartCount"]:
            return bool(self.inspected["State"]["Restarting"])
        if not self.container.running or (self.now - self.container.started).total_seconds() > _RECENT_SECONDS:
            return False
        time.sleep(1)
        again = self.require_engine().containers.get(self.container.name).attrs
        return bool(again["State"]["Restarting"]) or again["RestartCount"] > self.inspected["RestartCount"]

    @cached_property
    def image(self) -> images.RegistryImage | None:
        """The image that the parameters name, None if it is not on this host."""
        return images.find(self.require_own_root(), self.parameters)

    @cached_property
    def inside(self) -> Path:
        """The container's root folder; raises UndecidedError if it does not run, or only root may read it."""
        pid = int(self.inspected["State"]["Pid"])
        if not pid:
            raise UndecidedError("the registry does not run")
        root = Path(f"/proc/{pid}/root")
        if not os.access(root / "var", os.X_OK):
            raise UndecidedError("only root sees what the container sees")
        return root

    # Files.

    def text(self, path: Path) -> str:
        """Return the text of a file; raises UndecidedError if there is none."""
        found = files.read_text(path)
        if found is None:
            raise UndecidedError(f"there is no {path}")
        return found

    @cached_property
    def configuration(self) -> Mapping[str, Any]:
        """The content of config.yml, with the HTTP secret concealed; raises UndecidedError if it is no mapping."""
        concealed = credentials.conceal(
            self.text(self.parameters.configuration_path), (self.parameters.http_secret_path,)
        )
        found = yaml_text.read_back(concealed)
        if not isinstance(found, dict):
            raise UndecidedError("config.yml is no mapping")
        return found

    @cached_property
    def chain(self) -> list[x509.Certificate]:
        """The certificates in the server's file, its own first; raises UndecidedError if the file holds none."""
        return self._certificates(self.parameters.certificate_path)

    @cached_property
    def authority(self) -> x509.Certificate:
        """The authority on disk; raises UndecidedError if there is none."""
        return self._certificates(self.parameters.ca_certificate_path)[0]

    def _certificates(self, path: Path) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(self.text(path).encode())
        except ValueError as error:
            raise UndecidedError(f"{path} holds no certificate") from error

    # The connection to the registry.

    @cached_property
    def address(self) -> str:
        """The address that the registry's name should resolve to."""
        return network.address_of(self.parameters.address)

    @cached_property
    def resolved(self) -> tuple[str, ...]:
        """The addresses that the registry's name resolves to on this host; empty if it does not resolve in time."""
        return network.addresses_of(self.parameters.domain)

    @cached_property
    def listeners(self) -> Sequence[network.Listener]:
        """The processes that listen on the registry's port."""
        return network.listeners({self.parameters.port})

    @cached_property
    def front_complaint(self) -> str:
        """The line in nginx's error log that a request now causes because no connection is left; empty without one."""
        log = nginx.ErrorLog()
        found = self._ask(tls.unverified_context())
        lines = log.complaints() if found.status is None or found.status >= _SERVER_ERROR else []
        return next((line for line in lines if nginx.NO_CONNECTION in line), "")

    @cached_property
    def anonymous(self) -> api.Answer:
        """The response of the registry's port over TLS, without verification and without a login."""
        return self._ask(tls.unverified_context())

    @cached_property
    def verified(self) -> api.Answer:
        """The response to a client that trusts only the authority on disk, without a login."""
        if self.anonymous.status is None:
            return self.anonymous
        return self._ask(tls.client_context(tls.certificate_text(self.authority).decode()))

    def _ask(self, trust: ssl.SSLContext) -> api.Answer:
        url = f"https://{self.address}:{self.parameters.port}/v2/"
        return api.ask(
            url,
            tls=trust,
            server_name=self.parameters.domain,
            host=self.parameters.registry_host,
            timeout_seconds=_SECONDS,
        )

    @cached_property
    def plain(self) -> api.Answer:
        """The response of the registry's port over plain HTTP."""
        if "timed out" in self.anonymous.error:  # plain HTTP would time out too
            return self.anonymous
        return api.ask(f"http://{self.address}:{self.parameters.port}/v2/", timeout_seconds=_SECONDS)

    @property
    def served(self) -> x509.Certificate | None:
        """The certificate that is served under the registry's name, None without one."""
        found = self.anonymous.server_certificate
        return x509.load_der_x509_certificate(found) if found else None

    # The clients.

    @cached_property
    def client_settings(self) -> Mapping[str, Any]:
        """The config.json of this user's Docker client; empty if there is none."""
        folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        return json_text.read_object(files.read_text(folder / "config.json") or "")

    # The plans of the sections.

    def planned(self, section: ModuleType) -> list[Change]:
        """Return a section's changes, planned with this diagnosis's timeout; raises the section's errors."""
        if section.__name__ not in self._plans:
            short_timeout = self.parameters.model_copy(update={"timeout_seconds": int(_SECONDS)})
            try:
                self._plans[section.__name__] = section.plan(short_timeout, section.gather(short_timeout))
            except RunbookError as error:
                self._plans[section.__name__] = error
        found = self._plans[section.__name__]
        if isinstance(found, RunbookError):
            raise found
        return found


def look(check: Callable[[Situation], Finding], situation: Situation) -> Finding:
    """Return what a check finds. An error of the check is an undecided finding; this raises nothing."""
    try:
        return check(situation)
    except UndecidedError as error:
        return untold(error.found)
    except RunbookError as error:
        return untold(redact(str(error)))
    except Exception as error:  # noqa: BLE001 (files written by others may have any form)
        return untold(redact(engine.error_text(error) or type(error).__name__))
