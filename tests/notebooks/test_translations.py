"""The notebooks in Chinese: each English text is translated as it is now; code, links and names are the same."""

import json
import re
from collections.abc import Collection, Iterable
from typing import Any

import pytest

from runbook import catalogue
from runbook.model.words import PLACEHOLDER, in_chinese
from tests import words

from . import table

NAMES = catalogue.names()
CODE = r"(?s)```.*?```|`[^`]+`"
LINK = r"\]\(([^)]+)\)"
HAN, FULL = "[\u4e00-\u9fff]", "[，。；：？！（）、“”]"  # noqa: RUF001 (Chinese punctuation)


def notebook(name: str, folder: str = "") -> dict[str, Any]:
    """Return an English notebook, or that of a folder below it."""
    text = (catalogue.NOTEBOOKS / folder / f"{name}.ipynb").read_text(encoding="utf-8")
    return dict(json.loads(text))


def english() -> list[tuple[str, str]]:
    """Return the place of each English text, which is a notebook with a heading, and the text."""
    return [(f"{name}: {text.splitlines()[0]}", text) for name in NAMES for text in table.prose(notebook(name))]


def faults(texts: Iterable[tuple[str, str]], known: Collection[str]) -> list[str]:
    """Return the texts whose hash is not known, each with the hash it has now, and the hashes that no text has."""
    now = {table.digest(text): place for place, text in texts}
    missing = [f'{place}: translate it, english = "{found}"' for found, place in now.items() if found not in known]
    return missing + [f"{found}: no English text has this hash any more" for found in known if found not in now]


def pairs(name: str) -> list[tuple[str, str]]:
    """Return the prose of a notebook, cell by cell, in English and in Chinese."""
    return list(zip(table.prose(notebook(name)), table.prose(notebook(name, "zh")), strict=True))


def code_of(name: str, folder: str = "") -> list[Any]:
    """Return the code cells of a notebook without outputs, and without the comments of its parameters."""
    cells = [cell for cell in notebook(name, folder)["cells"] if cell["cell_type"] == "code"]
    lines = [line.partition("  # ")[0] for line in cells[0]["source"]]
    cells[0]["source"] = [line.replace('language: str = "zh"', 'language: str = "auto"') for line in lines]
    return [cell | {"outputs": [], "execution_count": None} for cell in cells]


def shape(text: str) -> list[str]:
    """Return how each line begins and how many columns it has: headings, tables, lists, blocks of code."""
    return [re.findall(r"^(#+ |- |\d+\. |```|)", line)[0] + "|" * line.count("|") for line in text.splitlines()]


def test_each_text_is_translated_as_it_is_now() -> None:
    """Fails if a cell is new or has changed since it was translated, and names it."""
    found = faults(english(), table.translations())
    assert not found, "\n".join(found)


@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
def test_changed_text_is_named(place: int) -> None:
    """Fails if a stale translation, or one that no text needs, is not noticed."""
    texts = english()
    known = {table.digest(text) for _, text in texts}
    where, text = texts[place]
    texts[place] = (where, f"{text} Changed.")
    missing, left = faults(texts, known)
    assert missing.startswith(f"{where}: translate it")
    assert left.startswith(f"{table.digest(text)}: no English text")


@pytest.mark.parametrize("name", NAMES)
def test_code_is_the_same_and_has_no_outputs(name: str) -> None:
    """Fails if a Chinese notebook does anything else than the English one, or shows what another host has shown."""
    assert code_of(name, "zh") == code_of(name)
    assert [cell for cell in notebook(name, "zh")["cells"] if cell.get("outputs") or cell.get("execution_count")] == []


@pytest.mark.parametrize("name", NAMES)
def test_structure_links_and_names_are_the_same(name: str) -> None:
    """Fails if a translation has another heading, row or item, or lacks a link, a command, a file or a parameter."""
    for text, chinese in pairs(name):
        assert shape(chinese) == shape(text)
        assert {link.replace("../../", "../") for link in re.findall(LINK, chinese)} == set(re.findall(LINK, text))
        codes = set(re.findall(CODE, chinese))
        # What the program says is quoted in the language in which it says it.
        both = [{code, f"`{in_chinese(code[1:-1])}`"} for code in set(re.findall(CODE, text))]
        assert (len(codes), [names for names in both if not names & codes]) == (len(both), [])


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    """Fails if a link of a Chinese notebook leads to a file that is not there, or out of the Chinese notebooks."""
    links = [link for cell in notebook(name, "zh")["cells"] for link in re.findall(LINK, "".join(cell["source"]))]
    assert links
    assert [link for link in links if not (table.CHINESE / link).exists()] == []
    assert [link for link in links if link.endswith(".ipynb") and "/" in link] == []


def prose_in_chinese() -> list[str]:
    """Return all Chinese texts, of notebooks and program, each code span as `x`, without blocks and links' targets."""
    said = [
        PLACEHOLDER.sub("…", str(item.string)).strip() for item in words.catalogue() if item.id and not item.context
    ]
    texts = [re.sub(r"(?s)```.*?```", "", text) for text in (*table.translations().values(), *filter(None, said))]
    return [re.sub(LINK, "]", re.sub(CODE, "`x`", text)) for text in texts]


def test_no_prose_is_english() -> None:
    """Fails if a text, or a sentence in it, was left in English."""
    words_alone = r"[^\u4e00-\u9fff]*[A-Za-z]{2,} [a-z]{2,}[^\u4e00-\u9fff]*"
    assert [text for text in prose_in_chinese() if re.fullmatch(words_alone, text)] == []
    assert [found for text in prose_in_chinese() for found in re.findall(r"(?:[A-Za-z']+,? ){4}[a-z]+", text)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(rf"{HAN}\[?[A-Za-z0-9`]|[A-Za-z0-9`]{HAN}", id="no-space-beside-latin"),
        pytest.param(rf"{HAN} {HAN}", id="space-in-chinese"),
        pytest.param(rf"{HAN}[,;:?!()\"]|[,;:?!()\"]{HAN}", id="half-width-punctuation"),
        pytest.param(rf"{FULL} (?!\|)|(?<!\|) {FULL}", id="space-beside-full-width-punctuation"),
        pytest.param("点名|秘密", id="words-that-a-reader-refused"),
    ],
)
def test_typography_is_that_of_the_chinese_readme(wrong: str) -> None:
    """Fails if spaces, punctuation or words are others than in README.zh-CN.md."""
    assert [found[0] for text in prose_in_chinese() if (found := re.search(f".{{0,8}}(?:{wrong}).{{0,8}}", text))] == []
