"""Nobody else's things: a tear-down gives a host back as it was, whatever was on it and whatever was made of it.

All of the states with `script/test --all`; otherwise a sample of them, by the session's seed.
"""

import json
import random
from collections.abc import Iterator

import pytest

from tests import draws
from tests.draws import tries_all
from tests.waiting import UNTIL_SO

from .conftest import start_with_project
from .lab import Host, NewHost
from .product import NAMED, PROJECT, differences, everything, run, script_run, without_times

SAMPLE, ALL = 1, 40
KINDS = ["bookworm", "trixie-nginx", "plain"]  # the last has neither an engine before nor systemd
# What may be on a host before the runbook comes, and what takes it away again. $MODE and $OWNER are drawn.
FOREIGN = {
    "config.yml": "mkdir -p $R; printf 'version: 0.1\\n' >$R/config.yml; own $R/config.yml",
    "docker-compose.yml": "mkdir -p $R; printf 'services: {}\\n' >$R/docker-compose.yml; own $R/docker-compose.yml",
    "trust": "mkdir -p $D/certs.d/registry.test; pair >/dev/null; cp /root/c $D/certs.d/registry.test/ca.crt",
    "trust-of-another": "mkdir -p $D/certs.d/other.test; touch $D/certs.d/other.test/ca.crt",
    "htpasswd": "mkdir -p $R/auth; echo 'theirs:$2y$05$x' >$R/auth/htpasswd; own $R/auth/htpasswd",
    "beside": "mkdir -p $R/auth; touch $R/notes $R/auth/notes; own $R/notes",
    "private": "mkdir -p -m 700 $P; mkdir -p $P/ca; touch $P/notes",
    "data": "cd /opt; mkdir -p data/registry/docker; touch data/registry/docker/blob; own data/registry/docker/blob",
    "daemon.json": """printf '{ "log-level" : "info",\\n"insecure-registries":["own.test:5000"] }' >$D/daemon.json
        own $D/daemon.json; systemctl reload docker""",
    "hosts": "echo '127.0.0.1 registry.test mine.test' >>/etc/hosts",
    "sysctl": "echo '# theirs' >/etc/sysctl.d/99-registry-runbook.conf; own /etc/sysctl.d/99-registry-runbook.conf",
    "volume": "docker volume create theirs",
    "network": "docker network create theirs",
    "network-beside": "docker network create --label com.docker.compose.project=registry beside",
    "container": "docker create --name theirs registry:3.1.2 help",
    "forwarding": "sysctl -qw net.ipv4.ip_forward=0",
    "not-at-boot": "systemctl disable docker.service",
    "site": "echo '# theirs' >/etc/nginx/sites-enabled/theirs; own /etc/nginx/sites-enabled/theirs",
}
# What ends a run with an error, before it changes anything of that section.
OBSTACLES = {
    "private-for-all": "mkdir -p $P; chmod 755 $P; touch $P/notes",
    "pair": "mkdir -p $R/ssl; pair >$R/ssl/registry.test.pem; own $R/ssl/registry.test.pem; chmod 755 $R/ssl",
    "named-container": "docker create --name registry registry:3.1.2 help",
    "volume-of-the-project": "docker volume create registry_registry-data",
    "network-of-the-project": "docker network create registry_default",
}
SHELL = r"""
R=/etc/docker/registry D=/etc/docker P=/etc/registry-runbook
own() { chmod $MODE "$1"; chown $OWNER "$1"; touch -d '2020-01-02 03:04:05' "$1"; }
pair() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=registry.test -keyout /root/k -out /root/c 2>/dev/null
    cat /root/k /root/c
}
"""
# An engine keeps what it lists when the key is gone: only an empty list takes it away.
CLEAN = (
    UNTIL_SO
    + """
printf '{"insecure-registries": [], "registry-mirrors": []}' >/etc/docker/daemon.json
forgets() { systemctl reload docker; ! docker info | grep -E 'own[.]test|r[.]test|m[.]test'; }
until_so 'the engine to forget its registries' forgets
rm -rf /etc/docker /etc/registry-runbook /opt/data /etc/sysctl.d/99-registry-runbook.conf /root/[kc]
rm -f /etc/nginx/sites-enabled/theirs
cp /root/hosts.before /etc/hosts; cp -a /root/docker.before /etc/docker
systemctl reload docker; systemctl enable docker.service; sysctl -qw net.ipv4.ip_forward=1
docker rm --force theirs registry; docker volume rm theirs registry_registry-data
docker network rm theirs beside registry_default
"""
)
# The basic registry lays its storage out in a data folder that was there: what is in that is its user's.
WRITTEN_BY_REGISTRY = "+ opt/data/registry/docker/registry"
PARAMETERS = (
    (),
    ("-p", "insecure_registries", "[r.test:5000, own.test:5000]", "-p", "registry_mirrors", "[https://m.test]"),
    ("-p", "proxy", "nginx", "-p", "proxy_layer_megabytes", "2"),
    ("-p", "port", "5443", "-p", "compose_project", "ours", "-p", "basic_container", "ours", "-p", "data_volume", "d"),
)


