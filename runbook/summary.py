"""What a run shows at its end: what was changed, what was proven, and where its record is."""

from collections.abc import Sequence
from pathlib import Path

import click

from runbook import report
from runbook.report import Table
from runbook.runner import Run


def progress(done: Run) -> str:
    """Return one line for a notebook that has ended."""
    passed = sum(bool(result["passed"]) for result in done.results)
    counted = f"{len(done.changes)} planned, {_changed(done)} changed, {passed} of {len(done.results)} proofs passed"
    return f"{'FAILED' if done.error else 'done'}  {done.notebook}  {counted}  {done.seconds:.1f} s"


def _changed(done: Run) -> int:
    return sum(outcome["state"] == "done" for outcome in done.outcomes)


def as_json(runs: Sequence[Run], folder: Path) -> dict[str, object]:
    """Return a run as JSON-ready data."""
    return {
        "folder": str(folder),
        "passed": not runs[-1].error,
        "notebooks": [
            {
                "notebook": done.notebook,
                "output": str(done.output),
                "seconds": done.seconds,
                "changes": list(done.changes),
                "outcomes": list(done.outcomes),
                "results": list(done.results),
                "waits": done.waits,
                "error": done.error,
            }
            for done in runs
        ],
    }


def show(runs: Sequence[Run], folder: Path, *, planned: bool) -> None:
    """Print the table of what was proven (or, in mode `plan`, planned), the counts, and the folder of the record."""
    report.show(_planned(runs) if planned else _proven(runs))
    for outcome in [item for done in runs for item in done.outcomes if item["note"]]:
        click.echo(f"{outcome['change']['summary']}: {outcome['note']}")
    results = [result for done in runs for result in done.results]
    passed = sum(bool(result["passed"]) for result in results)
    if planned:
        counted = f"{sum(len(done.changes) for done in runs)} changes planned, none made."
    else:
        changed = sum(_changed(done) for done in runs)
        counted = f"{changed} changes made, {passed} of {len(results)} proofs passed."
    click.echo(f"\n{counted} Record: {folder}")
    if runs[-1].error:
        click.echo(f"{runs[-1].notebook} failed: {runs[-1].error}")
        click.echo(f"Then go on with: ./script/run {runs[-1].notebook}")


def _planned(runs: Sequence[Run]) -> Table:
    rows = [(done.notebook, str(change["summary"])) for done in runs for change in done.changes]
    rows += [(done.notebook, f"cannot be planned yet: {done.waits}") for done in runs if done.waits]
    return Table(
        headings=("Notebook", "Change"), rows=tuple(sorted(rows, key=lambda row: row[0])), empty="Nothing to do."
    )


def _proven(runs: Sequence[Run]) -> Table:
    rows = tuple(
        (
            done.notebook,
            str(result["claim"]),
            "refused" if result["refusal"] else "works",
            str(result["found"]),
            "passed" if result["passed"] else "FAILED",
        )
        for done in runs
        for result in done.results
    )
    return Table(headings=("Notebook", "Claim", "Is", "Found", "Result"), rows=rows, empty="Nothing was proven.")
