"""The proof: login, push, removal, pull, delete and logout with the TLS registry, and what it must refuse.

Notebook: 60-push-pull. Source: OCI Distribution Specification 1.1; RFC 7617 (Basic authentication).
"""

import dataclasses
import datetime
import urllib.parse
from dataclasses import dataclass

from cryptography import x509

from runbook.changes.base import Change
from runbook.model.errors import MissingError
from runbook.model.parameters import Parameters
from runbook.model.results import Result, refused, says, works
from runbook.model.value_types import split_reference
from runbook.system import credentials
from runbook.system.certificates import tls
from runbook.system.docker import compose, engine, proxies
from runbook.system.host import network
from runbook.system.registry import api, docker_client, storage

_CONFIGURATION = "run the notebooks 40-configuration and 50-compose"
_CERTIFICATES = "run the notebooks 30-certificates and 50-compose"
_HEADERS = ("www-authenticate", "x-content-type-options")
# The values of `asker`.
_CLIENT, _STRANGER, _DOCKER, _ENGINE = "a client that verifies", "a stranger", "the Docker client", "the engine"
_LOG = "read the registry's log: `docker logs`"


@dataclass(frozen=True, kw_only=True, slots=True)
class PushPullFacts:
    """What the proof needs: the registry's container."""

    container: str


def gather(parameters: Parameters) -> PushPullFacts:
    """Return the facts; raises MissingError if no registry runs, HostError if the test repository is in use."""
    client = engine.require(parameters.timeout_seconds)
    found = _container(client, parameters)
    stored = storage.Storage(client=client, container=found.name)
    docker_client.refuse_occupied(stored, parameters.test_reference, "test_reference")
    return PushPullFacts(container=found.name)


def _container(client: engine.Client, parameters: Parameters) -> engine.ContainerFacts:
    running = [found for found in compose.registry_containers(client, parameters.compose_project) if found.running]
    if not running or not parameters.ca_certificate_path.exists():
        raise MissingError(
            "the registry over TLS", "it does not run, or its authority is not there", "run the notebook 50-compose"
        )
    return running[0]


def is_made(facts: PushPullFacts) -> bool:
    """Return whether this section has been applied before."""
    return bool(facts.container)


def plan(parameters: Parameters, facts: PushPullFacts) -> list[Change]:
    """Return no change: the proof leaves the host and the registry as they were."""
    del parameters, facts
    return []


def check(parameters: Parameters) -> list[Result]:
    """Return the proof; it removes the test repository again, and leaves the operator's Docker login alone."""
    return [*check_access(parameters), *check_images(parameters)]


def registry_of(parameters: Parameters) -> api.Registry:
    """Return the registry for a verifying client with a login."""
    authority = parameters.ca_certificate_path.read_text(encoding="ascii")
    login = (parameters.username, credentials.require_password(parameters.password_path))
    return api.Registry(url=f"https://{parameters.registry_host}", tls=tls.client_context(authority), login=login)


def check_access(parameters: Parameters) -> list[Result]:
    """Return the part of the proof that needs no image: TLS, logins and refusals."""
    registry = registry_of(parameters)
    anonymous = dataclasses.replace(registry, login=None)  # fast: the registry verifies no hash for it
    api.wait_until_ready(anonymous, timeout_seconds=parameters.timeout_seconds)
    return [*_check_tls(parameters, registry), *_check_login(parameters, registry)]


def check_images(parameters: Parameters) -> list[Result]:
    """Return the part of the proof with the Docker client and a test image, which is removed again."""
    client = engine.require(parameters.timeout_seconds)
    found = _container(client, parameters)
    stored = storage.Storage(client=client, container=found.name)
    volume = compose.volume_name(parameters.compose_project, parameters.data_volume)
    with docker_client.proof(
        client,
        registry_of(parameters),
        host=parameters.registry_host,
        reference=parameters.test_reference,
        test_image=parameters.test_image,
        stored=stored,
        timeout_seconds=parameters.timeout_seconds,
    ) as proof:
        results = [
            *_check_images(proof, found, volume),
            *_check_trust(client, parameters, proof),
            *_check_delete(parameters, proof),
            *_check_logout(parameters, proof),
        ]
    return [*results, _check_nothing_left(parameters, stored)]


