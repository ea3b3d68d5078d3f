"""The proof of a registry that anybody has made, by what HTTP alone shows: URL, authority and a login are enough.

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
from runbook.model.results import Result, refused, says, works
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
_ON = (404, 400, 202)  # to the deletion of what is not there, where deleting is allowed


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A registry to prove: `known` asks with the login; `authority` (PEM) is whom to trust, None for the system's own.

    `days` are those that its certificate must still be valid for; `repository` is where the test image goes, and
    `layer_bytes` its size.
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
    """Return HOST[:PORT] of an https URL with nothing behind it; raises ParameterError for any other text."""
    parts = urllib.parse.urlsplit(url)
    found = re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?", parts.netloc)
    if parts.scheme != "https" or not found or parts.path not in ("", "/", "/v2", "/v2/") or parts.query:
        raise ParameterError("for --url: https://HOST[:PORT]", url, "name the registry as its clients do")
    return parts.netloc.lower()


def prove(target: Target) -> dict[str, list[Result]]:
    """Return the rows, by what they are about; where no login is let in, nothing is pushed."""
    anonymous = api.ask(f"{target.known.url}/v2/", tls=target.known.tls)
    found = {"certificate": _check_certificate(target, anonymous), "login": _check_login(target, anonymous)}
    if target.known.ask("/v2/").status == httpx.codes.OK:
        found["images"] = _check_images(target)
    return found


def _check_certificate(target: Target, anonymous: api.Answer) -> list[Result]:
    url = f"{target.known.url}/v2/"
    stranger = api.ask(url, tls=tls.trusting(push_pull.stranger()))
    name = f"other.{urllib.parse.urlsplit(url).hostname}"
    other = api.ask(url, tls=target.known.tls, server_name=name)
    seen = api.ask(url, tls=tls.trusting_anybody())
    mismatch = push_pull.refusal_of_another_name(seen, api.ask(url, tls=tls.trusting_anybody(), server_name=name))
    rows = [
        _check_reached(target, anonymous, seen.server_certificate),
        refused(
            "the same by a client that trusts another authority",
            expected="certificate verify failed",
            found=says(str(stranger), expected="certificate verify failed"),
            remedy=_CERTIFICATE,
        ),
        refused(
            "the same under another name",
            expected=mismatch,
            found=says(str(other), expected=mismatch),
            remedy=_CERTIFICATE,
        ),
    ]
    if seen.server_certificate:
        loaded = x509.load_der_x509_certificate(seen.server_certificate)
        certificate = tls.describe(loaded)
        now = datetime.datetime.now(datetime.UTC)
        rows.append(check_days("its certificate", certificate, days=target.days, now=now, remedy="renew it"))
        strict = api.ask(url, tls=tls.trusting(target.authority, strict=True))
        rows += note_stricter(loaded, "accepted" if anonymous.status is None or strict.status else str(strict))
    return rows


def _check_reached(target: Target, anonymous: api.Answer, served: bytes) -> Result:
    """Return whether engine, curl and Go's clients verify the registry: what only some refuse is refused here."""
    found, remedy = "an answer" if anonymous.status is not None else str(anonymous), _CERTIFICATE
    if served and target.authority and (fault := _fault(served, target.authority)):
        found, remedy = str(fault), fault.remedy
    return works(f"a client that verifies reaches {target.host}", expected="an answer", found=found, remedy=remedy)


def _fault(served: bytes, authority: str) -> validation.Fault | None:
    """Return what is wrong with the served certificate, or with the authority where that has signed it itself."""
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
    """Return whether a registry answered over plain HTTP; what sends to https, or complains, is none."""
    is_registry = "docker-distribution-api-version" in answer.headers or "www-authenticate" in answer.headers
    opened = answer.status in (httpx.codes.OK, httpx.codes.UNAUTHORIZED)
    return f"a registry, status {answer.status}" if is_registry or opened else "no registry"


def _check_images(target: Target) -> list[Result]:
    """Return the rows of uploads and, where deleting is allowed, of a test image that is pushed, pulled and deleted."""
    known = target.known
    rows = check_uploads(known, target.repository, size=target.layer_bytes, remedy=_CONFIGURATION)
    absent = known.ask(f"/v2/{target.repository}/manifests/sha256:{'0' * 64}", method="DELETE").status
    if absent not in _ON:
        told = "deleting, of what is not there: it is off, so no image is pushed that would stay"
        return [*rows, refused(told, expected=405, found=absent, remedy=_LOG)]
    return [*rows, *_check_image(target)]


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
    """Return the blobs and the manifest of an image that nobody has; no engine will run it."""
    layer = os.urandom(layer_bytes)
    configuration = json.dumps({"architecture": "amd64", "os": "linux", "salt": os.urandom(16).hex()}).encode()

    def described(kind: str, blob: bytes) -> dict[str, object]:
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": _digest(blob), "size": len(blob)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": described("config.v1+json", configuration),
        "layers": [described("layer.v1.tar", layer)],
    }
    return (configuration, layer), json.dumps(manifest).encode()


def gather(target: Target) -> State:
    """Return what is compared of a registry that only its answers are known of."""
    url = f"{target.known.url}/v2/"
    anonymous = api.ask(url, tls=tls.trusting_anybody())
    absent = target.known.ask(f"/v2/{target.repository}/manifests/sha256:{'0' * 64}", method="DELETE").status
    headers = ("www-authenticate", "docker-distribution-api-version", "server", "x-content-type-options")
    return {
        **baseline.certificate(anonymous.server_certificate),
        **{f"the header {name}": anonymous.headers.get(name, "none") for name in headers},
        "its answer to deleting what is not there": str(absent),
    }
