"""Checks of the surroundings: what becomes of a claim's result; the claims themselves need an engine."""

from pathlib import Path

import pytest

from runbook.diagnosis import surroundings_checks
from runbook.model.parameters import Parameters
from runbook.proof.surroundings import NotVisibleError
from runbook.system.docker import engine

from .situations import CLIENT, NO, OPEN, YES, Case, case


def result(_: engine.Client, parameters: Parameters) -> list[str]:
    """Return what contradicts a claim: here, the parameters name it."""
    if parameters.realm == "unseen":
        raise NotVisibleError("only root sees it")
    return [item for item in ("a", "b") if parameters.realm == "wrong"]


CHECK = surroundings_checks._check(result, "Try it.")  # noqa: SLF001 (each check of the module is made by it)


@pytest.mark.parametrize(
    "row",
    [
        case(CHECK, "wrong", YES, "a; b", values={"realm": "wrong"}, _engine=(CLIENT, "")),
        case(CHECK, "right", NO, "nothing was found", values={"realm": "right"}, _engine=(CLIENT, "")),
        case(CHECK, "unseen", OPEN, "only root sees it", values={"realm": "unseen"}, _engine=(CLIENT, "")),
        case(CHECK, "no-engine", OPEN, "the engine cannot be asked", values={"realm": "wrong"}),
    ],
)
def test_claim_s_result_is_the_finding(tmp_path: Path, row: Case) -> None:
    """Fails if what contradicts a claim is not named, or what cannot be seen decides."""
    assert row.found(tmp_path) == row.expected
