"""The stored outputs of the notebooks against those of new hosts, by nbval.

Those of the defaults, or of the document's own values on one of two kinds of host, by the session's seed; all three
with `script/test --all`.
"""

import copy
import json
import re
from typing import Any

import pytest

from runbook.catalogue import NOTEBOOKS, names
from tests import draws
from tests.notebooks.record import DOCUMENT
from tests.notebooks.table import dump

from .lab import Completed, Host, NewHost
from .product import PROJECT, run, script_run

CHANGED = "changed"  # a folder of the project on the host


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


def with_changed_copy(notebook: dict[str, Any]) -> str:
    """Return a notebook with its last output stored a second time, one word of it changed, by a copy of its cell."""
    shown = [cell for cell in notebook["cells"] if cell.get("outputs")]
    added = copy.deepcopy(shown[-1]) | {"id": "changed"}
    added["outputs"][-1]["data"]["text/plain"][-1] += " changed"
    return dump(notebook | {"cells": [*notebook["cells"], added]})


# An address as long as the one in what is stored: the picture in the index breaks its lines by their length.
KINDS = {
    "defaults": ("bookworm", "192.168.1.5", NOTEBOOKS),
    "document, bookworm": ("bookworm", "192.168.1.3", DOCUMENT),
    "document, trixie": ("trixie", "192.168.1.4", DOCUMENT),
}


@pytest.mark.one_of("front ends")
@pytest.mark.parametrize("kind", draws.one_of([*KINDS], "outputs"))
def test_notebooks_give_their_stored_outputs_and_a_changed_one_fails(new_host: NewHost, kind: str) -> None:
    """Fails where a run from bare to proven shows anything but what is stored of it, or nbval misses a change in that.

    Each notebook is run with one cell more, of which what is stored is not what it shows: that one must fail, alone.
    """
    recipe, address, folder = KINDS[kind]
    host, expected = new_host(recipe, address=address, set_up="development"), []
    for name in names():
        notebook = json.loads((folder / f"{name}.ipynb").read_text(encoding="utf-8"))
        host.write(f"{PROJECT}/{CHANGED}/{name}.ipynb", with_changed_copy(notebook))
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        expected.append(f"{name}.ipynb::Cell {len(code)}")  # the cell after the last, counted from 0
    done = validate(host, CHANGED, "-rf")
    assert expected == re.findall(rf"^FAILED {CHANGED}/(.*::Cell \d+)", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.one_of("ways to a run")
def test_nbval_passes_on_a_host_of_ones_own_and_leaves_its_registry(new_host: NewHost) -> None:
    """Fails where a notebook is about another registry than the one that stands there, or takes that one down."""
    host = new_host("trixie", set_up="development")
    assert run(host, "-p", "domain", "images.example.org", "-p", "port", "5443").error is None
    nbval = (".venv/bin/pytest", "--nbval-lax", "notebooks/")
    done = host.run(*nbval, directory=PROJECT, check=False, timeout_seconds=600)
    assert done.code == 0, done.stdout
    planned = json.loads(script_run(host, "plan", "--json").stdout)
    assert [item["notebook"] for item in planned if item["changes"] or item["reason"]] == []
    assert "images.example.org:5443" in script_run(host, "plan", "-p", "port", "443").stderr