IMAGE_OF_THEIRS = """
built=$(docker images --format '{{.Repository}}:{{.Tag}}' registry-runbook/docker-registry)
docker tag $built registry:3.1.2; docker image rm $built
rm -r /var/lib/registry-runbook
cp /etc/hosts /root/hosts.before; cp -a /etc/docker /root/docker.before
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Give a host that has the registry's image already: so it is never taken away."""
    with start_with_project("trixie-nginx") as ready:
        assert run(ready, "10-host").error is None
        assert run(ready, "90-tear-down").error is None
        ready.run("sh", "-ec", IMAGE_OF_THEIRS)
        yield ready


def arrange(host: Host, drawn: random.Random) -> list[str]:
    """Bring one state about, and return what is in it."""
    chosen = {name: how for name, how in FOREIGN.items() if drawn.random() < 0.4}
    chosen |= {name: how for name, how in OBSTACLES.items() if drawn.random() < 0.08}
    for how in chosen.values():
        mode, owner = drawn.choice(["600", "640", "644", "400", "755"]), drawn.choice(["0:0", "1:2", "33:33"])
        host.run("sh", "-ec", f"MODE={mode} OWNER={owner}\n{SHELL}\n{how}")
    return list(chosen)


def test_run_and_tear_down_give_each_host_back(host: Host, subtests: pytest.Subtests) -> None:
    """Fails where anything of somebody else's is lost, changed or left otherwise, whether or not the run could end.

    A tear-down before any run changes nothing, and so does a second one.
    """
    runs_done = 0
    for number in range(ALL if tries_all() else SAMPLE):
        drawn = draws.source("states", str(number))
        with subtests.test(state=number):
            chosen = arrange(host, drawn)
            given = drawn.choice(PARAMETERS)
            before = everything(host)
            assert run(host, "90-tear-down", *NAMED).changes == []
            assert differences(before, everything(host)) == []
            done = run(host, *given, check=False)
            runs_done += done.error is None
            torn = run(host, "90-tear-down", *NAMED, check=False)
            told = f"{number}: {', '.join(chosen)}; {given}; {done.error}"
            print(told)  # noqa: T201 (what was drawn)
            assert (torn.error, torn.failed) == (None, []), told
            left = differences(before, everything(host))
            assert [line for line in left if not line.startswith(WRITTEN_BY_REGISTRY)] == [], told
            assert run(host, "90-tear-down", *NAMED).changes == []
        host.run("sh", "-c", CLEAN, check=False)  # not all of it was there
    print(f"{runs_done} runs came to their end")  # noqa: T201


