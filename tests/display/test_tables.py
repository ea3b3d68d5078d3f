"""Tables: what a person sees of changes, outcomes and results, and the data that is kept behind them."""

import dataclasses
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest
from rich.console import Console

from runbook.changes.apply import Outcome
from runbook.changes.engine import EnableEngine, RestartEngine
from runbook.changes.files import MakeDirectory, WriteFile
from runbook.changes.manual import LeftToUser
from runbook.display import tables
from runbook.display.tables import Table, Tone
from runbook.model import results
from runbook.model.parameters import Parameters
from tests.changes.test_base import LINES

MADE = MakeDirectory(path=Path("/p"), mode=0o700)
WRITTEN = WriteFile(path=Path("/f"), before=None, after="<b>&\n", mode=0o600)
WORKS = results.works("a login", expected=200, found=200, remedy="r")
REFUSED = results.refused("no login", expected=401, found=200, remedy="close it")


def shown_values(values: Mapping[str, object]) -> list[Table]:
    """Return the tables of parameters that a person has set in the cell."""
    return tables.parameters_tables(values, dict.fromkeys(values, "cell"))


def test_by_hand_holds_each_change_s_commands_alone() -> None:
    """Fails if a name from the host could end its comment and become a command of its own."""
    script = tables.by_hand([RestartEngine(supervisor="systemd", reason="why", stops=("a\rb\u2028rm\nx",))])
    assert script == "# restart the engine: why (stops a\\u000db\\u2028rm x)\nsystemctl restart docker\n"
    table = tables.changes_table([LeftToUser(task="<b>", text="x")])
    assert "<summary>The same by hand, in a shell of root&#x27;s</summary>" not in table.text()
    assert table.html().count("# left to you: &lt;b&gt;") == 2


def test_changes_table_numbers_the_changes_and_shows_their_diffs() -> None:
    """Fails if a plan is shown in another order than it is made, or a file's text is not shown."""
    table = tables.changes_table([MADE, WRITTEN])
    assert table.rows == (("1", "make the folder /p (0700)"), ("2", "write /f (0600)"))
    assert (WRITTEN.detail(),) == table.details
    shown = [" ".join(line.split()) for line in table.text().splitlines()]
    rows = ["# Change", "1 make the folder /p (0700)", "2 write /f (0600)"]
    assert [*rows, "--- (no file)", "+++ /f", "@@ -0,0 +1 @@", "+<b>&"] == shown


def test_changes_table_shows_the_diff_of_each_change_that_has_one() -> None:
    """Fails if a file's text is planned, and not shown, for it is written by another kind of change."""
    with_diff = [change for change, _ in LINES if change.detail() and not isinstance(change, LeftToUser)]
    assert len({type(change) for change in with_diff}) > 1
    assert tables.changes_table(with_diff).details == tuple(change.detail() for change in with_diff)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        pytest.param(tables.changes_table([]), "Nothing to do: the host is as this section describes it.", id="plan"),
        pytest.param(tables.outcomes_table([]), "0 changes made.", id="apply"),
        pytest.param(tables.results_table([]), "Nothing was checked, since nothing was applied.", id="checks"),
        pytest.param(shown_values({})[0], "This notebook takes no parameters.", id="parameters"),
    ],
)
def test_table_without_rows_says_so(table: Table, expected: str) -> None:
    """Fails if nothing to do is shown as nothing at all."""
    assert (expected, f"<p>{expected}</p>") == (table.text(), table.html())


def test_outcomes_table_keeps_seconds_and_note() -> None:
    """Fails if the record of an apply lacks what became of a change."""
    table = tables.outcomes_table([Outcome(change=EnableEngine(), state="done", seconds=0.5, note="[n]")])
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
    table = tables.results_table([WORKS, REFUSED])
    assert table.rows == (
        ("no login", "refused", "401", "200", "FAILED", "close it"),
        ("a login", "works", "200", "200", "passed", ""),
    )
    assert (table.headings[-1], table.caption) == ("To repair", "The proof: 1 of 2 FAILED")
    held = tables.results_table([WORKS], "r.test on h, now")
    assert (held.headings[-1], held.caption) == ("Result", "The proof of r.test on h, now: 1 of 1 passed")
    kept = json.loads(json.dumps(table.record))
    assert kept["kind"] == "checks"
    assert [(item["refusal"], item["passed"], item["remedy"]) for item in kept["results"]] == [
        (False, True, "r"),
        (True, False, "close it"),
    ]


