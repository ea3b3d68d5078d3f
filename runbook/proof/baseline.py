"""The baseline: the state that a proof found when the user accepted it; later proofs are compared with it.

It maps names to texts, such as `engine: 26.1.5`, which are shown and compared unchanged. It holds no secret.
"""

import datetime
import hashlib
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import platformdirs
from cryptography import x509
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from runbook.changes.base import Change
from runbook.changes.files import MakeDirectory, WriteFile
from runbook.model.errors import HostError
from runbook.model.parameters import Parameters
from runbook.model.results import Result
from runbook.proof import surroundings
from runbook.system import credentials
from runbook.system.certificates import tls
from runbook.system.docker import compose, daemon_json, engine, reload
from runbook.system.host import network
from runbook.system.registry import api, htpasswd, stored
from runbook.system.registry import config_yml as inside

State = dict[str, str]
_NONE = "none"
STORED = "what is stored, at least"
SERVED = "the certificate that is served"


class Baseline(BaseModel):
    """The content of a baseline file, in JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = Field(default=1, description="of this form")
    registry: str = Field(description="HOST[:PORT] of the registry")
    accepted: AwareDatetime = Field(description="when it was accepted")
    state: State = Field(description="what was found, by name")


def read(text: str) -> Baseline:
    """Return the baseline in a file's text; raises HostError for a malformed text."""
    try:
        return Baseline.model_validate_json(text)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, item['loc']))} {item['msg']}" for item in error.errors())
        raise HostError("an accepted state in version 1", found, "accept the state anew: `prove --accept`") from error


def plan(path: Path, before: str | None, accepted: Baseline) -> list[Change]:
    """Return the change that stores a baseline; empty if the file already has the same state."""
    with suppress(HostError):
        if before is not None and read(before).state == accepted.state:
            return []
    return [WriteFile(path=path, before=before, after=accepted.model_dump_json(indent=2) + "\n", mode=0o600)]


def path_elsewhere(registry: str) -> Path:
    """Return the baseline file of a remote registry, HOST[:PORT], in this user's state folder."""
    name = re.sub(r"[^a-z0-9.-]", "_", registry)
    return Path(platformdirs.user_state_path("registry-runbook"), "accepted", f"{name}.json")


def folder_for(path: Path) -> list[Change]:
    """Return the change that makes a file's folder, for this user alone; empty if it exists."""
    return [] if path.parent.is_dir() else [MakeDirectory(path=path.parent, mode=0o700)]


def compare(accepted: Baseline, found: State) -> list[Result]:
    """Return one result for each item of the baseline: it passes if the item is unchanged, or more is stored."""
    return [
        Result(
            claim=f"as accepted on {accepted.accepted:%Y-%m-%d}: {name}",
            expected=value,
            found=(now := found.get(name, _NONE)),
            passed=now == value or (name == STORED and _is_as_much(now, value)),
            refusal=False,
            remedy="find out who changed it; undo it, or take it for the right state with `prove --accept`",
        )
        for name, value in accepted.state.items()
    ]


def _is_as_much(found: str, accepted: str) -> bool:
    """Return whether each number in `found` is at least the accepted one."""
    numbers = [list(map(int, re.findall(r"\d+", text))) for text in (found, accepted)]
    return len(numbers[0]) == len(numbers[1]) and all(now >= then for now, then in zip(*numbers, strict=True))


def gather(parameters: Parameters) -> State:
    """Return the current state of the registry, its container and its engine.

    Raises MissingError if no engine responds, HostError if the registry has no container.
    """
    client = engine.require(parameters.timeout_seconds)
    found = registry_container(client, parameters)
    return {
        "this host's address": network.address_of(parameters.address),
        **_certificates(parameters),
        "the registry's users": ", ".join(sorted(htpasswd.read(parameters.htpasswd_path))) or _NONE,
        "who owns the private files": _owners(parameters),
        "the firewall's own rules for containers": network.user_rules() or _NONE,
        "the firewall's rules for what comes in": network.rules_for_what_comes_in() or _NONE,
        STORED: _stored(client, parameters),
        **_container(client, found, parameters),
        **_engine(client),
    }


def registry_container(client: engine.Client, parameters: Parameters) -> engine.ContainerFacts:
    """Return the registry's container; raises HostError if there is none."""
    found = compose.registry_containers(client, parameters.compose_project)
    if not found:
        raise HostError("a container of the registry", _NONE, "run the notebook 50-compose")
    return found[0]


def _stored(client: engine.Client, parameters: Parameters) -> str:
    try:
        return stored.count(surroundings.folder_of(client, parameters))
    except surroundings.NotVisibleError as error:
        return f"not counted: {error}"


