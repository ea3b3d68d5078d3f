"""A client of the registry's HTTP API.

Source: OCI Distribution Specification 1.1, and the Docker Registry HTTP API V2 for `_catalog`.
"""

import datetime
import hashlib
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from cryptography import x509
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from runbook.model.errors import HostError, NotReadyError
from runbook.model.value_types import split_reference
from runbook.system.certificates import tls as certificates
from runbook.system.host import patience

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json"
)
_SECONDS = 10.0  # timeout of each read
_SECONDS_IN_ALL = 60.0  # timeout of a whole request
# The largest manifest that a registry accepts (OCI Distribution Specification, "Pushing Manifests").
_BODY_BYTES = 4 << 20
_BLOB_SECONDS_IN_ALL = 3600.0
_BLOB_SECONDS = 300.0  # a registry answers only after it has stored the blob
BACK_SECONDS = 10.0  # an engine restarts a crashed registry within that time
_CHUNK_BYTES = 1 << 18
_SERVER_ERROR = 500
_OCTETS = "application/octet-stream"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A registry's response; `status` is None if there was none, and `error` then has the reason.

    `is_foreign` means that no request was sent, since the address belongs to another server.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    error: str = ""
    server_address: str = ""
    server_certificate: bytes = b""
    is_foreign: bool = False

    def __str__(self) -> str:
        """Return the status, or the error if there is none."""
        return str(self.status) if self.status is not None else self.error