def test_parameters_table_shows_each_value() -> None:
    """Fails if a value is left out because it is false or empty."""
    [table] = shown_values({"delete_enabled": False, "test_image": "", "extra_names": ["a.test"]})
    assert table.rows == (
        ("delete_enabled", "False", "cell"),
        ("test_image", "", "cell"),
        ("extra_names", "['a.test']", "cell"),
    )


def test_parameters_tables_fold_what_a_reader_has_not_changed() -> None:
    """Fails if 50 defaults push what comes next out of sight, or one of them cannot be found."""
    every = Parameters(port=5443, delete_enabled=False).model_dump()
    changed, kept = shown_values(every)
    assert changed.rows == (("port", "5443", "cell"), ("delete_enabled", "False", "cell"))
    assert len(kept.rows) == len(every) - 2
    assert read_html(changed).find("details") is None
    folded = read_html(kept).find("details")
    assert folded is not None
    assert (folded.get("open"), folded.findtext("summary")) == (
        None,
        f"{len(every) - 2} parameters have their defaults",
    )
    assert len(folded.findall(".//tbody/tr")) == len(every) - 2
    nothing, _ = shown_values(Parameters().model_dump())
    assert "No parameter differs from its default." in nothing.html()


def test_html_escapes_all_text() -> None:
    """Fails if text of a host becomes markup of the notebook."""
    details = ("<d>", "--- <f>\n+++ <g>\n@@ <i> @@\n-<j>\n+<k>\n <l>")
    table = Table(headings=("<h>",), rows=(("<c>",),), empty="<e>", details=details, caption="<m>", tones=("bad",))
    found = table.html() + Table(headings=(), rows=(), empty="<e>").html()
    assert [letter for letter in "hcdefgijklm" if f"<{letter}>" in found] == []
    assert [letter for letter in "hcdefgijklm" if f"&lt;{letter}&gt;" not in found] == []


def read_html(table: Table) -> Element:
    """Return what a browser reads of a table's HTML: it is well-formed as XML too."""
    return fromstring(f"<div>{table.html()}</div>")  # noqa: S314 (our own text)


def test_html_marks_each_row_beside_its_colour() -> None:
    """Fails if colour alone tells a failed row or a proven refusal, or a mark takes the place of the word."""
    refusal = results.refused("no login", expected=401, found=401, remedy="r")
    rows = read_html(tables.results_table([WORKS, refusal, REFUSED])).findall(".//tbody/tr")
    cells = [[cell.text for cell in row.findall("td")] for row in rows]
    assert [(row[1], row[4]) for row in cells] == [
        ("refused", "✗ FAILED"),
        ("works", "✓ passed"),
        ("refused", "✓ passed"),
    ]
    assert len({row.get("style") for row in rows}) == 3


def test_html_links_the_notebooks_that_a_remedy_names() -> None:
    """Fails if a person has to look for the notebook, a part of a word is taken for one, or text becomes markup."""
    remedy = "run 40-configuration, then <50-compose>"
    table = tables.results_table([dataclasses.replace(REFUSED, remedy=remedy)])
    cell = read_html(table).findall(".//tbody/tr/td")[-1]
    assert "".join(cell.itertext()) == remedy
    assert [(link.text, link.get("href")) for link in cell.findall("a")] == [
        ("40-configuration", "40-configuration.ipynb"),
        ("50-compose", "50-compose.ipynb"),
    ]
    assert "href" not in tables.results_table([dataclasses.replace(REFUSED, remedy="140-configurations")]).html()


