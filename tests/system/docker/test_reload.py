"""What the running engine lists, compared with what is wanted of it."""

import pytest

from runbook.model.parameters import Parameters
from runbook.system.docker import reload
from runbook.system.docker.engine_flags import Flag
from runbook.system.docker.reload import Registries, is_listed, names_insecure

LISTED = Registries(insecure=("192.168.1.2:5000", "10.0.0.0/8", "127.0.0.0/8"), mirrors=("https://m.test",))


@pytest.mark.parametrize(
    ("insecure", "mirrors", "expected"),
    [
        pytest.param((), (), [], id="nothing-wanted"),
        pytest.param(("192.168.1.2:5000", "10.1.2.3/8"), ("https://m.test/",), [], id="all-there"),
        pytest.param(("192.168.1.2:5001",), ("https://n.test",), ["192.168.1.2:5001", "https://n.test"], id="none"),
        pytest.param(("192.168.1.2",), (), ["192.168.1.2"], id="port-counts"),
    ],
)
def test_registries_lack_what_the_engine_does_not_list(
    insecure: tuple[str, ...], mirrors: tuple[str, ...], expected: list[str]
) -> None:
    """Fails if a reload is taken for done that is not, or made again because the engine writes it another way."""
    assert expected == LISTED.missing_entries(insecure, mirrors)


@pytest.mark.parametrize(
    ("insecure", "expected"),
    [
        pytest.param(["192.168.1.2:5000"], True, id="as-it-is"),
        pytest.param(["fd00::/8", "192.168.0.0/16"], True, id="in-a-network"),
        pytest.param(["192.168.1.2"], False, id="without-its-port"),
        pytest.param(["192.168.1.2:5001", "127.0.0.0/8"], False, id="another"),
    ],
)
def test_is_listed_follows_the_engine_s_own_rule(insecure: list[str], *, expected: bool) -> None:
    """Fails if the refusal is expected where the engine uses plain HTTP, or the other way round."""
    assert expected == is_listed("192.168.1.2:5000", insecure)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        pytest.param(["127.0.0.0/8", "other.test", "10.0.0.0/8", "r.test:5000"], [], id="others"),
        pytest.param(["r.test"], ["r.test"], id="name"),
        pytest.param(["r.test:443"], ["r.test:443"], id="name-and-port"),
        pytest.param(["192.168.1.2:443"], ["192.168.1.2:443"], id="address"),
        pytest.param(["192.168.0.0/16"], ["192.168.0.0/16"], id="network"),
        pytest.param(["192.168.1.0/24"], [], id="those-of-the-parameters"),
    ],
)
def test_names_insecure_finds_each_way_to_mean_the_registry(listed: list[str], expected: list[str]) -> None:
    """Fails if an engine that does not verify the registry passes, or another registry's entry fails."""
    parameters = Parameters(domain="r.test", insecure_registries=["192.168.1.0/24"])
    assert expected == names_insecure(parameters, "192.168.1.2", listed)


NO_CHAINS, NO_PROXY = "--iptables=false", "--userland-proxy=false"


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        pytest.param(None, "", False, id="as-it-comes"),
        pytest.param('{"iptables": false}', "", False, id="no-chains"),
        pytest.param('{"userland-proxy": false}', "", False, id="no-proxy"),
        pytest.param('{"iptables": false, "userland-proxy": false}', "", True, id="neither"),
        pytest.param('{"iptables": false}', NO_PROXY, True, id="file-and-flag"),
        pytest.param(None, f"{NO_CHAINS} {NO_PROXY}", True, id="flags"),
        pytest.param(None, f"--iptables=true {NO_PROXY}", False, id="flag-that-is-on"),
        pytest.param(None, f"--iptables=F {NO_PROXY}", True, id="as-go-reads-it"),
        pytest.param(None, "--iptables=0 --userland-proxy='FALSE'", True, id="number-and-quotes"),
        pytest.param(None, f"--iptables=01 {NO_PROXY}", False, id="no-truth"),
        pytest.param('{"iptables": true, "userland-proxy": false}', "", False, id="key-that-is-on"),
    ],
)
def test_is_deaf_wants_neither_chains_nor_proxy(
    monkeypatch: pytest.MonkeyPatch, text: str | None, line: str, *, expected: bool
) -> None:
    """Fails if an engine that lets others reach a port is said to let nobody, or the other way round."""
    monkeypatch.setattr(reload, "read_file", lambda: text)
    flags = [Flag(name=word.strip("-").partition("=")[0], place="p", line=line) for word in line.split()]
    assert reload.publishes_nothing(flags) == expected