class ForeignAddressError(httpx.HTTPError):
    """An address in a registry's response is invalid or belongs to another server, which must not get the login."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """A registry: base URL, the login for each request, the TLS context, and the name to verify in the certificate.

    All requests go to the scheme, host and port of that URL; addresses in responses cannot redirect them.
    """

    url: str
    login: tuple[str, str] | None = None
    tls: ssl.SSLContext | None = None
    server_name: str | None = None

    def ask(self, path: str, *, method: str = "GET") -> Answer:
        """Send one request for a path, as the function `ask` does."""
        return self._ask(self.url + path, method=method)

    def put(self, path: str, content: bytes, *, media_type: str) -> Answer:
        """PUT content to a path, or to a URL from this registry's response."""
        return self._ask(path, method="PUT", content=(media_type, content))

    def _ask(self, address: str, *, method: str, content: tuple[str, bytes] | None = None) -> Answer:
        try:
            url = self.own_url(address)
        except ForeignAddressError as error:
            return Answer(status=None, error=str(error), is_foreign=True)
        return ask(url, method=method, login=self.login, tls=self.tls, server_name=self.server_name, content=content)

    def own_url(self, address: str) -> str:
        """Return the absolute URL of an address in this registry's response.

        Raises ForeignAddressError for another scheme, host or port, an address with a login, and an invalid one.
        """
        base = httpx.URL(self.url)
        try:
            found = base.join(address)
        except (httpx.InvalidURL, ValueError) as error:
            raise ForeignAddressError(f"it is to go to what is no address: {address[:100]!r}") from error
        server = (found.scheme, found.host, found.port, found.userinfo)
        if not address or server != (base.scheme, base.host, base.port, b""):
            raise ForeignAddressError(f"it is to go to {address.partition('?')[0][:200] or 'no address at all'}")
        return str(found)

    def begin_upload(self, repository: str) -> str:
        """Start the upload of a blob; return the address to send it to, or else the status or error (end-4a)."""
        begun = self._begin(repository)
        return begun.headers.get("location", str(begun))

    def _begin(self, repository: str) -> Answer:
        return self.ask(f"/v2/{repository}/blobs/uploads/", method="POST")

    def upload(self, repository: str, size: int) -> tuple[str, str]:
        """Upload a blob of random content in chunks, as Docker does; return its digest, and the status or error.

        The content is never in memory as a whole (end-5, end-6). No request goes to another server. If the connection
        breaks, another blob is uploaded once the registry is back.
        """
        digest, answer = self._upload(repository, size)
        if not _is_final(answer):
            with suppress(NotReadyError):  # the second attempt reports the error
                wait_until_ready(self, timeout_seconds=BACK_SECONDS)
            digest, answer = self._upload(repository, size)
        return digest, str(answer)

    def _upload(self, repository: str, size: int) -> tuple[str, Answer]:
        begun = self._begin(repository)
        if begun.status != httpx.codes.ACCEPTED:
            return "", begun
        content = _RandomContent(size)
        try:
            with self._stream("PATCH", begun.headers.get("location", ""), content=content) as sent:
                if sent.status_code != httpx.codes.ACCEPTED:
                    return "", Answer(status=sent.status_code)
                closing = httpx.URL(self.own_url(sent.headers.get("location", "")))
            with self._stream("PUT", str(closing.copy_merge_params({"digest": content.digest}))) as closed:
                return content.digest, Answer(status=closed.status_code)
        except httpx.HTTPError as error:
            return "", Answer(status=None, error=_text(error), is_foreign=isinstance(error, ForeignAddressError))

    def try_upload(self, repository: str, size: int) -> str:
        """Upload a blob and cancel, so that nothing is stored; return `cancelled`, or the status or error.

        Source: Docker Registry HTTP API V2, "Canceling an Upload". No request goes to another server.
        """
        begun = self._begin(repository)
        if begun.status != httpx.codes.ACCEPTED:
            return str(begun)
        location = begun.headers.get("location", "")
        try:
            with self._stream("PATCH", location, content=_RandomContent(size)) as sent:
                location = sent.headers.get("location", location)
            with self._stream("DELETE", location) as cancelled:
                status = cancelled.status_code
        except httpx.HTTPError as error:
            return _text(error)
        if sent.status_code != httpx.codes.ACCEPTED:
            return f"status {sent.status_code} after {size} bytes"
        return "cancelled" if status == httpx.codes.NO_CONTENT else f"status {status} to the cancelling"

    def download(self, repository: str, digest: str, *, most: int) -> str:
        """Read a blob in chunks and return the digest of the received bytes, or the status or error (end-2).

        Stops with an error after `most` bytes.
        """
        found = hashlib.sha256()
        try:
            with self._stream("GET", f"{self.url}/v2/{repository}/blobs/{digest}") as answer:
                if answer.status_code != httpx.codes.OK:
                    return str(answer.status_code)
                for chunk in _chunks(answer, most):
                    found.update(chunk)
        except httpx.HTTPError as error:
            return _text(error)
        return f"sha256:{found.hexdigest()}"

    def _stream(
        self, method: str, url: str, *, content: Iterable[bytes] | None = None
    ) -> AbstractContextManager[httpx.Response]:
        return _stream(
            self.own_url(url),
            method=method,
            login=self.login,
            tls=self.tls,
            server_name=self.server_name,
            content=content,
            timeout_seconds=_BLOB_SECONDS,
            seconds_in_all=_BLOB_SECONDS_IN_ALL,
        )


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__


def _chunks(answer: httpx.Response, most: int) -> Iterator[bytes]:
    """Yield a body as transferred, without decompression; raises ReadError if it is longer than `most` bytes."""
    left = most
    for chunk in answer.iter_raw(_CHUNK_BYTES):
        left -= len(chunk)
        if left < 0:
            raise httpx.ReadError(f"an answer of more than {most} bytes")
        yield chunk


