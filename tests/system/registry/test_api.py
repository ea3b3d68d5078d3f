"""The registry's API, asked over real sockets on loopback: who is verified, what is sent, how long is waited."""

import base64
import datetime
import gzip
import hashlib
import http.server
import re
import socket
import ssl
import time
import tracemalloc
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from runbook.model.errors import HostError, NotReadyError
from runbook.system.certificates import tls
from runbook.system.registry import api
from runbook.system.registry.api import Answer, Registry
from tests.servers import running

NOW = datetime.datetime.now(datetime.UTC)
LOGIN = ("bücher", "pä:密码")
SUBJECT = (("CN", "Our CA"),)
KEY = tls.generate_key("ecdsa-p256")
AUTHORITY = tls.issue_authority(KEY, SUBJECT, now=NOW, validity_days=2)
STRANGER = tls.issue_authority(tls.generate_key("ecdsa-p256"), SUBJECT, now=NOW, validity_days=2)
OURS = tls.client_context(tls.certificate_text(AUTHORITY).decode())
THEIRS = tls.client_context(tls.certificate_text(STRANGER).decode())


class Answering(http.server.BaseHTTPRequestHandler):
    """What answers as a registry does: `/v2/` asks for a login, `/late` is ready at the third request, `/never` not."""

    asked = 0
    taken: tuple[tuple[str, str], ...] = ()

    def do_GET(self) -> None:
        """Answer one request."""
        type(self).asked += 1
        login = base64.b64encode(":".join(LOGIN).encode()).decode()
        if self.path == "/moved":
            self.answer(307, {"Location": "/v2/"})
        elif self.path in {"/late/v2/", "/never/v2/"}:
            self.answer(200 if self.asked > 2 and self.path == "/late/v2/" else 503)
        elif self.headers.get("Authorization") == f"Basic {login}":
            self.answer(200, {"Accepts": self.headers["Accept"]}, "ä".encode() + b"\xff")
        else:
            self.answer(401, {"WWW-Authenticate": 'Basic realm="r"'})

    do_HEAD = do_GET  # noqa: N815 (the name that http.server looks for)

    def do_POST(self) -> None:
        """Begin an upload, whose URL already has a query."""
        self.answer(403 if "forbidden" in self.path else 202, {"Location": "/upload?_state=1"})

    def do_PUT(self) -> None:
        """Take a blob of the digest that is named, and any manifest but a broken one."""
        type(self).taken += ((self.path.partition("?")[0], self.headers["Content-Type"]),)
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        digest = [f"sha256:{hashlib.sha256(sent).hexdigest()}"]
        right = query == {"_state": ["1"], "digest": digest} if query else sent != b"broken"
        self.answer(201 if right else 400, body=b"" if right else b"MANIFEST_INVALID")

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        """Send an answer of one status."""
        self.send_response(status)
        for name, value in ((headers or {}) | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name of the standard library)
        """Say nothing."""


class Taking(Answering):
    """What takes a blob as a registry does, in `blob`; `/v2/full` takes none, `/v2/lost` sends uploads elsewhere."""

    blob = b""

    def do_POST(self) -> None:
        """Begin an upload."""
        host = "elsewhere.test" if self.path.startswith("/v2/lost/") else self.headers["Host"]
        self.answer(202, {"Location": f"http://{host}{self.path}1?_state=x"})

    def do_PATCH(self) -> None:
        """Take the content, which comes in pieces, and say where to close."""
        received = b""
        while size := int(self.rfile.readline(), 16):
            received += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        type(self).blob = received
        status = 413 if self.path.startswith("/v2/full/") else 202
        self.answer(status, {"Location": f"http://{self.headers['Host']}{self.path}"})

    def do_PUT(self) -> None:
        """Close the upload, where the digest is that of the content."""
        digest = f"digest=sha256%3A{hashlib.sha256(self.blob).hexdigest()}"
        self.answer(201 if self.path.endswith(f"?_state=x&{digest}") else 400)

    def do_GET(self) -> None:
        """Give the content back."""
        self.answer(200 if self.path.startswith("/v2/r/blobs/sha256:") else 404, body=self.blob)


class Breaking(Taking):
    """What breaks the first connection off in the middle of a blob, as a registry does that is killed."""

    broken = False

    def do_PATCH(self) -> None:
        """Break the connection off, once."""
        if self.broken:
            super().do_PATCH()
        else:
            type(self).broken = True
            self.connection.shutdown(socket.SHUT_RDWR)


