"""The cells of a notebook, read as plain JSON: nbformat takes two seconds to import on a slow machine."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runbook.system.host import json_text

Cell = Mapping[str, Any]
UNTOUCHED = "*Write here what is to be known of this run: its record keeps it.*"


def notebook(path: Path) -> dict[str, Any]:
    """Return a notebook (nbformat 4), each cell's source as one text; raises ValueError where it is none."""
    found = json_text.read(path.read_text(encoding="utf-8"))
    try:
        for cell in found["cells"]:
            cell["source"] = "".join(cell["source"])  # one text, or a list of lines
    except (TypeError, KeyError) as error:
        raise ValueError(f"no notebook: {error}") from error
    return dict(found)


def cells(path: Path) -> list[Cell]:
    """Return the cells of a notebook."""
    return list(notebook(path)["cells"])


def headings(cell: Cell) -> list[str]:
    """Return the headings in a cell of prose; none where it is code."""
    return re.findall(r"(?m)^#+ +(.+?) *$", cell["source"]) if cell["cell_type"] == "markdown" else []


def note(found: Sequence[Cell]) -> str:
    """Return what somebody wrote in the notebook's cell for it, without its heading; empty where nobody did."""
    written = [cell["source"] for cell in found if "note" in cell["metadata"].get("tags", ())]
    return "\n".join(re.sub(r"(?m)^#+ .*$", "", text).replace(UNTOUCHED, "").strip() for text in written).strip()


def title(found: Sequence[Cell]) -> str:
    """Return a notebook's first heading, or nothing where it has none."""
    return next((said for cell in found for said in headings(cell)), "")
