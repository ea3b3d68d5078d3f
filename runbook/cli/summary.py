"""The summary at the end of a run: changes, proofs, and the path of the record; and the list of runs."""

from collections.abc import Sequence

import click

from runbook.display import tables
from runbook.display.tables import Table
from runbook.model.errors import visible
from runbook.model.words import say
from runbook.record.model import NotebookRun, Record

RUNS = ("begun", "notebooks", "result", "proofs", "folder")  # the JSON keys of a row of `runs_table`
_RESULTS = {"done": "done", "failed": "FAILED", "interrupted": "interrupted"}


def progress(done: NotebookRun) -> str:
    """Return one line for a finished notebook."""
    passed, proofs = done.passed, len(done.results)
    counts = say(f"{len(done.changes)} planned, {done.changed} changed, {passed} of {proofs} proofs passed")
    return f"{say(_RESULTS[done.result])}  {done.notebook}  {counts}  {done.seconds:.1f} s"


def show(record: Record) -> None:
    """Print the table of the proofs (in mode `plan`: of the changes), the counts, and the record's folder."""
    runs, planned = record.notebooks, record.mode == "plan"
    tables.show(_planned(runs) if planned else _proven(runs))
    for outcome in [item for done in runs for item in done.outcomes if item.note]:
        click.echo(visible(f"{say(outcome.change.summary)}: {say(outcome.note)}"))
    if planned:
        told = f"{tables.counted(sum(len(done.changes) for done in runs), 'change')} planned, none made."
    else:
        told = f"{tables.counted(sum(done.changed for done in runs), 'change')} made, {_proofs(runs)} proofs passed."
    click.echo(f"\n{say(told)} {say(f'Record: {record.folder}')}")
    for done in runs:
        if done.error:
            told = f"{done.notebook} {say(done.result)}: {say(done.failure)}"
            click.echo(visible("\n".join((told, *map(say, done.failed)))))
        for item in done.diagnosis:
            told = f"{say('Diagnosis')}: {say(item.cause)} {say(item.found)}. {say(item.remedy)} {item.command}"
            click.echo(visible(told.rstrip()))
    if record.go_on:
        click.echo(say(f"Then go on with: {record.go_on}"))


def _planned(runs: Sequence[NotebookRun]) -> Table:
    rows = [(done.notebook, change.summary) for done in runs for change in done.changes]
    rows += [(done.notebook, f"cannot be planned yet: {done.waits}") for done in runs if done.waits]
    return Table(
        headings=("Notebook", "Change"), rows=tuple(sorted(rows, key=lambda row: row[0])), empty="Nothing to do."
    )


def _proven(runs: Sequence[NotebookRun]) -> Table:
    rows = (
        (
            done.notebook,
            result.claim,
            "refused" if result.refusal else "works",
            result.found,
            "passed" if result.passed else "FAILED",
        )
        for done in runs
        for result in done.results
    )
    return Table(
        headings=("Notebook", "Claim", "Is", "Found", "Result"),
        rows=tuple(sorted(rows, key=lambda row: row[-1] == "passed")),  # what failed comes first
        empty="Nothing was proven.",
    )


def runs_table(records: Sequence[tuple[str, Record | None]]) -> Table:
    """Return the table of runs, given as folder and record; the row of an unreadable record has that as its result."""
    rows = tuple(_run_row(folder, record) for folder, record in records)
    return Table(
        headings=("Begun (UTC)", "Notebooks", "Result", "Proofs", "Folder"), rows=rows, empty="There is no run yet."
    )


def _run_row(folder: str, record: Record | None) -> tuple[str, ...]:
    if record is None:
        return ("", "", "cannot be read", "", folder)
    names = [done.notebook for done in record.notebooks]
    return (
        f"{record.started:%Y-%m-%d %H:%M:%S}",
        names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}",
        "planned" if record.mode == "plan" and record.passed else _RESULTS[record.result],
        _proofs(record.notebooks),
        folder,
    )


def _proofs(runs: Sequence[NotebookRun]) -> str:
    return f"{sum(done.passed for done in runs)} of {sum(len(done.results) for done in runs)}"
