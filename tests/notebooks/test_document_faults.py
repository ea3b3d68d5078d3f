"""The document's faults in three places: the table for people, the tests on a host, and the notebooks."""

import json
import re

import pytest

from runbook.catalogue import PROJECT
from tests.hosts.test_document_faults import ROWS

TABLE = (PROJECT / "docs" / "document-faults.md").read_text(encoding="utf-8")
LISTED = re.findall(r"^\| (\d+) \|.*\| \[([0-9a-z-]+)\]\(\.\./notebooks/\2\.ipynb\) \|$", TABLE, re.MULTILINE)


def test_each_fault_stands_once_in_table_and_tests() -> None:
    """Fails if a fault is missing, stands twice, has the test of another, or is laid to another notebook."""
    assert [int(number) for number, _ in LISTED] == list(range(1, 21))
    assert {int(number): notebook for number, notebook in LISTED} == {key: row[1] for key, row in ROWS.items()}
    assert len({test for test, _, _ in ROWS.values()}) == len(ROWS)


@pytest.mark.parametrize("number", ROWS)
def test_notebook_names_the_fault(number: int) -> None:
    """Fails if the reader of the notebook that repairs a fault is not told of it."""
    _, notebook, words = ROWS[number]
    cells = json.loads((PROJECT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    prose = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert any(words in text for text in prose)
