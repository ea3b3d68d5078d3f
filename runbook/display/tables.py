"""What a person sees of changes and results: a table, in a notebook as HTML and in a terminal as text."""

import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from rich.console import Console
from rich.table import Table as TextTable
from rich.text import Text

from runbook import catalogue
from runbook.changes.apply import Outcome
from runbook.changes.base import Change, as_json
from runbook.display import templates
from runbook.model.errors import visible
from runbook.model.parameters import Parameters, User
from runbook.model.results import Result
from runbook.model.words import say

RECORD = "registry-runbook"  # where an output's metadata keeps the data behind a table
Tone = Literal["good", "refused", "bad", "open", ""]
# A mark beside the word, and colours that let a page's own text be read on them, whether it is light or dark.
_TONES: Mapping[Tone, tuple[str, str]] = {
    "good": ("✓ ", "background-color:rgba(46,160,67,0.15);border-left:4px solid #2da44e;"),
    "refused": ("✓ ", "background-color:rgba(210,130,20,0.15);border-left:4px solid #bf7d00;"),
    "bad": ("✗ ", "background-color:rgba(229,83,75,0.2);border-left:4px solid #e5534b;font-weight:bold;"),
    "open": ("→ ", "background-color:rgba(210,130,20,0.15);border-left:4px solid #bf7d00;"),
    "": ("", ""),
}
_DIFF_COLOURS = {"+": "rgba(46,160,67,0.2)", "-": "rgba(229,83,75,0.2)"}
# A word stays whole; a digest or a path breaks where it must, so that a table is no wider than its page.
_SHORT_LETTERS, _SHORT, _LONG = 16, "white-space:nowrap", "white-space:pre-line;overflow-wrap:anywhere;min-width:9em"
_LONGEST, _FOLDED = 400, 160  # the letters of a cell from which on a notebook folds it, and those that then stay shown
_VERBATIM = {"#", "Section", "Parameter", "Value", "Name", "Folder", "User", "Password"}  # headings of names and values
_SCREEN = 25  # rows that a notebook shows before what comes next is out of sight
_UNWRAPPED = 1000  # one line a row: a notebook shows the HTML, and a diff of its text stays readable


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows under headings; `empty` stands in place of no rows, `details` are texts below, `record` the data behind.

    `by_hand` are commands for a shell, which a notebook alone shows, folded.

    `tones` are the rows' colours in a notebook, one a row or none at all; the mark of a tone stands before the cell
    under the heading `marked`. `links` gives a text within a cell its address there. A notebook shows the caption alone
    of what is `folded`, until a reader opens it.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str
    details: tuple[str, ...] = ()
    by_hand: str = ""
    record: Mapping[str, object] = field(default_factory=dict)
    caption: str = ""
    tones: tuple[Tone, ...] = ()
    marked: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    folded: bool = False

    def text(self) -> str:
        """Return the table for a terminal without colour."""
        buffer = io.StringIO()
        console = Console(file=buffer, width=_UNWRAPPED, color_system=None, force_jupyter=False, highlight=False)
        render(self, console)
        return "\n".join(line.rstrip() for line in buffer.getvalue().rstrip().splitlines())

    def html(self) -> str:
        """Return the table for a notebook; all text in it is escaped."""
        tones: Sequence[Tone] = self.tones or [""] * len(self.rows)
        return templates.fill(
            "display/table.html",
            table=self,
            rows=[self._row(row, tone) for row, tone in zip(self.rows, tones, strict=True)],
            details=[_coloured(_detail(text)) for text in self.details],
            commands=visible(self.by_hand),
        )

    def _row(self, row: tuple[str, ...], tone: Tone) -> dict[str, object]:
        mark, colours = _TONES[tone]
        cells = [
            {
                "parts": list(self._parts(visible(text))),
                "folded": f"{visible(text)[:_FOLDED].rpartition(' ')[0]} …" if len(text) > _LONGEST else "",
                "wrap": _SHORT if len(text) <= _SHORT_LETTERS and text.isprintable() else _LONG,
                "mark": mark if heading == self.marked else "",
            }
            for heading, text in zip(self.headings, self.shown(row), strict=True)
        ]
        return {"colours": colours, "cells": cells}

    def shown(self, row: Sequence[str]) -> tuple[str, ...]:
        """Return a row's cells in the reader's language."""
        return tuple(map(say_cell, self.headings, row))

    def _parts(self, text: str) -> Iterator[tuple[str, str, bool]]:
        """Yield the parts of a cell's text: each with its link, or none, and whether it stands between backticks."""
        names = "|".join(map(re.escape, self.links)) or "(?!)"
        end = 0
        for found in re.finditer(rf"`(?P<code>[^`\n]+)`|(?<![\w-])(?:{names})(?![\w-])", text):
            yield text[end : found.start()], "", False
            yield (found["code"], "", True) if found["code"] else (found[0], self.links[found[0]], False)
            end = found.end()
        yield text[end:], "", False

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, object]]:
        """Return both forms for Jupyter, with the data behind them as the output's metadata."""
        return {"text/plain": self.text(), "text/html": self.html()}, {RECORD: dict(self.record)}


def say_cell(heading: str, text: str) -> str:
    """Return a cell below a heading in the reader's language; names and values are the same in each."""
    return text if heading in _VERBATIM else say(text)


def _detail(text: str) -> str:
    """Return a text below a table in the reader's language; a diff is the same in each."""
    return text if text.startswith("--- ") else say(text)


