"""Compose: the service with TLS and login, its name in /etc/hosts, and the proof that it uses our configuration.

Notebook: 50-compose. Source: Compose specification; hosts(5).
"""

import dataclasses
import datetime
import hashlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from runbook.changes.base import Change
from runbook.changes.containers import ComposeUp
from runbook.changes.files import WriteFile
from runbook.changes.manual import LeftToUser
from runbook.changes.nginx import RemoveSite
from runbook.model.errors import HostError, MissingError
from runbook.model.parameters import Parameters
from runbook.model.results import Result, refused, works
from runbook.system import credentials, nginx
from runbook.system.certificates import tls
from runbook.system.docker import compose, engine, images
from runbook.system.host import files, hosts_file, network, rights, selinux, yaml_text
from runbook.system.registry import api, config_yml, storage

_REVISION = "org.registry-runbook.revision"
_POLICY = "unless-stopped"
_COMMAND = ("serve", str(config_yml.INSIDE / "config.yml"))
_HEALTH = ("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{config_yml.HEALTH_PORT}/debug/health")


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeFacts:
    """The current state of the service.

    `configuration` is the text of config.yml without secrets. `certificate` is the fingerprint of the server
    certificate on disk, empty behind nginx, which serves it. `changed` is when the later of the two files was written.
    These and the Compose file decide whether the container runs what is wanted. `nginx_site` is the runbook's nginx
    site. `is_labelled` is false if an earlier version made the volume, whose labels cannot be changed. `mtu` is the MTU
    in bytes at this host's address, `network_mtu` that of the project's network, None without one. `more_rights` are
    the container's rights beyond those in the Compose file. `template` is the path and text of the file from which
    cloud-init makes /etc/hosts at each boot.
    """

    address: str
    image: images.RegistryImage
    configuration: str
    certificate: str
    changed: datetime.datetime
    text: str | None
    hosts: str
    containers: tuple[engine.ContainerFacts, ...]
    is_desktop: bool = False
    nginx_site: str | None
    is_labelled: bool = True
    mtu: int = compose.USUAL_MTU
    network_mtu: int | None = None
    more_rights: tuple[str, ...] = ()
    template: tuple[Path, str] | None = None
    has_selinux: bool = False


def gather(parameters: Parameters) -> ComposeFacts:
    """Return the facts; raises MissingError if the result of an earlier notebook is missing.

    Raises HostError for an unknown key, for foreign objects in the Compose project, and if this host does not resolve
    names from /etc/hosts.
    """
    client = engine.require(parameters.timeout_seconds)
    with ThreadPoolExecutor(1) as pool:
        compose_future = pool.submit(compose.require)
        is_kept = parameters.http_secret_path.exists()
        compose.require_own(client, parameters.compose_project, parameters.data_volume, is_kept=is_kept)
        volume = compose.volume_name(parameters.compose_project, parameters.data_volume)
        labels = engine.volume_labels(client, volume)
        containers = tuple(compose.registry_containers(client, parameters.compose_project))
        is_desktop = engine.is_desktop(client)
        network_mtu = compose.network_mtu(client, parameters.compose_project)
    compose_future.result()
    configuration = _configuration(parameters)
    certificate = tls.fingerprint(tls.require_certificate(parameters.certificate_path))
    behind_nginx = parameters.proxy == "nginx"
    address = network.address_of(parameters.address)
    if not (is_desktop or hosts_file.is_read() or address in network.addresses_of(parameters.domain)):
        raise hosts_file.unread(parameters.domain)
    read_at_start = (parameters.configuration_path, *(() if behind_nginx else (parameters.certificate_path,)))
    hosts = files.read_text(hosts_file.PATH) or ""
    template = None if is_desktop else hosts_file.template(hosts)
    return ComposeFacts(
        address=address,
        image=images.require(client, parameters),
        configuration=configuration,
        certificate="" if behind_nginx else certificate,
        changed=max(files.changed_at(path) for path in read_at_start),
        text=files.read_text(parameters.compose_path),
        hosts=hosts,
        containers=containers,
        is_desktop=is_desktop,
        nginx_site=nginx.read_site(),
        is_labelled=labels is None or engine.LABEL in labels,
        mtu=compose.USUAL_MTU if is_desktop else network.mtu_at(address),
        network_mtu=network_mtu,
        more_rights=() if is_desktop else more_rights(client, parameters),
        template=None if template is None else (template, files.read_text(template) or ""),
        has_selinux=selinux.is_there(),
    )


