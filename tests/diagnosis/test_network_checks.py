"""Checks of the connection: kernel settings, names, ports, proxies, the clock, and nginx in front."""

import datetime
import socket
from contextlib import nullcontext
from pathlib import Path

import pytest

from runbook.diagnosis import network_checks as checks
from runbook.system import nginx
from runbook.system.certificates import tls
from runbook.system.docker import daemon_json
from runbook.system.host import files, hosts_file, network
from runbook.system.host.network import Listener
from runbook.system.registry import api
from tests.conftest import somebody_else

from .situations import ADDRESS, NO, NOW, OPEN, YES, Case, case, have_only, process, write

DOMAIN, NGINX = "registry.test", {"proxy": "nginx"}
ENGINE_S, OTHER = Listener(port=443, process="docker-proxy", pid=7), Listener(port=443, process="nginx", pid=8)
DNS = {"nsswitch.conf": "hosts: dns # files\n"}
LOOPBACK = ("127.0.1.1",)
PROXY = {"HttpsProxy": "http://a.test:3128"}
NO_ENGINE = "the engine cannot be asked"


@pytest.fixture(autouse=True)
def _with_files_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have the files that the checks read in the test's own folder; none is there at first."""
    monkeypatch.setattr(hosts_file, "PATH", tmp_path / "hosts")
    monkeypatch.setattr(hosts_file, "_SWITCH", tmp_path / "nsswitch.conf")
    monkeypatch.setattr(network, "DROP_IN", tmp_path / "drop-in.conf")
    monkeypatch.setattr(network, "_setting_path", lambda name: tmp_path / name)
    monkeypatch.setattr(daemon_json, "PATH", tmp_path / "daemon.json")
    monkeypatch.setattr(nginx, "PLACES", (tmp_path / "sites" / "zz-site", tmp_path / "conf.d" / "zz-site.conf"))
    monkeypatch.setattr(nginx, "_PID_FILE", tmp_path / "nginx.pid")


SETTING = "net.ipv4.ip_forward"
ROWS = [
    case(checks.forwarding_off, "off", YES, "is 0", files={SETTING: "0\n"}),
    case(checks.forwarding_off, "absent", YES, "is None"),
    case(checks.forwarding_off, "on", NO, "is 1", files={SETTING: "1\n"}),
    case(checks.forwarding_off, "odd", OPEN, "invalid literal", files={SETTING: "x"}),
    case(checks.forwarding_not_kept, "none", YES, "does not set it"),
    case(checks.forwarding_not_kept, "off", YES, "does not", files={"drop-in.conf": f"{SETTING} = 0\n"}),
    case(checks.forwarding_not_kept, "on", NO, "at boot", files={"drop-in.conf": f"{SETTING} = 1\n"}),
    case(checks.forwarding_not_kept, "folder", OPEN, "a folder", files={"drop-in.conf": None}),
    case(checks.port_taken, "other", YES, "nginx (pid 8) listens on port", listeners=[OTHER]),
    case(checks.port_taken, "engine", NO, "docker-proxy (pid 7) listens", listeners=[ENGINE_S]),
    case(checks.port_taken, "nginx", NO, "nginx (pid 8)", values=NGINX, listeners=[OTHER]),
    case(checks.port_taken, "nobody", NO, "no process listens", listeners=[]),
    case(checks.hosts_file_not_read, "not-read", YES, "without files", files=DNS, resolved=()),
    case(checks.hosts_file_not_read, "known", NO, "it is read, or", files=DNS, resolved=(ADDRESS,)),
    case(checks.hosts_file_not_read, "read", NO, "it is read", files={"nsswitch.conf": "hosts: files dns"}),
    case(checks.hosts_file_not_read, "usual", NO, "it is read"),
    case(checks.hosts_file_not_read, "folder", OPEN, "a folder", files={"nsswitch.conf": None}),
    case(checks.name_unknown, "unknown", YES, "registry.test does not resolve", resolved=()),
    case(checks.name_unknown, "known", NO, "resolves to 127.0.1.1", resolved=LOOPBACK),
    case(checks.name_unknown, "not-read", OPEN, "not resolved through", files=DNS, resolved=()),
    case(checks.name_on_loopback, "loopback", YES, "to 127.0.1.1", resolved=LOOPBACK),
    case(checks.name_on_loopback, "zone", NO, "to fe80::1%eth0", resolved=("fe80::1%eth0",)),
    case(checks.name_on_loopback, "unknown", NO, "to nothing", resolved=()),
    case(checks.name_on_loopback, "not-read", OPEN, "not resolved through", files=DNS, resolved=LOOPBACK),
    case(checks.name_elsewhere, "other", YES, f"127.0.1.1, expected {ADDRESS}", resolved=LOOPBACK),
    case(checks.name_elsewhere, "same", NO, "expected", resolved=("::1", ADDRESS)),
    case(checks.name_elsewhere, "unknown", OPEN, "registry.test does not resolve", resolved=()),
    case(checks.name_after_address, "wrong", YES, "line 2", files={"hosts": f"# a\n{DOMAIN} {ADDRESS}\n"}),
    case(checks.name_after_address, "right", NO, "no line", files={"hosts": f"{ADDRESS} {DOMAIN}\n"}),
    case(checks.name_after_address, "comment", NO, "no line", files={"hosts": f"# {DOMAIN}\n"}),
    case(checks.name_after_address, "latin-1", OPEN, "UTF-8", files={"hosts": b"# \xe4"}),
    case(checks.address_gone, "gone", YES, "expected the address 192.0.2.9", values={"address": "192.0.2.9"}),
    case(checks.address_gone, "there", NO, f"this host has {ADDRESS}"),
    case(checks.engine_proxy, "proxy", YES, "a.test:3128, set in the env", engine_information=PROXY),
    case(checks.engine_proxy, "exempt", NO, "exempts", engine_information={**PROXY, "NoProxy": "b.test,.test"}),
    case(checks.engine_proxy, "other", YES, "with b.t in no-proxy", engine_information={**PROXY, "NoProxy": "b.t"}),
    case(checks.engine_proxy, "none", NO, "has no proxy", engine_information={"HttpsProxy": ""}),
    case(checks.engine_proxy, "no-engine", OPEN, NO_ENGINE),
    case(checks.nginx_out_of_connections, "full", YES, "log: 1 worker", values=NGINX, front_complaint="1 worker"),
    case(checks.nginx_out_of_connections, "free", NO, "it accepts them", values=NGINX, front_complaint=""),
    case(checks.nginx_out_of_connections, "no-proxy", NO, "no proxy", front_complaint="1 worker"),
]


