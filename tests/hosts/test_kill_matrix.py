"""SIGKILL before each change of a host: the next run goes on from there, with the same authority, and nothing is left.

The whole matrix with `script/test --all`, on four hosts of each kind; otherwise a sample of it on one of two hosts, by
the session's seed.
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from runbook import catalogue
from tests import draws
from tests.draws import tries_all

from .conftest import start_with_project
from .lab import Completed, Host
from .product import PROJECT

WAY: tuple[str, ...] = (*(item.name for item in catalogue.notebooks() if item.kind == "state"), "70-clients")
FIRST = ("10-host",)  # on a host that does not have the registry's image yet
BACK = ("90-tear-down",)
# What is on a host before, and parameters beside those of all: on one, nginx in front and a daemon.json of its own.
BEFORE = {"bookworm": "", "trixie-nginx": """echo '{"debug": false}' >/etc/docker/daemon.json"""}
IN_FRONT = {"bookworm": {}, "trixie-nginx": {"proxy": "nginx", "proxy_layer_megabytes": 2}}
IMAGE = "registry-runbook/docker-registry"
PARTS = 4 if tries_all() else 1  # of the matrix, each on a host of its own: so they may be tried beside each other
SAMPLE = 1  # places; each takes some twenty seconds
KILLED = 137  # what a shell gives for SIGKILL
CA_KEY = "/etc/registry-runbook/ca/ca.key"
# What a run that was killed may have left, and none that came to its end has: temporary files, probes, test images.
LEFT = r"""
find /etc /opt /tmp /var/lib/registry-runbook -name '*.part' -o -name 'registry-runbook-[0-9]*' 2>/dev/null
docker ps --all --quiet --filter label=org.registry-runbook.section=probe
docker images --quiet --filter label=org.registry-runbook.proof
"""
# What the tear-down takes away or puts back, where data, authority and secrets are named.
MADE = r"""
find /opt/data -mindepth 1 2>/dev/null
find /etc/registry-runbook /etc/docker/registry /etc/docker/daemon.json* /etc/hosts.before* \
  /etc/sysctl.d/99-registry-runbook.conf /opt/registry-client-kit 2>/dev/null
find /etc/nginx -name '*registry-runbook*' 2>/dev/null
ss --no-header --listening --numeric --tcp 'sport = :443'
cat /etc/docker/daemon.json 2>/dev/null
grep registry-runbook /etc/hosts
ls /var/lib/registry-runbook/kept 2>/dev/null
grep --only-matching '"name": "/.*"' /var/lib/registry-runbook/ledger.json 2>/dev/null
docker ps --all --quiet
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """A host, what of `MADE` was there before, and what a run of each route changes on it."""

    host: Host
    part: int
    parameters: Mapping[str, object]
    before: str
    changes: Mapping[tuple[str, ...], list[str]]

    def places(self, route: tuple[str, ...], sample: int) -> list[tuple[tuple[str, ...], int]]:
        """Return a route with each of this part's changes, or with a sample of all that another run can repeat."""
        every = range(1, len(self.changes[route]) + 1)
        chosen = draws.source("kills", self.host.recipe.name, *route)
        return [
            (route, place) for place in (every[self.part :: PARTS] if tries_all() else chosen.sample(every, sample))
        ]


def run(host: Host, parameters: Mapping[str, object], route: tuple[str, ...], *, kill_at: int = 0) -> Completed:
    """Do what the cells of these notebooks do, in a process that is killed before that change."""
    driver = (".venv/bin/python", "-m", "tests.hosts.boundaries", str(kill_at), json.dumps(parameters))
    headless = {"RUNBOOK_HEADLESS": "1"}  # a prompt's words would stand among the changes
    return host.run(*driver, *route, directory=PROJECT, environment=headless, check=False, timeout_seconds=300)


def made(host: Host) -> str:
    """Return what there is of all that the tear-down takes away or puts back."""
    return host.run("sh", "-c", MADE, check=False).stdout


