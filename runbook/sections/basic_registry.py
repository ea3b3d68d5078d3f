"""The basic registry: plain HTTP, no login, data in a folder of this host, tested with a push and a pull.

Notebook: 20-basic-registry. Source: OCI Distribution Specification 1.1; Docker Registry HTTP API V2 (`_catalog`).
"""

import dataclasses
import ipaddress
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from runbook.changes.base import Change
from runbook.changes.containers import RunContainer
from runbook.changes.engine import ConfigureEngine
from runbook.changes.files import MakeDirectory
from runbook.changes.manual import LeftToUser
from runbook.model.errors import HostError
from runbook.model.parameters import Parameters
from runbook.model.results import Result, refused, says, works
from runbook.model.value_types import split_reference
from runbook.system.docker import daemon_json, engine, engine_flags, images, reload
from runbook.system.docker.reload import Registries
from runbook.system.host import json_text, network, selinux, systemd
from runbook.system.host.systemd import Supervisor
from runbook.system.registry import api, config_yml, docker_client, storage

_PORT_INSIDE = 5000
_ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 (compared, not bound)
_LOOPBACK = "127.0.0.0/8"
# From this version on, loopback is a default that any list of insecure registries replaces (moby/moby#53868).
_LISTS_LOOPBACK_FROM = (29, 10)
PLAIN_HTTP = "server gave HTTP response to HTTPS client"


@dataclass(frozen=True, kw_only=True, slots=True)
class BasicRegistryFacts:
    """The current state of the basic registry; `container` is None if no container has its name.

    `daemon_json` is the text of the engine's file without secrets, `registries` is what the engine lists.
    `keeps_loopback` is whether it uses plain HTTP on loopback whatever it lists.
    """

    image: images.RegistryImage
    container: engine.ContainerFacts | None
    data_directory_exists: bool
    supervisor: Supervisor
    daemon_json: str | None
    registries: Registries
    flags: tuple[engine_flags.Flag, ...] = ()
    is_desktop: bool = False
    has_selinux: bool = False
    keeps_loopback: bool = True


def gather(parameters: Parameters) -> BasicRegistryFacts:
    """Return the facts; raises MissingError without an engine or an image of the registry."""
    client = engine.require(parameters.timeout_seconds)
    supervisor, configures = systemd.supervisor(), _configures_engine(parameters)
    return BasicRegistryFacts(
        image=images.require(client, parameters),
        container=engine.container(client, parameters.basic_container),
        data_directory_exists=Path(parameters.basic_data_directory).is_dir(),
        supervisor=supervisor,
        daemon_json=reload.read_file() if configures else None,
        registries=reload.registries(client),
        flags=engine_flags.gather(supervisor) if configures else (),
        is_desktop=engine.is_desktop(client),
        has_selinux=selinux.is_there(),
        keeps_loopback=engine.version(client) < _LISTS_LOOPBACK_FROM,
    )


def _configures_engine(parameters: Parameters) -> bool:
    return bool(parameters.insecure_registries or parameters.registry_mirrors)


def is_made(facts: BasicRegistryFacts) -> bool:
    """Return whether this section has been applied before."""
    return facts.container is not None


def plan(parameters: Parameters, facts: BasicRegistryFacts) -> list[Change]:
    """Return the changes that bring the engine's registries and the container to the wanted state; empty if none.

    Raises HostError if another container has that name, or if nothing can be merged into daemon.json.
    """
    changes = _plan_engine(parameters, facts)
    if not facts.data_directory_exists:
        changes.append(MakeDirectory(path=Path(parameters.basic_data_directory), mode=0o700, belongs="basic-data"))
    found = facts.container
    if found is not None and found.label(engine.LABEL) != "basic_registry":
        raise HostError(
            f"no container named {parameters.basic_container} but the runbook's own",
            "one made by other means",
            f"remove it (`docker rm -f {parameters.basic_container}`; a data folder stays), or set basic_container",
        )
    if (reason := _why_run(parameters, facts)) is not None:
        changes.append(
            RunContainer(
                name=parameters.basic_container,
                image=facts.image.reference,
                publish=_publish(parameters),
                volume=(Path(parameters.basic_data_directory), _inside(facts)),
                restart_policy="always",
                environment=tuple(config_yml.ENVIRONMENT.items()),
                labels=((engine.LABEL, "basic_registry"),),
                replaces=reason or None,
            )
        )
    return changes


