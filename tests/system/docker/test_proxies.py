"""The engine's proxy: whose names it takes, and where it is set."""

from pathlib import Path

import pytest

from runbook.model.errors import HostError
from runbook.system.docker import daemon_json, engine_flags, proxies
from runbook.system.docker.proxies import Proxy, is_exempt

PROXY = Proxy(address="http://10.1.1.1:3128", exempt="localhost", place="/etc/docker/daemon.json")


@pytest.mark.parametrize(
    ("exempt", "expected"),
    [
        pytest.param("", False, id="nothing"),
        pytest.param("localhost, 127.0.0.1,10.0.0.0/8", False, id="others"),
        pytest.param("*", True, id="all"),
        pytest.param(" REG.example.test ", True, id="itself"),
        pytest.param("example.test", True, id="its-domain"),
        pytest.param(".example.test", True, id="below-its-domain"),
        pytest.param("*.example.test", True, id="star"),
        pytest.param(".reg.example.test", False, id="only-below-itself"),
        pytest.param("xample.test", False, id="end-of-a-word"),
        pytest.param("reg.example.test:443", True, id="its-port"),
        pytest.param("reg.example.test:5000", False, id="another-port"),
        pytest.param("a,,reg.example.test", True, id="empty-entry"),
    ],
)
def test_is_exempt_is_what_the_engine_reads(exempt: str, *, expected: bool) -> None:
    """Fails if a name counts as exempt that the engine sends to its proxy, or the other way round."""
    assert is_exempt("reg.example.test", 443, exempt) is expected


@pytest.mark.parametrize("information", [{}, {"HttpsProxy": ""}, {"HttpProxy": "http://a:1"}])
def test_engine_without_a_proxy_for_https_has_none(information: dict[str, object]) -> None:
    """Fails if a proxy for plain HTTP counts: what is for the registry goes over TLS."""
    assert proxies.gather(information, "none") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('#export http_proxy="http://127.0.0.1:3128/"\n', False, id="comment-of-the-package"),
        pytest.param('  # HTTPS_PROXY=a\nexport https_proxy="http://a:1"\n', True, id="set"),
        pytest.param("[Service]\nEnvironment=HTTPS_PROXY=http://a:1 NO_PROXY=b\n", True, id="unit"),
        pytest.param("[Service]\n;Environment=HTTPS_PROXY=http://a:1\n", False, id="comment-of-a-unit"),
    ],
)
def test_proxy_is_not_said_to_be_set_where_it_is_commented_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, *, expected: bool
) -> None:
    """Fails if the remedy names the package's own example as the place to change."""
    defaults = tmp_path / "docker"
    defaults.write_text(text, encoding="ascii")
    monkeypatch.setattr(engine_flags, "DEFAULTS", defaults)
    found = proxies.gather({"HttpsProxy": "http://a:1"}, "none")
    assert found is not None
    assert (found.place == str(defaults)) is expected


def test_proxy_is_shown_without_its_login() -> None:
    """Fails if the password of a proxy gets into a plan or a record."""
    found = proxies.gather({"HttpsProxy": "http://me:hidden@a:1", "NoProxy": "x"}, "none")
    assert found
    assert "hidden" not in str(found)
    assert (found.exempt, "a:1" in found.address) == ("x", True)


def test_proxy_that_takes_the_registry_s_name_is_refused_with_what_to_write() -> None:
    """Fails if a plan passes over it, or refuses one that lets the registry's name through."""
    proxies.refuse(None, "r.test", 443)
    proxies.refuse(Proxy(address="a", exempt="r.test", place="p"), "r.test", 443)
    with pytest.raises(HostError, match=r"set in /etc/docker/daemon.json.*no-proxy .* to `localhost,r.test`"):
        proxies.refuse(PROXY, "r.test", 443)
    assert str(daemon_json.PATH) == PROXY.place


@pytest.mark.parametrize(
    ("exempt", "expected"),
    [
        ("", True),
        ("registry.test,localhost", True),
        ("192.168.1.2", False),
        ("registry.test, 192.168.1.0/24", False),
        ("192.168.2.0/24,192.168.1.20", True),
        ("*", False),
    ],
)
def test_takes_tells_whether_an_address_goes_to_the_proxy(exempt: str, *, expected: bool) -> None:
    """Fails if an exempt address or network counts as proxied, or one that only looks like it as exempt."""
    information = {"HttpsProxy": "http://10.1.1.1:3128", "NoProxy": exempt}
    assert proxies.takes(information, "192.168.1.2") is expected
    assert not proxies.takes(information | {"HttpsProxy": ""}, "192.168.1.2")
