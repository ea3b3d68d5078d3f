"""The cells of a notebook, read as plain JSON."""

import json
from pathlib import Path

import nbformat
import pytest

from runbook.catalogue import NOTEBOOKS, names
from runbook.record import cells


@pytest.mark.parametrize("name", names())
def test_cells_are_those_that_nbformat_reads(name: str) -> None:
    """Fails if a source that is stored as a list of lines is read otherwise than Jupyter does."""
    path = NOTEBOOKS / f"{name}.ipynb"
    expected = nbformat.read(path, as_version=4).cells  # type: ignore[no-untyped-call] # nbformat leaves it untyped
    assert [cell["source"] for cell in expected] == [cell["source"] for cell in cells.cells(path)]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cells": 1}', '{"cells": [{}]}', '{"cells": [1]}'])
def test_notebook_refuses_what_is_none(text: str, tmp_path: Path) -> None:
    """Fails if a file that was cut off ends in another error than the one that callers expect."""
    path = tmp_path / "10-x.ipynb"
    path.write_text(text, encoding="ascii")
    with pytest.raises(ValueError, match=r"no notebook|Expecting"):
        cells.notebook(path)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        pytest.param({"cell_type": "markdown", "source": "# A `b`\n\ntext"}, ["A `b`"], id="one"),
        pytest.param({"cell_type": "markdown", "source": "text\n## A\n### B "}, ["A", "B"], id="two"),
        pytest.param({"cell_type": "markdown", "source": "text #1"}, [], id="no-heading"),
        pytest.param({"cell_type": "code", "source": "# a comment"}, [], id="code"),
    ],
)
def test_headings_are_those_of_prose(cell: dict[str, str], expected: list[str]) -> None:
    """Fails if a comment in code, or a number in a text, becomes a heading."""
    assert expected == cells.headings(json.loads(json.dumps(cell)))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (f"## Your note\n\n{cells.UNTOUCHED}", ""),
        ("## Your note\n\nBefore the move.\n\n- [x] told the team", "Before the move.\n\n- [x] told the team"),
        (f"## Your note\n\n{cells.UNTOUCHED}\nBefore the move.", "Before the move."),
        ("", ""),
    ],
)
def test_note_is_what_somebody_wrote(source: str, expected: str) -> None:
    """Fails if a note is lost, or what a notebook says of its cell for it is taken for one."""
    prose = {"cell_type": "markdown", "source": "## Verify", "metadata": {}}
    written = {"cell_type": "markdown", "source": source, "metadata": {"tags": ["note"]}}
    assert cells.note([prose, written]) == expected
    assert cells.note([prose]) == ""


@pytest.mark.parametrize("name", names()[1:])
def test_notebook_has_a_cell_for_a_note(name: str) -> None:
    """Fails if a notebook has no place for a note, or the repository holds somebody's."""
    found = cells.cells(NOTEBOOKS / f"{name}.ipynb")
    assert [cell["source"] for cell in found if "note" in cell["metadata"].get("tags", ())] == [
        f"## Your note\n\n{cells.UNTOUCHED}"
    ]
    assert cells.note(found) == ""