HOSTS = [f"{recipe}-{part}" for recipe in draws.one_of(list(BEFORE), "killed") for part in range(PARTS)]


@pytest.fixture(scope="module", params=HOSTS)
def matrix(request: pytest.FixtureRequest) -> Iterator[Matrix]:
    """Give a host, and what a run of each route changes on it; it ends as the tear-down leaves it, with the image."""
    recipe, _, part = request.param.rpartition("-")
    with start_with_project(recipe) as host:
        parameters = {
            "basic_address": "0.0.0.0",  # noqa: S104 (a container's)
            "insecure_registries": [f"{host.address}:5000"],
            "client_kit_directory": "/opt/registry-client-kit",
            "also_remove": ["data", "basic-data", "authority", "secrets"],
            **IN_FRONT[recipe],
        }
        host.run("sh", "-ec", BEFORE[recipe], timeout_seconds=300)
        before = made(host)
        changes = {}
        for route in (FIRST, BACK, WAY, BACK):  # as it is killed later: each way from where the tear-down leaves a host
            done = run(host, parameters, route)
            assert done.code == 0, done
            changes[route] = done.stderr.splitlines()
        yield Matrix(host=host, part=int(part), parameters=parameters, before=before, changes=changes)


def key_of(host: Host) -> str:
    """Return the fingerprint of the authority's key file; nothing where there is none."""
    return host.run("sha256sum", CA_KEY, check=False).stdout.partition(" ")[0]


def die(matrix: Matrix, route: tuple[str, ...], place: int) -> None:
    """Kill a run of this route before this change."""
    print(f"{route[-1]} {place}: {matrix.changes[route][place - 1]}", flush=True)  # noqa: T201 (where it is)
    killed = run(matrix.host, matrix.parameters, route, kill_at=place)
    if killed.code == 0 and place == len(matrix.changes[route]) == len(killed.stderr.splitlines()) + 1:
        return  # the run that counted had one change more than those after it: there is no such place
    assert (killed.code, "killed before" in killed.stderr) == (KILLED, True), killed


def die_and_go_on(matrix: Matrix, route: tuple[str, ...], place: int) -> None:
    """Kill a run of this route before this change; the next one must come to its end, with the same authority."""
    die(matrix, route, place)
    key = key_of(matrix.host)
    again = run(matrix.host, matrix.parameters, route)
    assert again.code == 0, again
    assert route == BACK or key in ("", key_of(matrix.host))


def test_next_run_goes_on_from_wherever_one_was_killed(matrix: Matrix, subtests: pytest.Subtests) -> None:
    """Fails where a kill leaves a host that the next run does not bring to its end, another CA, or a leftover.

    The next run may be the tear-down, which gives the host back as it was. The test goes on after a place that fails:
    each is named with what was found there.
    """
    host = matrix.host
    print({route[-1]: len(found) for route, found in matrix.changes.items()})  # noqa: T201
    for route, place in matrix.places(FIRST, 1):
        with subtests.test(route=route[-1], place=place):
            assert run(host, matrix.parameters, BACK).code == 0
            host.run("sh", "-c", f"docker images --quiet {IMAGE} | xargs docker image rm --force")
            die_and_go_on(matrix, route, place)
            assert host.run("sh", "-c", LEFT).stdout == ""
    assert run(host, matrix.parameters, BACK).code == 0  # each way begins where the one that was counted began
    for (route, place), back in zip(matrix.places(WAY, SAMPLE), itertools.cycle(matrix.places(BACK, SAMPLE))):
        with subtests.test(route=route[-1], place=place):
            die_and_go_on(matrix, route, place)
            assert host.run("sh", "-c", LEFT).stdout == ""
        with subtests.test(route=back[0][-1], place=back[1]):
            die_and_go_on(matrix, *back)
            assert made(host) == matrix.before
        with subtests.test(route="straight back", place=place):
            die(matrix, route, place)
            assert run(host, matrix.parameters, BACK).code == 0
            assert made(host) == matrix.before
