"""Checks of the registry's storage and answers: as the engine and a client give them, or as a real server answers."""

import http.server
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from runbook.diagnosis import registry_checks as checks
from runbook.system.certificates import tls
from runbook.system.registry import api
from tests.conftest import let_others_reach, somebody_else
from tests.servers import running

from .situations import NO, NOBODY, NOW, OPEN, YES, Case, case, space, write

NGINX, ADDRESS = {"proxy": "nginx"}, "127.0.0.1"
API = {"docker-distribution-api-version": "registry/2.0"}
OK, LOGIN, BROKEN = (api.Answer(status=status, headers=API) for status in (200, 401, 503))
OTHER, BARE = api.Answer(status=404, headers={"server": "Apache"}), api.Answer(status=502)
TO_HTTPS = api.Answer(status=400, body="Client sent an HTTP request to an HTTPS server.\n")
NO_ENGINE = "the engine cannot be asked"
FULL = "worker_connections are not enough"
ANSWERS = [
    case(checks.speaks_plain_http, "plain", YES, "answers 401 over plain HTTP", plain=LOGIN),
    case(checks.speaks_plain_http, "tls", NO, "speaks TLS", anonymous=LOGIN),
    case(checks.speaks_plain_http, "nobody", OPEN, "answers on neither"),
    case(checks.speaks_tls, "tls", YES, "port 443 speaks TLS", anonymous=LOGIN),
    case(checks.speaks_tls, "nobody", NO, "does not speak TLS: Connection refused"),
    case(checks.silent, "nobody", YES, "no answer: Connection refused"),
    case(checks.silent, "plain", NO, "answers 200 over plain", plain=OK),
    case(checks.silent, "answers", NO, "it answers 503", anonymous=BROKEN),
    case(checks.silent, "nginx-full", NO, "the nginx in front", values=NGINX, front_complaint=FULL),
    case(checks.silent, "nginx", YES, "no answer", values=NGINX, front_complaint=""),
    case(checks.open_to_all, "open", YES, "it answers 200 without a login", anonymous=OK),
    case(checks.open_to_all, "login", NO, "it answers 401", anonymous=LOGIN),
    case(checks.open_to_all, "nobody", NO, "Connection refused"),
    case(checks.broken_inside, "broken", YES, "503; its last error: panic: x", anonymous=BROKEN, log="panic: x"),
    case(checks.broken_inside, "behind", YES, "502", values=NGINX, anonymous=BARE, front_complaint="", log=""),
    case(checks.broken_inside, "nobody", NO, "Connection refused"),
    case(checks.broken_inside, "unverified", NO, "answers 401", anonymous=LOGIN, verified=NOBODY),
    case(checks.broken_inside, "no-password", OPEN, "no password is stored", anonymous=LOGIN, verified=LOGIN),
    case(checks.broken_inside, "nginx", NO, "no connection left", values=NGINX, anonymous=BARE, front_complaint=FULL),
    case(checks.answered_by_another, "other", YES, "Apache answers 404", anonymous=OTHER),
    case(checks.answered_by_another, "plain", YES, "a server answers 502", plain=BARE),
    case(checks.answered_by_another, "registry", NO, "a registry answers", anonymous=LOGIN),
    case(checks.answered_by_another, "nobody", OPEN, "nothing answers"),
    case(checks.answered_by_another, "proxy", OPEN, "the proxy in front answers 502", values=NGINX, anonymous=BARE),
    case(checks.answered_by_another, "tls", OPEN, "it speaks TLS", plain=TO_HTTPS),
    case(checks.login_refused, "unverified", OPEN, "the password was not sent", verified=NOBODY),
    case(checks.login_refused, "no-password", OPEN, "no password is stored", verified=LOGIN),
    case(checks.reference_absent, "none", OPEN, "names no image of registry.test", "manifest unknown"),
    case(checks.reference_absent, "no-password", OPEN, "no password is stored", "registry.test/app:1"),
    case(checks.other_secrets, "secret", YES, "`invalid secret`", log="a\nmsg=invalid secret"),
    case(checks.other_secrets, "upload", YES, "`blob upload unknown`", log="blob upload unknown to registry"),
    case(checks.other_secrets, "none", NO, "no such upload", log="level=info"),
    case(checks.other_secrets, "no-engine", OPEN, NO_ENGINE),
    case(checks.unhealthy, "fails", YES, "check fails", inspected={"State": {"Health": {"Status": "unhealthy"}}}),
    case(checks.unhealthy, "starts", NO, "starting", inspected={"State": {"Health": {"Status": "starting"}}}),
    case(checks.unhealthy, "none", NO, "its health: none", inspected={"State": {"Health": None}}),
    case(checks.unhealthy, "no-engine", OPEN, NO_ENGINE),
    case(checks.storage_full, "no-engine", OPEN, NO_ENGINE),
]


@pytest.mark.parametrize("row", ANSWERS)
def test_answers_and_log_of_the_registry_are_judged(tmp_path: Path, row: Case) -> None:
    """Fails if an answer, a line of the log or a health that shows a fault is not named, or a right one is."""
    assert row.found(tmp_path) == row.expected


KEY = tls.generate_key("ecdsa-p256")
AUTHORITY, STRANGER = (tls.issue_authority(KEY, (("CN", name),), now=NOW, validity_days=9) for name in "ab")
PASSWORD = {"private/secrets/password-admin": "right\n"}
HEADER = "Basic YWRtaW46cmlnaHQ="  # admin:right