def more_rights(client: engine.Client, parameters: Parameters) -> tuple[str, ...]:
    """Return the rights of the registry's container beyond those in the Compose file; none without one container."""
    found = compose.registry_containers(client, parameters.compose_project)
    if len(found) != 1:
        return ()
    attributes = client.containers.get(found[0].name).attrs
    image = images.local(client, attributes["Image"])
    configuration = image.attrs["Config"] if image else attributes["Config"]
    outside, inside = _ports(parameters)
    volume = compose.volume_name(parameters.compose_project, parameters.data_volume)
    wanted = rights.Wanted(
        command=_COMMAND,
        entry_point=tuple(configuration.get("Entrypoint") or ()),
        network=compose.default_network(parameters.compose_project),
        ports=((outside, inside),),
        mounts=((parameters.configuration_directory, str(config_yml.INSIDE), False), (volume, str(storage.ROOT), True)),
    )
    return tuple(rights.more_rights(attributes, wanted))


def _configuration(parameters: Parameters) -> str:
    text = files.read_text(parameters.configuration_path)
    if text is None or not parameters.htpasswd_path.exists():
        raise MissingError("config.yml and htpasswd", "one of them is not there", "run the notebook 40-configuration")
    concealed = credentials.conceal(text, (parameters.http_secret_path,))
    config_yml.refuse_unknown_keys(yaml_text.read_back(concealed))
    return concealed


def content(parameters: Parameters, facts: ComposeFacts) -> dict[str, object]:
    """Return the Compose file as data; its revision label changes with everything that the container is made from."""
    service: dict[str, object] = {
        "image": facts.image.reference,
        "command": [*_COMMAND],
        "restart": _POLICY,
        "stop_grace_period": f"{config_yml.STOP_SECONDS}s",
        "environment": config_yml.ENVIRONMENT,
        "ports": [_publish(parameters)],
        "volumes": [
            f"{parameters.configuration_directory}:{config_yml.INSIDE}:ro{',z' if facts.has_selinux else ''}",
            f"{parameters.data_volume}:{storage.ROOT}",
        ],
        "healthcheck": {"test": ["CMD", *_HEALTH], "interval": "10s", "timeout": "5s", "retries": 3},
    }
    inputs = json.dumps([service, facts.image.image_id, facts.configuration, facts.certificate])
    revision = hashlib.sha256(inputs.encode()).hexdigest()
    label = {"labels": {engine.LABEL: "compose"}}
    labels = label["labels"] | {_REVISION: revision}
    return {
        "services": {compose.SERVICE: service | {"labels": labels}},
        "volumes": {parameters.data_volume: label if facts.is_labelled else {}},
        "networks": {"default": label | _network(facts)},
    }


def _network(facts: ComposeFacts) -> dict[str, object]:
    """Return the file's MTU options for the network: none if the usual MTU works by default."""
    wanted = min(facts.mtu, compose.USUAL_MTU)
    is_stated = compose.stated_mtu(facts.text or "") == wanted  # the engine's default could be larger
    needs_option = wanted < compose.USUAL_MTU or is_stated or (facts.network_mtu or 0) > facts.mtu
    return compose.network_options(wanted) if needs_option else {}


def _publish(parameters: Parameters) -> str:
    outside, inside = _ports(parameters)
    return f"{'127.0.0.1:' if parameters.proxy == 'nginx' else ''}{outside}:{inside}"


def _ports(parameters: Parameters) -> tuple[int, int]:
    if parameters.proxy == "nginx":
        return parameters.backend_port, config_yml.PLAIN_PORT
    return parameters.port, config_yml.TLS_PORT


def is_made(facts: ComposeFacts) -> bool:
    """Return whether this section has been applied before."""
    return bool(facts.containers)


