"""What a run shows at its end: what was changed, what was proven, and where its record is."""

from collections.abc import Sequence

import click

from runbook.display import tables
from runbook.display.tables import Table
from runbook.model.errors import visible
from runbook.runs.record.model import NotebookRun, Record

RUNS = ("begun", "notebooks", "result", "proofs", "folder")  # the columns of a list of runs
_WORDS = {"done": "done", "failed": "FAILED", "interrupted": "interrupted"}


def progress(done: NotebookRun) -> str:
    """Return one line for a notebook that has ended."""
    proofs = f"{done.passed} of {len(done.results)} proofs passed"
    counted = f"{len(done.changes)} planned, {done.changed} changed, {proofs}"
    return f"{_WORDS[done.result]}  {done.notebook}  {counted}  {done.seconds:.1f} s"


def show(record: Record) -> None:
    """Print the table of what was proven (or, in mode `plan`, planned), the counts, and the folder of the record."""
    runs, planned = record.notebooks, record.mode == "plan"
    tables.show(_planned(runs) if planned else _proven(runs))
    for outcome in [item for done in runs for item in done.outcomes if item.note]:
        click.echo(visible(f"{outcome.change.summary}: {outcome.note}"))
    if planned:
        counted = f"{sum(len(done.changes) for done in runs)} changes planned, none made."
    else:
        changed, passed = sum(done.changed for done in runs), sum(done.passed for done in runs)
        counted = f"{changed} changes made, {passed} of {sum(len(done.results) for done in runs)} proofs passed."
    click.echo(f"\n{counted} Record: {record.folder}")
    for done in runs:
        if done.error:
            click.echo(visible(f"{done.notebook} {done.result}: {done.error}"))
        for item in done.diagnosis:
            click.echo(visible(f"Diagnosis: {item.cause} {item.found}. {item.remedy} {item.command}".rstrip()))
    if record.go_on:
        click.echo(f"Then go on with: {record.go_on}")


def _planned(runs: Sequence[NotebookRun]) -> Table:
    rows = [(done.notebook, change.summary) for done in runs for change in done.changes]
    rows += [(done.notebook, f"cannot be planned yet: {done.waits}") for done in runs if done.waits]
    return Table(
        headings=("Notebook", "Change"), rows=tuple(sorted(rows, key=lambda row: row[0])), empty="Nothing to do."
    )


def _proven(runs: Sequence[NotebookRun]) -> Table:
    rows = tuple(
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
    return Table(headings=("Notebook", "Claim", "Is", "Found", "Result"), rows=rows, empty="Nothing was proven.")


def runs_table(records: Sequence[tuple[str, Record | None]]) -> Table:
    """Return the table of runs, by the name of their folder; one whose record cannot be read says so."""
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
        "planned" if record.mode == "plan" and record.passed else _WORDS[record.result],
        f"{sum(done.passed for done in record.notebooks)} of {sum(len(done.results) for done in record.notebooks)}",
        folder,
    )
