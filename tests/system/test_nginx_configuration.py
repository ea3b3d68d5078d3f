"""What nginx's files say, and where a site listens beside others; tests/hosts/test_nginx.py asks a real one."""

import re
from pathlib import Path

import pytest

from runbook.model.errors import HostError
from runbook.system import nginx_configuration
from runbook.system.nginx_configuration import Listen

MAIN = """\
user www-data; # one { that ends no line
http {
    log_format main '$remote_addr "{;}"' # with ; and }
        "second";
    include sites/*;
    server { server_name "in.test"; listen 443 ssl; if ($host = 'a;b') { return 200; } }
}
stream {
    server {
        listen 10.0.0.1:443; }
}
"""
SITE = """\
server {
    listen [::]:443
        ssl ipv6only=off;
    server_name www.test
        registry.test;  # server_name other.test;
}
server { listen 80; server_name only80.test; }
server { listen 443 quic; listen unix:/run/a; listen localhost:8443 ssl; server_name ~^.{2}$; }
"""
ADDRESS = "192.168.1.2"


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """Return nginx's first file, which includes a folder of sites, one of which includes itself."""
    (tmp_path / "nginx.conf").write_text(MAIN, encoding="utf-8")
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "a").write_text(SITE, encoding="utf-8")
    (tmp_path / "sites" / "b").write_text("include sites/b;\nserver { listen *:443 ssl proxy_protocol; }", "utf-8")
    (tmp_path / "sites" / ".hidden").write_text("server { listen 443; }", encoding="utf-8")
    return tmp_path / "nginx.conf"


def test_listens_are_those_of_the_port_with_file_and_line(main: Path) -> None:
    """Fails if a socket is not found, has another's line, or one of another port, or of UDP, counts."""
    found = nginx_configuration.read(main)
    expected = {
        ("sites/a:2", "http", "[::]", ("ssl", "ipv6only=off")),
        ("sites/b:2", "http", "*", ("ssl", "proxy_protocol")),
        ("nginx.conf:6", "http", "*", ("ssl",)),
        ("nginx.conf:10", "stream", "10.0.0.1", ()),
    }
    listens = nginx_configuration.listens(found, 443, own=Path("/none"))
    assert {
        (item.place.removeprefix(f"{main.parent}/"), item.module, item.address, item.options) for item in listens
    } == expected
    own = nginx_configuration.listens(found, 443, own=main.parent / "sites" / "b")
    assert {item.is_own for item in own if "/b:" in item.place} == {True}
    assert {item.is_own for item in listens} == {False}
    assert [item.address for item in nginx_configuration.listens(found, 8443, own=Path("/none"))] == ["localhost"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("registry.test", ["sites/a:4"], id="on-another-line"),
        pytest.param("in.test", ["nginx.conf:6"], id="quoted"),
        pytest.param("other.test", [], id="in-a-comment"),
        pytest.param("only80.test", [], id="on-another-port"),
        pytest.param("test", [], id="part-of-a-name"),
    ],
)
def test_places_of_a_name_are_those_of_servers_on_the_port(main: Path, name: str, expected: list[str]) -> None:
    """Fails if a site of somebody else's for the registry's name is not found, or one that is none is."""
    found = nginx_configuration.places_of(nginx_configuration.read(main), name, 443, but=Path("/none"))
    assert [place.removeprefix(f"{main.parent}/") for place in found] == expected
    ours = main.parent / expected[0].partition(":")[0] if expected else Path("/none")
    assert nginx_configuration.places_of(nginx_configuration.read(main), name, 443, but=ours) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("http { include /x/sites-enabled/*; }", (True, False), id="sites"),
        pytest.param("http { include /x/conf.d/*.conf; }", (False, True), id="conf.d"),
        pytest.param("stream { include /x/conf.d/*; }", (False, False), id="of-a-stream"),
        pytest.param("http { server { include /x/conf.d/*; } }", (False, False), id="of-a-server"),
        pytest.param("http { # include /x/conf.d/*;\n}", (False, False), id="comment"),
    ],
)
def test_includes_looks_at_what_http_includes(tmp_path: Path, text: str, expected: tuple[bool, bool]) -> None:
    """Fails if a site is written where no nginx reads it."""
    (tmp_path / "nginx.conf").write_text(text, encoding="utf-8")
    found = nginx_configuration.read(tmp_path / "nginx.conf")
    places = (Path("/x/sites-enabled/zz"), Path("/x/conf.d/zz.conf"))
    assert tuple(nginx_configuration.includes(found, place) for place in places) == expected