def test_html_shows_commands_as_such_and_folds_what_is_long() -> None:
    """Fails if a person reads raw backticks, a long line of a log pushes the rest away, or a part of either is lost."""
    long = "level=error " * 50
    table = Table(headings=("a", "b", "c"), rows=(("run `ss -ltnp`, or `", long, "<`x`>"),), empty="")
    first, second, third = read_html(table).findall(".//tbody/tr/td")
    assert ["".join(first.itertext()), [code.text for code in first.findall("code")]] == [
        "run ss -ltnp, or `",
        ["ss -ltnp"],
    ]
    summary = second.findtext("details/summary") or ""
    assert (len(summary) < 200, "".join(second.itertext())) == (True, summary + long)
    assert "".join(third.itertext()) == "<x>"


def test_html_marks_outcomes() -> None:
    """Fails if what is left to a person looks as done as the rest."""
    left = LeftToUser(task="paste", text="a\nb\n")
    outcomes = [Outcome(change=EnableEngine(), state="done"), Outcome(change=left, state="left to you", note="a\nb")]
    rows = read_html(tables.outcomes_table(outcomes)).findall(".//tbody/tr")
    assert [row.findall("td")[2].text for row in rows] == ["✓ done", "→ left to you"]
    assert len({row.get("style") for row in rows}) == 2
    assert "pre-line" in rows[1].findall("td")[3].get("style", "")


def test_html_says_what_a_table_and_its_columns_are() -> None:
    """Fails if a screen reader finds a table without a name, or cells without their heading."""
    shown = [
        *shown_values({"mode": "plan"}),
        tables.changes_table([MADE]),
        tables.outcomes_table([Outcome(change=EnableEngine(), state="done")]),
        tables.results_table([WORKS]),
    ]
    captions = [read_html(table).findtext(".//table/caption") for table in shown]
    assert captions == [table.caption for table in shown]
    assert len(set(captions)) == 4
    headings = [heading for table in shown for heading in read_html(table).findall(".//th")]
    assert [heading.get("scope") for heading in headings] == ["col"] * 14


def test_html_breaks_long_words_and_keeps_short_ones_whole() -> None:
    """Fails if a digest makes a table wider than its page, or `passed` is broken to make room for it."""
    row = ("passed", f"sha256:{'0' * 64}", "two\nlines")
    cells = read_html(Table(headings=("a", "b", "c"), rows=(row,), empty="")).findall(".//td")
    styles = [cell.get("style", "") for cell in cells]
    assert ["nowrap" in style for style in styles] == [True, False, False]
    assert ["overflow-wrap:anywhere" in style for style in styles] == [False, True, True]


def test_html_colours_what_comes_and_goes_in_a_diff() -> None:
    """Fails if a diff loses its + and -, its heading is taken for a line that goes, or a text to paste for a diff."""
    diff = WriteFile(path=Path("/f"), before="a\n-- b\n", after="a\n++ c\n", mode=0o600).detail()
    table = Table(headings=("h",), rows=(("c",),), empty="", details=(diff, "- a list\n+ to\n- paste"))
    shown, pasted = read_html(table).findall("pre")
    assert diff.rstrip("\n") == "".join(shown.itertext())
    coloured = [(line.text, line.get("style")) for line in shown.findall("span")]
    assert [text for text, _ in coloured] == ["--- b", "+++ c"]
    assert coloured[0][1] != coloured[1][1]
    assert (pasted.text, pasted.findall("span")) == ("- a list\n+ to\n- paste", [])


@pytest.mark.parametrize("page", [pytest.param((255, 0), id="light"), pytest.param((17, 255), id="dark")])
def test_html_colours_leave_the_page_s_text_readable(page: tuple[int, int]) -> None:
    """Fails if text has less than 4.5 to 1 of contrast on a row's colour, on JupyterLab's light or dark page."""
    tones: tuple[Tone, ...] = ("good", "refused", "bad", "open")
    diff = "--- a\n+++ b\n-c\n+d"
    table = Table(headings=("h",), rows=(("c",),) * 4, empty="", tones=tones, details=(diff,))
    assert "color:" not in table.html().replace("background-color:", "")
    found = re.findall(r"rgba\((\d+),(\d+),(\d+),([\d.]+)\)", table.html())
    assert len(found) == 6
    paper, ink = page
    for *parts, cover in found:
        mixed = [float(cover) * int(part) + (1 - float(cover)) * paper for part in parts]
        assert contrast(mixed, [ink] * 3) >= 4.5


