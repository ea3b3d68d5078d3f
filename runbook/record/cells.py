"""Read the cells of a notebook as plain JSON: importing nbformat takes two seconds on a slow machine."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runbook.model.redaction import redact
from runbook.system.host import json_text

Cell = Mapping[str, Any]
UNTOUCHED = "*Write here what is to be known of this run: its record keeps it.*"


def notebook(path: Path) -> dict[str, Any]:
    """Return a notebook (nbformat 4), each cell's source as one text; raises ValueError for any other file."""
    found = json_text.read(path.read_text(encoding="utf-8"))
    try:
        for cell in found["cells"]:
            cell["source"] = "".join(cell["source"])  # nbformat allows a text or a list of lines
    except (TypeError, KeyError) as error:
        raise ValueError(f"no notebook: {error}") from error
    return dict(found)


def cells(path: Path) -> list[Cell]:
    """Return the cells of a notebook."""
    return list(notebook(path)["cells"])


def headings(cell: Cell) -> list[str]:
    """Return the headings in a Markdown cell; empty for other cells."""
    return re.findall(r"(?m)^#+ +(.+?) *$", cell["source"]) if cell["cell_type"] == "markdown" else []


def note(found: Sequence[Cell]) -> str:
    """Return the user's note from the cells with the tag `note`, redacted and without headings; empty if none."""
    written = [cell["source"] for cell in found if "note" in cell["metadata"].get("tags", ())]
    return redact(
        "\n".join(re.sub(r"(?m)^#+ .*$", "", text).replace(UNTOUCHED, "").strip() for text in written).strip()
    )


def title(found: Sequence[Cell]) -> str:
    """Return a notebook's first heading, empty if it has none."""
    return next((heading for cell in found for heading in headings(cell)), "")
