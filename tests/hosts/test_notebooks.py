"""The stored outputs of the notebooks against those of new hosts, by nbval.

The document's own values run on one of two kinds of host, by the session's seed; on both with `script/test --all`.
"""

import copy
import json
import re
from typing import Any

import pytest

from runbook.catalogue import NOTEBOOKS, names
from tests import draws
from tests.notebooks.record import DOCUMENT, PROJECT
from tests.notebooks.table import dump

from .lab import PROJECT as HERE
from .lab import Completed, Host, NewHost

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
BOTH = [("bookworm", "192.168.1.3"), ("trixie", "192.168.1.4")]


@pytest.mark.parametrize(("recipe", "address"), draws.one_of(BOTH, "document"))
def test_notebooks_give_stored_outputs_of_the_document(new_host: NewHost, recipe: str, address: str) -> None:
    """Fails where a run of the document's own values, from bare to proven, shows anything but what is stored of it."""
    done = validate(new_host(recipe, address=address, set_up="development"), str(DOCUMENT.relative_to(HERE)))
    assert done.code == 0, done.stdout


def test_notebooks_give_their_stored_outputs_and_a_changed_one_fails(new_host: NewHost) -> None:
    """Fails where a run of the defaults shows anything but what the notebooks store, or nbval misses a change in one.

    Each notebook is run with one cell more, of which what is stored is not what it shows: that one must fail, alone.
    """
    host, expected = new_host("bookworm", address="192.168.1.5", set_up="development"), []
    for name in names():
        notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
        host.write(f"{PROJECT}/{CHANGED}/{name}.ipynb", with_changed_copy(notebook))
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        expected.append(f"{name}.ipynb::Cell {len(code)}")  # the cell after the last, counted from 0
    done = validate(host, CHANGED, "-rf")
    assert expected == re.findall(rf"^FAILED {CHANGED}/(.*::Cell \d+)", done.stdout, re.MULTILINE), done.stdout