@pytest.mark.parametrize("row", ROWS)
def test_connection_s_settings_names_and_listeners_are_read(tmp_path: Path, row: Case) -> None:
    """Fails if a setting, name or listener that keeps clients away is not named, or a right one is."""
    assert row.found(tmp_path) == row.expected


REFUSED, TAKEN = ": Connection refused", "listens on port "
DIAL, CURL = "dial tcp 127.0.0.1:PORT: connect: connection refused", "Failed to connect to 127.0.0.1 port PORT after"
IN_USE, ALLOCATED = "listen tcp4 0.0.0.0:PORT: bind: address already in use", "Bind for 0.0.0.0:PORT failed: port is al"
HOST_PORT = "failed to bind host port 0.0.0.0:PORT/tcp: address already in use"
NEWER = "2026/11/28 09:12:01 failed to bind host port for 0.0.0.0:PORT:172.17.0.2:443/tcp: address already in use"


@pytest.mark.parametrize(
    "row",
    [
        case(checks.unreachable, "closed", YES, REFUSED, given="closed"),
        case(checks.unreachable, "open", NO, "accepts connections", given="open"),
        case(checks.named_address_refuses, "dial-closed", YES, REFUSED, DIAL, given="closed"),
        case(checks.named_address_refuses, "dial-open", NO, "accepts connections now", DIAL, given="open"),
        case(checks.named_address_refuses, "curl-closed", YES, REFUSED, CURL, given="closed"),
        case(checks.named_address_refuses, "none", OPEN, "names no address", "refused", given="open"),
        case(checks.named_port_taken, "in-use", YES, TAKEN, IN_USE, given="open"),
        case(checks.named_port_taken, "in-log", YES, TAKEN, f"2026-11-28T09:12:01Z {IN_USE}", given="open"),
        case(checks.named_port_taken, "allocated", YES, TAKEN, f"{ALLOCATED}ready allocated", given="open"),
        case(checks.named_port_taken, "host-port", YES, TAKEN, HOST_PORT, given="open"),
        case(checks.named_port_taken, "newer-engine", YES, TAKEN, NEWER, given="open"),
        case(
            checks.named_port_taken, "newer-engine-6", YES, TAKEN, NEWER.replace("r 0.0.0.0:", "r [::]:"), given="open"
        ),
        case(checks.named_port_taken, "registry-s", YES, TAKEN, "address already in use", given="open"),
        case(checks.named_port_taken, "free", NO, "no process listens", IN_USE, given="closed"),
    ],
)
def test_ports_are_tried(tmp_path: Path, row: Case) -> None:
    """Fails if a port that takes connections is said to refuse them, or its holder is not found; or the reverse."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if row.given == "closed":
            server.close()
        assert row.found(tmp_path, port=port, address="127.0.0.1") == row.expected


GETENT = {"getent": "echo 127.0.0.1 STREAM registry-1.docker.io"}


@pytest.mark.parametrize(
    "row",
    [
        case(checks.public_registry_unreachable, "unknown", YES, "does not resolve", given={"getent": "exit 2"}),
        case(checks.public_registry_unreachable, "refuses", YES, REFUSED, given=GETENT),
        case(checks.public_registry_unreachable, "reached", NO, "accepts connections", given=GETENT),
        case(checks.public_registry_unreachable, "no-getent", OPEN, "the program getent", given={}),
    ],
)
def test_public_registry_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case) -> None:
    """Fails if a public registry whose name or port does not answer is not named, or one that answers is."""
    have_only(monkeypatch, tmp_path, row.given)
    connect = socket.create_connection
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()  # in place of a host of the internet
        monkeypatch.setattr(socket, "create_connection", lambda _, timeout: connect(address, timeout))
        if row.expected[0]:
            server.close()
        assert row.found(tmp_path) == row.expected


PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")
SET = {"HTTPS_PROXY": "http://a.test:3128"}


@pytest.mark.parametrize(
    "row",
    [
        case(checks.client_proxy, "proxy", YES, "does not name registry.test", given=SET),
        case(checks.client_proxy, "all", YES, "does not name", given={"all_proxy": "a", "NO_PROXY": "b.test"}),
        case(checks.client_proxy, "exempt", NO, "exempts", given={**SET, "no_proxy": "b, registry.test:443"}),
        case(checks.client_proxy, "none", NO, "no proxy is set", given={"NO_PROXY": "b.test"}),
    ],
)
def test_proxy_of_this_environment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case) -> None:
    """Fails if a proxy that gets the requests to this registry is not named, or one that exempts it is."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    for name, value in row.given.items():
        monkeypatch.setenv(name, value)
    assert row.found(tmp_path) == row.expected