def _check_tls(parameters: Parameters, registry: api.Registry) -> list[Result]:
    accepted = api.ask(f"{registry.url}/v2/", tls=registry.tls)
    return [
        works(
            f"a client that verifies reaches {parameters.registry_host} at an address that is not loopback",
            expected=network.address_of(parameters.address),
            found=accepted.server_address or str(accepted),
            remedy=_CERTIFICATES,
            asker=_CLIENT,
        ),
        *check_refusals(registry, accepted, remedy=_CERTIFICATES, asker=_CLIENT),
    ]


def check_refusals(registry: api.Registry, served: api.Answer, *, remedy: str, asker: str = "") -> list[Result]:
    """Return the rows of what a verifying client refuses: another authority, and another name.

    `served` is an answer under the registry's own name.
    """
    url = f"{registry.url}/v2/"
    name = f"other.{urllib.parse.urlsplit(url).hostname}"
    other_authority = tls.certificate_text(tls.untrusted_authority()).decode()
    untrusted = api.ask(url, tls=tls.client_context(other_authority))
    renamed = api.ask(url, tls=registry.tls, server_name=name)
    mismatch = refusal_of_another_name(served, api.ask(url, tls=tls.unverified_context(), server_name=name))
    return [
        refused(
            "the same by a client that trusts another authority",
            expected="certificate verify failed",
            found=says(str(untrusted), expected="certificate verify failed"),
            remedy=remedy,
            asker=asker,
        ),
        refused(
            "the same under another name",
            expected=mismatch,
            found=says(str(renamed), expected=mismatch),
            remedy=remedy,
            asker=asker,
        ),
    ]


def refusal_of_another_name(named: api.Answer, other: api.Answer) -> str:
    """Return a verifying client's reason to refuse what is served under another name than the registry's.

    That is the registry's certificate, or one of another nginx site, which has its own name or authority.
    """
    same = named.server_certificate == other.server_certificate
    return "Hostname mismatch" if same else "certificate verify failed"


def _check_login(parameters: Parameters, registry: api.Registry) -> list[Result]:
    url = f"{registry.url}/v2/"
    user = parameters.username
    anonymous = api.ask(url, tls=registry.tls)
    wrong = api.ask(url, tls=registry.tls, login=(user, credentials.generate()))
    plain = api.ask(f"http://{parameters.domain}:{parameters.port}/v2/")
    return [
        works(
            f"the login of {user}",
            expected=200,
            found=registry.ask("/v2/").status,
            remedy=_CONFIGURATION,
            asker=_CLIENT,
        ),
        refused("no login", expected=401, found=anonymous.status, remedy=_CONFIGURATION, asker=_STRANGER),
        refused(
            f"a wrong password for {user}", expected=401, found=wrong.status, remedy=_CONFIGURATION, asker=_STRANGER
        ),
        refused("plain HTTP on the TLS port", expected=400, found=plain.status, remedy=_CONFIGURATION, asker=_STRANGER),
        works(
            "the realm and the headers are those of config.yml",
            expected=f'Basic realm="{parameters.realm}", nosniff',
            found=", ".join(anonymous.headers.get(name, "none") for name in _HEADERS),
            remedy=_CONFIGURATION,
            asker=_STRANGER,
        ),
    ]


def _check_images(proof: docker_client.Proof, found: engine.ContainerFacts, volume: str) -> list[Result]:
    _, password = proof.registry.login or ("", "")
    wrong, logged_in = proof.login(credentials.generate()), proof.login(password)
    before = proof.in_registry()
    pushed = proof.push()
    registered, tags = proof.in_registry(), proof.stored.tags(proof.repository)
    pulled = proof.pull()
    return [
        refused(
            "docker login with a wrong password",
            expected="refused",
            found="accepted" if wrong.code == 0 else "refused",
            remedy=_LOG,
            asker=_DOCKER,
        ),
        works(
            "docker login",
            expected="Login Succeeded",
            found=says(logged_in.text, expected="Login Succeeded"),
            remedy=_LOG,
            asker=_DOCKER,
        ),
        refused(
            "the test image, before the push",
            expected="404",
            found=before,
            remedy="set test_reference to another repository",
            asker=_CLIENT,
        ),
        works(
            "docker push",
            expected="a digest",
            found="a digest" if pushed.startswith("sha256:") else pushed,
            remedy=_LOG,
            asker=_DOCKER,
        ),
        works(
            "the registry gives the digest that was pushed",
            expected=pushed,
            found=registered,
            remedy=_LOG,
            asker=_CLIENT,
        ),
        works(
            "docker pull, after the image was removed, gives it too",
            expected=pushed,
            found=pulled,
            remedy=_LOG,
            asker=_DOCKER,
        ),
        works(
            "the image lies in the volume of the Compose file",
            expected=f"{volume}: {proof.tag}",
            found=f"{dict(found.volumes).get(str(storage.ROOT), 'elsewhere')}: {', '.join(tags)}",
            remedy=_CONFIGURATION,
        ),
    ]