@pytest.mark.one_of("ways back")
@pytest.mark.parametrize("recipe", draws.one_of(KINDS, "several"))
def test_one_tear_down_without_parameters_takes_back_what_several_runs_have_made(
    new_host: NewHost, recipe: str
) -> None:
    """Fails where what other parameters made is left, or not named as left over before."""
    host = new_host(recipe)
    before = everything(host)
    lan = ("-p", "basic_address", "0.0.0.0", "-p", "insecure_registries", f"[{host.address}:5000]")  # noqa: S104
    front = ("-p", "proxy", "nginx", "-p", "proxy_layer_megabytes", "2") if recipe == "trixie-nginx" else ()
    assert run(host, *lan, *front).error is None
    assert run(host, "70-clients", *lan, *front, "-p", "client_kit_directory", "/srv/kit").error is None
    if recipe != "plain":
        script_run(host, "prove", "--no-image", "--install-timer", *front)
    other = ("-p", "domain", "other.test", "-p", "port", "8443", "-p", "registry_mirrors", "[https://m.test]")
    told = script_run(host, *other, *front).stderr
    assert "Another deployment stands here: registry.test. If you go on, 50-compose replaces its container" in told

    assert "stands here" not in script_run(host, "prove", "--no-image", *front).stderr
    planned = json.loads(script_run(host, "plan", "--json").stdout)
    assert [(item["notebook"], item["changes"]) for item in planned if item["changes"]] == []
    assert run(host, "00-index", *other, *front).error is None
    left = json.loads(script_run(host, "ledger", "--json").stdout)
    names = {entry["thing"]["name"] for entry in left}
    assert {"/etc/docker/registry/ssl/registry.test.pem", "/srv/kit/ca.crt"} <= names
    assert ("registry-runbook-prove.timer" in names) is (recipe != "plain")
    shown = host.run("sh", "-c", LEFT_OVER, directory=PROJECT).stdout
    assert "/etc/docker/registry/ssl/registry.test.pem" in shown
    assert "other.test.pem" not in shown

    torn = run(host, "90-tear-down", *NAMED)
    assert (torn.error, torn.failed) == (None, [])
    compared = without_times if recipe == "plain" else list  # apt writes again what all packages share
    assert differences(compared(before), compared(everything(host))) == []
    assert script_run(host, "ledger").stdout == "Nothing of the runbook's is here.\n"


LEFT_OVER = """.venv/bin/python -c '
from runbook.display import overview
from runbook.model.parameters import read
print(overview.left_over_table(read({"domain": "other.test", "port": 8443}, where="a test")).text())'"""


# It marked a daemon.json that was not there before, and had no ledger.
AS_AN_EARLIER_VERSION_LEFT_IT = """
rm -r /var/lib/registry-runbook; touch /etc/docker/daemon.json.made-by-registry-runbook
"""


@pytest.mark.one_of("ways back")
def test_host_of_an_earlier_version_gets_a_ledger_from_its_marks(new_host: NewHost) -> None:
    """Fails where what an earlier version made, which had no ledger, is left, or something without a mark goes."""
    host = new_host("trixie")
    host.run("sh", "-c", "mkdir -p /etc/docker/registry; echo theirs >/etc/docker/registry/notes")
    before = everything(host)
    assert run(host, "-p", "insecure_registries", "[r.test:5000]").error is None
    host.run("sh", "-c", AS_AN_EARLIER_VERSION_LEFT_IT)
    again = run(host, "-p", "insecure_registries", "[r.test:5000]", "-p", "port", "5443")
    assert (again.error, again.failed) == (None, [])
    assert "that carry the runbook's mark" in again.changes[0]
    host.run("sh", "-c", AS_AN_EARLIER_VERSION_LEFT_IT)
    torn = run(host, "90-tear-down", *NAMED, "-p", "insecure_registries", "[r.test:5000]")
    assert (torn.error, torn.failed) == (None, [])
    assert differences(without_times(before), without_times(everything(host))) == []