def _plan_engine(parameters: Parameters, facts: BasicRegistryFacts) -> list[Change]:
    if not _configures_engine(parameters):
        return []
    insecure, mirrors = _insecure(parameters, facts), tuple(parameters.registry_mirrors)
    if facts.is_desktop:
        return _plan_desktop(insecure, mirrors) if facts.registries.missing_entries(insecure, mirrors) else []
    merged = daemon_json.merge(facts.daemon_json, insecure_registries=insecure, registry_mirrors=mirrors)
    if merged == facts.daemon_json and not facts.registries.missing_entries(insecure, mirrors):
        return []
    engine_flags.refuse(merged, facts.flags)
    change = ConfigureEngine(
        path=daemon_json.PATH,
        before=facts.daemon_json,
        after=merged,
        supervisor=facts.supervisor,
        insecure_registries=insecure,
        registry_mirrors=mirrors,
    )
    return [change]


def _insecure(parameters: Parameters, facts: BasicRegistryFacts) -> tuple[str, ...]:
    """Return what the engine is to list; with loopback, where the list would end its exception for this registry."""
    wanted = tuple(parameters.insecure_registries)
    is_on_loopback = ipaddress.ip_address(_reached_at(parameters)).is_loopback
    return (*wanted, _LOOPBACK) if wanted and is_on_loopback and not facts.keeps_loopback else wanted


def _plan_desktop(insecure: tuple[str, ...], mirrors: tuple[str, ...]) -> list[Change]:
    """Return the task for the user: the engine's file is in the settings of Docker Desktop."""
    text = daemon_json.merge(None, insecure_registries=insecure, registry_mirrors=mirrors)
    task = "in Docker Desktop, Settings, Docker Engine: add these keys to what is there, then Apply & restart"
    return [LeftToUser(task=task, text=text)]


def _publish(parameters: Parameters) -> tuple[str, int, int]:
    return parameters.basic_address, parameters.basic_port, _PORT_INSIDE


def _inside(facts: BasicRegistryFacts) -> str:
    """Return the data path in the container, with its mount option."""
    return f"{storage.ROOT}:z" if facts.has_selinux else str(storage.ROOT)


def _why_run(parameters: Parameters, facts: BasicRegistryFacts) -> str | None:
    """Return why to run the container: empty if there is none, None if the current one is as wanted."""
    found = facts.container
    if found is None:
        return ""
    compared = (
        ("it is not running", found.running, True),
        ("it is paused", found.paused, False),
        ("it is not connected to its network", "bridge" in found.networks, True),
        ("it runs another image", found.image_id, facts.image.image_id),
        ("its port differs", found.publish, (_publish(parameters),)),
        ("its data are elsewhere", found.binds, (f"{parameters.basic_data_directory}:{_inside(facts)}",)),
        ("its restart policy differs", found.restart_policy, "always"),
    )
    return next((reason for reason, is_now, wanted in compared if is_now != wanted), None)


def check(parameters: Parameters) -> list[Result]:
    """Return the proof: a push and a pull of the test image, which keeps its digest.

    If the registry listens on the network, and the parameters list it for plain HTTP, the proof includes this host's
    network address. The test repository is removed again from the registry and the engine.
    """
    client = engine.require(parameters.timeout_seconds)
    host = f"{_reached_at(parameters)}:{parameters.basic_port}"
    registry = api.Registry(url=f"http://{host}")
    api.wait_until_ready(registry, timeout_seconds=parameters.timeout_seconds)
    docker_client.refuse_occupied(_stored(client, parameters), parameters.basic_test_reference, "basic_test_reference")
    with _proof(client, parameters, host, test_image=parameters.test_image) as proof:
        results = _check_push_and_pull(proof)
    addresses = network.host_addresses()
    if (lan := lan_host(parameters, addresses)) is not None:
        results += _check_lan(client, parameters, lan) if lan != host else []
        results += _check_unlisted(client, parameters, addresses)
    remedy = f"read the container's log, `docker logs {parameters.basic_container}`; where it is `{PLAIN_HTTP}`, "
    remedy += f"list {host} in insecure_registries"
    return [dataclasses.replace(result, remedy=remedy) for result in results]


def check_answers(parameters: Parameters) -> list[Result]:
    """Return the part of the proof that needs no image: the registry responds, and has no tag that was never pushed."""
    registry = api.Registry(url=f"http://{_reached_at(parameters)}:{parameters.basic_port}")
    answered = api.wait_until_ready(registry, timeout_seconds=parameters.timeout_seconds)
    repository, _ = split_reference(parameters.basic_test_reference)
    absent = registry.ask(f"/v2/{repository}/manifests/nobody-pushed-this")
    remedy = f"read the container's log, `docker logs {parameters.basic_container}`"
    return [
        works("the basic registry answers", expected=200, found=answered.status, remedy=remedy),
        refused("a tag that nobody pushed", expected=404, found=absent.status, remedy=remedy),
    ]


