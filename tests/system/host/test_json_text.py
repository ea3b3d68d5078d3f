"""JSON that others wrote: deep, broken or of another kind, it is an error or nothing, and no traceback."""

import pytest

from runbook.system.host import json_text

DEEP = "[" * 100_000
BROKEN = [DEEP, '{"a": ' * 100_000, "", "{", "no", b"\xff"]


@pytest.mark.parametrize("text", BROKEN, ids=repr)
def test_read_refuses_what_it_cannot_read(text: str | bytes) -> None:
    """Fails if levels without an end, or bytes that are no text, end in another error than other nonsense."""
    with pytest.raises(ValueError, match=r"levels|Expecting|decode"):
        json_text.read(text)
    assert json_text.read_object(text) == {}


def test_read_gives_what_stands_there() -> None:
    """Fails if a text in JSON is read as another, or one of another kind is taken for an object."""
    assert json_text.read('{"a": [1]}') == json_text.read_object(b'{"a": [1]}') == {"a": [1]}
    assert json_text.read_object("[1]") == {}