class Restarting(Answering):
    """What answers to the first blob as a proxy does whose registry is gone."""

    gone = True

    def do_PUT(self) -> None:
        """Refuse, once."""
        if self.gone:
            type(self).gone = False
            self.answer(502)
        else:
            super().do_PUT()


class Hostile(Answering):
    """What answers so as to lead the login away, or to keep whoever asks from coming to an end."""

    location = ""

    def do_POST(self) -> None:
        """Begin an upload at the address that the test has set."""
        self.answer(202, {"Location": self.location} if self.location else {})

    def do_PATCH(self) -> None:
        """Take a piece, and name the same address for the rest."""
        while self.rfile.readline().strip() not in (b"", b"0"):
            pass
        self.answer(202, {"Location": self.location})

    def do_GET(self) -> None:
        """Answer without an end, packed, or byte by byte, as the path says."""
        if self.path == "/v2/moved":
            self.answer(302, {"Location": self.location})
            return
        self.send_response(200)
        if self.path == "/v2/packed":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        piece, seconds = {
            "/v2/endless": (b"x" * 65536, 0.0),
            "/v2/packed": (gzip.compress(b"\0" * 10_000_000), 0.0),
            "/v2/slow": (b"x", 0.05),
        }[self.path]
        with suppress(OSError):  # whoever asks has gone
            while True:
                self.wfile.write(piece)
                time.sleep(seconds)


class Elsewhere(Answering):
    """What must never be asked."""

    requests: tuple[str, ...] = ()

    def handle(self) -> None:
        """Write down that somebody came."""
        type(self).requests += (self.rfile.readline().decode(errors="replace"),)


@contextmanager
def serving(context: ssl.SSLContext | None = None, handler: type[Answering] = Answering) -> Iterator[int]:
    """Serve on a port of loopback, over TLS where a context is given, and yield the port."""
    Answering.asked, Answering.taken = 0, ()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with running(server) as port:
        yield port


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a server's key and certificate, for registry.test and 127.0.0.1."""
    key = tls.generate_key("ecdsa-p256")
    certificate = tls.issue_server(
        key,
        (),
        dns_names=("registry.test",),
        addresses=("127.0.0.1",),
        authority=(KEY, AUTHORITY),
        now=NOW,
        validity_days=1,
    )
    path = tmp_path_factory.mktemp("server") / "registry.test.pem"
    path.write_bytes(tls.key_text(key) + tls.certificate_text(certificate))
    return path


