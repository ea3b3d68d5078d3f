"""What the notebooks store of their last run, and what is stored of one with the document's own values."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from runbook.catalogue import NOTEBOOKS, PROJECT, names
from runbook.model.parameters import load_file

from .record import DOCUMENT

VALUES = load_file(PROJECT / "parameters" / "document.yml")


def code(path: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook that hold code."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("folder", [NOTEBOOKS, DOCUMENT], ids=["defaults", "document"])
def test_notebooks_store_an_output_for_each_call(folder: Path) -> None:
    """Fails where a cell that shows something has no stored output: nbval compares nothing there, and passes."""
    silent = [
        f"{name}: {''.join(cell['source'])}"
        for name in names()
        for cell in code(folder / f"{name}.ipynb")
        if not {"parameters", "injected-parameters"} & {*cell["metadata"].get("tags", ())} and not cell["outputs"]
    ]
    assert silent == []


@pytest.mark.parametrize("name", names())
def test_outputs_of_the_document_are_those_of_the_notebook(name: str) -> None:
    """Fails where what is stored comes of other code than the notebook's, or of other values than the document's."""
    stored = code(DOCUMENT / f"{name}.ipynb")
    [injected] = [cell for cell in stored if cell["metadata"].get("tags") == ["injected-parameters"]]
    stored.remove(injected)
    assert [cell["source"] for cell in code(NOTEBOOKS / f"{name}.ipynb")] == [cell["source"] for cell in stored]
    given: dict[str, object] = {}
    exec("".join(injected["source"]), given)  # noqa: S102 (papermill's own lines, name = value)
    del given["__builtins__"]
    assert given == VALUES | {"confirm": VALUES["domain"]}  # so that the tear-down acts


@pytest.mark.parametrize("folder", [NOTEBOOKS, DOCUMENT], ids=["defaults", "document"])
def test_each_stored_output_says_that_it_is_an_example(folder: Path) -> None:
    """Fails where a reader could take what another host has shown for his own."""
    shown = [
        "".join(text)
        for name in names()
        for cell in code(folder / f"{name}.ipynb")
        for output in cell["outputs"]
        for kind, text in output["data"].items()
        if kind in ("text/html", "text/plain")
    ]
    assert len(shown) > 50
    assert [
        text for text in shown if not re.match(r"(<p><em>|\()Example, recorded 20\d\d-\d\d-\d\d on a test", text)
    ] == []
