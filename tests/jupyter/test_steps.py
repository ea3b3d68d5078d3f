"""The order of a notebook's steps, in a real kernel: a plan is used once, and nothing acts after a cell that failed."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from tests import draws, interactive_kernel

BEGIN = """
import pathlib
import types
from runbook.changes import files, ledger
from runbook.jupyter import cells
_made = pathlib.Path({made!r})
section = types.ModuleType("section")
section.gather = lambda parameters: _made.exists()
section.plan = lambda parameters, exists: [] if exists else [files.MakeDirectory(path=_made, mode=0o700)]
section.check = lambda parameters: []
ledger.FOLDER = pathlib.Path({ledger!r})
"""
PARAMETERS = "port: int = 443"
LOAD = "parameters = cells.load(globals())"
PLAN = "changes = cells.plan(section, parameters)"
APPLY = "cells.apply(changes, parameters)"
VERIFY = "cells.verify(section, parameters)"
STEPS = (PARAMETERS, LOAD, PLAN, APPLY, VERIFY)
# A cell that fails, in the place of each step before Apply.
FAILING = {
    "parameters": ("port: int = prt", *STEPS[1:]),
    "misspelt": ("prt: int = 444", *STEPS[1:]),
    "plan": (PARAMETERS, LOAD, "changes = cells.plan(no_section, parameters)", *STEPS[3:]),
    "between": (PARAMETERS, LOAD, PLAN, "1 / 0", *STEPS[3:]),
}
Run = Callable[..., list[str]]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return the folder that the plan makes."""
    return tmp_path / "made"


@pytest.fixture(scope="module")
def client() -> Iterator[BlockingKernelClient]:
    """Give a kernel that was not started by a headless run."""
    with interactive_kernel.start() as started:
        yield started


@pytest.fixture
def run(client: BlockingKernelClient, made: Path) -> Run:
    """Return what sends cells to the kernel, some seconds apart, without a wait, and returns their errors, or ''."""

    def send(*cells: str, apart: float = 0) -> list[str]:
        asked = []
        for cell in cells:
            asked.append(client.execute(cell, stop_on_error=False, allow_stdin=True))
            time.sleep(apart)
        replies = [reply(client, message) for message in asked]
        return ["" if said["status"] == "ok" else f"{said['ename']}: {said['evalue']}" for said in replies]

    assert send(BEGIN.format(made=str(made), ledger=f"{made}.ledger")) == [""]
    return send


def reply(client: BlockingKernelClient, asked: str) -> dict[str, str]:
    """Return the content of the reply to a request."""
    while (message := client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != asked:
        pass
    content: dict[str, str] = message["content"]
    return content


def test_plan_is_applied_once(run: Run, made: Path) -> None:
    """Fails if a second Apply makes again what somebody has removed since, or the steps in order do not act."""
    assert run(*STEPS) == [""] * 5
    made.rmdir()
    [error] = run(APPLY)
    assert "found one that an earlier Apply took" in error
    assert run(VERIFY) != [""]  # nothing was made anew, so it does not hold
    assert not made.exists()
    assert run(PLAN, APPLY, VERIFY) == [""] * 3
    assert made.exists()


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ((LOAD, APPLY), "none: Plan has failed, or not run since Load"),
        ((PLAN, VERIFY), "Apply to have ended without an error"),
        (("changes = list(changes)", APPLY), "a plan that was made from the values loaded last"),
        (("parameters = parameters.model_copy()", PLAN), "the values of the cell Load"),
    ],
    ids=["load-apply", "plan-verify", "another-plan", "other-values"],
)
def test_step_without_the_one_before_it_does_nothing(run: Run, made: Path, cells: tuple[str, ...], told: str) -> None:
    """Fails if an old plan, or one for other values, is applied, or a proof follows what was not applied."""
    assert run(LOAD, PLAN) == ["", ""]
    assert told in run(*cells)[-1]
    assert not made.exists()


def test_misspelt_name_is_forgotten_once_it_is_corrected(run: Run) -> None:
    """Fails if a name stays refused after its line was corrected, or is ignored where it was not."""
    refused = run("prt: int = 444", LOAD)[1]
    assert "prt" in refused
    assert run(LOAD) == [refused]
    assert run("prt: int = 444", LOAD)[1] == refused
    assert run(PARAMETERS, LOAD) == ["", ""]


@pytest.mark.parametrize(("typed", "removed"), [("r.test", True), ("", False), ("other.test", False)])
def test_apply_that_asks_acts_only_on_what_it_asks_for(
    client: BlockingKernelClient, run: Run, made: Path, typed: str, *, removed: bool
) -> None:
    """Fails if Run All takes something away, or what was typed for another registry does."""
    assert run(PARAMETERS, LOAD, PLAN) == [""] * 3
    asked = client.execute("cells.apply(changes, parameters, typed='r.test')", stop_on_error=False, allow_stdin=True)
    assert "Type r.test to go on" in client.get_stdin_msg(timeout=60)["content"]["prompt"]
    assert not made.exists()
    client.input(typed)
    content = reply(client, asked)
    assert (content["status"] == "ok", made.exists()) == (removed, removed)
    if not removed:
        assert "r.test to be typed" in content["evalue"]
        assert "an earlier Apply took" in run(APPLY)[0]


@pytest.mark.parametrize("failing", FAILING)
def test_nothing_acts_after_a_failed_cell(run: Run, made: Path, failing: str) -> None:
    """Fails if a kernel that goes on with a request of a moment later makes what an earlier Plan has planned."""
    assert run(PARAMETERS, LOAD, PLAN) == [""] * 3  # its values and its plan are still in the notebook's names
    source = draws.source("requests", failing)
    for _ in range(draws.count_examples() // len(FAILING)):
        errors = run(*FAILING[failing], apart=source.uniform(0, 0.03))
        assert [error for error in errors if error] != []
        assert not made.exists(), errors
    assert run(*STEPS) == [""] * 5
    assert made.exists()
