"""JSON that others wrote, read as data."""

import json
from typing import Any


def read(text: str | bytes) -> Any:  # noqa: ANN401 (whatever stands there)
    """Return the data of a JSON text; raises ValueError for what is none, and for more levels than can be read."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("more levels than can be read") from error


def read_object(text: str | bytes) -> dict[str, Any]:
    """Return the object of a JSON text, an empty one for any other text."""
    try:
        found = read(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