@contextmanager
def _deadline(seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the extensions for a request whose connection is shut down after `seconds`; raises ReadTimeout then.

    The timeouts of httpx apply to each read: a server that sends single bytes would never exceed them.
    """
    connections: list[Any] = []
    expired = threading.Event()

    def trace(event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            connections.append(info["return_value"].get_extra_info("socket"))

    def shut_down() -> None:
        expired.set()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut_down)
    timer.daemon = True
    timer.start()
    timeout = httpx.ReadTimeout(f"no whole answer within {seconds:g} s")
    try:
        yield {"trace": trace}
    except (httpx.HTTPError, OSError) as error:
        if expired.is_set():
            raise timeout from error
        raise
    finally:
        timer.cancel()
    if expired.is_set():  # without a Content-Length, a body ends with its connection
        raise timeout


def _public(url: str) -> ssl.SSLContext | bool:
    """Return httpx's `verify` for the public authorities; loading takes 0.1 s, so plain HTTP gets an empty context."""
    return True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _server(url: str) -> str:
    """Return scheme, host and port of a URL, without a login."""
    found = httpx.URL(url)
    return f"{found.scheme}://{found.netloc.decode()}"


class _RandomContent:
    """Random bytes, generated while they are sent, so that no registry has them."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._hash = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            chunk = os.urandom(min(_CHUNK_BYTES, self._left))
            self._left -= len(chunk)
            self._hash.update(chunk)
            yield chunk

    @property
    def digest(self) -> str:
        """The digest of the bytes generated so far."""
        return f"sha256:{self._hash.hexdigest()}"


@contextmanager
def _stream(  # noqa: PLR0913 (the parts of a request)
    url: str,
    *,
    method: str,
    login: tuple[str, str] | None,
    tls: ssl.SSLContext | None,
    server_name: str | None,
    host: str | None = None,
    content: bytes | Iterable[bytes] | None = None,
    media_type: str = _OCTETS,
    timeout_seconds: float = _SECONDS,
    seconds_in_all: float | None = None,
) -> Iterator[httpx.Response]:
    headers = {"Accept": MANIFEST_TYPES, "Accept-Encoding": "identity"} | (
        {"Content-Type": media_type} if content else {}
    )
    credentials = httpx.BasicAuth(login[0].encode(), login[1].encode()) if login else None
    extensions = {"sni_hostname": server_name} if server_name else {}
    if host:
        headers["Host"] = host
    seconds = patience.left(timeout_seconds)
    server = _server(url)
    if patience.has_timed_out(server):
        raise httpx.ReadTimeout(f"{server} did not answer in time before, and is not asked again")
    try:
        with (
            _deadline(patience.left(_SECONDS_IN_ALL if seconds_in_all is None else seconds_in_all)) as limited,
            httpx.Client(verify=tls or _public(url), trust_env=False, timeout=seconds) as client,
            client.stream(
                method, url, headers=headers, auth=credentials, content=content, extensions=extensions | limited
            ) as response,
        ):
            yield response
    except httpx.TimeoutException:
        patience.note_timeout(server)
        raise


def ask(  # noqa: PLR0913 (request, login and trust)
    url: str,
    *,
    method: str = "GET",
    login: tuple[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
    host: str | None = None,
    content: tuple[str, bytes] | None = None,
    timeout_seconds: float = _SECONDS,
) -> Answer:
    """Send one request, without a proxy and without following redirects; return the response, or the error in it.

    `tls` is the client's context; without it, the public authorities are trusted. `server_name` (the name to verify)
    and `host` (by which a proxy chooses its site, RFC 9110 7.2) default to that of the URL. A login is encoded as UTF-8
    (RFC 7617 2.1). `content` is media type and bytes. A body of at most 4 MiB is read without decompression; the
    whole request may take a minute.
    """
    media_type, data = content or ("", None)
    try:
        with _stream(
            url,
            method=method,
            login=login,
            tls=tls,
            server_name=server_name,
            host=host,
            content=data,
            media_type=media_type,
            timeout_seconds=patience.for_answer(timeout_seconds),
        ) as response:
            stream = response.extensions["network_stream"]
            secured = stream.get_extra_info("ssl_object")
            address = str(stream.get_extra_info("server_addr")[0])  # now: the end of the body closes the connection
            certificate = secured.getpeercert(True) if secured else b""  # noqa: FBT003 (takes no keyword)
            return Answer(
                status=response.status_code,
                headers=dict(response.headers),
                body=b"".join(_chunks(response, _BODY_BYTES)).decode(errors="replace"),
                server_address=address,
                server_certificate=certificate,
            )
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # OSError: the socket is closed by now
        return Answer(status=None, error=_text(error))


def push(registry: Registry, reference: str, *, blobs: Sequence[bytes], manifest: bytes, media_type: str) -> None:
    """Push an image to REPOSITORY:TAG: its blobs, each in one request (end-4a, end-6), then its manifest (end-7a).

    If the connection breaks, the whole push is repeated once the registry is back. Raises HostError with the response
    of the failed request.
    """
    refused = _push(registry, reference, blobs=blobs, manifest=manifest, media_type=media_type)
    if refused is not None and not _is_final(refused[1]):
        wait_until_ready(registry, timeout_seconds=BACK_SECONDS)
        refused = _push(registry, reference, blobs=blobs, manifest=manifest, media_type=media_type)
    if refused is not None:
        expected, answer = refused
        found = " ".join((str(answer), answer.body.strip())).strip()
        raise HostError(f"the registry {expected}", found, "read the registry's log: `docker logs`")


def _push(
    registry: Registry, reference: str, *, blobs: Sequence[bytes], manifest: bytes, media_type: str
) -> tuple[str, Answer] | None:
    """Push an image; return None, or the step that failed with its response."""
    repository, tag = split_reference(reference)
    for blob in blobs:
        begun = registry.ask(f"/v2/{repository}/blobs/uploads/", method="POST")
        if begun.status != httpx.codes.ACCEPTED:
            return f"to begin a push to {repository}", begun
        location = begun.headers.get("location", "")  # may have a query already
        digest = f"digest=sha256%3A{hashlib.sha256(blob).hexdigest()}"
        url = f"{location}{'&' if '?' in location else '?'}{digest}"
        done = registry.put(url if location else "", blob, media_type=_OCTETS)
        if done.status != httpx.codes.CREATED:
            return f"to take a blob for {repository}", done
    done = registry.put(f"/v2/{repository}/manifests/{tag}", manifest, media_type=media_type)
    return None if done.status == httpx.codes.CREATED else (f"to take the manifest {reference}", done)


def wait_until_ready(
    registry: Registry, *, timeout_seconds: float, has_ended: Callable[[], object] = lambda: False
) -> Answer:
    """Poll `/v2/` until the registry sends any response below 500, and return it; give up once it has ended.

    An open registry answers 200, one with a login 401 (end-1 of the specification). A status of 500 or above comes
    from a proxy whose registry is not ready yet.
    Raises NotReadyError with the last response, immediately if the server's certificate is refused, and HostError if it
    is refused for its dates.
    """

    @retry(
        retry=retry_if_result(
            lambda answer: not (_is_final(answer) or patience.has_timed_out(_server(registry.url)) or has_ended())
        ),
        stop=stop_after_delay(patience.left(timeout_seconds)),
        wait=wait_fixed(0.1),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    def poll() -> Answer:
        return registry.ask("/v2/")

    last = poll()
    if re.search("certificate is not yet valid|certificate has expired", last.error):
        raise _wrong_date(registry, last)
    if last.status is None or last.status >= _SERVER_ERROR:
        raise NotReadyError(
            f"{registry.url}/v2/ to answer within {timeout_seconds:g} s",
            str(last),
            "read the container's log: `docker logs`",
        )
    return last


def _wrong_date(registry: Registry, refused: Answer) -> HostError:
    """Return the error for a certificate that is refused for its dates, with the dates and the time of this host."""
    unverified = certificates.unverified_context()
    served = ask(f"{registry.url}/v2/", tls=unverified, server_name=registry.server_name).server_certificate
    dates = ""
    if served:  # the registry may have gone meanwhile
        found = certificates.describe(x509.load_der_x509_certificate(served))
        dates = f": it is valid from {found.not_before:%Y-%m-%d %H:%M} to {found.not_after:%Y-%m-%d %H:%M} UTC"
    return HostError(
        f"a certificate at {registry.url} that is valid now, {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC "
        "by this host's clock",
        f"{refused}{dates}",
        "set the clock right where it is wrong; else run the notebooks 30-certificates and 50-compose",
    )


def _is_final(answer: Answer) -> bool:
    """Return whether another attempt would get the same response."""
    if answer.status is None:
        return answer.is_foreign or "certificate verify failed" in answer.error
    return answer.status < _SERVER_ERROR