def _coloured(text: str) -> list[tuple[str, str]]:
    """Return the lines of a text, each after its colour: that of an added or removed line of a diff, or none."""
    is_diff = text.startswith("--- ")
    lines = enumerate(visible(text).split("\n"))
    return [(_DIFF_COLOURS.get(line[:1], "") if is_diff and number > 1 else "", line) for number, line in lines]


def show(table: Table) -> None:
    """Print a table on standard output: as wide as the terminal, or one line a row where there is none."""
    if sys.stdout.isatty():
        render(table, Console(highlight=False))
    else:
        print(table.text())  # noqa: T201 (this is the output of the program)


def rows_as_json(table: Table, keys: Sequence[str]) -> str:
    """Return the rows of a table as JSON, each an object with these keys in place of the headings."""
    return json.dumps([dict(zip(keys, row, strict=True)) for row in table.rows], indent=2)


def render(table: Table, console: Console) -> None:
    """Draw a table on a console."""
    if not table.rows:
        console.print(say(table.empty), markup=False, emoji=False)
        return
    drawn = TextTable(*map(say, table.headings), box=None, pad_edge=False, header_style="bold")
    for row in table.rows:
        drawn.add_row(*(Text(visible(cell)) for cell in table.shown(row)))
    console.print(drawn)
    for text in table.details:
        console.print(visible(_detail(text)), markup=False, emoji=False)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 change`, `2 changes`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def changes_table(changes: Sequence[Change]) -> Table:
    """Return the table of a plan, with the diffs of its files."""
    return Table(
        headings=("#", "Change"),
        rows=tuple((str(number), str(change)) for number, change in enumerate(changes, start=1)),
        empty="Nothing to do: the host is as this section describes it.",
        caption="The plan: what will be changed, in this order",
        details=tuple(detail for change in changes if (detail := change.detail())),
        by_hand=by_hand(changes),
        record={"kind": "plan", "changes": [as_json(change) for change in changes]},
    )


def by_hand(changes: Sequence[Change]) -> str:
    """Return the commands that make the changes, as a script; each change's line stands above its own."""
    lines = (visible(say(str(change))).replace("\n", " ") for change in changes)
    return "".join(f"# {line}\n{change.by_hand()}\n" for line, change in zip(lines, changes, strict=True))


def outcomes_table(outcomes: Sequence[Outcome]) -> Table:
    """Return the table of what became of the changes."""
    return Table(
        headings=("#", "Change", "State", "Note"),
        rows=tuple(
            (str(number), str(outcome.change), outcome.state, outcome.note)
            for number, outcome in enumerate(outcomes, start=1)
        ),
        empty="0 changes made.",
        caption="What became of the changes",
        tones=tuple("good" if outcome.state == "done" else "open" for outcome in outcomes),
        marked="State",
        record={
            "kind": "apply",
            "outcomes": [
                {"change": as_json(item.change), "state": item.state, "seconds": item.seconds, "note": item.note}
                for item in outcomes
            ],
        },
    )


def results_table(results: Sequence[Result], asked: str = "") -> Table:
    """Return the table of a proof: a claim that something works or is refused, expected, found, passed or failed.

    The rows that failed come first, with a column for their remedies. `asked` is the registry, the host and the time.
    """
    failed = sum(not result.passed for result in results)
    counts = f"{failed} of {len(results)} FAILED" if failed else f"{len(results)} of {len(results)} passed"
    caption = f"The proof of {asked}: {counts}" if asked else f"The proof: {counts}"
    ordered = sorted(results, key=lambda result: result.passed)
    return Table(
        headings=("Claim", "Is", "Expected", "Found", "Result", *(["To repair"] if failed else [])),
        rows=tuple((*_words(item), *([item.remedy * (not item.passed)] if failed else [])) for item in ordered),
        empty="Nothing was checked, since nothing was applied.",
        caption=caption,
        tones=tuple(_tone(result) for result in ordered),
        marked="Result",
        links=notebook_links(),
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


def notebook_links() -> Mapping[str, str]:
    """Return the address of each notebook, as another notebook links it."""
    return {name: f"{name}.ipynb" for name in catalogue.names()}


def _words(result: Result) -> tuple[str, ...]:
    return (
        result.claim,
        "refused" if result.refusal else "works",
        result.expected,
        result.found,
        "passed" if result.passed else "FAILED",
    )


def _tone(result: Result) -> Tone:
    if not result.passed:
        return "bad"
    return "refused" if result.refusal else "good"


def _value(value: object) -> str:
    """Return a parameter's value in words: of a list of users, what each may do."""
    if isinstance(value, list) and value and isinstance(value[0], User):
        return ", ".join(map(str, value))
    return str(value)


def parameters_tables(values: Mapping[str, object], origins: Mapping[str, str]) -> list[Table]:
    """Return the table of the parameters that a notebook uses, each with its origin; two tables where they are many.

    The first then holds those that differ from their default, and the second, folded, the others.
    """
    rows = tuple((name, _value(value), origins[name]) for name, value in values.items())
    whole = Table(
        headings=("Parameter", "Value", "From"),
        rows=rows,
        empty="This notebook takes no parameters.",
        caption="The parameters that count",
    )
    if len(rows) <= _SCREEN:
        return [whole]
    default = Parameters()
    changed = tuple(row for row in rows if values[row[0]] != getattr(default, row[0]))
    kept = tuple(row for row in rows if row not in changed)
    return [
        replace(
            whole,
            rows=changed,
            caption="The parameters that differ from their defaults",
            empty="No parameter differs from its default.",
        ),
        replace(whole, rows=kept, caption=f"{len(kept)} parameters have their defaults", folded=True),
    ]
