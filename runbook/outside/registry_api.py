"""The registry's HTTP API, asked from outside.

Source: OCI Distribution Specification 1.1, and the Docker Registry HTTP API V2 for `_catalog`.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from runbook.errors import NotReadyError

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json"
)
_SECONDS = 10.0
_SERVER_ERROR = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a registry answered: `status` is None where no HTTP answer came, and `error` then says why."""

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    error: str = ""
    server_address: str = ""
    server_certificate: bytes = b""

    def __str__(self) -> str:
        """Return the status, or why there is none."""
        return str(self.status) if self.status is not None else self.error


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """A registry to ask: its base URL, the login to send with each request, and whom to trust."""

    url: str
    login: tuple[str, str] | None = None
    tls: ssl.SSLContext | None = None

    def ask(self, path: str, *, method: str = "GET") -> Answer:
        """Ask for a path once, as `ask` does."""
        return ask(self.url + path, method=method, login=self.login, tls=self.tls)


def ask(
    url: str,
    *,
    method: str = "GET",
    login: tuple[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
) -> Answer:
    """Ask once, through no proxy, with no redirect followed, and return the answer or why none came.

    `tls` says whom to trust: without it, the public authorities. `server_name` is the name to verify, where it
    is not that of the URL. A login goes out as UTF-8 (RFC 7617 2.1).
    """
    headers = {"Accept": MANIFEST_TYPES}
    credentials = httpx.BasicAuth(login[0].encode(), login[1].encode()) if login else None
    extensions = {"sni_hostname": server_name} if server_name else {}
    try:
        with (
            httpx.Client(verify=tls or True, trust_env=False, timeout=_SECONDS) as client,
            client.stream(method, url, headers=headers, auth=credentials, extensions=extensions) as response,
        ):
            stream = response.extensions["network_stream"]
            secured = stream.get_extra_info("ssl_object")
            address = str(stream.get_extra_info("server_addr")[0])  # before the connection is closed with the body
            certificate = secured.getpeercert(True) if secured else b""  # noqa: FBT003 (takes no keyword)
            return Answer(
                status=response.status_code,
                headers=dict(response.headers),
                body=response.read().decode(errors="replace"),
                server_address=address,
                server_certificate=certificate,
            )
    except httpx.HTTPError as error:
        return Answer(status=None, error=str(error) or type(error).__name__)


def wait_until_ready(registry: Registry, *, timeout_seconds: float) -> Answer:
    """Poll `/v2/` until the registry answers, whatever it says, and return that answer.

    An open registry answers 200, one that asks for a login 401 (end-1 of the specification). An answer of 500 or above
    comes from a proxy whose registry is not up yet.
    Raises NotReadyError with the last answer, without waiting where the server's certificate is refused.
    """

    @retry(
        retry=retry_if_result(lambda answer: not _is_final(answer)),
        stop=stop_after_delay(timeout_seconds),
        wait=wait_fixed(0.1),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    def poll() -> Answer:
        return registry.ask("/v2/")

    last = poll()
    if last.status is None or last.status >= _SERVER_ERROR:
        raise NotReadyError(
            f"{registry.url}/v2/ to answer within {timeout_seconds:g} s",
            str(last),
            "read the container's log: `docker logs`",
        )
    return last


def _is_final(answer: Answer) -> bool:
    """Return whether waiting longer cannot change an answer."""
    if answer.status is None:
        return "certificate verify failed" in answer.error
    return answer.status < _SERVER_ERROR
