"""The table of the notebooks: title, module, kind, when each runs, its parameters and its descriptions."""

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from runbook.model.project import FOLDER

PROJECT = FOLDER
NOTEBOOKS = PROJECT / "notebooks"
Kind = Literal["state", "operation", "look"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Notebook:
    """A row of `catalogue.toml`, which explains the fields; `module` is a name below `runbook`."""

    name: str
    title: str
    module: str
    kind: Kind
    runs: Literal["always", "users", "nginx", "named"]
    parameters: tuple[str, ...] | Literal["all"]
    takes_to: str = ""
    document: str = ""
    gives: str = ""
    refuses: str = ""
    gives_zh: str = ""
    refuses_zh: str = ""


@functools.cache
def notebooks() -> tuple[Notebook, ...]:
    """Return all notebooks in the order of the table."""
    rows = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["notebook"]
    return TypeAdapter(tuple[Notebook, ...]).validate_python(rows)


def names() -> list[str]:
    """Return the names of all notebooks in the order of the table."""
    return [notebook.name for notebook in notebooks()]


def behind(module: str) -> Notebook | None:
    """Return the notebook that a module of the runbook is behind, by its full name; None if there is none."""
    return next((notebook for notebook in notebooks() if f"runbook.{notebook.module}" == module), None)


def find(name: str) -> Notebook:
    """Return the notebook of a name; raises KeyError if there is none."""
    return {notebook.name: notebook for notebook in notebooks()}[name]
