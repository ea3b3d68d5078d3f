"""Hosts with a proven registry: made once by the README's command, stored as an image, and started from that."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from . import newest
from .images import BOOKWORM, TRIXIE, Recipe, has_image, remove_earlier, tag
from .lab import BOOT, ON_HOST, PROJECT, Host, ensure_set_up, list_project, start_host
from .machine import alone, execute
from .product import run

# Each kind has an address for its registry, of TEST-NET-2 (RFC 5737).
PROVEN = {
    "bookworm": replace(BOOKWORM, own_address="198.51.100.2"),
    "trixie": replace(TRIXIE, own_address="198.51.100.3"),
    "newest": replace(TRIXIE, own_address="198.51.100.4"),  # with the registry's newest release, which most people get
}
READ_BY_A_RUN = ("notebooks/", "parameters/", "pyproject.toml", "runbook/", "script/run", "script/setup")
# What a volume holds is in no image, nor what Docker mounts. The product stays, with what Python has compiled of it.
STORE = """
mkdir /var/lib/test-host/etc; cp -a /etc/hosts /etc/hostname /etc/resolv.conf /var/lib/test-host/etc
systemctl stop docker.socket docker.service
tar -c --xattrs --xattrs-include='*' -C /var/lib/docker -f /var/lib/test-host/engine.tar .
find "$1" -mindepth 1 -maxdepth 1 ! -name .venv ! -name runbook -exec rm -rf {} +
"""


def made_from(recipe: Recipe, registry: str) -> str:
    """Return what decides a proven host: its recipe, its registry, how it starts, what a run reads of the project."""
    names = [name for name in list_project() if name.startswith(READ_BY_A_RUN)]
    contents = (f"{name} {hashlib.sha256((PROJECT / name).read_bytes()).hexdigest()}" for name in names)
    return "\n".join((repr(recipe), recipe.own_address, registry, BOOT, STORE, *contents))


def ensure_proven(recipe_name: str) -> str:
    """Return the name of the image of a proven host, made where something of it is new.

    Skips the test where the registry's newest release is wanted, and cannot be had.
    """
    registry = newest.ensure_registry() if recipe_name == "newest" else ""
    recipe, name = PROVEN[recipe_name], f"{recipe_name}-proven"
    with alone(name):
        with alone():
            set_up = ensure_set_up(recipe, "run")
        reference = tag(name, set_up + made_from(recipe, registry))
        if not has_image(reference):
            with start_host(recipe, image=set_up) as host:
                host.copy_project()
                if registry:
                    newest.load(host)
                report = run(host)
                assert (report.error, report.failed) == (None, [])
                store(host, reference)
            remove_earlier(name, but=reference, newest=2)
    return reference


def store(host: Host, reference: str) -> None:
    """Shut a host down, and make an image of it, with what its engine holds."""
    host.run("sh", "-ec", STORE, "store", ON_HOST)
    host.run("systemctl", "poweroff")
    execute("docker", "wait", host.name, timeout_seconds=120)
    execute("docker", "commit", host.name, reference, timeout_seconds=120)


@contextmanager
def start_proven(recipe_name: str) -> Iterator[Host]:
    """Give a host whose registry was proven, and is up."""
    with start_host(PROVEN[recipe_name], image=ensure_proven(recipe_name)) as host:
        host.copy_project()
        answers = ("curl", "-sk", "-o/dev/null", "--retry", "60", "--retry-delay", "1", "--retry-all-errors")
        host.run(*answers, "https://registry.test/v2/", "http://127.0.0.1:5000/v2/")
        yield host