@pytest.mark.parametrize(
    "row",
    [
        case(checks.no_name_server, "none", YES, "names none", given="# nameserver 192.0.2.1\nsearch test\n"),
        case(checks.no_name_server, "no-file", YES, "names none", given=None),
        case(checks.no_name_server, "two", NO, "names 192.0.2.1, ::1", given="nameserver 192.0.2.1\nnameserver ::1"),
    ],
)
def test_name_servers_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case) -> None:
    """Fails if a host without a name server is not named, or one with one is."""
    monkeypatch.setattr(files, "read_text", lambda _: row.given)  # of /etc/resolv.conf, whose path is fixed
    assert row.found(tmp_path) == row.expected


KEY = tls.generate_key("ecdsa-p256")
AUTHORITY = tls.issue_authority(KEY, (("CN", "CA"),), now=NOW, validity_days=9)
MADE = ("registry/ssl/registry.test.pem", "registry/config.yml")
DAY = datetime.timedelta(days=1)


OLD = tls.issue_authority(KEY, (("CN", "CA"),), now=NOW - 9 * DAY, validity_days=90)


@pytest.mark.parametrize(
    "row",
    [
        case(checks.clock_behind, "authority", YES, "the CA is valid from", authority=AUTHORITY, now=NOW - DAY),
        case(checks.clock_behind, "file", YES, "and the server certificate was", authority=OLD, now=NOW - DAY),
        case(checks.clock_behind, "right", NO, "clock shows", authority=AUTHORITY, now=NOW + DAY),
        case(checks.clock_behind, "no-authority", OPEN, "there is no ", now=NOW - DAY),
    ],
)
def test_clock_is_compared_with_what_was_made(tmp_path: Path, row: Case) -> None:
    """Fails if a clock that is behind the authority or a file is not named, or one that is right is."""
    for name in MADE:
        write(tmp_path / name, "")
    assert row.found(tmp_path) == row.expected


