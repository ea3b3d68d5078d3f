"""What is shown while a plan is applied, through a real kernel: a bar in JupyterLab, and nothing in a headless run."""

from pathlib import Path
from typing import Any

import pytest

from tests import interactive_kernel

APPLY = """
from pathlib import Path
from runbook.jupyter import cells, steps
from runbook.changes.files import MakeDirectory
from runbook.changes import ledger
from runbook.model.parameters import Parameters
ledger.FOLDER = Path({place!r} + ".ledger")
changes = [MakeDirectory(path=Path({place!r}) / name, mode=0o700) for name in ("a", "<b>", "c")]
parameters = Parameters()
steps.end_load(parameters)
steps.end_plan(changes)
cells.apply(changes, parameters)
"""


def shown(place: Path, *, asks: bool, headless: bool = False) -> list[tuple[str, Any]]:
    """Return the messages of a kernel that applies three changes below a place, by type, with what they show.

    `asks` is whether its front end can be asked, as JupyterLab can, and papermill cannot.
    """
    found: list[tuple[str, Any]] = []
    with interactive_kernel.start(headless=headless) as client:
        client.execute_interactive(
            APPLY.format(place=str(place)),
            allow_stdin=asks,
            timeout=60,
            output_hook=lambda message: found.append((message["msg_type"], message["content"])),
        )
    return [message for message in found if message[0] not in ("status", "execute_input")]


def test_apply_names_each_change_in_jupyterlab_and_leaves_only_its_table(tmp_path: Path) -> None:
    """Fails if somebody who waits does not see for what, in which order, or a bar stays in the notebook."""
    messages = shown(tmp_path, asks=True)
    kinds = ["display_data", *["update_display_data"] * 3, "clear_output", "display_data"]
    assert kinds == [kind for kind, _ in messages]
    texts = [content["data"]["text/html"] for _, content in messages[1:4]]
    assert [text for text in texts if "<b>" in text] == []
    for number, (name, text) in enumerate(zip(("a", "&lt;b&gt;", "c"), texts, strict=True), start=1):
        assert f"value='{number - 1}'" in text
        assert f"{number} of 3: make the folder {tmp_path}/{name} (0700)" in text
    assert messages[4][1] == {"wait": True}
    assert "✓ done" in messages[5][1]["data"]["text/html"]


@pytest.mark.parametrize(
    "headless", [pytest.param(True, id="runner-inside-jupyterlab"), pytest.param(False, id="papermill")]
)
def test_apply_shows_only_its_table_in_a_headless_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, headless: bool
) -> None:
    """Fails if a stored output depends on how long a change takes: nbval fails on what is updated in place."""
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/40-configuration.ipynb")  # a cell may start papermill
    [(kind, content)] = shown(tmp_path, asks=headless, headless=headless)
    assert (kind, sorted(content["data"])) == ("display_data", ["text/html", "text/plain"])
    assert "progress" not in content["data"]["text/html"]