def _owners(parameters: Parameters) -> str:
    private = (
        parameters.ca_key_path,
        parameters.password_path,
        parameters.http_secret_path,
        parameters.certificate_path,
        parameters.htpasswd_path,
        parameters.configuration_path,
    )
    found = {str(path.lstat().st_uid) for path in private if path.exists()}
    return f"user id {', '.join(sorted(found)) or _NONE}"


def ask(parameters: Parameters) -> api.Answer:
    """Return what the registry answers at its name, whoever it is: its certificate is not verified."""
    return api.ask(f"https://{parameters.registry_host}/v2/", tls=tls.unverified_context())


def _certificates(parameters: Parameters) -> State:
    served = ask(parameters).server_certificate
    authority = tls.require_certificate(parameters.ca_certificate_path)
    return {**certificate(served), "the authority": f"SHA-256 {tls.fingerprint(authority)}"}


def certificate(served: bytes) -> State:
    """Return the compared items of a server certificate (DER)."""
    if not served:
        return {SERVED: _NONE}
    found = tls.describe(x509.load_der_x509_certificate(served))
    return {
        SERVED: f"SHA-256 {found.fingerprint}",
        "the certificate's last day": f"{found.not_after:%Y-%m-%d}",
        "the certificate's names": ", ".join((*found.dns_names, *found.addresses)),
    }


def _container(client: engine.Client, found: engine.ContainerFacts, parameters: Parameters) -> State:
    attributes: dict[str, Any] = client.containers.get(found.name).attrs
    host = attributes["HostConfig"]
    text = engine.read_file(client, found.name, inside.INSIDE / "config.yml").decode(errors="replace")
    concealed = credentials.conceal(text, (parameters.http_secret_path,))
    changed = [str(item["Path"]) for item in client.containers.get(found.name).diff() or ()]
    overrides = sorted(name for item in found.environment if (name := item.partition("=")[0]).startswith("REGISTRY_"))
    return {
        "the image": found.image_id,
        "config.yml in the container": _digest(concealed),
        "files changed in the container": ", ".join(sorted(changed)) or _NONE,
        "REGISTRY_* in the container": ", ".join(overrides) or _NONE,
        "the container's command": " ".join(attributes["Config"]["Cmd"] or ()),
        "the container's entry point": " ".join(attributes["Config"]["Entrypoint"] or ()) or _NONE,
        "the container's restart policy": found.restart_policy,
        "the container's published ports": _ports(attributes["NetworkSettings"]["Ports"] or {}),
        "the container's volumes": ", ".join(sorted(map(_mount, attributes["Mounts"]))),
        "the container's rights": ", ".join(
            (
                f"user {attributes['Config']['User'] or 'root'}",
                f"network {host['NetworkMode']}",
                f"privileged {host['Privileged']}",
                f"more capabilities {', '.join(host['CapAdd'] or ()) or _NONE}",
            )
        ),
        "the container's limits": ", ".join(
            f"{name} {host.get(name) or 0}" for name in ("Memory", "NanoCpus", "PidsLimit")
        ),
    }


def _digest(text: str | None) -> str:
    return _NONE if text is None else f"SHA-256 {hashlib.sha256(text.encode()).hexdigest()}"


def _mount(mount: Mapping[str, Any]) -> str:
    source = mount.get("Name") or mount["Source"]
    return f"{source} at {mount['Destination']}{'' if mount['RW'] else ', read-only'}"


def _ports(published: dict[str, list[dict[str, str]] | None]) -> str:
    found = {
        f"{binding['HostIp'] or '0.0.0.0'}:{binding['HostPort']} to {port}"  # noqa: S104 (compared, not bound)
        for port, bindings in published.items()
        for binding in bindings or ()
    }
    return ", ".join(sorted(found)) or _NONE


def _engine(client: engine.Client) -> State:
    info: dict[str, Any] = client.info()
    listed = reload.registries(client)
    flags = shlex.join(engine.command_line()[1:])
    proxies = [name for name in ("HttpProxy", "HttpsProxy") if info.get(name)]
    return {
        "the engine": str(info["ServerVersion"]),
        "the engine's storage driver": str(info["Driver"]),
        "the engine's data folder": str(info["DockerRootDir"]),
        "the engine's log driver": str(info["LoggingDriver"]),
        "the engine's live-restore": str(info["LiveRestoreEnabled"]),
        "the engine's security options": ", ".join(sorted(info["SecurityOptions"] or ())) or _NONE,
        "the engine's insecure registries": ", ".join(sorted(listed.insecure)) or _NONE,
        "the engine's mirrors": ", ".join(sorted(listed.mirrors)) or _NONE,
        "the engine's way out": ", ".join(proxies) or "no proxy",
        "the engine's flags": daemon_json.conceal(flags) or _NONE,
        "daemon.json": _digest(reload.read_file()),
    }


def now() -> datetime.datetime:
    """Return the time, to the second, in UTC."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)