def plan(parameters: Parameters, facts: ComposeFacts) -> list[Change]:
    """Return the changes that bring the service to the wanted state; empty if there are none.

    Raises HostError if the image sets `REGISTRY_*`, which would override config.yml.
    """
    overrides = [name for name in facts.image.environment if name.startswith("REGISTRY_")]
    if overrides:
        raise HostError(
            f"no REGISTRY_* in the image {facts.image.reference}", ", ".join(overrides), "take another image"
        )
    changes: list[Change] = []
    if parameters.proxy == "none" and facts.nginx_site is not None:
        changes.append(RemoveSite(path=nginx.path(), before=facts.nginx_site, frees_port=parameters.port))
    hosts = hosts_file.with_name(facts.hosts, facts.address, parameters.domain)
    if facts.hosts != hosts and facts.is_desktop:
        task = f"as an administrator: make {hosts_file.PATH} (on Windows, that of System32) name the registry"
        changes.append(LeftToUser(task=task, text=hosts_file.with_name("", facts.address, parameters.domain)))
    elif facts.hosts != hosts:
        changes.append(WriteFile(path=hosts_file.PATH, before=facts.hosts, after=hosts, mode=0o644, keep=True))
    if facts.template is not None:
        path, before = facts.template
        after = hosts_file.with_name(before, facts.address, parameters.domain)
        changes += [WriteFile(path=path, before=before, after=after, mode=0o644, keep=True)] if before != after else []
    data = content(parameters, facts)
    wanted = yaml_text.render(data)
    if facts.text != wanted:
        foreign = facts.text is not None and not facts.text.startswith(yaml_text.HEADER)
        changes.append(
            WriteFile(path=parameters.compose_path, before=facts.text, after=wanted, mode=0o644, keep=foreign)
        )
    reason = _why_up(parameters, data, facts) or ("its Compose file changes" if facts.text != wanted else None)
    if reason is not None:
        changes.append(
            ComposeUp(
                path=parameters.compose_path,
                project=parameters.compose_project,
                volume=parameters.data_volume,
                reason=reason,
            )
        )
    return changes


def _why_up(parameters: Parameters, data: dict[str, object], facts: ComposeFacts) -> str | None:
    """Return why to start the service, None if it runs as wanted."""
    if len(facts.containers) != 1:
        return "it is not there" if not facts.containers else f"there are {len(facts.containers)} containers of it"
    [found] = facts.containers
    own_network = compose.default_network(parameters.compose_project)
    revision = data["services"][compose.SERVICE]["labels"][_REVISION]  # type: ignore[index] # YAML data
    compared: tuple[tuple[str, object, object], ...] = (
        ("it is not running", found.running, True),
        ("it is paused", found.paused, False),
        ("it is not connected to its network", own_network in found.networks, True),
        ("its network takes larger packets than this host passes on", (facts.network_mtu or 0) > facts.mtu, False),
        ("it started before its configuration or certificate was written", found.started > facts.changed, True),
        (
            "it was made from another Compose file, configuration, certificate or image",
            found.label(_REVISION),
            revision,
        ),
        ("it runs another image", found.image_id, facts.image.image_id),
        ("its restart policy differs", found.restart_policy, _POLICY),
        ("REGISTRY_* is set in it", [name for name in found.environment if name.startswith("REGISTRY_")], []),
        (f"it has more rights than it needs: {'; '.join(facts.more_rights)}", facts.more_rights, ()),
    )
    return next((reason for reason, is_now, wanted in compared if is_now != wanted), None)


def check(parameters: Parameters) -> list[Result]:
    """Return the proof, from outside, that the service uses our configuration and certificate."""
    client = engine.require(parameters.timeout_seconds)
    registry = _registry(parameters)
    anonymous = api.wait_until_ready(registry, timeout_seconds=parameters.timeout_seconds)
    login = (parameters.username, credentials.require_password(parameters.password_path))
    known = dataclasses.replace(registry, login=login)
    check_reached = _check_loopback if parameters.proxy == "nginx" else _check_served
    return [
        _check_name(parameters),
        *check_reached(parameters, anonymous),
        *_check_configuration(parameters, anonymous, known),
        *_check_container(client, parameters),
    ]


def _registry(parameters: Parameters) -> api.Registry:
    """Return the registry as this notebook leaves it: over plain HTTP on loopback if it is behind nginx."""
    if parameters.proxy == "nginx":
        return api.Registry(url=f"http://127.0.0.1:{parameters.backend_port}")
    trusted = tls.client_context(parameters.ca_certificate_path.read_text(encoding="ascii"))
    return api.Registry(url=f"https://{parameters.registry_host}", tls=trusted)


