"""The order of a notebook's steps: each acts only after the one before it, for the same values, and a plan only once.

A kernel can go on after a failed cell, with requests that arrive a moment later, and a person can run cells in any
order. So no step relies on what a name of the notebook still holds.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import IPython

from runbook.changes.base import Change
from runbook.changes.contract import Operation
from runbook.model.errors import OrderError
from runbook.model.parameters import Parameters

if TYPE_CHECKING:
    from runbook.record.model import Step

_FROM_THE_TOP = "run the cells from Parameters on, one after the other"


@dataclass(kw_only=True, slots=True)
class _State:
    """The last success of each step of this kernel's notebook; `cell` is the number of the last cell with a step."""

    parameters: Parameters | None = None
    changes: Sequence[Change] | None = None
    operation: Operation | None = None
    was_used: bool = False
    was_applied: bool = False
    was_left: bool = False
    cell: int | None = None
    unknown: dict[str, object] = field(default_factory=dict)
    shown: dict[object, Mapping[str, object]] = field(default_factory=dict)
    times: "dict[str, Step]" = field(default_factory=dict)


_state = _State()


class _NotLoaded:
    """What the notebook's `parameters` and `changes` are until Load and Plan have succeeded."""

    def __getattr__(self, name: str) -> object:
        """Raise OrderError, whatever is asked of it."""
        raise _not_loaded()


def begin_load(namespace: MutableMapping[str, object]) -> None:
    """Forget the values and the plan of before; raises OrderError if a cell before this one failed.

    A misspelt name that an earlier Load refused is forgotten too, unless no other cell has run since.
    """
    if _own_failure():
        namespace.update(_state.unknown)
    namespace["parameters"] = namespace["changes"] = _NotLoaded()
    _state.parameters, _state.unknown = None, {}
    _forget_plan()
    _begin()


def forget_unknown(namespace: MutableMapping[str, object], names: Sequence[str]) -> None:
    """Remove names that are no parameters from the notebook: they stay in its kernel after their line is corrected."""
    _state.unknown = {name: namespace.pop(name) for name in names}


def end_load(parameters: Parameters) -> None:
    """Record the values that the next steps must have."""
    _state.parameters = parameters


def begin_plan(parameters: Parameters) -> None:
    """Forget the plan of before; raises OrderError if these are not the values of the last Load."""
    _forget_plan()
    _begin()
    if parameters is not _state.parameters:
        raise _not_loaded()


def add_shown(data: Mapping[str, object]) -> None:
    """Record the data behind a table, in place of what an earlier table of that kind had."""
    _state.shown[data["kind"]] = data


def shown() -> list[Mapping[str, object]]:
    """Return the data behind the tables of the last plan, and of what followed it."""
    return list(_state.shown.values())


def add_time(step: "Step") -> "list[Step]":
    """Record when a step ran, and return all those since the last plan, in their order."""
    _state.times[step.heading] = step
    return list(_state.times.values())


def end_plan(changes: Sequence[Change], operation: Operation | None = None) -> None:
    """Record the plan that Apply may take, and what it is a plan of."""
    _state.changes, _state.operation = changes, operation


def begin_apply(changes: Sequence[Change], parameters: Parameters) -> Operation | None:
    """Use the plan up, and return what it is a plan of.

    Raises OrderError if it is not the plan that was made last, from these values.
    """
    planned, _state.changes = _state.changes, None
    _begin()
    if parameters is not _state.parameters or changes is not planned:
        raise OrderError(
            "a plan that was made from the values loaded last, and not applied yet",
            "one that an earlier Apply took" if _state.was_used else "none: Plan has failed, or not run since Load",
            "run Plan again, read it, then run Apply",
        )
    _state.was_used = True
    return _state.operation


def end_apply(*, was_left: bool = False) -> None:
    """Record that the plan was applied without an error, or left on purpose."""
    _state.was_applied, _state.was_left = True, was_left


def begin_verify(parameters: Parameters) -> bool:
    """Return whether there is something to verify: not if the plan was left on purpose.

    Raises OrderError unless Apply has ended, for the plan of these values.
    """
    _begin()
    if parameters is not _state.parameters or not _state.was_applied:
        raise OrderError(
            "Apply to have ended without an error",
            "that it has failed, or not run since Plan",
            "run Plan and Apply, then Verify",
        )
    return not _state.was_left


def _forget_plan() -> None:
    _state.changes, _state.was_used, _state.was_applied = None, False, False
    _state.shown, _state.times = {}, {}


def _not_loaded() -> OrderError:
    return OrderError("the values of the cell Load", "none: it has failed, or not run since", _FROM_THE_TOP)


def _begin() -> None:
    """Raise OrderError if the cell before this one failed, unless that was a step, which answers for itself."""
    shell = IPython.get_ipython()
    if shell is None:
        return
    before, own = shell.last_execution_result, _own_failure()
    _state.cell = len(shell.user_ns["In"]) - 1  # IPython counts `execution_count` on before, or after, a cell runs
    if before is not None and not before.success and not own:
        error = before.error_in_exec or before.error_before_exec
        raise OrderError(
            "the cell before this one to succeed",
            type(error).__name__,
            f"correct that cell and run it again; or {_FROM_THE_TOP}",
        )


def _own_failure() -> bool:
    """Return whether the cell before this one was a step, and failed."""
    shell = IPython.get_ipython()
    before = shell and shell.last_execution_result
    return bool(before and not before.success and before.execution_count == _state.cell)