def contrast(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the contrast of two colours. Source: WCAG 2.2, contrast ratio and relative luminance."""
    found = []
    for colour in (first, second):
        light = [part / 3294.6 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
        found.append(0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2])
    return (max(found) + 0.05) / (min(found) + 0.05)


def test_text_takes_brackets_for_text() -> None:
    """Fails if rich takes a part of a cell, a detail or the empty text for its own markup."""
    table = Table(headings=("h",), rows=(("[bold]cell",),), empty="", details=("[red]detail[/]",))
    assert table.text().splitlines() == ["h", "[bold]cell", "[red]detail[/]"]
    assert Table(headings=(), rows=(), empty="[/] empty").text() == "[/] empty"


def test_text_takes_colons_for_colons() -> None:
    """Fails if rich takes a part of a fingerprint, as of `53:AB:09`, for the name of a pictograph."""
    table = Table(headings=("h",), rows=(("53:AB:09",),), empty="", details=("53:AB:09",))
    assert table.text().splitlines() == ["h", "53:AB:09", "53:AB:09"]
    assert Table(headings=(), rows=(), empty="53:AB:09").text() == "53:AB:09"


def test_mimebundle_gives_jupyter_both_forms_and_the_record() -> None:
    """Fails if the runner could not read the data behind a table from an executed notebook."""
    table = tables.changes_table([MADE])
    data, metadata = table._repr_mimebundle_()
    assert {"text/plain": table.text(), "text/html": table.html()} == data
    kept = json.loads(json.dumps(metadata))["registry-runbook"]
    assert (kept["kind"], [change["change"] for change in kept["changes"]]) == ("plan", ["MakeDirectory"])


def test_show_prints_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if a log folds a row, or holds the codes of a terminal's colours."""
    table = tables.results_table([dataclasses.replace(WORKS, claim="long " * 60)])
    tables.show(table)
    found = capsys.readouterr().out
    assert (table.text() + "\n", 2) == (found, len(found.splitlines()))
    assert "\x1b" not in found


def test_render_is_as_wide_as_the_terminal() -> None:
    """Fails if a long cell is cut off in a narrow terminal, or the heading is not told apart."""
    drawn = io.StringIO()
    console = Console(file=drawn, width=40, force_terminal=True, color_system="standard", highlight=False)
    value = "a long value of many words, more than fit"
    tables.render(shown_values({"name": value})[0], console)
    assert "\x1b[1m" in drawn.getvalue()
    words = re.sub(r"\x1b\[\d*m", "", drawn.getvalue()).split()
    assert words == [
        *["Parameter", "Value", "From"],
        *["name", "a", "long", "value", "of", "many", "cell", "words,", "more", "than", "fit"],
    ]


def test_links_are_for_notebooks_alone() -> None:
    """Fails if a cell does not lead where its link says, another one does, or a terminal shows an address."""
    table = Table(headings=("h",), rows=(("10-host",), ("10",)), empty="", links={"10-host": "10-host.ipynb?a&b"})
    assert re.findall(r"<a href='(.*?)'[^>]*>(.*?)</a>", table.html()) == [("10-host.ipynb?a&amp;b", "10-host")]
    assert "ipynb" not in table.text()


def test_table_shows_control_characters_as_their_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if a cell or a text below reaches a terminal or a notebook as it came from others."""
    table = Table(headings=("a",), rows=(("x\x1b[2Jy",),), empty="", details=("z\x1b[1m\nw",))
    tables.show(table)
    for shown in (capsys.readouterr().out, table.text(), table.html()):
        assert "\x1b" not in shown
        assert r"x\u001b[2Jy" in shown
        assert r"z\u001b[1m" in shown
