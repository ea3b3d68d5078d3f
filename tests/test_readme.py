"""The two READMEs: the same commands, sections and links in both languages, and nothing that leads nowhere."""

import re

import pytest

from runbook.catalogue import PROJECT

ENGLISH, CHINESE = "README.md", "README.zh-CN.md"


def text(name: str) -> str:
    """Return a README."""
    return (PROJECT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(r"^```console\n.*?^```", id="commands-and-their-output"),
        pytest.param(r"^## ", id="sections"),
        pytest.param(r"^\| \[[^\]]*\]", id="rows-of-the-table"),
        pytest.param(r"^- ", id="features"),
        pytest.param(r"!\[[^\]]*\]\(([^)]*)\)", id="pictures"),
    ],
)
def test_both_languages_say_the_same(pattern: str) -> None:
    """Fails if one of the two lacks a command, a section, a notebook, a feature or a picture of the other."""
    english, chinese = (re.findall(pattern, text(name), re.MULTILINE | re.DOTALL) for name in (ENGLISH, CHINESE))
    assert english
    assert english == chinese


@pytest.mark.parametrize(("name", "other"), [(ENGLISH, CHINESE), (CHINESE, ENGLISH)])
def test_links_lead_somewhere(name: str, other: str) -> None:
    """Fails if a link leads to a file that is not there, or the other language is not to be found."""
    links = re.findall(r"\]\(([^)#]+)\)", text(name))
    assert other in links
    assert [link for link in links if "://" not in link and not (PROJECT / link).exists()] == []
