"""What the notebooks do where a person runs them, and not where nobody does: told by a real kernel."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from tests import interactive_kernel

LOAD = """
from pathlib import Path
from runbook.jupyter import cells
cells.MINE = Path({mine!r})
domain: str = "registry.test"
port: int = {port}
parameters = cells.load({{"domain": domain, "port": port}})
found = (cells.is_interactive(), parameters.domain, parameters.port)
assert found == {expected!r}, found
"""


@pytest.fixture
def client() -> Iterator[BlockingKernelClient]:
    """Give a kernel that was not started by a headless run."""
    with interactive_kernel.start() as started:
        yield started


@pytest.mark.parametrize(
    ("asks", "port", "expected"),
    [
        pytest.param(True, 443, (True, "images.example.org", 5443), id="person"),
        pytest.param(True, 6443, (True, "images.example.org", 6443), id="person-who-changed-the-cell"),
        pytest.param(False, 443, (False, "registry.test", 443), id="papermill"),
    ],
)
def test_load_takes_the_form_s_file_where_a_person_runs_it(
    client: BlockingKernelClient, tmp_path: Path, port: int, expected: tuple[bool, str, int], *, asks: bool
) -> None:
    """Fails if the form's file does not count in JupyterLab, wins over the cell, or counts without a person."""
    mine = tmp_path / "mine.yml"
    mine.write_text('domain: "images.example.org"\nport: 5443\nusername: "guest"\n', encoding="utf-8")
    code = LOAD.format(mine=str(mine), port=port, expected=expected)
    answer = client.execute_interactive(code, allow_stdin=asks, timeout=60)
    assert answer["content"]["status"] == "ok", answer["content"].get("evalue")


def test_load_names_the_form_s_file_in_its_errors(client: BlockingKernelClient, tmp_path: Path) -> None:
    """Fails if a reader is sent to the notebook for what a file says."""
    mine = tmp_path / "mine.yml"
    mine.write_text("prt: 1\n", encoding="utf-8")
    answer = client.execute_interactive(
        LOAD.format(mine=str(mine), port=443, expected=()), allow_stdin=True, timeout=60
    )
    assert f"prt = 1 (set in {mine}). To repair: write port" in answer["content"]["evalue"]
