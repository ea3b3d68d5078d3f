"""The page of a run: all of it there, nothing fetched from outside, readable without colour and without seeing it."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest

from runbook.record import page
from runbook.record.model import Change, NotebookRun, Record
from tests.records import BAD, CHANGE, GOOD, OPEN, notebook_run, record

VOID = {"meta"}


@dataclass(slots=True)
class Element:
    """An element of the page; `parts` are elements and texts."""

    name: str
    attributes: dict[str, str | None]
    parts: list["Element | str"] = field(default_factory=list)

    def all(self, *names: str) -> list["Element"]:
        """Return all elements of these names below this one, in their order; without a name all of them."""
        below = [part for part in self.parts if isinstance(part, Element)]
        return [one for part in below for one in ([part] if not names or part.name in names else []) + part.all(*names)]

    def text(self) -> str:
        """Return what a reader sees."""
        return " ".join(" ".join(part if isinstance(part, str) else part.text() for part in self.parts).split())


class Reader(HTMLParser):
    """Reads a page strictly: each element is closed, in its order."""

    def __init__(self) -> None:
        """Begin outside any element."""
        super().__init__()
        self.open = [Element(name="", attributes={})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element; no attribute twice."""
        assert len(attrs) == len(dict(attrs)), f"an attribute twice: {attrs}"
        made = Element(name=tag, attributes=dict(attrs))
        self.open[-1].parts.append(made)
        if tag not in VOID and self.get_starttag_text()[-2:] != "/>":  # type: ignore[index] # there is one here
            self.open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element that closes itself, as SVG's do."""
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last."""
        assert self.open.pop().name == tag, f"{tag} is closed out of its order"

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.open[-1].parts.append(data)


def read(whole: Record) -> Element:
    """Return the page of a record as a tree."""
    reader = Reader()
    reader.feed(page.text(whole))
    reader.close()
    [root] = reader.open
    return root


def rows(tree: Element, caption: str) -> list[list[str]]:
    """Return the rows of the table with a caption that begins so."""
    [table] = [item for item in tree.all("table") if item.all("caption")[0].text().startswith(caption)]
    return [[cell.text() for cell in row.all("th", "td")] for row in table.all("tr")]


def test_page_shows_all_of_a_run() -> None:
    """Fails if a colleague who gets the page does not see what was changed, proven, and where the time went."""
    tree = read(record(GOOD, BAD, go_on="./script/run 50-compose -p port 5443"))
    assert rows(tree, "Notebooks")[1:] == [
        ["10-host", "The host", "✓ done", "1", "1", "1 of 1", "4.0"],
        ["50-compose", "", "✗ failed", "0", "0", "1 of 2", "6.0"],
    ]
    assert rows(tree, "What was tried")[1:] == [
        ["50-compose", "no login", "refused", "401", "200", "✗ FAILED"],
        ["10-host", "a login", "works", "200", "200", "✓ passed"],
        ["50-compose", "a login", "works", "200", "200", "✓ passed"],
    ]
    made = ["10-host", "make the folder /p (0700)", "✓ done", "0.12", "took [it]"]
    assert made in rows(tree, "What was changed")
    assert ["10-host", "Apply", "1.50", "2.25"] in rows(tree, "Where the time went")
    assert rows(tree, "Versions")[1:] == [["engine", "26.1.5"]]
    assert rows(tree, "Host")[1:] == [["name", "trixie"]]
    assert rows(tree, "Parameters")[1:] == [["domain", "registry.test"], ["port", "443"]]
    said = tree.text()
    go_on = "./script/run 50-compose -p port 5443"
    for text in ("1 of 2 proofs failed", "no login: expected 401; found 200", go_on, "2 of 3 passed", "1 made"):
        assert text in said


WAITS = notebook_run("60-push-pull", waits="expected a registry")
LATER = Change(change="MakeDirectory", summary="make the folder /q (0700)")
HALF = BAD.model_copy(update={"changes": (CHANGE, LATER), "outcomes": GOOD.outcomes})
CUT_OFF = BAD.model_copy(update={"result": "interrupted", "changes": (CHANGE,), "outcomes": ()})


@pytest.mark.parametrize(
    ("run", "mode", "title", "caption", "row"),
    [
        pytest.param(GOOD, "apply", "done, and proven", "Host", ["name", "trixie"], id="proven"),
        pytest.param(BAD, "apply", "failed", "Host", ["name", "trixie"], id="failed"),
        pytest.param(
            *(CUT_OFF, "apply", "interrupted", "What was changed"),
            ["50-compose", "make the folder /p (0700)", "planned", "", "see what went wrong"],
            id="interrupted",
        ),
        pytest.param(
            *(HALF, "apply", "failed", "What was changed"),
            ["50-compose", "make the folder /p (0700)", "✓ done", "0.12", "took [it]"],
            id="failed-after-a-change",
        ),
        pytest.param(
            *(HALF, "apply", "failed", "What was changed"),
            ["50-compose", "make the folder /q (0700)", "planned", "", "see what went wrong"],
            id="failed-before-a-change",
        ),
        pytest.param(
            *(WAITS, "plan", "planned, nothing was changed", "What a run would change"),
            ["60-push-pull", "cannot be planned yet: expected a registry"],
            id="plan",
        ),
    ],
)
def test_page_says_how_the_run_ended(run: NotebookRun, mode: str, title: str, caption: str, row: list[str]) -> None:
    """Fails if a plan, a failure or an interruption reads as a proven registry."""
    tree = read(record(run, mode=mode))
    assert f"Registry runbook: {title}" == tree.all("title")[0].text()
    assert tree.all("h1")[0].text().endswith(f"Registry runbook: {title}")
    assert row in rows(tree, caption)


def test_page_asks_for_nothing_from_outside() -> None:
    """Fails if opening the page sends a request, or tells anybody that it is read."""
    tree = read(record(GOOD, BAD))
    assert {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "use", "image"} & {
        element.name for element in tree.all()
    } == set()
    for element in tree.all():
        for name, value in element.attributes.items():
            assert not name.startswith("on")
            assert name not in {"src", "href", "xlink:href", "srcset", "action", "style", "background", "poster"}
            assert not re.search(r"https?:|//|url\(", value or ""), (name, value)
    [style] = tree.all("style")
    assert re.findall(r"//|https?:|url\(|@import|@font-face", style.text()) == []
    [policy] = [meta for meta in tree.all("meta") if meta.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy.attributes["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_page_takes_all_text_for_text() -> None:
    """Fails if a notebook, a host or an operator can put markup into a page that is sent on."""
    evil = "</td></style><script src=//x>'\"&amp;<!--"
    proof = OPEN.model_copy(update={"claim": evil, "expected": evil, "found": evil})
    change = Change(change="WriteFile", summary=evil)
    outcome = GOOD.outcomes[0].model_copy(update={"change": change, "state": evil, "note": evil})
    more = {"title": evil, "results": (proof,), "changes": (change,), "outcomes": (outcome,), "error": evil}
    whole = record(
        GOOD.model_copy(update={"notebook": f"1{evil}", "waits": evil, **more}),
        *(BAD.model_copy(update={"error": evil, "changes": (change,)}),),
        parameters={evil: evil},
        versions={evil: evil},
        host={"name": evil},
        go_on=evil,
        folder=f"/{evil}",
    )
    for mode in ("apply", "plan"):
        text = page.text(whole.model_copy(update={"mode": mode}))
        assert "<script" not in text
        assert "<!--" not in text
        tree = read(whole.model_copy(update={"mode": mode}))
        assert tree.all("script") == []
        assert [evil, evil] in rows(tree, "Parameters")
        assert [evil, evil] in rows(tree, "Versions")


def test_page_reads_without_seeing_it() -> None:
    """Fails if a screen reader lacks the language, an outline, what a table is about, or the heads of its cells."""
    tree = read(record(GOOD, BAD))
    assert tree.all("html")[0].attributes["lang"] == "en"
    assert [heading.name for heading in tree.all("h1", "h2", "h3", "h4")] == ["h1", *["h2"] * 6]
    assert {part.name for part in tree.all("body")[0].parts if isinstance(part, Element)} == {"header", "main"}
    tables = tree.all("table")
    assert len(tables) == 7
    captions = [table.all("caption")[0].text() for table in tables]
    assert len(set(captions)) == 7
    for table in tables:
        head, *body = table.all("tr")
        assert {cell.attributes.get("scope") for cell in head.all("th", "td")} == {"col"}
        assert [cell.text() for cell in head.all("th")] != []
        assert [row.all("th")[0].attributes.get("scope") for row in body] == ["row"] * len(body)
    identifiers = [element.attributes["id"] for element in tree.all() if "id" in element.attributes]
    assert len(identifiers) == len(set(identifiers))
    [drawing] = tree.all("svg")
    assert drawing.attributes["role"] == "img"


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb (WCAG 2.2, "relative luminance")."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


PAIRS = [
    *((ink, paper) for ink in ("ink", "quiet", "good", "bad", "open") for paper in ("paper", "shade")),
    *(("on-bar", bar) for bar in ("plan", "apply", "verify", "other")),
]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_read(scheme: int) -> None:
    """Fails if text on its ground has less contrast than 4.5 to 1 (WCAG 2.2, 1.4.3), light or dark."""
    style = read(record(GOOD)).all("style")[0].text()
    blocks = re.findall(r":root \{(.*?)\}", style)
    assert len(blocks) == 2
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[scheme]))
    for ink, paper in PAIRS:
        lighter, darker = sorted((luminance(colours[ink]), luminance(colours[paper])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (ink, paper)
    assert "@media screen and (prefers-color-scheme: dark)" in style
    assert "@media print" in style
    assert set(re.findall(r"var\(--([a-z-]+)\)", style)) == colours.keys()


def test_page_made_from_notebooks_says_what_is_not_known() -> None:
    """Fails if a page without versions looks as if there were none."""
    tree = read(record(GOOD, versions={}, host={}, parameters={}))
    assert tree.text().count("not known: the record was made from the executed notebooks.") == 2
    assert "All had their defaults." in tree.text()


def test_page_shows_notes_where_there_are_some() -> None:
    """Fails if a note is not shown with its notebook, or a heading stands above none."""
    written = GOOD.model_copy(update={"note": "Before the move & after <it>"})
    assert "Notes" not in page.text(record(GOOD))
    assert "Before the move &amp; after &lt;it&gt;" in page.text(record(written))
    assert "<h2>Notes</h2>" in page.text(record(written))
