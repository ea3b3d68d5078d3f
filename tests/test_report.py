"""Tables: what a person sees of changes, outcomes and results, and the data that is kept behind them."""

import dataclasses
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from runbook import checks, report
from runbook.apply import Outcome
from runbook.changes import EnableEngine, MakeDirectory, WriteFile
from runbook.report import Table
from tests.test_changes import LINES

MADE = MakeDirectory(path=Path("/p"), mode=0o700)
WRITTEN = WriteFile(path=Path("/f"), before=None, after="<b>&\n", mode=0o600)
WORKS = checks.works("a login", expected=200, found=200, remedy="r")
REFUSED = checks.refused("no login", expected=401, found=200, remedy="close it")


def test_changes_table_numbers_the_changes_and_shows_their_diffs() -> None:
    """Fails if a plan is shown in another order than it is made, or a file's text is not shown."""
    table = report.changes_table([MADE, WRITTEN])
    assert table.rows == (("1", "make the folder /p (0700)"), ("2", "write /f (0600)"))
    assert (WRITTEN.diff(),) == table.details
    shown = [" ".join(line.split()) for line in table.text().splitlines()]
    rows = ["# Change", "1 make the folder /p (0700)", "2 write /f (0600)"]
    assert [*rows, "--- (no file)", "+++ /f", "@@ -0,0 +1 @@", "+<b>&"] == shown


def test_changes_table_shows_the_diff_of_each_change_that_has_one() -> None:
    """Fails if a file's text is planned, and not shown, for it is written by another kind of change."""
    with_diff = [change for change, _ in LINES if hasattr(change, "diff") and change.diff()]
    assert len({type(change) for change in with_diff}) > 1
    assert report.changes_table(with_diff).details == tuple(change.diff() for change in with_diff)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        pytest.param(report.changes_table([]), "Nothing to do: the host is as this section describes it.", id="plan"),
        pytest.param(report.outcomes_table([]), "0 changes made.", id="apply"),
        pytest.param(report.results_table([]), "Nothing was checked: the mode is plan.", id="checks"),
        pytest.param(report.parameters_table({}), "This notebook takes no parameters.", id="parameters"),
    ],
)
def test_table_without_rows_says_so(table: Table, expected: str) -> None:
    """Fails if nothing to do is shown as nothing at all."""
    assert (expected, f"<p>{expected}</p>") == (table.text(), table.html())


def test_outcomes_table_keeps_seconds_and_note() -> None:
    """Fails if the record of an apply lacks what became of a change."""
    table = report.outcomes_table([Outcome(change=EnableEngine(), state="done", seconds=0.5, note="[n]")])
    assert table.rows == (("1", "enable the engine at boot (systemctl enable docker)", "done", "[n]"),)
    assert "done" in table.text()
    assert "[n]" in table.text()
    [kept] = json.loads(json.dumps(table.record))["outcomes"]
    assert (kept["change"]["change"], kept["state"], kept["seconds"], kept["note"]) == (
        "EnableEngine",
        "done",
        0.5,
        "[n]",
    )


def test_results_table_tells_refusals_and_failures_apart() -> None:
    """Fails if a failed row looks like a passed one, or a negative twin like a success."""
    table = report.results_table([WORKS, REFUSED])
    expected = (("a login", "works", "200", "200", "passed"), ("no login", "refused", "401", "200", "FAILED"))
    assert expected == table.rows
    kept = json.loads(json.dumps(table.record))
    assert kept["kind"] == "checks"
    assert [(item["refusal"], item["passed"], item["remedy"]) for item in kept["results"]] == [
        (False, True, "r"),
        (True, False, "close it"),
    ]


def test_parameters_table_shows_each_value() -> None:
    """Fails if a value is left out because it is false or empty."""
    table = report.parameters_table({"delete_enabled": False, "test_image": "", "extra_names": ["a.test"]})
    assert table.rows == (("delete_enabled", "False"), ("test_image", ""), ("extra_names", "['a.test']"))


def test_html_escapes_all_text() -> None:
    """Fails if text of a host becomes markup of the notebook."""
    table = Table(headings=("<h>",), rows=(("<c>",),), empty="<e>", details=("<d>",))
    found = table.html() + Table(headings=(), rows=(), empty="<e>").html()
    assert [text for text in ("<h>", "<c>", "<d>", "<e>") if text in found] == []
    assert [text for text in ("&lt;h&gt;", "&lt;c&gt;", "&lt;d&gt;", "&lt;e&gt;") if text not in found] == []


def test_text_takes_brackets_for_text() -> None:
    """Fails if rich takes a part of a cell, a detail or the empty text for its own markup."""
    table = Table(headings=("h",), rows=(("[bold]cell",),), empty="", details=("[red]detail[/]",))
    assert table.text().splitlines() == ["h", "[bold]cell", "[red]detail[/]"]
    assert Table(headings=(), rows=(), empty="[/] empty").text() == "[/] empty"


def test_mimebundle_gives_jupyter_both_forms_and_the_record() -> None:
    """Fails if the runner could not read the data behind a table from an executed notebook."""
    table = report.changes_table([MADE])
    data, metadata = table._repr_mimebundle_()
    assert {"text/plain": table.text(), "text/html": table.html()} == data
    kept = json.loads(json.dumps(metadata))["registry-runbook"]
    assert (kept["kind"], [change["change"] for change in kept["changes"]]) == ("plan", ["MakeDirectory"])


def test_show_prints_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if a log folds a row, or holds the codes of a terminal's colours."""
    table = report.results_table([dataclasses.replace(WORKS, claim="long " * 60)])
    report.show(table)
    found = capsys.readouterr().out
    assert (table.text() + "\n", 2) == (found, len(found.splitlines()))
    assert "\x1b" not in found


def test_render_is_as_wide_as_the_terminal() -> None:
    """Fails if a long cell is cut off in a narrow terminal, or the heading is not told apart."""
    drawn = io.StringIO()
    console = Console(file=drawn, width=40, force_terminal=True, color_system="standard", highlight=False)
    value = "a long value of many words, more than fit"
    report.render(report.parameters_table({"name": value}), console)
    assert "\x1b[1m" in drawn.getvalue()
    words = re.sub(r"\x1b\[\d*m", "", drawn.getvalue()).split()
    assert words == [
        "Parameter",
        "Value",
        "name",
        *["a", "long", "value", "of", "many", "words,", "more", "than", "fit"],
    ]
