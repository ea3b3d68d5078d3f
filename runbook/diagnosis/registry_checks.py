"""Checks of the registry from outside: its storage and its responses."""

import os
import re

from runbook.model.value_types import split_reference
from runbook.system import credentials
from runbook.system.certificates import tls
from runbook.system.registry import api, storage

from .container_checks import last_error
from .engine_checks import room
from .situation import Finding, Situation, UndecidedError, no, yes

_OK, _UNAUTHORIZED, _SERVER_ERROR = 200, 401, 500


# Its storage.


def storage_full(situation: Situation) -> Finding:
    """Measure the free space and inodes of the registry's storage, as its container sees it."""
    found = room(str(situation.inside / storage.ROOT.relative_to("/")))
    text = found.found.replace(str(situation.inside), "")
    return yes(text) if found.confirmed else no(text)


def storage_read_only(situation: Situation) -> Finding:
    """Check whether the registry can write to its storage."""
    mounts = [mount for mount in situation.inspected["Mounts"] if mount["Destination"] == str(storage.ROOT)]
    # A read-only root file system matters only if the storage is no mount.
    is_read_only = not mounts and situation.inspected["HostConfig"]["ReadonlyRootfs"]
    if is_read_only or any(not mount["RW"] for mount in mounts):
        return yes("it is mounted read-only into the container")
    layout = ("docker", "docker/registry/v2/repositories", "docker/registry/v2/blobs")
    root = situation.inside / storage.ROOT.relative_to("/")
    for path in (root, *(root / name for name in layout)):
        if not path.exists():
            continue
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return yes(f"{storage.ROOT} is mounted read-only")
        if not os.access(path, os.W_OK, effective_ids=True):
            return yes(f"{storage.ROOT} cannot be written to, not even by root (lsattr -d)")
    return no("it can be written to")


def reference_absent(situation: Situation) -> Finding:
    """Ask the registry for the image that the message names."""
    if situation.reference is None:
        raise UndecidedError(f"the message names no image of {situation.parameters.registry_host}")
    repository, tag = situation.reference
    answer = _ask_with_login(situation, f"/v2/{repository}/manifests/{tag}", method="HEAD")
    if answer.status == _OK:
        return no(f"{repository}:{tag} is there")
    return yes(f"{repository} has no {tag}: it answers {answer}")


def _ask_with_login(situation: Situation, path: str, *, method: str = "GET") -> api.Answer:
    """Return the registry's response to the stored login, which goes only to a server with the authority's certificate.

    The TLS handshake and the request both name the registry: no other site of a proxy at that address may get the
    login. Raises UndecidedError without a stored password.
    """
    parameters = situation.parameters
    password = credentials.find_password(parameters.password_path)
    if password is None:
        raise UndecidedError(f"no password is stored in {parameters.password_path}")
    return api.ask(
        f"https://{situation.address}:{parameters.port}{path}",
        method=method,
        login=(parameters.username, password),
        tls=tls.client_context(tls.certificate_text(situation.authority).decode()),
        server_name=parameters.domain,
        host=parameters.registry_host,
    )


def other_secrets(situation: Situation) -> Finding:
    """Look in the log for uploads that began before a restart, or at another replica."""
    found = re.search(r"invalid secret|blob upload (?:unknown|invalid)", situation.log)
    return yes(f"its log has `{found[0]}`") if found else no("its log has no such upload")


# Its responses.


def speaks_plain_http(situation: Situation) -> Finding:
    """Send requests to the registry's port over TLS and over plain HTTP."""
    if situation.anonymous.status is not None:
        return no("the port speaks TLS")
    if situation.plain.status is None:
        raise UndecidedError(f"the port answers on neither: {situation.anonymous}")
    return yes(f"the port answers {situation.plain} over plain HTTP, and does not speak TLS")


def named_speaks_plain_http(situation: Situation) -> Finding:
    """Send a request over plain HTTP to the address that the message names."""
    host = situation.named(r"https?://([\w.-]+:\d+)", "HOST:PORT")[1]
    found = api.ask(f"http://{host}/v2/", timeout_seconds=3)
    is_plain = found.status is not None and "HTTP request to an HTTPS server" not in found.body
    return yes(f"{host} answers {found} over plain HTTP") if is_plain else no(f"{host}: {found}")


def speaks_tls(situation: Situation) -> Finding:
    """Send a request to the registry's port over TLS."""
    if situation.anonymous.status is None:
        return no(f"the port does not speak TLS: {situation.anonymous}")
    return yes(f"port {situation.parameters.port} speaks TLS: an address that starts with http:// is refused")


def silent(situation: Situation) -> Finding:
    """Send a request to the registry's address and port."""
    found = situation.anonymous
    if found.status is not None:
        return no(f"it answers {found}")
    if situation.parameters.proxy == "nginx" and situation.front_complaint:
        return no("the nginx in front accepts no connection")
    return no(f"it answers {situation.plain} over plain HTTP") if situation.plain.status else yes(f"no answer: {found}")


def open_to_all(situation: Situation) -> Finding:
    """Send a request to the registry without a login."""
    found = situation.anonymous
    return yes("it answers 200 without a login") if found.status == _OK else no(f"it answers {found}")


def broken_inside(situation: Situation) -> Finding:
    """Check whether the registry, or a proxy in front of it, answers 500 or above, without or with a login."""
    found = situation.anonymous
    if found.status in (_OK, _UNAUTHORIZED) and situation.verified.status is not None:
        repository, _ = split_reference(situation.parameters.test_reference)
        found = _ask_with_login(situation, f"/v2/{repository}/tags/list")  # the registry has to read its storage
    if situation.parameters.proxy == "nginx" and situation.front_complaint:
        return no("the nginx in front has no connection left")
    broken = found.status is not None and found.status >= _SERVER_ERROR
    return yes(f"it answers {found}{last_error(situation)}") if broken else no(f"it answers {found}")


def answered_by_another(situation: Situation) -> Finding:
    """Check the answer at the registry's port for the header that identifies a registry."""
    found = situation.anonymous if situation.anonymous.status is not None else situation.plain
    if found.status is None:
        raise UndecidedError(f"nothing answers: {found}")
    if "docker-distribution-api-version" in found.headers:
        return no("a registry answers")
    if situation.parameters.proxy == "nginx" and found.status >= _SERVER_ERROR:
        raise UndecidedError(f"the proxy in front answers {found} instead")
    if found is not situation.anonymous and "HTTP request to an HTTPS server" in found.body:
        raise UndecidedError("it speaks TLS, and refuses the connection")
    return yes(f"{found.headers.get('server', 'a server')} answers {found}, and is not a registry")


def login_refused(situation: Situation) -> Finding:
    """Send the stored login to the registry, if the CA on disk signed its certificate."""
    if situation.verified.status is None:
        raise UndecidedError(f"the password was not sent: {situation.verified}")
    found = _ask_with_login(situation, "/v2/")
    return no(f"it answers {found}") if found.status == _OK else yes(f"it answers {found} to the stored login")


def unhealthy(situation: Situation) -> Finding:
    """Ask the engine for the result of the container's health check."""
    health = situation.inspected["State"].get("Health") or {}
    found = health.get("Status", "none")
    return yes("its health check fails") if found == "unhealthy" else no(f"its health: {found}")