def _check_push_and_pull(proof: docker_client.Proof) -> list[Result]:
    before = proof.in_registry()
    round_trip = _check_round_trip(
        proof,
        "docker push",
        "the digest that was pushed is the registry's",
        "the image is removed, pulled, and has that digest",
    )
    catalog = json_text.read_object(proof.registry.ask(f"/v2/_catalog?n=100&last={proof.repository[:-1]}").body)
    tags = json_text.read_object(proof.registry.ask(f"/v2/{proof.repository}/tags/list").body)
    absent = proof.registry.ask(f"/v2/{proof.repository}/manifests/nobody-pushed-this")
    return [
        refused("the test image, before the push", expected="404", found=before, remedy=""),
        *round_trip,
        works(
            "the catalog lists it", expected=True, found=proof.repository in catalog.get("repositories", ()), remedy=""
        ),
        works("its tags", expected=proof.tag, found=", ".join(tags.get("tags") or ()), remedy=""),
        refused("a tag that nobody pushed", expected=404, found=absent.status, remedy=""),
    ]


def _check_round_trip(proof: docker_client.Proof, push: str, digest: str, pull: str) -> list[Result]:
    """Return the rows of a push, of the digest in the registry, and of a pull, under these claims."""
    pushed, registered = proof.push(), proof.in_registry()
    pulled = proof.pull()
    return [
        works(push, expected="a digest", found="a digest" if pushed.startswith("sha256:") else pushed, remedy=""),
        works(digest, expected=pushed, found=registered, remedy=""),
        works(pull, expected=pushed, found=pulled, remedy=""),
    ]


def _stored(client: engine.Client, parameters: Parameters) -> storage.Storage:
    return storage.Storage(client=client, container=parameters.basic_container)


def _reached_at(parameters: Parameters) -> str:
    return "127.0.0.1" if parameters.basic_address == _ALL_ADDRESSES else parameters.basic_address


def lan_host(parameters: Parameters, addresses: Sequence[str]) -> str | None:
    """Return HOST:PORT of the basic registry on the network, if it is listed for plain HTTP.

    `addresses` are this host's addresses except loopback. Returns None if no address that it listens on is listed.
    """
    open_at = [item for item in addresses if parameters.basic_address in (_ALL_ADDRESSES, item)]
    hosts = [f"{address}:{parameters.basic_port}" for address in open_at]
    return next((host for host in hosts if reload.is_listed(host, parameters.insecure_registries)), None)


def _proof(
    client: engine.Client, parameters: Parameters, host: str, *, test_image: str
) -> AbstractContextManager[docker_client.Proof]:
    """Return the proof at HOST:PORT over plain HTTP."""
    return docker_client.proof(
        client,
        api.Registry(url=f"http://{host}"),
        host=host,
        reference=parameters.basic_test_reference,
        test_image=test_image,
        stored=_stored(client, parameters),
        timeout_seconds=parameters.timeout_seconds,
    )


def _check_lan(client: engine.Client, parameters: Parameters, lan: str) -> list[Result]:
    with _proof(client, parameters, lan, test_image=parameters.test_image) as proof:
        return _check_round_trip(
            proof,
            f"docker push to {lan}, which insecure_registries lists",
            f"the digest that was pushed to {lan} is the registry's",
            f"the image is removed, pulled from {lan}, and has that digest",
        )


def _check_unlisted(client: engine.Client, parameters: Parameters, addresses: Sequence[str]) -> list[Result]:
    """Return the negative twin: another plain HTTP registry on this host, at an unlisted port.

    Empty if the engine lists networks with all addresses of this host: it then refuses no port.
    """
    listed = reload.registries(client).insecure
    image = images.require(client, parameters).reference
    with engine.probe_container(client, image, inside=_PORT_INSIDE) as port:
        candidates = (*addresses, *engine.bridge_addresses(client))
        unlisted = next((host for item in candidates if not reload.is_listed(host := f"{item}:{port}", listed)), None)
        if unlisted is None:
            return []
        with _proof(client, parameters, unlisted, test_image="") as proof:
            api.wait_until_ready(proof.registry, timeout_seconds=parameters.timeout_seconds)
            output = proof.push()
    claim = "docker push to this host at a port that insecure_registries does not list"
    return [refused(claim, expected=PLAIN_HTTP, found=says(output, expected=PLAIN_HTTP), remedy="")]
