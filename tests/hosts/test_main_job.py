"""The main job: from a clean clone to a proven registry on each kind of host, then again with nothing to change."""

import json

import pytest

from tests import draws
from tests.draws import tries_all

from .lab import Host, NewHost
from .product import NAMED, differences, everything, run, script_run, snapshot, without_times

DOCUMENT = ("-f", "parameters/document.yml")
BOTH = ["bare", "plain"]  # none of them has an engine; on one there is systemd, which starts it
CONTAINERD = "trixie, containerd's image store"
RECIPES = draws.one_of(("bookworm", "trixie", CONTAINERD, *BOTH, "sid"), "hosts")
# What Docker 29 has by default. Its snapshots cannot lie on those that the host itself lies on.
USE_CONTAINERD = """
systemctl stop docker.socket docker.service containerd.service
mount -t tmpfs tmpfs /var/lib/containerd
echo '{"features": {"containerd-snapshotter": true}}' >/etc/docker/daemon.json
systemctl start containerd.service docker.service
docker info | grep -q io.containerd.snapshotter
"""


@pytest.mark.parametrize("recipe", RECIPES)
def test_run_proves_registry_then_changes_nothing(new_host: NewHost, recipe: str) -> None:
    """Fails where the README's command does not end with all proven, or a second one changes anything at all.

    bare and plain have no engine: a tear-down that names everything takes it away again. One of the hosts is drawn.
    script/setup has run on all of them; test_readme begins without that, on trixie.
    """
    host = new_host(recipe.partition(",")[0])
    if recipe == CONTAINERD:
        host.run("sh", "-ec", USE_CONTAINERD)
    is_torn_down = recipe in (*BOTH, CONTAINERD)
    before = everything(host) if is_torn_down else []
    assert plan_states(host)["10-host"] == "to do"
    made = host.run("sh", "-c", "ls -d /etc/registry-runbook /etc/docker/registry /opt/data", check=False).stdout
    assert made == ""  # a plan makes none of them

    first = script_run(host)
    assert "FAILED" not in first.stdout
    assert "65 of 65 proofs passed" in first.stdout
    assert_second_run_changes_nothing(host)
    assert set(plan_states(host).values()) == {"done"}

    if is_torn_down:
        torn = run(host, "90-tear-down", *NAMED)
        assert (torn.error, torn.failed) == (None, [])
        assert differences(without_times(before), without_times(everything(host))) == []

    if tries_all() and recipe in ("bookworm", "trixie"):  # test_document_faults runs with them otherwise, and again
        document = run(host, *DOCUMENT)
        assert document.error is None
        assert "issue a server certificate for docker.funet8.com" in " ".join(document.changes)
        assert_second_run_changes_nothing(host, *DOCUMENT)


def plan_states(host: Host) -> dict[str, str]:
    """Return the state of each section, as `plan` finds it."""
    planned = json.loads(script_run(host, "plan", "--json").stdout)
    return {item["notebook"]: item["state"] for item in planned}


def assert_second_run_changes_nothing(host: Host, *arguments: str) -> None:
    """Run again, and compare what is on the host with what was there before; what starts the engine is told."""
    as_it_was = snapshot(host)
    second = run(host, *arguments)
    assert second.error is None
    assert second.changes == []
    assert second.failed == []
    assert len(second.results) == 65
    assert snapshot(host) == as_it_was
    [boot] = [result["found"] for result in second.results if result["claim"] == "the engine starts at boot"]
    assert ("start it at boot yourself" in boot) is (not host.recipe.boots)


CONFLICTING = """
mkdir --parents /root/theirs/DEBIAN
printf '%s\\n' 'Package: theirs' 'Version: 1' 'Architecture: all' 'Maintainer: them <them@example.test>' \\
    'Conflicts: containerd' 'Description: what another engine needs' >/root/theirs/DEBIAN/control
dpkg-deb --build /root/theirs /root/theirs.deb && dpkg --install /root/theirs.deb
"""


def test_no_package_of_somebody_else_s_is_removed_for_the_engine_s(plain: Host) -> None:
    """Fails where apt takes away what conflicts with the engine, or it is not named."""
    plain.run("sh", "-ec", CONFLICTING)
    refused = run(plain, "10-host", check=False)
    assert "apt would remove theirs for them" in str(refused.error)
    assert refused.changes == []
    plain.run("dpkg", "--status", "theirs")
    plain.run("dpkg", "--purge", "theirs")


def test_run_moves_to_another_port(proven_trixie: Host) -> None:
    """Fails where `-p port 5443` does not end proven under that port, or the way back does not."""
    sections = ("30-certificates", "40-configuration", "50-compose", "60-push-pull")
    moved = run(proven_trixie, *sections, "-p", "port", "5443")
    assert moved.failed == []
    assert "a client that verifies reaches registry.test:5443 at an address that is not loopback" in [
        result["claim"] for result in moved.results
    ]
    assert run(proven_trixie, *sections).failed == []
