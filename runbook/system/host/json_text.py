"""Parsing of JSON from other programs."""

import json
from typing import Any


def read(text: str | bytes) -> Any:  # noqa: ANN401 (any JSON value)
    """Return the data of a JSON text; raises ValueError for invalid JSON and for nesting beyond the recursion limit."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("more levels than can be read") from error


def read_object(text: str | bytes) -> dict[str, Any]:
    """Return the object in a JSON text; empty for any other value and for invalid JSON."""
    try:
        found = read(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
