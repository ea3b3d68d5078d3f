"""docs/faults.md: each of the forty faults once, each with tests that are there."""

import ast
import re
from pathlib import Path

import pytest

from runbook.catalogue import PROJECT

ROWS = re.findall(
    r"^\| (\d+) \| .+ \| .+ \| (.+) \|$", (PROJECT / "docs" / "faults.md").read_text(encoding="utf-8"), re.MULTILINE
)


def names_in(path: Path) -> set[str]:
    """Return the names of the tests in a file; empty where there is no such file."""
    if not path.is_file():
        return set()
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {item.name for item in body if isinstance(item, ast.FunctionDef) and item.name.startswith("test_")}


def test_each_fault_stands_once_in_the_table() -> None:
    """Fails if a fault is left out, stands twice or out of its order."""
    assert [int(number) for number, _ in ROWS] == list(range(1, 41))


@pytest.mark.parametrize(("number", "shown"), ROWS, ids=[number for number, _ in ROWS])
def test_each_fault_is_shown_by_tests(number: str, shown: str) -> None:
    """Fails if a row names no test, or one that is not there."""
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", shown)
    assert named, f"row {number} names no test"
    assert [name for path, name in named if name not in names_in(PROJECT / "tests" / path)] == []
