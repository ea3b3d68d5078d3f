"""What the module behind a notebook does."""

from typing import Any, Protocol

from runbook.changes.base import Change
from runbook.model.parameters import Parameters
from runbook.model.results import Result


class Operation(Protocol):
    """What is done to a registry on request (`runbook.operations`); a plan is empty where there is nothing to do."""

    def gather(self, parameters: Parameters) -> Any:  # noqa: ANN401 (each section has facts of its own)
        """Return the facts."""

    def plan(self, parameters: Parameters, facts: Any) -> list[Change]:  # noqa: ANN401 (as above)
        """Return the changes that are missing."""

    def check(self, parameters: Parameters) -> list[Result]:
        """Return the proof."""


class State(Operation, Protocol):
    """What the host is to be like (`runbook.sections`): once the plan is applied, planning again finds nothing."""

    def is_made(self, facts: Any) -> bool:  # noqa: ANN401 (as above)
        """Return whether the section was carried out before."""
