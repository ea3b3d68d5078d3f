"""nginx in front: this host's nginx terminates TLS, beside its other sites, for the registry on loopback.

Notebook: 55-nginx. Source: distribution.github.io, "Authenticate proxy with nginx"; nginx.org, "Server names".
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from runbook.changes.base import Change
from runbook.changes.engine import InstallPackages
from runbook.changes.firewall import OpenPort
from runbook.changes.nginx import ConfigureNginx
from runbook.model.errors import HostError, MissingError
from runbook.model.parameters import Parameters
from runbook.model.results import Result, refused, works
from runbook.model.value_types import split_reference
from runbook.system import credentials, nginx, nginx_configuration
from runbook.system.certificates import tls
from runbook.system.docker import compose, engine
from runbook.system.host import firewalld, network, packages, selinux, systemd
from runbook.system.host.systemd import Supervisor
from runbook.system.registry import api, docker_client, storage
from runbook.system.registry.config_yml import PLAIN_PORT

_AGAIN = "run the notebook 55-nginx again"
_COMPOSE = "run the notebooks 40-configuration and 50-compose, then this one"
_MEGABYTE = 1_000_000
_AT_THE_DOOR = 20  # users whose rights are tried


@dataclass(frozen=True, kw_only=True, slots=True)
class NginxFacts:
    """The current state of nginx.

    `reads_sites` is whether it reads `path`, the file of the registry's site. `served` is the fingerprint of the
    certificate served under the registry's name, or why none is. `certificate` is that of the one on disk. `others` are
    FILE:LINE of other sites with the registry's name. `listens` are nginx's sockets on the registry's port. `masked` is
    its unit if it is masked. `selinux` is what SELinux refuses nginx, and the command for it. `closed_zone` is the zone
    of firewalld in which the registry's port is closed.
    """

    has_apt: bool
    supervisor: Supervisor
    installed: bool
    reads_sites: bool
    running: bool
    enabled: bool
    text: str | None
    address: str
    has_ipv6: bool
    served: str
    certificate: str
    others: tuple[str, ...] = ()
    masked: tuple[tuple[str, str], ...] = ()
    path: Path = nginx.PATH
    listens: tuple[nginx_configuration.Listen, ...] = ()
    distributions: tuple[str, ...] = ()
    selinux: tuple[str, str] | None = None
    closed_zone: str = ""


def _see_site() -> str:
    return f"see {nginx.path(())}, and nginx's error log"


def gather(parameters: Parameters) -> NginxFacts | None:
    """Return the facts, None without a proxy; raises MissingError if the result of an earlier notebook is missing."""
    if parameters.proxy == "none":
        return None
    docker_client.refuse_occupied(_stored(parameters), parameters.test_reference, "test_reference")
    supervisor, address = systemd.supervisor(), network.address_of(parameters.address)
    installed = nginx.is_installed()
    configured = nginx_configuration.read() if installed else []
    path = nginx.path(configured)
    return NginxFacts(
        has_apt=packages.has_apt(),
        supervisor=supervisor,
        installed=installed,
        reads_sites=nginx.reads_sites(configured),
        running=nginx.is_running(),
        enabled=supervisor == "none" or (installed and nginx.is_enabled()),
        text=nginx.read_site(),
        address=address,
        has_ipv6=network.has_ipv6(),
        served=nginx.served(parameters.domain, f"{address}:{parameters.port}"),
        certificate=tls.fingerprint(tls.require_certificate(parameters.certificate_path)),
        masked=tuple(systemd.masked("nginx.service").items()) if supervisor == "systemd" and installed else (),
        others=nginx_configuration.places_of(configured, parameters.domain, parameters.port, but=path),
        path=path,
        listens=tuple(nginx_configuration.listens(configured, parameters.port, own=path)),
        distributions=packages.distributions(),
        selinux=selinux.refusal_of_nginx(parameters.port),
        closed_zone=firewalld.zone_that_closes(address, parameters.port),
    )


def _stored(parameters: Parameters) -> storage.Storage:
    """Return the registry's storage; raises MissingError if the registry does not run on loopback."""
    client = engine.require(parameters.timeout_seconds)
    running = [found for found in compose.registry_containers(client, parameters.compose_project) if found.running]
    if [found.publish for found in running] != [(("127.0.0.1", parameters.backend_port, PLAIN_PORT),)]:
        raise MissingError(
            f"the registry on 127.0.0.1:{parameters.backend_port}, for nginx to stand in front of",
            "it does not run there",
            "run the notebooks 40-configuration and 50-compose with proxy: nginx",
        )
    return storage.Storage(client=client, container=running[0].name)


def is_made(facts: NginxFacts | None) -> bool:
    """Return whether this section has been applied before."""
    return facts is not None and facts.text is not None


