"""What the notebooks store of their last run."""

import json

from runbook.runner import NOTEBOOKS, names


def test_notebooks_store_an_output_for_each_call() -> None:
    """Fails where a cell that shows something has no stored output: nbval compares nothing there, and passes."""
    silent = [
        f"{name}: {''.join(cell['source'])}"
        for name in names()
        for cell in json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", ()) and not cell["outputs"]
    ]
    assert silent == []