SITE = nginx.site((DOMAIN,), ("443",), certificate=Path("/c"), backend_port=5002)
LIMITED, WITHOUT_HOST = SITE.replace("body_size 0", "body_size 10m"), SITE.replace("proxy_set_header Host", "# Host")
OTHER_S = SITE.replace(DOMAIN, f"a{DOMAIN}")
AT, ELSEWHERE = "sites/zz-site", "conf.d/a.conf"
SOMEBODY = api.Answer(status=401, headers={"server": "caddy"})
OTHER_BACKEND: dict[str, object] = {**NGINX, "backend_port": 5003}
SITES = [
    case(checks.nginx_site_gone, "gone", YES, "there is no ", values=NGINX),
    case(checks.nginx_site_gone, "there", NO, "is there", values=NGINX, files={AT: SITE}),
    case(checks.nginx_site_gone, "no-proxy", NO, "no proxy"),
    case(checks.nginx_site_gone, "foreign", OPEN, "did not make", values=NGINX, files={AT: "server {}"}),
    case(checks.nginx_body_limit, "limit", YES, "client_max_body_size 10m", files={AT: LIMITED}),
    case(checks.nginx_body_limit, "unset", YES, "no limit set", files={ELSEWHERE: f"server_name {DOMAIN};"}),
    case(checks.nginx_body_limit, "none", NO, "size is 0", files={AT: SITE, ELSEWHERE: OTHER_S}),
    case(checks.nginx_body_limit, "no-site", NO, "no proxy on this", files={AT: OTHER_S}),
    case(checks.nginx_body_limit, "other-host", OPEN, "caddy is in front", anonymous=SOMEBODY),
    case(checks.nginx_headers, "host", YES, "does not set Host", files={AT: WITHOUT_HOST}),
    case(checks.nginx_headers, "both", YES, "Host, X-F", files={ELSEWHERE: f"server_name a {DOMAIN};"}),
    case(checks.nginx_headers, "set", NO, "are set", files={AT: SITE}),
    case(checks.nginx_headers, "no-site", NO, "no proxy on this"),
    case(checks.nginx_headers, "other-host", OPEN, "caddy is in front", anonymous=SOMEBODY),
    case(checks.nginx_passes_elsewhere, "port", YES, "0.0.1:5002, expected", files={AT: SITE}, values=OTHER_BACKEND),
    case(checks.nginx_passes_elsewhere, "same", NO, "it passes to", files={AT: SITE}, values=NGINX),
    case(checks.nginx_passes_elsewhere, "no-proxy", NO, "no proxy", files={AT: SITE}),
    case(checks.nginx_passes_elsewhere, "foreign", OPEN, "did not make", values=NGINX, files={AT: "a"}),
    case(checks.nginx_stopped, "no-pid", YES, "does not run", values=NGINX),
    case(checks.nginx_stopped, "no-proxy", NO, "no proxy"),
]


@pytest.mark.parametrize("row", SITES)
def test_site_of_nginx_is_read(tmp_path: Path, row: Case) -> None:
    """Fails if a site that turns clients or layers away is not named, or a right one, or another's, is."""
    assert row.found(tmp_path) == row.expected


@pytest.mark.parametrize(
    "row",
    [
        case(checks.nginx_stopped, "other", YES, "does not run", values=NGINX, given="apache2"),
        case(checks.nginx_stopped, "runs", NO, "nginx runs", values=NGINX, given="nginx"),
    ],
)
def test_nginx_is_known_by_its_process(tmp_path: Path, row: Case) -> None:
    """Fails if the number of another process is taken for nginx, or nginx is not seen."""
    with process(row.given) as number:
        write(tmp_path / "nginx.pid", f"{number}\n")
        assert row.found(tmp_path) == row.expected


FAILS = {"iptables": 'echo "can\'t initialize" >&2; exit 3'}


@pytest.mark.parametrize(
    "row",
    [
        case(checks.iptables_unusable, "none", YES, "there is no iptables", given={}),
        case(checks.iptables_unusable, "fails", YES, "can't initialize", given=FAILS),
        case(checks.iptables_unusable, "lists", NO, "can be listed", given={"iptables": ""}),
        case(checks.iptables_unusable, "no-root", OPEN, "only root", given=None),
    ],
)
def test_nat_table_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case) -> None:
    """Fails if iptables that is missing or fails is not named, one that lists is, or another user is told so."""
    have_only(monkeypatch, tmp_path, row.given or {})
    with nullcontext() if row.given is not None else somebody_else():
        assert row.found(tmp_path) == row.expected