def plan(parameters: Parameters, facts: NginxFacts | None) -> list[Change]:
    """Return the changes that put nginx in front; empty if there are none, or without a proxy.

    Raises HostError for no nginx and no apt, an nginx that reads no sites folder, another site with the registry's
    name, or a server on its port that cannot share it with a TLS site.
    """
    if facts is None:
        return []
    systemd.refuse_masked(dict(facts.masked))
    if facts.others:
        raise HostError(
            f"no site of nginx for {parameters.domain} but the runbook's own",
            ", ".join(facts.others),
            "set domain to another name, or take the name out of that site",
        )
    if not facts.installed and not facts.has_apt:
        raise HostError("nginx", "none, and no apt here", packages.by_hand(facts.distributions, "nginx"))
    if facts.selinux is not None:
        found, remedy = facts.selinux
        raise HostError("SELinux to let nginx serve the registry", found, f"{remedy}, then run this again")
    if facts.installed and not facts.reads_sites:
        raise HostError(
            f"a block `http` in {nginx_configuration.MAIN} that includes {nginx.PATH.parent}/*, or conf.d/*.conf",
            "it includes none of them, or there is no such folder",
            f"`mkdir -p {nginx.PATH.parent}`, and `include {nginx.PATH.parent}/*;` at the end of that block",
        )
    changes: list[Change] = [] if facts.installed else [InstallPackages(names=("nginx",))]
    wanted = nginx.site(
        (parameters.domain, *parameters.extra_names),
        nginx_configuration.choose_listen(facts.listens, parameters.port, facts.address, has_ipv6=facts.has_ipv6),
        certificate=parameters.certificate_path,
        backend_port=parameters.backend_port,
        pushers=_pushers(parameters),
    )
    if (reason := _why_configure(facts, wanted)) is not None:
        changes.append(
            ConfigureNginx(
                path=facts.path,
                before=facts.text,
                after=wanted,
                supervisor=facts.supervisor,
                domain=parameters.domain,
                served_at=f"{facts.address}:{parameters.port}",
                fingerprint=facts.certificate,
                reason=reason,
            )
        )
    if facts.closed_zone:
        changes.append(OpenPort(zone=facts.closed_zone, port=parameters.port))
    return changes


def _pushers(parameters: Parameters) -> tuple[str, ...]:
    """Return the users that may push, if there are some that may not; else none, and nginx refuses nobody."""
    if all(user.may == "push" for user in parameters.users):
        return ()
    return (parameters.username, *(user.name for user in parameters.users if user.may == "push"))


def _why_configure(facts: NginxFacts, wanted: str) -> str | None:
    """Return why to configure nginx, None if it serves the registry's site as wanted."""
    compared: tuple[tuple[str, object, object], ...] = (
        ("the registry's site is not there", facts.text is None, False),
        ("the registry's site changes", facts.text, wanted),
        ("nginx does not run", facts.running, True),
        ("nginx does not start at boot", facts.enabled, True),
        ("it does not serve the certificate that is on disk", facts.served, facts.certificate),
    )
    return next((reason for reason, is_now, right in compared if is_now != right), None)


def check(parameters: Parameters) -> list[Result]:
    """Return the proof that nginx passes what the registry needs, and refuses what the registry refuses.

    It uploads and downloads a large layer. The test repository is removed again.
    """
    return [*check_front(parameters), *check_layers(parameters)]


def _known(parameters: Parameters) -> api.Registry:
    trusted = tls.client_context(parameters.ca_certificate_path.read_text(encoding="ascii"))
    login = (parameters.username, credentials.require_password(parameters.password_path))
    return api.Registry(url=f"https://{parameters.registry_host}", tls=trusted, login=login)


def check_front(parameters: Parameters) -> list[Result]:
    """Return the part of the proof without uploads: responses and logins; without a proxy, that there is no site.

    Raises NotReadyError if nothing responds.
    """
    if parameters.proxy == "none":
        return [_check_no_site()]
    known = _known(parameters)
    without_login = dataclasses.replace(known, login=None)
    anonymous = api.wait_until_ready(without_login, timeout_seconds=parameters.timeout_seconds)
    return _check_front(parameters, anonymous, known)


def check_layers(parameters: Parameters) -> list[Result]:
    """Return the part of the proof that uploads layers, and remove the test repository again."""
    if parameters.proxy == "none":
        return []
    stored, known = _stored(parameters), _known(parameters)
    repository, _ = split_reference(parameters.test_reference)
    try:
        return [
            *_check_headers(parameters, known, repository),
            *_check_limit(parameters, known, repository),
            *_check_layer(parameters, known, repository),
        ]
    finally:
        stored.remove_repository(repository, stored.digests(repository))


def _check_no_site() -> Result:
    return refused(
        "a site of nginx, since no proxy is asked for (proxy: none)",
        expected="no site",
        found="no site" if nginx.read_site() is None else str(nginx.path()),
        remedy="run the notebook 50-compose, which removes it",
    )


