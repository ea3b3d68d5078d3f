"""What a person sees of changes and results: a table, in a notebook as HTML and in a terminal as text."""

import html
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table as TextTable
from rich.text import Text

from runbook.apply import Outcome
from runbook.changes import Change, ConfigureEngine, ConfigureNginx, LeftToUser, WriteFile, as_json
from runbook.checks import Result

RECORD = "registry-runbook"  # where an output's metadata keeps the data behind a table
_UNWRAPPED = 1000  # one line a row: a notebook shows the HTML, and a diff of its text stays readable


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows under headings; `empty` stands in place of no rows, `details` are texts below, `record` the data behind."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str
    details: tuple[str, ...] = ()
    record: Mapping[str, object] = field(default_factory=dict)

    def text(self) -> str:
        """Return the table for a terminal without colour."""
        buffer = io.StringIO()
        console = Console(file=buffer, width=_UNWRAPPED, color_system=None, force_jupyter=False, highlight=False)
        render(self, console)
        return "\n".join(line.rstrip() for line in buffer.getvalue().rstrip().splitlines())

    def html(self) -> str:
        """Return the table for a notebook; all text in it is escaped."""
        if not self.rows:
            return f"<p>{html.escape(self.empty)}</p>"
        head = "".join(f"<th style='text-align:left'>{html.escape(heading)}</th>" for heading in self.headings)
        body = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        details = "".join(f"<pre>{html.escape(text)}</pre>" for text in self.details)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{details}"

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, object]]:
        """Return both forms for Jupyter, with the data behind them as the output's metadata."""
        return {"text/plain": self.text(), "text/html": self.html()}, {RECORD: dict(self.record)}


def show(table: Table) -> None:
    """Print a table on standard output: as wide as the terminal, or one line a row where there is none."""
    if sys.stdout.isatty():
        render(table, Console(highlight=False))
    else:
        print(table.text())  # noqa: T201 (this is the output of the program)


def render(table: Table, console: Console) -> None:
    """Draw a table on a console."""
    if not table.rows:
        console.print(table.empty, markup=False)
        return
    drawn = TextTable(*table.headings, box=None, pad_edge=False, header_style="bold")
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console.print(drawn)
    for text in table.details:
        console.print(text, markup=False)


def changes_table(changes: Sequence[Change]) -> Table:
    """Return the table of a plan, with the diffs of its files."""
    return Table(
        headings=("#", "Change"),
        rows=tuple((str(number), str(change)) for number, change in enumerate(changes, start=1)),
        empty="Nothing to do: the host is as this section describes it.",
        details=tuple(detail for change in changes if (detail := _detail(change))),
        record={"kind": "plan", "changes": [as_json(change) for change in changes]},
    )


def _detail(change: Change) -> str:
    """Return what is shown below a plan of a change: the diff of a file, a text to paste, or nothing."""
    match change:
        case WriteFile() | ConfigureEngine() | ConfigureNginx():
            return change.diff()
        case LeftToUser():
            return change.text
    return ""


def outcomes_table(outcomes: Sequence[Outcome]) -> Table:
    """Return the table of what became of the changes."""
    return Table(
        headings=("#", "Change", "State", "Note"),
        rows=tuple(
            (str(number), str(outcome.change), outcome.state, outcome.note)
            for number, outcome in enumerate(outcomes, start=1)
        ),
        empty="0 changes made.",
        record={
            "kind": "apply",
            "outcomes": [
                {"change": as_json(item.change), "state": item.state, "seconds": item.seconds, "note": item.note}
                for item in outcomes
            ],
        },
    )


def results_table(results: Sequence[Result]) -> Table:
    """Return the table of a proof: a claim that something works or is refused, expected, found, passed or failed."""
    return Table(
        headings=("Claim", "Is", "Expected", "Found", "Result"),
        rows=tuple(
            (
                result.claim,
                "refused" if result.refusal else "works",
                result.expected,
                result.found,
                "passed" if result.passed else "FAILED",
            )
            for result in results
        ),
        empty="Nothing was checked: the mode is plan.",
        record={
            "kind": "checks",
            "results": [
                {
                    "claim": result.claim,
                    "refusal": result.refusal,
                    "expected": result.expected,
                    "found": result.found,
                    "passed": result.passed,
                    "remedy": result.remedy,
                }
                for result in results
            ],
        },
    )


def parameters_table(values: Mapping[str, object]) -> Table:
    """Return the table of the parameters that a notebook uses."""
    return Table(
        headings=("Parameter", "Value"),
        rows=tuple((name, str(value)) for name, value in values.items()),
        empty="This notebook takes no parameters.",
    )
