"""The record as one page of HTML that fetches nothing, for a screen and for paper."""

from runbook.display import tables, templates
from runbook.record import timeline
from runbook.record.model import NotebookRun, Record

# A result differs by its word, its mark and its colour.
_MARKS = {
    "passed": ("good", "✓"),
    "done": ("good", "✓"),
    "FAILED": ("bad", "✗"),
    "failed": ("bad", "✗"),
    "interrupted": ("bad", "■"),
    "left to you": ("open", "→"),
}


def text(record: Record) -> str:
    """Return the page; all text of the run in it is escaped."""
    runs = record.notebooks
    return templates.fill(
        "record/page.html",
        record=record,
        heading=f"Registry runbook: {_verdict(record)}",
        marks=_MARKS,
        say_cell=tables.say_cell,
        facts=_facts(record),
        notebooks=[_notebook(done) for done in runs],
        failed=[done for done in runs if done.error],
        notes=[(done.notebook, done.note) for done in runs if done.note],
        proofs=sorted((row for done in runs for row in _proofs(done)), key=lambda row: row[-1] == "passed"),
        planned=sorted((row for done in runs for row in _planned(done)), key=lambda row: row[0]),
        made=[row for done in runs for row in _made(done)] + [row for done in runs for row in _not_made(done)],
        steps=[
            (done.notebook, bar.name, f"{bar.begins:.2f}", f"{bar.seconds:.2f}")
            for done in runs
            for bar in timeline.bars(done, record)
        ],
        timeline=timeline.drawing(record),
    )


def _verdict(record: Record) -> str:
    if record.result != "done":
        return record.result
    if record.mode == "plan":
        return "planned, nothing was changed"
    return "done, and proven" if any(done.results for done in record.notebooks) else "done"


def _facts(record: Record) -> dict[str, str]:
    runs = record.notebooks
    planned, made = sum(len(done.changes) for done in runs), sum(done.changed for done in runs)
    passed, proofs = sum(done.passed for done in runs), sum(len(done.results) for done in runs)
    return {
        "Begun": f"{record.started:%Y-%m-%d %H:%M:%S} UTC",
        "Took": f"{record.seconds:.1f} s",
        "Registry": record.host.get("registry", "not known"),
        "Host": record.host.get("name", "not known"),
        "Changes": f"{planned} planned, {made} made",
        "Proofs": f"{passed} of {proofs} passed",
        "Folder": str(record.folder),
    }


def _notebook(done: NotebookRun) -> tuple[str, ...]:
    proofs = f"{done.passed} of {len(done.results)}"
    counts = (str(len(done.changes)), str(done.changed), proofs, f"{done.seconds:.1f}")
    return (done.notebook, done.title, done.result, *counts)


def _proofs(done: NotebookRun) -> list[tuple[str, ...]]:
    return [
        (
            done.notebook,
            proof.claim,
            "refused" if proof.refusal else "works",
            proof.expected,
            proof.found,
            "passed" if proof.passed else "FAILED",
        )
        for proof in done.results
    ]


def _planned(done: NotebookRun) -> list[tuple[str, ...]]:
    waits = [(done.notebook, f"cannot be planned yet: {done.waits}")] if done.waits else []
    return [*((done.notebook, change.summary) for change in done.changes), *waits]


def _made(done: NotebookRun) -> list[tuple[str, ...]]:
    return [
        (done.notebook, item.change.summary, item.state, f"{item.seconds:.2f}", item.note) for item in done.outcomes
    ]


def _not_made(done: NotebookRun) -> list[tuple[str, ...]]:
    """Return the changes of a failed notebook without an outcome: the first of them failed, in the plan's order."""
    left = done.changes[len(done.outcomes) :] if done.error else ()
    return [(done.notebook, change.summary, "planned", "", "see what went wrong") for change in left]