@contextmanager
def serving(folder: Path, status: int, *, over_tls: bool) -> Iterator[int]:
    """Serve on a port of loopback, over TLS or not: `status` to who has the login, and 401 without; yield the port."""

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.headers["Authorization"] == HEADER else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815 (the name that http.server looks for)

        def log_message(self, *_: object) -> None:
            """Write no line for a request."""

    server = http.server.HTTPServer((ADDRESS, 0), Answering)
    if over_tls:
        pair = write(folder / "pair.pem", tls.key_text(KEY) + tls.certificate_text(issue()))
        server.socket = tls.server_context(pair).wrap_socket(server.socket, server_side=True)
    with running(server) as port:
        yield port


def issue() -> x509.Certificate:
    """Return the registry's certificate."""
    signer = (KEY, AUTHORITY)
    return tls.issue_server(
        KEY, (), dns_names=("registry.test",), addresses=(ADDRESS,), authority=signer, now=NOW, validity_days=2
    )


IMAGE, URL = "manifest for registry.test:PORT/app:1 not found", 'Get "https://127.0.0.1:PORT/v2/": http: server gave'
LOGGED: dict[str, Any] = {"files": PASSWORD, "authority": AUTHORITY, "anonymous": LOGIN, "log": ""}
UNTRUSTED: dict[str, Any] = {**LOGGED, "authority": STRANGER}
SERVED = [
    case(checks.reference_absent, "absent", YES, "app has no 1: it answers 404", IMAGE, given=404, **LOGGED),
    case(checks.reference_absent, "there", NO, "app:1 is there", IMAGE, given=200, **LOGGED),
    case(checks.login_refused, "refused", YES, "answers 403 to the stored login", given=403, **LOGGED),
    case(checks.login_refused, "taken", NO, "it answers 200", given=200, **LOGGED),
    case(checks.login_refused, "stranger", OPEN, "the password was not sent", given=200, **UNTRUSTED),
    case(checks.broken_inside, "storage", YES, "it answers 500", given=500, **LOGGED),
    case(checks.broken_inside, "sound", NO, "it answers 404", given=404, **LOGGED),
    case(checks.named_speaks_plain_http, "tls", NO, "127.0.0.1:", URL, given=200),
    case(checks.named_speaks_plain_http, "none", OPEN, "names no HOST:PORT", "http: server gave", given=200),
    case(checks.named_speaks_plain_http, "plain", YES, "answers 401 over plain HTTP", URL, given="plain"),
]


@pytest.mark.parametrize("row", SERVED)
def test_server_is_asked_with_the_kept_login(tmp_path: Path, row: Case) -> None:
    """Fails if what a server answers to the kept login, or over plain HTTP, is not named, or a right answer is."""
    is_plain = row.given == "plain"
    with serving(tmp_path, 200 if is_plain else row.given, over_tls=not is_plain) as port:
        assert row.found(tmp_path, port=port, address=ADDRESS) == row.expected


ROOT = "var/lib/registry"
MOUNT = {"Destination": "/var/lib/registry", "RW": True}
MOUNTED = {"Mounts": [MOUNT], "HostConfig": {"ReadonlyRootfs": True}}
INTO, READ_ONLY = "it is mounted read-only into the container", space(flags=os.ST_RDONLY)
STORAGE = [
    case(checks.storage_full, "full", YES, "0 MB are free at /var/lib/registry", given=space(free=0)),
    case(checks.storage_full, "inodes", YES, "no inode is free at /var/lib/reg", given=space(inodes=0)),
    case(checks.storage_full, "room", NO, "1073 MB are free at /var/lib/registry", given=space()),
    case(checks.storage_read_only, "mount", YES, INTO, given=space(), inspected={"Mounts": [{**MOUNT, "RW": False}]}),
    case(checks.storage_read_only, "root", YES, INTO, given=space(), inspected={**MOUNTED, "Mounts": []}),
    case(checks.storage_read_only, "system", YES, "is mounted read-only", given=READ_ONLY, inspected=MOUNTED),
    case(checks.storage_read_only, "writable", NO, "it can be written to", given=space(), inspected=MOUNTED),
    case(checks.storage_read_only, "unknown", OPEN, "'Mounts'", given=space(), inspected={}),
]


@pytest.mark.parametrize("row", STORAGE)
def test_storage_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case) -> None:
    """Fails if a storage that is full or read-only is not named, or one that can be written to is."""
    write(tmp_path / ROOT / "docker", None)
    monkeypatch.setattr(os, "statvfs", lambda _: row.given)
    assert row.found(tmp_path, inside=tmp_path) == row.expected


@pytest.mark.parametrize(
    "row", [case(checks.storage_read_only, "unwritable", YES, "cannot be written to, not even", inspected=MOUNTED)]
)
def test_storage_that_cannot_be_written_to_is_named(tmp_path: Path, row: Case) -> None:
    """Fails if a folder of the storage that this user may not write to, as one with chattr +i, is not named."""
    let_others_reach(write(tmp_path / ROOT / "docker/registry/v2/blobs", None))
    (tmp_path / ROOT).chmod(0o777)
    with somebody_else():
        assert row.found(tmp_path, inside=tmp_path) == row.expected
