"""The registry's HTTP API, asked from outside.

Source: OCI Distribution Specification 1.1, and the Docker Registry HTTP API V2 for `_catalog`.
"""

import datetime
import hashlib
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_SECONDS = 10.0  # for each piece of an answer
_SECONDS_IN_ALL = 60.0  # for all of it
_BODY_BYTES = (
    4 << 20
)  # the largest manifest that a registry takes (OCI Distribution Specification, "Pushing Manifests")
_BLOB_SECONDS_IN_ALL = 3600.0
_BLOB_SECONDS = 300.0  # a registry answers when it has stored all
BACK_SECONDS = 10.0  # an engine has brought a registry that died back by then
_PIECE_BYTES = 1 << 18
_SERVER_ERROR = 500
_OCTETS = "application/octet-stream"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a registry answered: `status` is None where no HTTP answer came, and `error` then says why.

    `leads_away` says that nothing was asked, since the address was another server's.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    error: str = ""
    server_address: str = ""
    server_certificate: bytes = b""
    leads_away: bool = False

    def __str__(self) -> str:
        """Return the status, or why there is none."""
        return str(self.status) if self.status is not None else self.error


class AwayError(httpx.HTTPError):
    """An address that a registry gave is another server's, or none: the login must not go there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """A registry to ask: its base URL, the login to send with each request, whom to trust, and the name to verify.

    Each request goes to the scheme, host and port of that URL, whatever address an answer names.
    """

    url: str
    login: tuple[str, str] | None = None
    tls: ssl.SSLContext | None = None
    server_name: str | None = None

    def ask(self, path: str, *, method: str = "GET") -> Answer:
        """Ask for a path once, as `ask` does."""
        return self._ask(self.url + path, method=method)

    def put(self, path: str, content: bytes, *, media_type: str) -> Answer:
        """Put a content to a path, or to a URL that this registry gave, and return the answer."""
        return self._ask(path, method="PUT", content=(media_type, content))

    def _ask(self, address: str, *, method: str, content: tuple[str, bytes] | None = None) -> Answer:
        try:
            url = self.at_home(address)
        except AwayError as error:
            return Answer(status=None, error=str(error), leads_away=True)
        known = {"login": self.login, "tls": self.tls, "server_name": self.server_name}
        return ask(url, method=method, content=content, **known)  # type: ignore[arg-type] # one type a name

    def at_home(self, address: str) -> str:
        """Return the whole URL of an address that this registry gave, which may be relative.

        Raises AwayError for an address of another scheme, host or port, one with a login in it, and what is none.
        """
        home = httpx.URL(self.url)
        try:
            found = home.join(address)
        except (httpx.InvalidURL, ValueError) as error:
            raise AwayError(f"it is to go to what is no address: {address[:100]!r}") from error
        place = (found.scheme, found.host, found.port, found.userinfo)
        if not address or place != (home.scheme, home.host, home.port, b""):
            raise AwayError(f"it is to go to {address.partition('?')[0][:200] or 'no address at all'}")
        return str(found)

    def begin_upload(self, repository: str) -> str:
        """Begin the upload of a blob and return the address that it is to be sent to, or what came instead (end-4a)."""
        answer = self.ask(f"/v2/{repository}/blobs/uploads/", method="POST")
        return answer.headers.get("location", str(answer))

    def upload(self, repository: str, size: int) -> tuple[str, str]:
        """Upload a blob of random content as Docker does, its size unsaid; return its digest, and the status or error.

        The content is never held as a whole (end-5, end-6). An address of another server is not gone to. Where the
        connection breaks, another blob is tried once the registry is back.
        """
        digest, answer = self._upload(repository, size)
        if not _is_final(answer):
            with suppress(NotReadyError):  # the second try tells then
                wait_until_ready(self, timeout_seconds=BACK_SECONDS)
            digest, answer = self._upload(repository, size)
        return digest, str(answer)

    def _upload(self, repository: str, size: int) -> tuple[str, Answer]:
        begun = self.ask(f"/v2/{repository}/blobs/uploads/", method="POST")
        if begun.status != httpx.codes.ACCEPTED:
            return "", begun
        content = _RandomContent(size)
        try:
            with self._stream("PATCH", begun.headers.get("location", ""), content=content) as sent:
                if sent.status_code != httpx.codes.ACCEPTED:
                    return "", Answer(status=sent.status_code)
                closing = httpx.URL(self.at_home(sent.headers.get("location", "")))
            with self._stream("PUT", str(closing.copy_merge_params({"digest": content.digest}))) as closed:
                return content.digest, Answer(status=closed.status_code)
        except httpx.HTTPError as error:
            leads_away = isinstance(error, AwayError)
            return "", Answer(status=None, error=str(error) or type(error).__name__, leads_away=leads_away)

    def try_upload(self, repository: str, size: int) -> str:
        """Begin the upload of a blob, send it, and cancel: nothing is stored. Return `cancelled`, or what came instead.

        Source: Docker Registry HTTP API V2, "Canceling an Upload". An address of another server is not gone to.
        """
        begun = self.ask(f"/v2/{repository}/blobs/uploads/", method="POST")
        if begun.status != httpx.codes.ACCEPTED:
            return str(begun)
        location = begun.headers.get("location", "")
        try:
            with self._stream("PATCH", location, content=_RandomContent(size)) as sent:
                location = sent.headers.get("location", location)
            with self._stream("DELETE", location) as cancelled:
                ended = cancelled.status_code
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        if sent.status_code != httpx.codes.ACCEPTED:
            return f"status {sent.status_code} after {size} bytes"
        return "cancelled" if ended == httpx.codes.NO_CONTENT else f"status {ended} to the cancelling"

    def download(self, repository: str, digest: str, *, most: int) -> str:
        """Read a blob, never held as a whole, and return the digest of what came, or the status or error (end-2).

        One of more than `most` bytes is not read to its end.
        """
        found = hashlib.sha256()
        try:
            with self._stream("GET", f"{self.url}/v2/{repository}/blobs/{digest}") as answer:
                if answer.status_code != httpx.codes.OK:
                    return str(answer.status_code)
                for piece in _pieces(answer, most):
                    found.update(piece)
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        return f"sha256:{found.hexdigest()}"

    def _stream(
        self, method: str, url: str, *, content: Iterable[bytes] | None = None
    ) -> AbstractContextManager[httpx.Response]:
        return _stream(
            self.at_home(url),
            method=method,
            login=self.login,
            tls=self.tls,
            server_name=self.server_name,
            content=content,
            timeout_seconds=_BLOB_SECONDS,
            seconds_in_all=_BLOB_SECONDS_IN_ALL,
        )


def _pieces(answer: httpx.Response, most: int) -> Iterator[bytes]:
    """Yield a body as it comes over the wire, not unpacked; raises ReadError where it is longer than `most` bytes."""
    left = most
    for piece in answer.iter_raw(_PIECE_BYTES):
        left -= len(piece)
        if left < 0:
            raise httpx.ReadError(f"an answer of more than {most} bytes")
        yield piece


@contextmanager
def _deadline(seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the extensions of a request whose connection is shut down once `seconds` have passed.

    An answer that comes byte by byte would otherwise never end: httpx's limits are for each read.
    """
    opened: list[Any] = []
    expired = threading.Event()

    def trace(event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            opened.append(info["return_value"].get_extra_info("socket"))

    def end() -> None:
        expired.set()
        for connection in opened:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    late = httpx.ReadTimeout(f"no whole answer within {seconds:g} s")
    try:
        yield {"trace": trace}
    except (httpx.HTTPError, OSError) as error:
        if expired.is_set():
            raise late from error
        raise
    finally:
        timer.cancel()
    if expired.is_set():  # a body without a length ends with its connection
        raise late


def _public(url: str) -> ssl.SSLContext | bool:
    """Return what lets httpx trust the public authorities; for plain HTTP it need not spend 0.1 s on reading them."""
    return True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _server(url: str) -> str:
    """Return scheme, host and port of a URL, without a login that may be in it."""
    found = httpx.URL(url)
    return f"{found.scheme}://{found.netloc.decode()}"


class _RandomContent:
    """Bytes that nobody has had before, made while they are sent; `digest` is that of those made so far."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._hash = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            piece = os.urandom(min(_PIECE_BYTES, self._left))
            self._left -= len(piece)
            self._hash.update(piece)
            yield piece

    @property
    def digest(self) -> str:
        """The digest of what was made."""
        return f"sha256:{self._hash.hexdigest()}"


@contextmanager
def _stream(  # noqa: PLR0913 (all that a request is made from)
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
    whom = _server(url)
    if patience.has_hung(whom):
        raise httpx.ReadTimeout(f"{whom} did not answer in time before, and is not asked again")
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
        patience.note_hung(whom)
        raise


def ask(  # noqa: PLR0913 (what is asked, as whom, and whom to trust)
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
    """Ask once, through no proxy, with no redirect followed, and return the answer or why none came.

    `tls` says whom to trust: without it, the public authorities. `server_name` is the name to verify, and `host` the
    one by which a proxy chooses its site (RFC 9110 7.2), where they are not that of the URL. A login goes out as UTF-8
    (RFC 7617 2.1). `content` is sent along: its media type, and its bytes. Of a body, 4 MiB are read, as they come over
    the wire, and a minute is waited for all of it.
    """
    media_type, sent = content or ("", None)
    try:
        with _stream(
            url,
            method=method,
            login=login,
            tls=tls,
            server_name=server_name,
            host=host,
            content=sent,
            media_type=media_type,
            timeout_seconds=patience.for_answer(timeout_seconds),
        ) as response:
            stream = response.extensions["network_stream"]
            secured = stream.get_extra_info("ssl_object")
            address = str(stream.get_extra_info("server_addr")[0])  # before the connection is closed with the body
            certificate = secured.getpeercert(True) if secured else b""  # noqa: FBT003 (takes no keyword)
            return Answer(
                status=response.status_code,
                headers=dict(response.headers),
                body=b"".join(_pieces(response, _BODY_BYTES)).decode(errors="replace"),
                server_address=address,
                server_certificate=certificate,
            )
    except (
        httpx.HTTPError,
        httpx.InvalidURL,
        OSError,
    ) as error:  # the latter of a connection that is gone when it is looked at
        return Answer(status=None, error=str(error) or type(error).__name__)


def push(registry: Registry, reference: str, *, blobs: Sequence[bytes], manifest: bytes, media_type: str) -> None:
    """Push an image to REPOSITORY:TAG: its blobs, each in one piece (end-4a and end-6), then its manifest (end-7a).

    Where the connection breaks, all of it is sent again once the registry is back. Raises HostError with the answer
    that was not that of success.
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
    """Push an image, and return what the registry did not do, with its answer; None where it took all."""
    repository, tag = split_reference(reference)
    for blob in blobs:
        begun = registry.ask(f"/v2/{repository}/blobs/uploads/", method="POST")
        if begun.status != httpx.codes.ACCEPTED:
            return f"to begin a push to {repository}", begun
        location = begun.headers.get("location", "")  # a query may be in it already
        digest = f"digest=sha256%3A{hashlib.sha256(blob).hexdigest()}"
        url = f"{location}{'&' if '?' in location else '?'}{digest}"
        done = registry.put(url if location else "", blob, media_type="application/octet-stream")
        if done.status != httpx.codes.CREATED:
            return f"to take a blob for {repository}", done
    done = registry.put(f"/v2/{repository}/manifests/{tag}", manifest, media_type=media_type)
    return None if done.status == httpx.codes.CREATED else (f"to take the manifest {reference}", done)


def wait_until_ready(registry: Registry, *, timeout_seconds: float) -> Answer:
    """Poll `/v2/` until the registry answers, whatever it says, and return that answer.

    An open registry answers 200, one that asks for a login 401 (end-1 of the specification). An answer of 500 or above
    comes from a proxy whose registry is not up yet.
    Raises NotReadyError with the last answer, without waiting where the server's certificate is refused.
    """

    @retry(
        retry=retry_if_result(lambda answer: not (_is_final(answer) or patience.has_hung(_server(registry.url)))),
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
    """Return the error of a registry whose certificate is refused for its dates, with these and the time here."""
    anybody = certificates.trusting_anybody()
    served = ask(f"{registry.url}/v2/", tls=anybody, server_name=registry.server_name).server_certificate
    found = certificates.describe(x509.load_der_x509_certificate(served))
    return HostError(
        f"a certificate at {registry.url} that is valid now, {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC "
        "by this host's clock",
        f"{refused}: it is valid from {found.not_before:%Y-%m-%d %H:%M} to {found.not_after:%Y-%m-%d %H:%M} UTC",
        "set the clock right where it is wrong; else run the notebooks 30-certificates and 50-compose",
    )


def _is_final(answer: Answer) -> bool:
    """Return whether waiting longer cannot change an answer."""
    if answer.status is None:
        return answer.leads_away or "certificate verify failed" in answer.error
    return answer.status < _SERVER_ERROR
