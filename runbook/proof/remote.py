"""The proof of any registry over HTTP alone: it needs only a URL, an authority and a login.

Source: OCI Distribution Specification 1.1; Docker Registry HTTP API V2 (`_catalog`, cancelling an upload).
"""

import datetime
import hashlib
import json
import os
import re
import urllib.parse
from dataclasses import dataclass

import httpx
from cryptography import x509

from runbook.model.errors import HostError, ParameterError
from runbook.model.results import Result, refused, works
from runbook.proof import baseline
from runbook.proof.all_sections import check_days, check_uploads
from runbook.proof.baseline import State
from runbook.sections import push_pull
from runbook.sections.certificates import note_stricter
from runbook.system import credentials
from runbook.system.certificates import tls, validation
from runbook.system.registry import api

SECTIONS = ("certificate", "login", "images")
_LOG = "read the log of the registry, and of the proxy in front of it"
_CERTIFICATE = "give the registry a certificate for this name, from the authority that its clients trust"
_CONFIGURATION = "the registry is open: look at `auth` in its config.yml, and for REGISTRY_* in its environment"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_ON = (404, 400, 202)  # the statuses for deleting an absent manifest if deletion is enabled


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A registry to prove: `known` has the login; `authority` (PEM) is the one to trust, None for the system's.

    `days` is the remaining validity that its certificate must have, `repository` the place of the test image, and
    `layer_bytes` the size of that image.
    """

    known: api.Registry
    authority: str | None
    days: int
    repository: str
    layer_bytes: int

    @property
    def host(self) -> str:
        """HOST[:PORT] of the registry."""
        return self.known.url.removeprefix("https://")


def host_of(url: str) -> str:
    """Return HOST[:PORT] of an https URL without a path; raises ParameterError for any other text."""
    parts = urllib.parse.urlsplit(url)
    is_host = re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?", parts.netloc)
    if parts.scheme != "https" or not is_host or parts.path not in ("", "/", "/v2", "/v2/") or parts.query:
        raise ParameterError("for --url: https://HOST[:PORT]", url, "name the registry as its clients do")
    return parts.netloc.lower()


def prove(target: Target) -> dict[str, list[Result]]:
    """Return the rows by subject; nothing is pushed if the login fails."""
    anonymous = api.ask(f"{target.known.url}/v2/", tls=target.known.tls)
    found = {"certificate": _check_certificate(target, anonymous), "login": _check_login(target, anonymous)}
    if target.known.ask("/v2/").status == httpx.codes.OK:
        found["images"] = _check_images(target)
    return found


def _check_certificate(target: Target, anonymous: api.Answer) -> list[Result]:
    url = f"{target.known.url}/v2/"
    served = api.ask(url, tls=tls.unverified_context())
    rows = [
        _check_reached(target, anonymous, served.server_certificate),
        *push_pull.check_refusals(target.known, served, remedy=_CERTIFICATE),
    ]
    if served.server_certificate:
        certificate = x509.load_der_x509_certificate(served.server_certificate)
        now, described = datetime.datetime.now(datetime.UTC), tls.describe(certificate)
        rows.append(check_days("its certificate", described, days=target.days, now=now, remedy="renew it"))
        strict = api.ask(url, tls=tls.client_context(target.authority, strict=True))
        rows += note_stricter(certificate, "accepted" if anonymous.status is None or strict.status else str(strict))
    return rows


def _check_reached(target: Target, anonymous: api.Answer, served: bytes) -> Result:
    """Return whether the engine, curl and Go clients can verify the registry: it fails if any of them refuses."""
    found, remedy = "an answer" if anonymous.status is not None else str(anonymous), _CERTIFICATE
    if served and target.authority and (fault := _fault(served, target.authority)):
        found, remedy = str(fault), fault.remedy
    return works(f"a client that verifies reaches {target.host}", expected="an answer", found=found, remedy=remedy)


def _fault(served: bytes, authority: str) -> validation.Fault | None:
    """Return the first fault of the served certificate, or of an authority that has signed it directly."""
    server, trusted = x509.load_der_x509_certificate(served), x509.load_pem_x509_certificates(authority.encode())
    paths = validation.paths(server, (), trusted) or [(server,)]
    return validation.first_fault(paths, datetime.datetime.now(datetime.UTC))


def _check_login(target: Target, anonymous: api.Answer) -> list[Result]:
    known, url = target.known, f"{target.known.url}/v2/"
    user = known.login[0] if known.login else ""
    wrong = api.ask(url, tls=known.tls, login=(user, credentials.generate()))
    plain = api.ask(url.replace("https://", "http://", 1))
    schemes = anonymous.headers.get("www-authenticate", "no login")
    return [
        works(f"the login of {user}", expected="200", found=str(known.ask("/v2/")), remedy=f"it asks for: {schemes}"),
        refused("no login", expected="401", found=str(anonymous), remedy=_CONFIGURATION),
        refused(f"a wrong password for {user}", expected="401", found=str(wrong), remedy=_CONFIGURATION),
        refused(
            "plain HTTP on the TLS port",
            expected="no registry",
            found=who(plain),
            remedy="give the registry TLS, and let nothing answer there without it",
        ),
    ]


def who(answer: api.Answer) -> str:
    """Return whether a registry answered over plain HTTP; a redirect to https, or an error, does not count."""
    is_registry = "docker-distribution-api-version" in answer.headers or "www-authenticate" in answer.headers
    opened = answer.status in (httpx.codes.OK, httpx.codes.UNAUTHORIZED)
    return f"a registry, status {answer.status}" if is_registry or opened else "no registry"


def _check_images(target: Target) -> list[Result]:
    """Return the rows of uploads and, if deletion is enabled, of pushing, pulling and deleting a test image."""
    known = target.known
    rows = check_uploads(known, target.repository, size=target.layer_bytes, remedy=_CONFIGURATION)
    absent = _delete_absent(target)
    if absent not in _ON:
        claim = "deleting, of what is not there: it is off, so no image is pushed that would stay"
        return [*rows, refused(claim, expected=405, found=absent, remedy=_LOG)]
    return [*rows, *_check_image(target)]


def _delete_absent(target: Target) -> int | None:
    return target.known.ask(f"/v2/{target.repository}/manifests/sha256:{'0' * 64}", method="DELETE").status


def _check_image(target: Target) -> list[Result]:
    known, tag = target.known, f"proof-{os.urandom(6).hex()}"
    manifests = f"/v2/{target.repository}/manifests"
    blobs, manifest = image(target.layer_bytes)
    digest = _digest(manifest)
    before = known.ask(f"{manifests}/{tag}", method="HEAD").status
    try:
        api.push(known, f"{target.repository}:{tag}", blobs=blobs, manifest=manifest, media_type=_MANIFEST)
        pushed = "pushed"
    except HostError as error:
        pushed = error.found
    registered = known.ask(f"{manifests}/{tag}", method="HEAD").headers.get("docker-content-digest", "none")
    pulled = _digest(known.ask(f"{manifests}/{tag}").body.encode())
    layer = known.download(target.repository, _digest(blobs[1]), most=target.layer_bytes)
    deleted = known.ask(f"{manifests}/{digest}", method="DELETE").status
    for blob in blobs:
        known.ask(f"/v2/{target.repository}/blobs/{_digest(blob)}", method="DELETE")
    afterwards = known.ask(f"{manifests}/{tag}").status
    return [
        refused("the test image, before the push", expected=404, found=before, remedy=_LOG),
        works("a push, by the API", expected="pushed", found=pushed, remedy=_LOG),
        works("the registry gives the digest that was pushed", expected=digest, found=registered, remedy=_LOG),
        works("a pull gives it too", expected=digest, found=pulled, remedy=_LOG),
        works("its layer comes back as it was sent", expected=_digest(blobs[1]), found=layer, remedy=_LOG),
        works("deleting, which is on", expected=202, found=deleted, remedy=_LOG),
        refused("the deleted image", expected=404, found=afterwards, remedy=f"delete {target.repository}:{tag}"),
    ]


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image(layer_bytes: int) -> tuple[tuple[bytes, bytes], bytes]:
    """Return the blobs and the manifest of a unique image; no engine can run it."""
    layer = os.urandom(layer_bytes)
    configuration = json.dumps({"architecture": "amd64", "os": "linux", "salt": os.urandom(16).hex()}).encode()

    def descriptor(kind: str, blob: bytes) -> dict[str, object]:
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": _digest(blob), "size": len(blob)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": descriptor("config.v1+json", configuration),
        "layers": [descriptor("layer.v1.tar", layer)],
    }
    return (configuration, layer), json.dumps(manifest).encode()


def gather(target: Target) -> State:
    """Return the compared items of a registry that is known only by its responses."""
    url = f"{target.known.url}/v2/"
    anonymous = api.ask(url, tls=tls.unverified_context())
    headers = ("www-authenticate", "docker-distribution-api-version", "server", "x-content-type-options")
    return {
        **baseline.certificate(anonymous.server_certificate),
        **{f"the header {name}": anonymous.headers.get(name, "none") for name in headers},
        "its answer to deleting what is not there": str(_delete_absent(target)),
    }
