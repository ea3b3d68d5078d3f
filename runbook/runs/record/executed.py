"""An executed notebook, read back: the data behind its tables, and papermill's times of its cells."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runbook.display import tables
from runbook.model.errors import InterruptError
from runbook.model.redaction import redact
from runbook.runs.record.cells import Cell, headings, note, notebook, title
from runbook.runs.record.model import Change, Diagnosis, Ending, NotebookRun, Outcome, Proof, Step

INTERRUPTED = "KeyboardInterrupt: "  # what the kernel says of a cell that was interrupted
_ANSWER = "shell.execute_reply"  # nbclient's time of it
UNFINISHED = "cut off before its end; run it again, it goes on from here"


def read(path: Path) -> NotebookRun:
    """Return what an executed notebook did; one that never came to its end is `interrupted`."""
    found = notebook(path)
    times = found["metadata"].get("papermill", {})
    error = next(_errors(found["cells"]), None)
    if error is None and not all(_was_answered(cell) for cell in found["cells"]):
        error = INTERRUPTED
    result, error = ending(error)
    records = list(_records(found["cells"]))
    changed_at = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    return NotebookRun(
        notebook=path.stem,
        title=title(found["cells"]),
        output=path,
        result=result,
        started=_moment(times["start_time"]) if times.get("start_time") else changed_at,
        seconds=times.get("duration") or 0.0,
        steps=tuple(_steps(found["cells"])),
        changes=tuple(Change(**item) for record in records for item in record.get("changes", ())),
        outcomes=tuple(Outcome(**item) for record in records for item in record.get("outcomes", ())),
        results=tuple(Proof(**item) for record in records for item in record.get("results", ())),
        waits=next((record["waits"] for record in records if record.get("waits")), None),
        error=error,
        note=redact(note(found["cells"])),
        diagnosis=tuple(_confirmed(records)),
    )


def _confirmed(records: Sequence[Mapping[str, Any]]) -> Iterator[Diagnosis]:
    """Yield the confirmed causes of the diagnoses that the cells show."""
    for item in (item for record in records for item in record.get("causes", ())):
        if item["confirmed"]:
            yield Diagnosis(**{name: item[name] for name in Diagnosis.model_fields})


def ending(error: str | None) -> tuple[Ending, str | None]:
    """Return how a notebook ended that gave this error, and the error as a user reads it."""
    if error == INTERRUPTED:
        return "interrupted", UNFINISHED
    if error and error.startswith(f"{InterruptError.__name__}: "):
        return "interrupted", error
    return ("failed" if error else "done"), error


def parameters(path: Path) -> dict[str, Any]:
    """Return the parameters that papermill gave to an executed notebook."""
    return dict(notebook(path)["metadata"].get("papermill", {}).get("parameters", {}))


def _records(found: Sequence[Cell]) -> Iterator[Mapping[str, Any]]:
    """Yield the data behind each table that the cells show."""
    for cell in found:
        for output in cell.get("outputs", ()):
            if record := output.get("metadata", {}).get(tables.RECORD):
                yield record


def _errors(found: Sequence[Cell]) -> Iterator[str]:
    for cell in found:
        for output in cell.get("outputs", ()):
            if output["output_type"] == "error":
                yield f"{output['ename']}: {output['evalue']}"


def _was_answered(cell: Cell) -> bool:
    """Return whether the kernel has answered that a cell's code is done, or there is no code in it."""
    return cell["cell_type"] != "code" or not cell["source"].strip() or _ANSWER in cell["metadata"].get("execution", {})


def _steps(found: Sequence[Cell]) -> Iterator[Step]:
    """Yield a step for each heading whose code was run."""
    below, begun, ended = "", None, None
    for cell in found:
        if said := headings(cell):
            if begun and ended:
                yield Step(heading=below, started=begun, seconds=(ended - begun).total_seconds())
            below, begun = said[-1], None
        times = cell["metadata"].get("papermill", {})
        if cell["cell_type"] == "code" and times.get("start_time") and times.get("end_time"):
            begun, ended = begun or _moment(times["start_time"]), _moment(times["end_time"])
    if begun and ended:
        yield Step(heading=below, started=begun, seconds=(ended - begun).total_seconds())


def _moment(text: str) -> datetime.datetime:
    """Return papermill's time, which is in UTC also where it does not say so."""
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
