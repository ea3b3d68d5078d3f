"""The notebooks as pages: all of them, linked among each other, with nothing asked for from outside."""

import re
from pathlib import Path

import pytest

from runbook import catalogue
from runbook.jupyter import html_pages


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the pages by their names."""
    folder = tmp_path_factory.mktemp("pages") / "new"
    return {path.name: path.read_text(encoding="utf-8") for path in html_pages.write(folder)}


def test_there_is_a_page_for_each_notebook(written: dict[str, str]) -> None:
    """Fails if a section is left out, or a page has another title than its notebook."""
    titles = {name: re.findall(r"<title>(.*)</title>", text) for name, text in written.items()}
    assert titles == {f"{name}.html": [catalogue.find(name).title] for name in catalogue.names()}


def test_pages_show_what_is_stored(written: dict[str, str]) -> None:
    """Fails if a page lacks its tables or its pictures."""
    assert "<caption" in written["60-push-pull.html"]
    assert "data:image/svg+xml" in written["60-push-pull.html"]


def test_links_lead_to_pages(written: dict[str, str]) -> None:
    """Fails if a reader without Jupyter is led to a notebook, or to a page that is not there."""
    links = {link for text in written.values() for link in re.findall(r'href="([^"#:]+)', text)}
    assert {link for link in links if not link.startswith("../")} == set(written)


def test_pages_ask_for_nothing_from_outside(written: dict[str, str]) -> None:
    """Fails if opening a page sends a request."""
    for name, text in written.items():
        fetched = re.findall(
            r'(?:src|srcset)="(?!data:)[^"]*"|@import[^;]*|url\([^)]*\)|<(?:script|link|iframe)[^>]*>', text
        )
        assert (name, fetched) == (name, [])


def test_pages_are_written_again_over_old_ones(tmp_path: Path) -> None:
    """Fails if a second export stumbles over the first."""
    assert html_pages.write(tmp_path) == html_pages.write(tmp_path)