def _check_front(parameters: Parameters, anonymous: api.Answer, known: api.Registry) -> list[Result]:
    plain = api.ask(f"http://{parameters.domain}:{parameters.port}/v2/")
    served = tls.fingerprint(x509.load_der_x509_certificate(anonymous.server_certificate))
    enabled = nginx.is_enabled() if systemd.supervisor() == "systemd" else "no systemd here: start it at boot yourself"
    return [
        works(
            f"nginx answers for {parameters.registry_host}, and a client that verifies accepts it",
            expected=f"nginx at {network.address_of(parameters.address)}",
            found=f"{anonymous.headers.get('server', 'nobody').partition('/')[0]} at {anonymous.server_address}",
            remedy=_see_site(),
        ),
        works(
            "it serves the certificate that is on disk",
            expected=tls.fingerprint(tls.require_certificate(parameters.certificate_path))[:16],
            found=served[:16],
            remedy=_AGAIN,
        ),
        works(
            "nginx starts at boot",
            expected=True if systemd.supervisor() == "systemd" else enabled,
            found=enabled,
            remedy="run `systemctl enable nginx`",
        ),
        refused("an anonymous request", expected=401, found=anonymous.status, remedy=_COMPOSE),
        works(f"the login of {parameters.username}", expected=200, found=known.ask("/v2/").status, remedy=_COMPOSE),
        refused("plain HTTP on the TLS port", expected=400, found=plain.status, remedy=_see_site()),
        *_check_rights(parameters, known),
    ]


def _check_rights(parameters: Parameters, known: api.Registry) -> list[Result]:
    """Return the proof that nginx lets users read who may only pull, and refuses their upload, before it stores any."""
    repository, _ = split_reference(parameters.test_reference)
    results = []
    for user in [user for user in parameters.users if user.may == "pull" and not user.disabled][:_AT_THE_DOOR]:
        password = credentials.password_in(parameters.user_password_path(user))
        if password is None:
            remedy = "run the notebook 45-users"
            results.append(works(f"the password of {user.name}", expected="kept", found="none", remedy=remedy))
            continue
        reader = dataclasses.replace(known, login=(user.name, password))
        catalogue, upload = reader.ask("/v2/_catalog"), reader.ask(f"/v2/{repository}/blobs/uploads/", method="POST")
        results += [
            works(f"{user.name} reads", expected=200, found=catalogue.status, remedy=_AGAIN),
            refused(f"an upload by {user.name}, who may only pull", expected=403, found=upload.status, remedy=_AGAIN),
        ]
    return results


def _check_headers(parameters: Parameters, known: api.Registry, repository: str) -> list[Result]:
    behind = api.Registry(url=f"http://127.0.0.1:{parameters.backend_port}", login=known.login)
    return [
        works(
            "an upload is sent to the public address",
            expected=known.url,
            found=_origin(known.begin_upload(repository)),
            remedy=_see_site(),
        ),
        refused(
            "the public address, for an upload past nginx and without its headers",
            expected=behind.url,
            found=_origin(behind.begin_upload(repository)),
            remedy=_COMPOSE,
        ),
    ]


def _origin(location: str) -> str:
    """Return the scheme and host of an upload address; any other text unchanged."""
    return location.partition("/v2/")[0]


def _check_limit(parameters: Parameters, known: api.Registry, repository: str) -> list[Result]:
    def limited(address: str) -> str:
        return nginx.site(
            (parameters.domain,),
            (address,),
            certificate=parameters.certificate_path,
            backend_port=parameters.backend_port,
            body_limit="1m",
        )

    with nginx.dry_run(limited) as address:
        limited_nginx = dataclasses.replace(known, url=f"https://{address}", server_name=parameters.domain)
        _, passed = limited_nginx.upload(repository, _MEGABYTE // 2)
        _, rejected = limited_nginx.upload(repository, 2 * _MEGABYTE)
    return [
        works("half a megabyte, with nginx's own body limit back", expected="201", found=passed, remedy=_see_site()),
        refused("two megabytes, with nginx's own body limit back", expected="413", found=rejected, remedy=_see_site()),
    ]


def _check_layer(parameters: Parameters, known: api.Registry, repository: str) -> list[Result]:
    size = parameters.proxy_layer_megabytes * _MEGABYTE
    digest, stored = known.upload(repository, size)
    return [
        works(
            f"a layer of {parameters.proxy_layer_megabytes} MB goes through nginx",
            expected="201",
            found=stored,
            remedy=_see_site(),
        ),
        works(
            "it comes back with the digest that was sent",
            expected=digest or "a digest",
            found=known.download(repository, digest, most=size) if digest else "nothing was sent",
            remedy=_see_site(),
        ),
    ]