@pytest.fixture
def secured(pair: Path) -> Iterator[int]:
    """Serve over TLS, and give the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    with serving(context) as port:
        yield port


@pytest.fixture
def plain() -> Iterator[int]:
    """Serve over plain HTTP, and give the port."""
    with serving() as port:
        yield port


@pytest.mark.parametrize(
    ("trusted", "name", "expected"),
    [
        pytest.param(OURS, None, "401", id="address-of-the-certificate"),
        pytest.param(OURS, "registry.test", "401", id="name-of-the-certificate"),
        pytest.param(OURS, "other.test", "Hostname mismatch", id="other-name"),
        pytest.param(THEIRS, "registry.test", "certificate verify failed", id="stranger-of-the-same-name"),
        pytest.param(None, "registry.test", "certificate verify failed", id="public-authorities"),
    ],
)
def test_ask_verifies_the_server(secured: int, trusted: ssl.SSLContext | None, name: str | None, expected: str) -> None:
    """Fails if a server is asked that a verifying client must refuse, or a right one is refused."""
    answer = api.ask(f"https://127.0.0.1:{secured}/v2/", tls=trusted, server_name=name)
    assert expected in str(answer)
    assert (answer.status is None) == bool(answer.error)


def test_ask_tells_what_came_and_from_whom(secured: int, pair: Path) -> None:
    """Fails if a check would compare another certificate or address than those of the connection."""
    answer = api.ask(f"https://127.0.0.1:{secured}/v2/", tls=OURS)
    assert (answer.status, answer.server_address, answer.headers["www-authenticate"]) == (
        401,
        "127.0.0.1",
        'Basic realm="r"',
    )
    assert ssl.DER_cert_to_PEM_cert(answer.server_certificate).encode() in pair.read_bytes()


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        pytest.param(LOGIN, 200, id="right"),
        pytest.param((LOGIN[0], "pä:密"), 401, id="wrong"),
        pytest.param(None, 401, id="none"),
    ],
)
def test_ask_logs_in_with_utf_8(plain: int, login: tuple[str, str] | None, expected: int) -> None:
    """Fails if a password outside ASCII cannot log in, or a success comes out of a cache (RFC 7617 2.1)."""
    assert api.ask(f"http://127.0.0.1:{plain}/v2/", login=LOGIN).status == 200
    assert expected == api.ask(f"http://127.0.0.1:{plain}/v2/", login=login).status


def test_ask_takes_every_kind_of_manifest(plain: int) -> None:
    """Fails if a registry would convert a manifest, whose digest then differs; or a body is lost."""
    answer = Registry(url=f"http://127.0.0.1:{plain}", login=LOGIN).ask("/v2/")
    assert answer.headers["accepts"] == api.MANIFEST_TYPES
    assert (answer.body, answer.server_address, answer.server_certificate) == ("ä\ufffd", "127.0.0.1", b"")
    assert Registry(url=f"http://127.0.0.1:{plain}", login=LOGIN).ask("/v2/", method="HEAD").body == ""


def test_ask_follows_no_redirect_and_no_proxy(plain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the answer of somebody else is taken for the registry's."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert api.ask(f"http://127.0.0.1:{plain}/moved").status == 307


def test_ask_tells_why_no_answer_came(secured: int, plain: int) -> None:
    """Fails if a scheme that does not fit, or a port where nobody listens, ends in a traceback."""
    found = [
        api.ask(f"https://127.0.0.1:{plain}/v2/", tls=OURS),
        api.ask(f"http://127.0.0.1:{secured}/v2/"),
        api.ask("http://127.0.0.1:1/v2/"),
    ]
    assert [answer.status for answer in found] == [None] * 3
    assert [bool(answer.error) and answer.error == str(answer) for answer in found] == [True] * 3
    assert "refused" in found[2].error


def test_upload_sends_what_download_brings_back() -> None:
    """Fails if a proof of a large layer compares anything but what went over the wire, or sends the same one twice."""
    size = 600_000  # more than one piece
    with serving(handler=Taking) as port:
        registry = Registry(url=f"http://127.0.0.1:{port}")
        digest, answer = registry.upload("r", size)
        assert (answer, len(Taking.blob)) == ("201", size)
        assert digest == f"sha256:{hashlib.sha256(Taking.blob).hexdigest()}"
        assert digest == registry.download("r", digest, most=size)
        assert registry.download("other", digest, most=size) == "404"
        assert registry.download("r", digest, most=size - 1) == f"an answer of more than {size - 1} bytes"
        assert registry.upload("r", size)[0] != digest
        Taking.blob += b"x"
        assert registry.download("r", digest, most=size + 1) != digest


def test_upload_begins_again_where_the_connection_breaks() -> None:
    """Fails if a registry that is killed and comes back fails the proof, or another digest is told than it has."""
    with serving(handler=Breaking) as port:
        assert Registry(url=f"http://127.0.0.1:{port}").upload("r", 10) == (
            f"sha256:{hashlib.sha256(Breaking.blob).hexdigest()}",
            "201",
        )
    assert Breaking.broken


def test_push_begins_again_where_the_registry_was_gone() -> None:
    """Fails if a registry that restarts under nginx fails the push of the client's image."""
    with serving(handler=Restarting) as port:
        registry = Registry(url=f"http://127.0.0.1:{port}")
        api.push(registry, "a/b:1", blobs=(b"layer",), manifest=b"{}", media_type="m/n")
    assert [path for path, _ in Restarting.taken] == ["/upload", "/v2/a/b/manifests/1"]
    assert not Restarting.gone


