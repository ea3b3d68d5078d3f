"""What is written from the table of the notebooks: titles, links and parameters cells, and the READMEs' tables.

Also the notebooks in Chinese, from the English ones and their translations.
"""

import functools
import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from runbook import catalogue
from runbook.catalogue import NOTEBOOKS, PROJECT, Notebook
from runbook.model.parameters import Parameters, schema
from runbook.model.words import in_chinese as translated

CHINESE = NOTEBOOKS / "zh"
SCHEMA = PROJECT / "parameters" / "schema.json"
READMES = {PROJECT / "README.md": "", PROJECT / "README.zh-CN.md": "_zh"}
LINK, FIRST = "[{text}]({name}.ipynb)", catalogue.names()[0]
_ROWS = r"(?m)^(\|(?:-+\|)+\n)(?:\| \[\d\d-.*\n?)+"  # the rows of notebooks below a table's rule
_RUNS = {
    "always": "",
    "users": "; only with `users`",
    "nginx": "; only with `proxy: nginx`",
    "named": "; only when you ask for it",
}


def texts() -> dict[Path, str]:
    """Return the text of each file that is written from the table, as it is to be."""
    notebooks = {NOTEBOOKS / f"{item.name}.ipynb": written(item) for item in catalogue.notebooks()}
    chinese = {CHINESE / path.name: in_chinese(path.stem, text) for path, text in notebooks.items()}
    readmes = {path: with_rows(path.read_text(encoding="utf-8"), end) for path, end in READMES.items()}
    return {**notebooks, **chinese, **readmes, SCHEMA: schema()}


def dump(notebook: dict[str, Any]) -> str:
    """Return a notebook's text, laid out so that a diff of it is read easily."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def written(item: Notebook) -> str:
    """Return a notebook's text with what the table says."""
    notebook: dict[str, Any] = json.loads((NOTEBOOKS / f"{item.name}.ipynb").read_text(encoding="utf-8"))
    prose = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    sources = ["".join(cell["source"]) for cell in prose]
    sources[0] = re.sub(r"^# .*", lambda _: f"# {item.title}", sources[0])
    for end in (0, -1):
        sources[end] = "\n".join((*sources[end].split("\n")[:-1], links(item.name)))
    if item.name == FIRST:
        sources = [re.sub(_ROWS, lambda found: found[1] + index_rows(), source) for source in sources]
    for cell, source in zip(prose, sources, strict=True):
        cell["source"] = source.splitlines(keepends=True)
    [cell] = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", ())]
    lines = [
        parameter_line(name) for name in Parameters.model_fields if item.parameters == "all" or name in item.parameters
    ]
    cell["source"] = "\n".join(lines).splitlines(keepends=True)
    return dump(notebook)


def digest(english: str) -> str:
    """Return the hash by which a translation knows its English text."""
    return hashlib.sha256(english.encode()).hexdigest()[:16]


@functools.cache
def translations() -> dict[str, str]:
    """Return the hash of each English text that is translated, with its Chinese text."""
    found = tomllib.loads((CHINESE / "translations.toml").read_text(encoding="utf-8"))
    return {row["english"]: row["chinese"].rstrip("\n") for row in found["cell"]}


def prose(notebook: dict[str, Any]) -> list[str]:
    """Return the text of each Markdown cell; that of the first and the last one without its line of links."""
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    return [sources[0].rpartition("\n\n")[0], *sources[1:-1], sources[-1].rpartition("\n\n")[0]]


def in_chinese(name: str, text: str) -> str:
    """Return a notebook without outputs, its prose and help in Chinese; what is not translated stays English."""
    notebook: dict[str, Any] = json.loads(text)
    known = translations()
    sources = [known.get(digest(english), english) for english in prose(notebook)]
    for end in (0, -1):
        sources[end] += f"\n\n{links(name, '首页')}"
    left = iter(sources)
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            source = next(left)
        else:
            cell |= {"outputs": [], "execution_count": None}
        if "parameters" in cell["metadata"].get("tags", ()):
            source = re.sub("(?m)(?<=  # ).*", lambda found: translated(found[0]), source)
            source = source.replace('language: str = "auto"', 'language: str = "zh"')
        cell["source"] = source.splitlines(keepends=True)
    return dump(notebook)


def links(name: str, index: str = "index") -> str:
    """Return the line that leads from a notebook to the one before it, the `index`, and the one after it."""
    names = catalogue.names()
    place = names.index(name)
    found = [LINK.format(text=f"← {before}", name=before) for before in names[max(place - 1, 0) : place]]
    found += [LINK.format(text=index, name=FIRST)] if place > 1 else []
    found += [LINK.format(text=f"{after} →", name=after) for after in names[place + 1 : place + 2]]
    return " · ".join(found)


def index_rows() -> str:
    """Return the rows of the index's table."""
    return "".join(
        f"| [{item.name}]({item.name}.ipynb) | {item.takes_to}{_RUNS[item.runs]} |{_cell(item.document)}|\n"
        for item in catalogue.notebooks()[1:]
    )


def with_rows(text: str, end: str) -> str:
    """Return a README with the rows of its table; `end` is that of the names of its language's fields."""
    rows = "".join(
        f"| [{item.name}](notebooks/{item.name}.ipynb) | {getattr(item, f'gives{end}')} |"
        f"{_cell(getattr(item, f'refuses{end}'))}|\n"
        for item in catalogue.notebooks()[1:]
    )
    return re.sub(_ROWS, lambda found: found[1] + rows, text)


def _cell(text: str) -> str:
    return f" {text} " if text else " "


def parameter_line(name: str) -> str:
    """Return the line of a parameters cell for a parameter, as the model says it."""
    field = Parameters.model_fields[name]
    kind = type(field.default).__name__
    default = f'"{field.default}"' if kind == "str" else repr(field.default)
    return f"{name}: {kind} = {default}  # {field.description}"
