"""The commands that a plan shows, typed by somebody who leaves the runbook: they lead to the same registry."""

import pytest

from tests import draws

from .lab import NewHost
from .product import script_run

BOTH = ["bookworm", "trixie"]
ROUNDS = 8  # a section that waits for another has its commands in the next plan


@pytest.mark.one_of("ways to a run")
@pytest.mark.parametrize("recipe", draws.one_of(BOTH, "by hand"))
def test_commands_of_the_plans_make_a_proven_registry(new_host: NewHost, recipe: str) -> None:
    """Fails where a command is wrong, or makes something else than the runbook does: no change may be left."""
    host = new_host(recipe)
    host.run("apt-get", "-qq", "update")
    host.run("apt-get", "-qq", "install", "-y", "--no-install-recommends", "apache2-utils")
    for _ in range(ROUNDS):
        script = script_run(host, "plan", "--by-hand").stdout
        if all(line.startswith("#") for line in script.splitlines()):
            break
        host.run("sh", "-eu", "-c", "cat >/root/by-hand; sh -eu /root/by-hand", input_text=script, timeout_seconds=300)
    assert ": done" in script, script
    proven = script_run(host, "prove")
    assert "FAILED" not in proven.stdout
    assert host.run("test", "-e", "/var/lib/registry-runbook", check=False).code == 1  # nothing but a plan, and a proof