def test_upload_tells_what_keeps_it_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a body limit ends in a traceback, or a login is sent to where a wrong header points."""
    monkeypatch.setattr(api, "BACK_SECONDS", 0.1)
    with serving(handler=Taking) as port:
        registry = Registry(url=f"http://127.0.0.1:{port}", login=LOGIN)
        assert registry.upload("full", 10) == ("", "413")
        assert registry.upload("lost", 10) == ("", "it is to go to http://elsewhere.test/v2/lost/blobs/uploads/1")
    assert "refused" in Registry(url="http://127.0.0.1:1").upload("r", 10)[1]
    assert "refused" in Registry(url="http://127.0.0.1:1").download("r", "sha256:0", most=1)


def test_answer_is_shown_as_status_or_reason() -> None:
    """Fails if a table shows something else than what came."""
    assert [str(Answer(status=404)), str(Answer(status=None, error="no route"))] == ["404", "no route"]


def test_wait_until_ready_polls_until_the_answer_comes(plain: int) -> None:
    """Fails if a proxy's first answer counts, or a registry that becomes ready is given up."""
    registry = Registry(url=f"http://127.0.0.1:{plain}/late")
    assert api.wait_until_ready(registry, timeout_seconds=60).status == 200
    assert Answering.asked == 3


@pytest.mark.parametrize(("login", "expected"), [(LOGIN, 200), (None, 401)], ids=["open", "asks-for-a-login"])
def test_wait_until_ready_takes_what_a_registry_says(plain: int, login: tuple[str, str] | None, expected: int) -> None:
    """Fails if an answer that will not change is waited for."""
    registry = Registry(url=f"http://127.0.0.1:{plain}", login=login)
    assert expected == api.wait_until_ready(registry, timeout_seconds=60).status
    assert Answering.asked == 1


@pytest.mark.parametrize(
    ("url", "expected"),
    [pytest.param("", "503", id="only-the-proxy"), pytest.param("http://127.0.0.1:1", "refused", id="nobody")],
)
def test_wait_until_ready_tells_the_last_answer(plain: int, url: str, expected: str) -> None:
    """Fails if a deadline's error hides what was waited for, or what came instead."""
    registry = Registry(url=url or f"http://127.0.0.1:{plain}/never")
    told = rf"{registry.url}/v2/ to answer within 0.2 s; found .*{expected}.*docker logs"
    with pytest.raises(NotReadyError, match=told):
        api.wait_until_ready(registry, timeout_seconds=0.2)


def test_wait_until_ready_gives_up_once_what_it_waits_for_has_ended() -> None:
    """Fails if a container that has ended is waited for, or one that still runs is given up."""
    looks: list[None] = []

    def has_ended() -> bool:
        looks.append(None)
        return len(looks) == 3

    with pytest.raises(NotReadyError, match="refused"):
        api.wait_until_ready(Registry(url="http://127.0.0.1:1"), timeout_seconds=600, has_ended=has_ended)
    assert len(looks) == 3


def test_wait_until_ready_gives_up_at_once_where_waiting_cannot_help(secured: int) -> None:
    """Fails if a server whose certificate is refused is asked for a minute."""
    started = time.monotonic()
    with pytest.raises(NotReadyError, match=r"found .*certificate verify failed"):
        api.wait_until_ready(Registry(url=f"https://127.0.0.1:{secured}", tls=THEIRS), timeout_seconds=60)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("shift", "said"), [(7, "certificate is not yet valid"), (-7, "certificate has expired")], ids=["early", "late"]
)
def test_wait_until_ready_gives_both_times_of_a_wrong_date(tmp_path: Path, shift: int, said: str) -> None:
    """Fails if a clock that is wrong, here or where the certificate was issued, is not thought of."""
    key, begin = tls.generate_key("ecdsa-p256"), NOW + datetime.timedelta(days=shift)
    authority = tls.issue_authority(KEY, SUBJECT, now=NOW - datetime.timedelta(days=30), validity_days=90)
    served = tls.issue_server(
        key, (), dns_names=(), addresses=("127.0.0.1",), authority=(KEY, authority), now=begin, validity_days=2
    )
    (tmp_path / "pair").write_bytes(tls.key_text(key) + tls.certificate_text(served))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair")
    trusted = tls.client_context(tls.certificate_text(authority).decode())
    with serving(context) as port, pytest.raises(HostError) as caught:
        api.wait_until_ready(Registry(url=f"https://127.0.0.1:{port}", tls=trusted), timeout_seconds=60)
    assert re.search(r"valid now, 20\d\d-.* UTC by this host's clock", caught.value.expected)
    dates = (f"{at:%Y-%m-%d %H:%M}" for at in (served.not_valid_before_utc, served.not_valid_after_utc))
    assert f"{said} (" in caught.value.found
    assert f"it is valid from {' to '.join(dates)} UTC" in caught.value.found
    assert caught.value.remedy.startswith("set the clock right")


