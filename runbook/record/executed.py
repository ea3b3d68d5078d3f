"""Read an executed notebook: the data behind its tables, and papermill's times of its cells."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runbook.display import tables
from runbook.model.errors import InterruptError
from runbook.record.cells import Cell, headings, note, notebook, title
from runbook.record.model import Change, Diagnosis, Ending, NotebookRun, Outcome, Proof, Step

INTERRUPTED = "KeyboardInterrupt: "  # the kernel's error of an interrupted cell
_REPLY = "shell.execute_reply"  # the key of nbclient's timestamp of the kernel's reply
UNFINISHED = "cut off before its end; run it again, it goes on from here"


def read(path: Path) -> NotebookRun:
    """Return the result of an executed notebook; one that did not finish is `interrupted`."""
    found = notebook(path)
    times = found["metadata"].get("papermill", {})
    outputs = [output for cell in found["cells"] for output in cell.get("outputs", ())]
    errors = (f"{item['ename']}: {item['evalue']}" for item in outputs if item["output_type"] == "error")
    error = next(errors, None)
    if error is None and not all(_is_complete(cell) for cell in found["cells"]):
        error = INTERRUPTED
    result, error = ending(error)
    records = [record for output in outputs if (record := output.get("metadata", {}).get(tables.RECORD))]
    changed_at = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    return NotebookRun(
        notebook=path.stem,
        title=title(found["cells"]),
        output=path,
        result=result,
        started=_time(times["start_time"]) if times.get("start_time") else changed_at,
        seconds=times.get("duration") or 0.0,
        steps=tuple(_steps(found["cells"])),
        error=error,
        note=note(found["cells"]),
        **data_behind(records),
    )


def data_behind(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the fields of a NotebookRun that the data behind the tables of a notebook give."""
    return {
        "changes": tuple(Change(**item) for record in records for item in record.get("changes", ())),
        "outcomes": tuple(Outcome(**item) for record in records for item in record.get("outcomes", ())),
        "results": tuple(Proof(**item) for record in records for item in record.get("results", ())),
        "waits": next((record["waits"] for record in records if record.get("waits")), None),
        "diagnosis": tuple(_confirmed(records)),
    }


def _confirmed(records: Sequence[Mapping[str, Any]]) -> Iterator[Diagnosis]:
    """Yield the confirmed causes of the diagnoses in the tables' data."""
    for item in (item for record in records for item in record.get("causes", ())):
        if item["confirmed"]:
            yield Diagnosis(**{name: item[name] for name in Diagnosis.model_fields})


def ending(error: str | None) -> tuple[Ending, str | None]:
    """Return how a notebook with this error ended, and the error message for the user."""
    if error == INTERRUPTED:
        return "interrupted", UNFINISHED
    if error and error.startswith(f"{InterruptError.__name__}: "):
        return "interrupted", error
    return ("failed" if error else "done"), error


def parameters(path: Path) -> dict[str, Any]:
    """Return the parameters that papermill injected into an executed notebook."""
    return dict(notebook(path)["metadata"].get("papermill", {}).get("parameters", {}))


def _is_complete(cell: Cell) -> bool:
    """Return whether a cell has no code, or the kernel's reply to its code has arrived."""
    return cell["cell_type"] != "code" or not cell["source"].strip() or _REPLY in cell["metadata"].get("execution", {})


def _steps(found: Sequence[Cell]) -> Iterator[Step]:
    """Yield a step for each heading with executed code."""
    heading, started, ended = "", None, None
    for cell in found:
        if names := headings(cell):
            if started and ended:
                yield Step(heading=heading, started=started, seconds=(ended - started).total_seconds())
            heading, started = names[-1], None
        times = cell["metadata"].get("papermill", {})
        if cell["cell_type"] == "code" and times.get("start_time") and times.get("end_time"):
            started, ended = started or _time(times["start_time"]), _time(times["end_time"])
    if started and ended:
        yield Step(heading=heading, started=started, seconds=(ended - started).total_seconds())


def _time(text: str) -> datetime.datetime:
    """Parse papermill's time, which is UTC even without an offset."""
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
