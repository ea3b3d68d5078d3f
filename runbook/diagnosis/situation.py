"""What a diagnosis looks at: each part is read from this host once, when a check asks for it; nothing is changed."""

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

_SECONDS = 3.0  # for an engine, a name server or a port to answer: who diagnoses does not wait
_LOG_LINES = 200
_SERVER_ERROR = 500
_JUST_NOW = 15.0  # seconds
_REFERENCE = r"(?:/v2/(?P<path>[a-z0-9][a-z0-9._/-]*)/manifests/(?P<of_path>[\w.:-]+))"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a check found: `confirmed` is None where it cannot be told here and now, and `found` then says why.

    `remedy` is what a person has to do first, in place of what the cause says; empty where the cause says it. `refusal`
    is what a notebook found that refuses.
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
    """Return the finding that a cause can neither be confirmed nor ruled out here."""
    return Finding(confirmed=None, found=why)


class UntoldError(RunbookError):
    """Something cannot be looked at here and now; `found` says why."""

    def __init__(self, why: str) -> None:
        """Keep the reason."""
        super().__init__("to be able to look", why, "see the other causes")


class Situation:
    """This host, its engine and its registry as they are now; `message` is what somebody met, if anything."""

    def __init__(self, parameters: Parameters, *, message: str = "") -> None:
        """Look at nothing yet."""
        self.parameters = parameters
        self.message = message
        self.now = datetime.datetime.now(datetime.UTC)
        self._plans: dict[str, list[Change] | RunbookError] = {}

    # The engine.

    @cached_property
    def _engine(self) -> tuple[engine.Client | None, str]:
        try:
            client = engine.connect(_SECONDS)
            if asked := engine.asked_elsewhere(client):
                return None, f"the client asks {redact(asked)}"
        except NotReadyError:
            return None, "it takes the connection, and says nothing"
        except HostError as error:
            return None, error.found
        return client, "" if client else "none answers"

    @property
    def client(self) -> engine.Client | None:
        """A client of the engine, None where none answers."""
        return self._engine[0]

    @property
    def engine_obstacle(self) -> str:
        """Why no engine answers; empty where one does."""
        return self._engine[1]

    def require_engine(self) -> engine.Client:
        """Return a client of the engine; raises UntoldError where none answers."""
        if self.client is None:
            raise UntoldError(f"the engine cannot be asked: {self.engine_obstacle}")
        return self.client

    def require_own_root(self) -> engine.Client:
        """Return a client of the engine; raises UntoldError where it does not see what it stored before."""
        name = compose.volume_name(self.parameters.compose_project, self.parameters.data_volume)
        try:
            engine.refuse_other_root(self.require_engine(), name)
        except HostError as error:
            raise UntoldError(error.found) from error
        return self.require_engine()

    @cached_property
    def engine_information(self) -> Mapping[str, Any]:
        """What `docker info` says."""
        return self.require_engine().info()

    @cached_property
    def supervisor(self) -> str:
        """Who starts services on this host."""
        return systemd.supervisor()

    @cached_property
    def journal(self) -> str:
        """The last words of the engine's log."""
        if self.supervisor == "systemd":
            last = ("-u", "docker.service", "-n", str(_LOG_LINES), "--no-pager", "-o", "cat")
            return redact(commands.run("journalctl", *last, allowed=None, timeout_seconds=_SECONDS).output)
        return redact("\n".join(files.lines(engine.PROCESS_LOG)[-_LOG_LINES:]))

    @cached_property
    def daemon_json(self) -> str | None:
        """The text of the engine's configuration file, None where there is none."""
        return files.read_text(Path("/etc/docker/daemon.json").resolve())

    @cached_property
    def flags(self) -> tuple[engine_flags.Flag, ...]:
        """The flags that the engine is started with."""
        return engine_flags.gather(systemd.supervisor())

    # The registry's container.

    @cached_property
    def containers(self) -> Sequence[engine.ContainerFacts]:
        """The containers of the registry with TLS, running or not."""
        return compose.registry_containers(self.require_own_root(), self.parameters.compose_project)

    @property
    def container(self) -> engine.ContainerFacts:
        """The registry's container; raises UntoldError where there is none."""
        if not self.containers:
            raise UntoldError("there is no container of the registry")
        return self.containers[0]

    @cached_property
    def inspected(self) -> Mapping[str, Any]:
        """What `docker inspect` says of the registry's container."""
        return self.require_engine().containers.get(self.container.name).attrs

    @cached_property
    def log(self) -> str:
        """The last lines of the registry's log, since its last start."""
        found = self.require_engine().containers.get(self.container.name)
        since = datetime.datetime.fromisoformat(self.inspected["State"]["StartedAt"])
        lines = found.logs(tail=_LOG_LINES, since=max(since.timestamp() - 1, 1)).decode(errors="replace")
        return redact(lines)

    @cached_property
    def restarts(self) -> bool:
        """Whether the container ends again and again: the engine waits before it starts it anew, or has just done so.

        The engine keeps its count of restarts when somebody starts the container: where it is not nought, and the last
        start was just now, a second look tells.
        """
        if self.inspected["State"]["Restarting"] or not self.inspected["RestartCount"]:
            return bool(self.inspected["State"]["Restarting"])
        if not self.container.running or (self.now - self.container.started).total_seconds() > _JUST_NOW:
            return False
        time.sleep(1)
        again = self.require_engine().containers.get(self.container.name).attrs
        return bool(again["State"]["Restarting"]) or again["RestartCount"] > self.inspected["RestartCount"]

    @cached_property
    def image(self) -> images.RegistryImage | None:
        """The image that the parameters ask for, None where it is not here."""
        return images.find(self.require_own_root(), self.parameters)

    @cached_property
    def inside(self) -> Path:
        """The root of the file system that the registry sees; raises UntoldError where it does not run."""
        pid = int(self.inspected["State"]["Pid"])
        root = Path(f"/proc/{pid}/root")
        if not pid or not os.access(root / "var", os.X_OK):
            raise UntoldError("the registry does not run" if not pid else "only root sees what the container sees")
        return root

    # Files.

    def text(self, path: Path) -> str:
        """Return the text of a file; raises UntoldError where there is none."""
        found = files.read_text(path)
        if found is None:
            raise UntoldError(f"there is no {path}")
        return found

    @cached_property
    def configuration(self) -> Mapping[str, Any]:
        """What stands in config.yml; raises UntoldError where it is no mapping."""
        concealed = credentials.conceal(
            self.text(self.parameters.configuration_path), (self.parameters.http_secret_path,)
        )
        found = yaml_text.read_back(concealed)
        if not isinstance(found, dict):
            raise UntoldError("config.yml is no mapping")
        return found

    @cached_property
    def chain(self) -> list[x509.Certificate]:
        """What is in the server certificate's file, the server's own first; raises UntoldError where that is none."""
        return self._certificates(self.parameters.certificate_path)

    @cached_property
    def authority(self) -> x509.Certificate:
        """The authority on disk; raises UntoldError where there is none."""
        return self._certificates(self.parameters.ca_certificate_path)[0]

    def _certificates(self, path: Path) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(self.text(path).encode())
        except ValueError as error:
            raise UntoldError(f"{path} holds no certificate") from error

    # The way to the registry.

    @cached_property
    def address(self) -> str:
        """The address that the registry's name is to stand for."""
        return network.address_of(self.parameters.address)

    @cached_property
    def resolved(self) -> tuple[str, ...]:
        """The addresses that the registry's name stands for on this host; none where nobody knows it in time."""
        return network.addresses_of(self.parameters.domain)

    @cached_property
    def listeners(self) -> Sequence[network.Listener]:
        """Who listens on the registry's port."""
        return network.listeners({self.parameters.port})

    @cached_property
    def front_complaint(self) -> str:
        """Why nginx in front lets nobody through while it is asked now, in its words: it has no connection left."""
        log = nginx.ErrorLog()
        found = self._ask(tls.trusting_anybody())
        told = log.complaints() if found.status is None or found.status >= _SERVER_ERROR else []
        return next((line for line in told if nginx.NO_CONNECTION in line), "")

    @cached_property
    def anonymous(self) -> api.Answer:
        """What the registry's port says over TLS to somebody who verifies nothing and sends no login."""
        return self._ask(tls.trusting_anybody())

    @cached_property
    def verified(self) -> api.Answer:
        """The same to a client that trusts the authority on disk, and nobody else."""
        if self.anonymous.status is None:
            return self.anonymous
        return self._ask(tls.trusting(tls.certificate_text(self.authority).decode()))

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
        """What the registry's port says over plain HTTP."""
        if "timed out" in self.anonymous.error:  # whoever says nothing to one says nothing to the other
            return self.anonymous
        return api.ask(f"http://{self.address}:{self.parameters.port}/v2/", timeout_seconds=_SECONDS)

    @property
    def served(self) -> x509.Certificate | None:
        """The certificate that is served under the registry's name, None where none is."""
        found = self.anonymous.server_certificate
        return x509.load_der_x509_certificate(found) if found else None

    # The clients.

    @cached_property
    def client_settings(self) -> Mapping[str, Any]:
        """What this user's Docker client has in its config.json; empty where there is none."""
        folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        return json_text.read_object(files.read_text(folder / "config.json") or "")

    @cached_property
    def reference(self) -> tuple[str, str] | None:
        """Repository and tag (or digest) of this registry that the message names, None where it names none."""
        host = re.escape(self.parameters.registry_host)
        for pattern in (rf"\b{host}/(?P<path>[\w./-]+?)[:@](?P<of_path>\w[\w.:-]*)", _REFERENCE):
            if found := re.search(pattern, self.message):
                return found["path"], found["of_path"].rstrip(".:")
        return None

    # The plans of the sections.

    def planned(self, section: ModuleType) -> list[Change]:
        """Return what a section would change; raises what it raises, within this diagnosis's own patience."""
        if section.__name__ not in self._plans:
            hasty = self.parameters.model_copy(update={"timeout_seconds": int(_SECONDS)})
            try:
                self._plans[section.__name__] = section.plan(hasty, section.gather(hasty))
            except RunbookError as error:
                self._plans[section.__name__] = error
        found = self._plans[section.__name__]
        if isinstance(found, RunbookError):
            raise found
        return found


def look(check: Callable[[Situation], Finding], situation: Situation) -> Finding:
    """Return what a check finds; what keeps it from looking is a finding too, and nothing is raised."""
    try:
        return check(situation)
    except UntoldError as error:
        return untold(error.found)
    except RunbookError as error:
        return untold(redact(str(error)))
    except Exception as error:  # noqa: BLE001 (what others wrote may have any form)
        return untold(redact(engine.words(error) or type(error).__name__))
