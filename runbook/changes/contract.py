"""What the module behind a notebook provides."""

from typing import Any, Protocol

from runbook.changes.base import Change
from runbook.model.parameters import Parameters
from runbook.model.results import Result


class Operation(Protocol):
    """An action on a registry (`runbook.operations`); its plan is empty if there is nothing to do."""

    def gather(self, parameters: Parameters) -> Any:  # noqa: ANN401 (each section has facts of its own)
        """Return the facts."""

    def plan(self, parameters: Parameters, facts: Any) -> list[Change]:  # noqa: ANN401 (as above)
        """Return the changes that are needed."""

    def check(self, parameters: Parameters) -> list[Result]:
        """Return the proof."""


class State(Operation, Protocol):
    """A desired state of the host (`runbook.sections`): once its plan is applied, a new plan is empty."""

    def is_made(self, facts: Any) -> bool:  # noqa: ANN401 (as above)
        """Return whether the section has been applied before."""
