"""The notebooks as pages of HTML, one a section, that ask for nothing from outside: to read without Jupyter."""

import re
from pathlib import Path

from nbconvert.exporters.html import HTMLExporter

from runbook import catalogue
from runbook.catalogue import NOTEBOOKS
from runbook.display import templates
from runbook.system.host import files


def write(folder: Path) -> list[Path]:
    """Write each notebook, with the outputs stored in it, as NAME.html into a folder; return the pages' paths.

    Raises HostError where another user could lead them elsewhere.
    """
    exporter = HTMLExporter(template_name="basic", exclude_anchor_links=True)  # type: ignore[no-untyped-call] # theirs
    files.ensure_directory(folder, 0o755)
    pages = []
    for notebook in catalogue.notebooks():
        body, _ = exporter.from_filename(str(NOTEBOOKS / f"{notebook.name}.ipynb"))
        pages.append(folder / f"{notebook.name}.html")
        linked = re.sub(r'href="([0-9a-z-]+)\.ipynb(#[^"]*)?"', r'href="\1.html\2"', body)
        page = templates.fill("jupyter/notebook.html", heading=notebook.title, body=linked)
        files.write(pages[-1], page.encode(), 0o644)
    return pages
