"""A user with sudo: root gets the changes that need it, in one call a notebook, and nothing else."""

import json
import re
from collections.abc import Iterator

import pytest

from .conftest import start_with_project
from .lab import Completed, Host
from .product import Report, snapshot

HOME = "/home/deputy"
PROJECT = f"{HOME}/registry-runbook"
SUDOERS = "/etc/sudoers.d/deputy"
HANDED_OVER = f"{PROJECT}/.venv/bin/python3 -m runbook.changes.root"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Give a host where the project belongs to a user of the group docker, who may use sudo without a password."""
    with start_with_project("trixie", set_up="") as ready:
        ready.run("useradd", "--create-home", "--groups", "docker", "--shell", "/bin/bash", "deputy")
        ready.write(SUDOERS, "deputy ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
        ready.run("cp", "-r", "/root/registry-runbook", PROJECT)
        ready.run("chown", "-R", "deputy:", PROJECT)
        yield ready


def as_deputy(host: Host, *argv: str, check: bool = True) -> Completed:
    """Run a command in the project as that user."""
    own = (f"HOME={HOME}", "PATH=/usr/local/bin:/usr/bin:/bin", f"UV_CACHE_DIR={HOME}/.cache/uv")
    user = ("runuser", "-u", "deputy", "--", "env", *own)
    return host.run(*user, *argv, directory=PROJECT, check=check, timeout_seconds=900)


def run(host: Host, *arguments: str, check: bool = True) -> Report:
    """Run notebooks by `./script/run … --json` as that user."""
    return Report(data=json.loads(as_deputy(host, "./script/run", *arguments, "--json", check=check).stdout))


def calls_of_sudo(host: Host) -> list[str]:
    """Return the commands that sudo has run, in their order, as it writes them to the journal."""
    written = host.run("journalctl", "_COMM=sudo", "-o", "cat", "--no-pager").stdout
    return re.findall(r"COMMAND=(\S+(?: \S+)*)", written)


def test_user_with_sudo_proves_registry_then_changes_nothing(host: Host) -> None:
    """Fails where a notebook needs root as a whole, calls sudo once a change, or keeps private files from the user."""
    first = run(host)
    assert (first.error, first.failed) == (None, [])
    assert len(first.results) == 65
    calls = calls_of_sudo(host)
    handed = [call for call in calls if "runbook.changes.root" in call]
    changed = [notebook["notebook"] for notebook in first.data["notebooks"] if notebook["outcomes"]]
    assert len(changed) == 6 - 1  # 60-push-pull makes no change
    assert 1 < len(handed) <= len(changed)
    looked = [call for call in calls if "runbook.changes.root" not in call]
    assert {call.partition(" ")[0].rpartition("/")[2] for call in looked} <= {"iptables", "apt-get", "env"}

    owners = host.run("find", "/etc/registry-runbook", "/etc/docker/registry", "-printf", "%u %m %p\n").stdout
    private = [line.split() for line in owners.splitlines() if line.split()[1] in {"600", "700"}]
    assert {owner for owner, *_ in private} == {"deputy"}
    assert "/etc/registry-runbook/ca/ca.key" in [path for *_, path in private]

    as_it_was = snapshot(host)
    second = run(host)
    assert (second.error, second.changes, second.failed) == (None, [], [])
    assert snapshot(host) == as_it_was
    assert [call for call in calls_of_sudo(host)[len(calls) :] if "runbook.changes.root" in call] == []


def test_user_whose_sudo_asks_is_told_before_anything_changes(host: Host) -> None:
    """Fails where a sudo that asks for a password hangs, ends in a traceback, or leaves half a section."""
    host.run("rm", SUDOERS, "/etc/sysctl.d/99-registry-runbook.conf")
    as_it_was = snapshot(host)
    refused = run(host, "10-host", check=False)
    assert "root, or sudo that does not ask for a password" in str(refused.error)
    assert "a password is required" in str(refused.error)
    assert snapshot(host) == as_it_was
    host.write(SUDOERS, "deputy ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    assert run(host, "10-host").changes == ["write /etc/sysctl.d/99-registry-runbook.conf (0644)"]


def test_user_outside_the_group_docker_is_told(host: Host) -> None:
    """Fails where a user who may not speak to the engine is told that there is none."""
    host.run("gpasswd", "--delete", "deputy", "docker")
    refused = run(host, "10-host", check=False)
    assert "this user is not in the group docker" in str(refused.error)
    host.run("gpasswd", "--add", "deputy", "docker")