def test_push_sends_the_blobs_and_then_the_manifest(plain: int) -> None:
    """Fails if a blob goes without its digest, loses what is in the upload's URL, or comes after the manifest."""
    registry = Registry(url=f"http://127.0.0.1:{plain}")
    api.push(registry, "a/b:1", blobs=(b"layer", b"configuration"), manifest=b"{}", media_type="m/n")
    blob = ("/upload", "application/octet-stream")
    assert Answering.taken == (blob, blob, ("/v2/a/b/manifests/1", "m/n"))


@pytest.mark.parametrize(
    ("repository", "manifest", "expected"),
    [
        pytest.param("forbidden", b"{}", "begin a push to forbidden; found 403", id="begin"),
        pytest.param("a/b", b"broken", "take the manifest a/b:1; found 400 MANIFEST_INVALID", id="manifest"),
    ],
)
def test_push_tells_what_a_registry_refused(plain: int, repository: str, manifest: bytes, expected: str) -> None:
    """Fails if a push that was refused counts as done, or its error hides the registry's answer."""
    registry = Registry(url=f"http://127.0.0.1:{plain}")
    with pytest.raises(HostError, match=rf"expected the registry to {expected}. To repair: .*docker logs"):
        api.push(registry, f"{repository}:1", blobs=(b"layer",), manifest=manifest, media_type="m/n")


AWAY = [
    "http://127.0.0.1:{other}/v2/r/blobs/uploads/1",
    "//127.0.0.1:{other}/v2/r",
    "https://127.0.0.1:{port}/v2/r",
    "http://localhost:{port}/v2/r",
    "http://127.0.0.1:{port}@127.0.0.1:{other}/v2/r",
    "http://user:word@127.0.0.1:{port}/v2/r",
    "http://[::1/v2/r",
    "http://127.0.0.1:99999/v2/r",
    "\x01",
    "",
]


@pytest.mark.parametrize("location", AWAY)
def test_login_goes_nowhere_but_to_the_registry(monkeypatch: pytest.MonkeyPatch, location: str) -> None:
    """Fails if an address in an answer has anything sent to another server, or ends in a traceback."""
    monkeypatch.setattr(api, "BACK_SECONDS", 0.1)
    Elsewhere.requests = ()
    with serving(handler=Elsewhere) as other, serving(handler=Hostile) as port:
        Hostile.location = location.format(other=other, port=port)
        registry = Registry(url=f"http://127.0.0.1:{port}", login=LOGIN)
        digest, stored = registry.upload("r", 10)
        assert digest == ""
        assert "it is to go to" in stored
        assert "it is to go to" in registry.try_upload("r", 10)
        with pytest.raises(HostError, match="it is to go to"):
            api.push(registry, "a/b:1", blobs=(b"layer",), manifest=b"{}", media_type="m/n")
        assert registry.ask("/v2/moved").status in (302, None)  # None where httpx cannot read the address
        assert "it is to go to" in str(registry.ask(f"@127.0.0.1:{other}/v2/"))
    assert Elsewhere.requests == ()


@pytest.mark.parametrize("location", ["/v2/r/blobs/uploads/1?_state=x", "http://127.0.0.1:{port}/v2/r/blobs/uploads/1"])
def test_upload_goes_to_an_address_of_the_registry(location: str) -> None:
    """Fails if an address that the registry may give, whole or relative, is refused as another server's."""
    with serving(handler=Hostile) as port:
        Hostile.location = location.format(port=port)
        assert Registry(url=f"http://127.0.0.1:{port}", login=LOGIN).upload("r", 10)[1] == "400"


@pytest.mark.parametrize("path", ["endless", "packed", "slow"])
def test_answer_without_an_end_is_ended(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Fails if an answer is read or unpacked without a bound, or waited for as long as bytes come."""
    monkeypatch.setattr(api, "_SECONDS_IN_ALL", 0.5)
    with serving(handler=Hostile) as port:
        registry = Registry(url=f"http://127.0.0.1:{port}", login=LOGIN)
        tracemalloc.start()
        answer = registry.ask(f"/v2/{path}")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    expected = "no whole answer within 0.5 s" if path == "slow" else f"an answer of more than {4 << 20} bytes"
    assert (answer.status, answer.error) == (None, expected)
    assert most < 32 << 20
