"""What is shown in the reader's language, and the catalogue of translated texts."""

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runbook.catalogue import NOTEBOOKS
from runbook.diagnosis import catalogue as diagnosis
from runbook.model import words
from runbook.model.errors import HostError
from runbook.model.words import CATALOGUE, PLACEHOLDER, choose, language, prefer, say
from tests import words as written

DOCUMENT = Path(__file__).parents[1] / "notebooks" / "document"
# Words of other programs, and what the engine says that it cannot pull.
OTHERS = "certificate signed by unknown authority|no basic auth credentials|certificate verify failed|pull: .*"
CHINESE = pytest.mark.usefixtures("_in_chinese")


@pytest.fixture
def _in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(words.VARIABLE, "zh")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, "en", id="none"),
        pytest.param({"LANG": "zh_CN.UTF-8"}, "zh", id="chinese"),
        pytest.param({"LANG": "de_DE.UTF-8"}, "en", id="other"),
        pytest.param({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "C"}, "en", id="messages-before-lang"),
        pytest.param({"LC_MESSAGES": "C", "LC_ALL": "zh_TW"}, "zh", id="all-before-messages"),
        pytest.param({"LC_ALL": "", "LANG": "zh_SG"}, "zh", id="empty-counts-as-not-set"),
    ],
)
def test_language_is_that_of_the_locale(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    """Fails if the program speaks another language than those of the session, or than the one that was chosen."""
    for name in (words.VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert language() == expected


def test_what_is_chosen_comes_before_what_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a parameter file overrides the command line, or the locale a parameter file."""
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    monkeypatch.setenv(words.VARIABLE, "")
    monkeypatch.delenv(words.VARIABLE)
    prefer("auto")
    assert language() == "zh"
    prefer("en")
    assert language() == "en"
    choose("zh")
    prefer("en")
    assert language() == "zh"


@CHINESE
def test_text_is_translated_with_the_parts_that_differ() -> None:
    """Fails if a part of a text stays English, or a sentence loses its end."""
    assert say(str(HostError("a plan", "none", "run the notebook 30-certificates"))) == (
        "预期：a plan；实际：无。修复方法：运行笔记本 30-certificates。"  # noqa: RUF001 (Chinese punctuation)
    )
    assert say("the login of none but bob") == "none but bob 的登录"
    assert say("0 changes") == "0 项改动"
    assert say("run the notebook 30-certificates") == "运行笔记本 30-certificates"
    assert say("Run the notebook 30-certificates.") == "运行笔记本 30-certificates。"
    assert say("a user of its own: no entry stands for it") == "a user of its own: no entry stands for it"
    assert say("x" * 4000 + "; none") == "x" * 4000 + "; none"


def test_text_is_english_where_nothing_else_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a program that reads the output of another one finds it changed."""
    monkeypatch.setenv(words.VARIABLE, "en")
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert say("0 changes") == "0 changes"


@CHINESE
def test_words_of_other_programs_stay_as_they_are() -> None:
    """Fails if an entry stands for a message of Docker or the registry, which nobody could search for then."""
    own = "expected the engine to answer within "
    others = [text for item in diagnosis.messages() for text in (item.name, item.example) if not text.startswith(own)]
    assert len(others) > 200
    assert [(text, say(text)) for text in others if say(text) != text] == []


@CHINESE
def test_what_notebooks_show_is_translated() -> None:
    """Fails if a cell of a table that the stored notebooks show, of all sections, is left in English."""
    shown = {
        html.unescape(re.sub(r"<[^>]+>", "", text)).lstrip("✓✗→ ")
        for path in (*NOTEBOOKS.glob("*.ipynb"), *DOCUMENT.glob("*.ipynb"))
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        for output in cell.get("outputs", ())
        for found in re.findall(r"(?s)<td[^>]*>(.*?)</td>|<caption[^>]*>(.*?)</caption>", _html(output))
        for text in found
    }
    told = {text: re.sub(f"{OTHERS}|`[^`]*`", "", say(text)) for text in shown}
    assert len(told) > 300
    assert [text for text, chinese in told.items() if re.search(r"(?:\b[a-z]+,? ){2}[a-z]+", chinese)] == []


def _html(output: Mapping[str, Any]) -> str:
    return re.sub("</?code>", "`", "".join(output.get("data", {}).get("text/html", "")))


def test_catalogue_has_what_the_code_says() -> None:
    """Fails if a text is new or has changed since: `python -m tests.words` brings the catalogue up to date."""
    assert written.written().decode() == CATALOGUE.read_text(encoding="utf-8")


def test_changed_text_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a stale catalogue is taken for one that is up to date."""
    monkeypatch.setattr(written, "WORDS", (*written.WORDS, "a new word"))
    assert written.written().decode() != CATALOGUE.read_text(encoding="utf-8")


def test_translations_keep_placeholders_and_code() -> None:
    """Fails if a translation loses a name or a command, or invents one."""
    wrong = [
        (item.id, item.string)
        for item in written.catalogue()
        if item.id
        and item.string
        and any(
            sorted(set(re.findall(kept, str(item.id)))) != sorted(set(re.findall(kept, str(item.string))))
            for kept in (PLACEHOLDER, "`[^`]*`")
        )
    ]
    assert wrong == []


def test_almost_all_is_translated() -> None:
    """Fails if new texts are left without a translation; what stays English is code, or another program's words."""
    empty = [str(item.id) for item in written.catalogue() if item.id and not item.string]
    prose = [text for text in empty if re.search(r"(?:\\b[a-z]+ ){4}", text) and not re.search(r"[\n=<>|]", text)]
    assert prose == []
