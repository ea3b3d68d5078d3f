"""What the records say of a section: when it was last proven on this host, or that its last proof failed."""

import dataclasses
from collections.abc import Sequence

from pydantic import ValidationError

from runbook.display.overview import State
from runbook.model.parameters import Parameters
from runbook.record import folder
from runbook.record.model import NotebookRun, Record

_NEWEST = 20  # records to look through


def with_proofs(states: Sequence[State], parameters: Parameters) -> list[State]:
    """Return the states; a section that is done and whose last proof held is `proven`, with its time and run.

    Only proofs of the same registry count, from this user's newest records. A failed last proof is named.
    """
    last: dict[str, tuple[str, NotebookRun]] = {}
    for place in folder.all_folders()[:_NEWEST]:  # all of them: a walk goes on while other runs begin and end
        record = folder.written(place)
        if record is not None and record.mode == "apply" and _is_about(record, parameters):
            for run in record.notebooks:
                is_newer = run.notebook not in last or run.started > last[run.notebook][1].started
                if is_newer and (run.results or run.error):
                    last[run.notebook] = (place.name, run)
    return [_with_proof(state, *last[state.notebook]) if state.notebook in last else state for state in states]


def _is_about(record: Record, parameters: Parameters) -> bool:
    try:
        return Parameters.model_validate(record.parameters).registry_host == parameters.registry_host
    except ValidationError:  # of a version whose parameters were others
        return False


def _with_proof(state: State, place: str, run: NotebookRun) -> State:
    if state.name != "done":
        return state
    if run.error:
        return dataclasses.replace(state, reason=f"its last run failed: {place}")
    return dataclasses.replace(state, name="proven", reason=f"{run.started:%Y-%m-%d %H:%M} UTC, by the run {place}")
