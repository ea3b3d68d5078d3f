"""The stored outputs of the notebooks against those of a new host, by nbval."""

import pytest

from tests.notebooks.record import PROJECT, clean

from .lab import Completed, Host, NewHost

CHANGED = "/root/changed/30-certificates.ipynb"


def validate(host: Host, *notebooks: str) -> Completed:
    """Run notebooks on the host with nbval, which compares each cell's outputs with the stored ones."""
    sanitize = ("--nbval-sanitize-with", "tests/notebooks/sanitize.cfg", "--nbval-cell-timeout", "300")
    own = ("-c", "/dev/null", "--rootdir", ".", "-p", "no:cacheprovider")
    return host.run(
        *(".venv/bin/python", "-m", "pytest", *own, "--nbval", *sanitize, *notebooks),
        directory=PROJECT,
        check=False,
        timeout_seconds=600,
    )


@pytest.mark.parametrize("recipe", ["bookworm", "trixie"])
def test_notebooks_give_stored_outputs(new_host: NewHost, recipe: str) -> None:
    """Fails where a run from bare to proven shows anything but what the repository stores; and where nbval would not.

    The second half stores the outputs of a second run, which pass, and changes one of them, which must not.
    """
    host = new_host(recipe)
    host.run("script/setup", "--development", directory=PROJECT, timeout_seconds=300)
    first = validate(host, "notebooks")
    assert first.code == 0, first.stdout
    host.run("mkdir", "/root/changed")
    for _ in range(2):  # the tear-down came last: the first run makes the certificates again, the second is stored
        host.run(".venv/bin/papermill", "notebooks/30-certificates.ipynb", CHANGED, directory=PROJECT)
    stored = clean(host.read(CHANGED))
    host.write(CHANGED, stored)
    second = validate(host, CHANGED)
    assert second.code == 0, second.stdout
    altered = stored.replace("  passed", "  skipped", 1)  # in the text of a table
    assert altered != stored
    host.write(CHANGED, altered)
    third = validate(host, CHANGED)
    assert third.code == 1
    assert "skipped" in third.stdout