@pytest.mark.parametrize("text", ["", "}", 'http { "', "a { b { c", ";;", "server {{ ; }}", "include /*;"])
def test_read_ends_whatever_a_file_says(tmp_path: Path, text: str) -> None:
    """Fails if a file that nginx refuses ends a plan with a traceback; nginx's own words are for that."""
    (tmp_path / "nginx.conf").write_text(text, encoding="utf-8")
    assert [item for item in nginx_configuration.read(tmp_path / "nginx.conf") if item.words[0] == "listen"] == []
    assert nginx_configuration.read(tmp_path / "none") == []


def listen(text: str, *, module: str = "http") -> Listen:
    """Return a socket of port 443: its address, then its options, among which `own` says whose it is."""
    address, *options = text.split()
    return Listen(
        place="www:7",
        module=module,
        address=address,
        port=443,
        options=tuple(options),
        has_tls="ssl" in options,
        is_own="own" in options,
    )


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        pytest.param([], ["443", "[::]:443"], id="nobody"),
        pytest.param(["* ssl"], ["443", "[::]:443"], id="all-of-ipv4"),
        pytest.param(["* ssl", "[::] ssl"], ["443", "[::]:443"], id="all-of-both"),
        pytest.param(["* ssl http2 reuseport default_server"], ["443", "[::]:443"], id="options"),
        pytest.param(["[::] ssl ipv6only=off"], ["[::]:443"], id="one-for-both"),
        pytest.param(["[::] ssl"], ["443", "[::]:443"], id="all-of-ipv6"),
        pytest.param([f"{ADDRESS} ssl"], ["[::]:443", f"{ADDRESS}:443"], id="our-address"),
        pytest.param(["10.0.0.1 ssl"], ["[::]:443", f"{ADDRESS}:443"], id="another-address"),
        pytest.param(["10.0.0.1 ssl proxy_protocol"], ["[::]:443", f"{ADDRESS}:443"], id="another-behind-a-proxy"),
        pytest.param(["* ssl", f"{ADDRESS} ssl"], ["443", "[::]:443", f"{ADDRESS}:443"], id="all-and-our-address"),
        pytest.param(["* ssl", "[fd00::1] ssl"], ["443"], id="one-of-ipv6"),
        pytest.param(["* ssl own", "[::] ssl own"], ["443", "[::]:443"], id="ours-alone"),
        pytest.param(["[::] own", f"{ADDRESS} own"], ["[::]:443", f"{ADDRESS}:443"], id="ours-of-one-address-alone"),
        pytest.param(["[::] own", "[::] ssl ipv6only=off"], ["[::]:443"], id="ours-beside-one-for-both"),
        pytest.param(["[::] own"], ["[::]:443 ipv6only=off"], id="ours-was-beside-one-for-both"),
        pytest.param(["[::] own ipv6only=off"], ["[::]:443 ipv6only=off"], id="ours-is-one-for-both"),
        pytest.param(["* own proxy_protocol"], ["443", "[::]:443"], id="ours-was-edited"),
        pytest.param([f"{ADDRESS} ssl", f"{ADDRESS}"], ["[::]:443", f"{ADDRESS}:443"], id="tls-by-another-server"),
    ],
)
def test_choose_listen_is_as_others_do(others: list[str], expected: list[str]) -> None:
    """Fails if a reload would bind what is bound already, or the registry's name is answered by another site."""
    found = nginx_configuration.choose_listen([listen(item) for item in others], 443, ADDRESS, has_ipv6=True)
    assert list(found) == expected


def test_choose_listen_takes_an_address_of_ipv6() -> None:
    """Fails on a host whose registry has an address of IPv6 alone."""
    found = nginx_configuration.choose_listen([listen("[fd00::9] ssl")], 443, "fd00::1", has_ipv6=True)
    assert found == ("443", "[fd00::1]:443")
    assert nginx_configuration.choose_listen([], 8443, ADDRESS, has_ipv6=False) == ("8443",)


@pytest.mark.parametrize(
    ("other", "module", "expected"),
    [
        pytest.param("*", "stream", "in a block `stream`", id="stream"),
        pytest.param(ADDRESS, "stream", "in a block `stream`", id="stream-at-our-address"),
        pytest.param("* ssl proxy_protocol", "http", "(proxy_protocol)", id="behind-a-proxy"),
        pytest.param("*", "http", "without TLS", id="plain"),
        pytest.param("[::] ssl ipv6only=off proxy_protocol", "http", "(proxy_protocol)", id="both-behind-a-proxy"),
    ],
)
def test_choose_listen_names_what_no_site_can_be_beside(other: str, module: str, expected: str) -> None:
    """Fails if another's socket would be broken, or ours by it, or the operator is not told where it stands."""
    with pytest.raises(HostError, match=rf"at www:7, .*{re.escape(expected)}.*To repair: set port to another one"):
        nginx_configuration.choose_listen([listen(other, module=module)], 443, ADDRESS, has_ipv6=True)
