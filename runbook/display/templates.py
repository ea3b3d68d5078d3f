"""HTML and SVG from the templates (`NAME.j2`) that lie beside the modules that fill them."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from runbook.model import words

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE = Path(__file__).parents[1]


def fill(template: str, **values: object) -> str:
    """Return a template, named by its path below `runbook/` without `.j2`, with the values in it, which are escaped."""
    return _environment().get_template(f"{template}.j2").render(values, say=words.say, language=words.language())


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
