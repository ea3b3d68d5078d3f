"""The site of nginx as text; what a real nginx makes of it is in tests/hosts/test_nginx.py."""

from pathlib import Path

import pytest

from runbook.model.errors import HostError
from runbook.system import nginx

PAIR = Path("/c/ssl/r.test.pem")
SITE = nginx.site(("r.test", "s.test"), ("443", "[::]:443"), certificate=PAIR, backend_port=5002)


@pytest.mark.parametrize(
    "line",
    [
        "listen 443 ssl;",
        "listen [::]:443 ssl;",
        "server_name r.test s.test;",
        "ssl_certificate /c/ssl/r.test.pem;",
        "ssl_certificate_key /c/ssl/r.test.pem;",
        "ssl_protocols TLSv1.2 TLSv1.3;",
        "ssl_ecdh_curve X25519:prime256v1:secp384r1;",
        "client_max_body_size 0;",
        "proxy_pass http://127.0.0.1:5002;",
        "proxy_http_version 1.1;",
        "proxy_request_buffering off;",
        "proxy_buffering off;",
        "proxy_read_timeout 900s;",
        "proxy_send_timeout 900s;",
        "proxy_set_header Host $http_host;",
        "proxy_set_header X-Real-IP $remote_addr;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_set_header X-Forwarded-Proto $scheme;",
    ],
)
def test_site_says_what_uploads_need(line: str) -> None:
    """Fails if a line is lost without which a large layer is refused, kept on disk, or sent to a wrong address."""
    assert line in [found.strip() for found in SITE.splitlines()]


def test_site_is_ours_and_takes_no_other_site_s_place() -> None:
    """Fails if the file cannot be told from an operator's, or claims what names without a site are answered."""
    assert SITE.startswith("# Made by registry-runbook")
    assert "default_server" not in SITE
    assert max(nginx.PATH.name, "default", "www.example.org", "zabbix") == nginx.PATH.name


def test_site_with_a_limit_differs_in_nothing_else() -> None:
    """Fails if the refusal of a large body is tried with another site than the registry's."""
    limited = nginx.site(
        ("r.test", "s.test"), ("443", "[::]:443"), certificate=PAIR, backend_port=5002, body_limit="1m"
    )
    assert SITE.replace("client_max_body_size 0;", "client_max_body_size 1m;") == limited


@pytest.mark.parametrize(("text", "expected"), [(None, None), (SITE, SITE)], ids=["absent", "ours"])
def test_read_site_gives_the_runbook_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, expected: str | None
) -> None:
    """Fails if a site that is there is not found, or one is found where none is."""
    monkeypatch.setattr(nginx, "PLACES", (tmp_path / "site",))
    if text is not None:
        (tmp_path / "site").write_text(text, encoding="ascii")
    assert expected == nginx.read_site()


def test_read_site_refuses_another_s_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if an operator's file of the same name would be written over, or removed."""
    monkeypatch.setattr(nginx, "PLACES", (tmp_path / "site",))
    (tmp_path / "site").write_text("server {}\n", encoding="ascii")
    with pytest.raises(HostError, match="found a file that it did not make"):
        nginx.read_site()