def _check_trust(client: engine.Client, parameters: Parameters, proof: docker_client.Proof) -> list[Result]:
    address = network.address_of(parameters.address)
    # A proxy answers for the address if it is not exempt. The name is, and in capitals it has no folder in certs.d.
    is_proxied = proxies.takes(client.info(), address)
    asked = parameters.domain if is_proxied else address
    host = f"{asked.upper()}:{parameters.port}"
    refusal = proof.docker("pull", f"{host}/{proof.repository}:{proof.tag}").text
    trusted = parameters.trust_path.parent.parent / host
    served = api.ask(f"https://{asked}:{parameters.port}/v2/", tls=tls.unverified_context()).server_certificate
    now = datetime.datetime.now(datetime.UTC)
    unknown = refusal_at(asked, tls.describe(x509.load_der_x509_certificate(served)), now) if served else "certificate"
    return [
        refused(
            f"the engine at {host}, for which no trust was placed",
            expected=unknown,
            found=says(refusal, expected=unknown),
            remedy=f"see insecure-registries in `docker info`, {trusted}, and the system's own trust store",
            asker=_ENGINE,
        )
    ]


def refusal_at(address: str, served: tls.Certificate, now: datetime.datetime) -> str:
    """Return the engine's reason to refuse a server with this certificate at an address without trust.

    The certificate may be another nginx site's. The engine checks the dates first, then the address, which a supplied
    certificate need not have, then the authority. Source: Go, crypto/x509, Certificate.Verify and HostnameError.Error.
    """
    if not served.not_before <= now <= served.not_after:
        return "certificate has expired or is not yet valid"
    if tls.covers(served, address):
        return "certificate signed by unknown authority"
    return f"not {address}" if served.addresses else "doesn't contain any IP SANs"


def _check_delete(parameters: Parameters, proof: docker_client.Proof) -> list[Result]:
    manifests = f"/v2/{proof.repository}/manifests"
    deleted = proof.registry.ask(f"{manifests}/{proof.in_registry()}", method="DELETE").status
    if parameters.delete_enabled:
        afterwards = proof.registry.ask(f"{manifests}/{proof.tag}").status
        return [
            works("delete, which is on", expected=202, found=deleted, remedy=_CONFIGURATION, asker=_CLIENT),
            refused("the deleted image", expected=404, found=afterwards, remedy=_CONFIGURATION, asker=_CLIENT),
        ]
    untagged = proof.registry.ask(f"{manifests}/{proof.tag}", method="DELETE").status
    afterwards = proof.registry.ask(f"{manifests}/{proof.tag}").status
    return [
        refused("delete, which is off", expected=405, found=deleted, remedy=_CONFIGURATION, asker=_CLIENT),
        refused(
            "the same by tag (some registries before 3.1.1 do it, CVE-2026-41888)",
            expected=405,
            found=untagged,
            remedy="take registry:3.1.1 or later as registry_image",
            asker=_CLIENT,
        ),
        works("the image that was not deleted", expected=200, found=afterwards, remedy=_CONFIGURATION, asker=_CLIENT),
    ]


def _check_logout(parameters: Parameters, proof: docker_client.Proof) -> list[Result]:
    proof.docker("logout", proof.host)
    refusal = proof.docker("push", proof.reference).text
    expected = "no basic auth credentials"
    return [
        refused(
            f"docker push to {parameters.registry_host} after docker logout",
            expected=expected,
            found=says(refusal, expected=expected),
            remedy="a registry that takes it is open: " + _CONFIGURATION,
            asker=_DOCKER,
        )
    ]


def _check_nothing_left(parameters: Parameters, stored: storage.Storage) -> Result:
    repository, _ = split_reference(parameters.test_reference)
    return works(
        "the proof left no image behind",
        expected="no tag",
        found=", ".join(stored.tags(repository)) or "no tag",
        remedy=f"look at the tags of {repository}",
    )