def _check_name(parameters: Parameters) -> Result:
    resolved = sorted({str(item[4][0]) for item in socket.getaddrinfo(parameters.domain, parameters.port)})
    return works(
        f"{parameters.domain} stands for this host",
        expected=network.address_of(parameters.address),
        found=", ".join(resolved),
        remedy="see /etc/hosts",
    )


def _check_loopback(parameters: Parameters, anonymous: api.Answer) -> list[Result]:
    address = network.address_of(parameters.address)
    outside = api.ask(f"http://{address}:{parameters.backend_port}/v2/")
    return [
        works(
            "the registry answers on loopback, over plain HTTP",
            expected="127.0.0.1",
            found=anonymous.server_address,
            remedy="read the container's log: `docker logs`",
        ),
        refused(
            f"plain HTTP at {address}, past nginx",
            expected="no answer",
            found="no answer" if outside.status is None else f"status {outside.status}",
            remedy=f"find what listens there with `ss -ltnp`, or set backend_port, now {parameters.backend_port}",
        ),
    ]


def _check_served(parameters: Parameters, anonymous: api.Answer) -> list[Result]:
    address = network.address_of(parameters.address)
    return [
        works(
            "the registry answers there, and a client that verifies accepts it",
            expected=address,
            found=anonymous.server_address,
            remedy="run the notebook 30-certificates, then this one",
        ),
        works(
            "it serves the certificate that is on disk",
            expected=tls.fingerprint(tls.require_certificate(parameters.certificate_path))[:16],
            found=tls.fingerprint(x509.load_der_x509_certificate(anonymous.server_certificate))[:16],
            remedy="run the notebook 50-compose again: the registry reads its certificate only at its start",
        ),
    ]


def _check_configuration(parameters: Parameters, anonymous: api.Answer, known: api.Registry) -> list[Result]:
    nothing = known.ask(f"/v2/runbook/nothing/manifests/sha256:{'0' * 64}", method="DELETE")
    remedy = (
        "the registry does not run with config.yml: look for REGISTRY_* in its container (`docker inspect`), and for "
        "a key that it does not know; run the notebooks 40-configuration and 50-compose"
    )
    return [
        refused("an anonymous request", expected=401, found=anonymous.status, remedy=remedy),
        works(
            "the realm is ours",
            expected=f'Basic realm="{parameters.realm}"',
            found=anonymous.headers.get("www-authenticate"),
            remedy=remedy,
        ),
        works(f"the login of {parameters.username}", expected=200, found=known.ask("/v2/").status, remedy=remedy),
        works(
            "the headers are ours",
            expected="nosniff",
            found=anonymous.headers.get("x-content-type-options"),
            remedy=remedy,
        ),
        *_check_plain(parameters, remedy),
        refused(
            "to delete what is not there (404 where delete is on, 405 where it is off)",
            expected=404 if parameters.delete_enabled else 405,
            found=nothing.status,
            remedy=remedy,
        ),
    ]


def _check_plain(parameters: Parameters, remedy: str) -> list[Result]:
    if parameters.proxy == "nginx":
        return []
    plain = api.ask(f"http://{parameters.domain}:{parameters.port}/v2/")
    return [refused("plain HTTP on the TLS port", expected=400, found=plain.status, remedy=remedy)]


def _check_container(client: engine.Client, parameters: Parameters) -> list[Result]:
    found, *_ = compose.registry_containers(client, parameters.compose_project)  # the plan reports more than one
    checks = [_HEALTH, (*_HEALTH[:-1], f"{_HEALTH[-1]}-that-does-not-exist")]
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(engine.execute, client, found.name, command) for command in checks]
        text = compose.resolved(parameters.compose_path, parameters.compose_project)
    healthy, unhealthy = (future.result() for future in futures)
    image = yaml_text.read_back(text)["services"][compose.SERVICE]["image"]  # type: ignore[index] # YAML data
    again = "run the notebook 50-compose again"
    return [
        works(
            "Compose reads the image from the file",
            expected=images.require(client, parameters).reference,
            found=image,
            remedy=again,
        ),
        works(
            "the container comes back after a restart of the engine",
            expected=_POLICY,
            found=found.restart_policy,
            remedy=again,
        ),
        works(
            "its health check, run in it",
            expected=0,
            found=healthy,
            remedy="see `docker inspect` and the container's log",
        ),
        refused(
            "the same check of a page that is not there",
            expected="fails",
            found="fails" if unhealthy else "passes",
            remedy="report this",
        ),
    ]
