"""55-nginx: what puts nginx in front of the registry, and when there is nothing to do."""

import dataclasses
import re
from pathlib import Path

import pytest

from runbook.changes.base import Change
from runbook.changes.engine import InstallPackages
from runbook.changes.firewall import OpenPort
from runbook.changes.nginx import ConfigureNginx
from runbook.model.errors import HostError
from runbook.model.parameters import Parameters
from runbook.sections import nginx
from runbook.sections.nginx import NginxFacts
from runbook.system import nginx as outside
from runbook.system.nginx_configuration import Listen
from tests.conftest import without_engine

PARAMETERS = Parameters(proxy="nginx")
NEW = NginxFacts(
    has_apt=True,
    supervisor="systemd",
    installed=False,
    reads_sites=False,
    running=False,
    enabled=False,
    text=None,
    address="192.168.1.2",
    has_ipv6=False,
    served="Connection refused",
    certificate="c0ffee",
)


def site_of(parameters: Parameters, facts: NginxFacts) -> ConfigureNginx:
    """Return the change that the plan ends with."""
    change = nginx.plan(parameters, facts)[-1]
    assert isinstance(change, ConfigureNginx)
    return change


MADE = dataclasses.replace(
    NEW,
    installed=True,
    reads_sites=True,
    running=True,
    enabled=True,
    text=site_of(PARAMETERS, NEW).after,
    served="c0ffee",
)
THERE = dataclasses.replace(MADE, text=None, served="decaf")  # another site's nginx


def test_plan_names_another_site_of_the_registry_s_name() -> None:
    """Fails if nginx is asked to choose between two sites of one name."""
    facts = dataclasses.replace(THERE, others=("/etc/nginx/sites-enabled/www:2",))
    with pytest.raises(HostError, match=r"sites-enabled/www:2.*set domain to another name"):
        nginx.plan(PARAMETERS, facts)


def test_plan_listens_as_others_do_where_nginx_reads_it() -> None:
    """Fails if what nginx says of its sockets and folders does not reach the site."""
    place = Path("/etc/nginx/conf.d/zz-registry-runbook.conf")
    other = Listen(place="w:1", module="http", address="192.168.1.2", port=443, options=("ssl",), has_tls=True)
    change = site_of(PARAMETERS, dataclasses.replace(THERE, path=place, listens=(other,)))
    assert (change.path, re.findall("listen (.*);", change.after)) == (place, ["192.168.1.2:443 ssl"])
    stream = dataclasses.replace(other, module="stream", address="*", options=())
    with pytest.raises(HostError, match=r"`listen \*:443` at w:1, in a block `stream`"):
        nginx.plan(PARAMETERS, dataclasses.replace(THERE, listens=(stream,)))


def test_plan_opens_a_port_that_firewalld_closes() -> None:
    """Fails if clients on other hosts are kept out, or an open port is opened again."""
    assert nginx.plan(PARAMETERS, MADE) == []
    closed = dataclasses.replace(MADE, closed_zone="public")
    assert nginx.plan(PARAMETERS, closed) == [OpenPort(zone="public", port=443)]


def configured(facts: NginxFacts, reason: str) -> ConfigureNginx:
    """Return the change that makes the site, with its reason."""
    return ConfigureNginx(
        path=outside.PATH,
        before=facts.text,
        after=MADE.text or "",
        supervisor="systemd",
        domain="registry.test",
        served_at="192.168.1.2:443",
        fingerprint="c0ffee",
        reason=reason,
    )


EDITED = dataclasses.replace(MADE, text=f"{MADE.text}# edited\n")
UNREAD = dataclasses.replace(MADE, text=f"{MADE.text}{outside.UNREAD}")
STOPPED = dataclasses.replace(MADE, running=False, served="Connection refused")
DISABLED = dataclasses.replace(MADE, enabled=False)
RENEWED = dataclasses.replace(MADE, certificate="c0ffee", served="decaf")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(MADE, [], id="complies"),
        pytest.param(None, [], id="no-proxy-asked-for"),
        pytest.param(
            NEW, [InstallPackages(names=("nginx",)), configured(NEW, "the registry's site is not there")], id="no-nginx"
        ),
        pytest.param(THERE, [configured(THERE, "the registry's site is not there")], id="nginx-with-other-sites"),
        pytest.param(EDITED, [configured(EDITED, "the registry's site changes")], id="edited"),
        pytest.param(UNREAD, [configured(UNREAD, "the registry's site changes")], id="cut-off-before-nginx-read-it"),
        pytest.param(STOPPED, [configured(STOPPED, "nginx does not run")], id="stopped"),
        pytest.param(DISABLED, [configured(DISABLED, "nginx does not start at boot")], id="gone-after-a-reboot"),
        pytest.param(RENEWED, [configured(RENEWED, "it does not serve the certificate that is on disk")], id="renewed"),
    ],
)
def test_plan_puts_nginx_in_front(facts: NginxFacts | None, expected: list[Change]) -> None:
    """Fails if an nginx that serves the registry is touched, or one that does not is taken for right."""
    assert expected == nginx.plan(PARAMETERS, facts)


def test_plan_renders_the_site_from_the_parameters() -> None:
    """Fails if a parameter does not reach nginx, or a host without IPv6 gets an address that it cannot listen on."""
    parameters = Parameters(
        proxy="nginx",
        domain="docker.funet8.com",
        extra_names=["r.test"],
        port=8443,
        backend_port=5003,
        configuration_directory="/srv/registry",
    )
    change = site_of(parameters, dataclasses.replace(MADE, has_ipv6=True))
    expected = outside.site(
        ("docker.funet8.com", "r.test"),
        ("8443", "[::]:8443"),
        certificate=parameters.certificate_path,
        backend_port=5003,
    )
    assert (expected, "192.168.1.2:8443") == (change.after, change.served_at)
    assert "/srv/registry/ssl/docker.funet8.com.pem" in change.after
    assert "[::]" not in (MADE.text or "")


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        pytest.param(dataclasses.replace(NEW, has_apt=False), "found none, and no apt here", id="no-apt"),
        pytest.param(
            dataclasses.replace(NEW, has_apt=False, distributions=("almalinux", "rhel", "centos", "fedora")),
            "type `dnf install nginx`, then run this again",
            id="no-apt-but-dnf",
        ),
        pytest.param(
            dataclasses.replace(MADE, selinux=("nginx may not listen on port 5443", "`semanage port -a`")),
            "SELinux to let nginx serve the registry; found nginx may not listen on port 5443. .*semanage port -a",
            id="selinux",
        ),
        pytest.param(dataclasses.replace(THERE, reads_sites=False), "includes /etc/nginx/sites-enabled/", id="layout"),
    ],
)
def test_plan_refuses_where_it_cannot_put_a_site(facts: NginxFacts, told: str) -> None:
    """Fails if a file is written that no nginx reads, or the operator is not told what is missing."""
    with pytest.raises(HostError, match=told):
        nginx.plan(PARAMETERS, facts)


def test_gather_looks_at_nothing_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a run without a proxy needs an engine, a registry or nginx for this."""
    without_engine(monkeypatch)
    assert nginx.gather(Parameters()) is None


def test_is_made_looks_at_the_site() -> None:
    """Fails if an nginx with other sites alone counts as one that the registry was taken from."""
    assert [nginx.is_made(facts) for facts in (MADE, THERE, None)] == [True, False, False]
