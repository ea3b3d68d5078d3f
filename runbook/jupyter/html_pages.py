"""The notebooks as pages of HTML, one a section, that ask for nothing from outside: to read without Jupyter."""

import html
import re
from importlib.resources import files
from pathlib import Path

from nbconvert.exporters.html import HTMLExporter

from runbook import catalogue
from runbook.catalogue import NOTEBOOKS
from runbook.system.host import files as outside

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # Content Security Policy Level 3
_STYLE = "body { max-width: 60rem; } img { max-width: 100%; } .prompt { display: none; }"


def write(folder: Path) -> list[Path]:
    """Write each notebook, with the outputs stored in it, as NAME.html into a folder; return the pages' paths.

    Raises HostError where another user could lead them elsewhere.
    """
    exporter = HTMLExporter(template_name="basic", exclude_anchor_links=True)  # type: ignore[no-untyped-call] # theirs
    outside.ensure_directory(folder, 0o755)
    pages = []
    for notebook in catalogue.notebooks():
        body, _ = exporter.from_filename(str(NOTEBOOKS / f"{notebook.name}.ipynb"))
        pages.append(folder / f"{notebook.name}.html")
        outside.write(pages[-1], _page(notebook.title, body).encode(), 0o644)
    return pages


def _page(heading: str, body: str) -> str:
    style = files("runbook.runs.record").joinpath("page.css").read_text(encoding="utf-8")
    linked = re.sub(r'href="([0-9a-z-]+)\.ipynb(#[^"]*)?"', r'href="\1.html\2"', body)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(heading)}</title>\n<style>\n{style}{_STYLE}\n</style>\n</head>\n<body>\n"
        f"<main>\n{linked}\n</main>\n</body>\n</html>\n"
    )
