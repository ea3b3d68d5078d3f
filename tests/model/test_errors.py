"""Errors: one tree, three parts, one message."""

import copy
import pickle

import pytest

from runbook.model import errors
from runbook.model.errors import RunbookError, visible

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind is not RunbookError]


@pytest.mark.parametrize("kind", KINDS)
def test_error_is_of_the_tree_that_is_drawn(kind: type[RunbookError]) -> None:
    """Fails if a class is missing from the drawing, or is caught by something else than RunbookError."""
    assert (RunbookError, Exception, BaseException, object) == kind.__mro__[-4:]
    assert f"── {kind.__name__} " in str(errors.__doc__)


@pytest.mark.parametrize("kind", KINDS)
def test_error_says_expected_found_remedy(kind: type[RunbookError]) -> None:
    """Fails if one of the three parts is missing from the message, or from what Jupyter shows."""
    error = kind("a port that is free", "nginx (pid 7)", "stop it")
    expected = "expected a port that is free; found nginx (pid 7). To repair: stop it."
    assert expected == str(error)
    assert [f"{kind.__name__}: {expected}"] == error._render_traceback_()


@pytest.mark.parametrize("clone", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301 (ours)
def test_error_keeps_its_parts_in_a_copy(clone: type[RunbookError]) -> None:
    """Fails if an error that crosses to another process loses a part."""
    found = clone(errors.HostError("e", "f", "r"))  # type: ignore[call-arg, arg-type] # a function like copy.copy
    assert (errors.HostError, "e", "f", "r") == (type(found), found.expected, found.found, found.remedy)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain: ä 密码\u3000\n\tand a tab", "plain: ä 密码\u3000\n\tand a tab"),
        ("a\x1b[2Jb\rc\x9b1mc\x7f", r"a\u001b[2Jb\u000dc\u009b1mc\u007f"),
        ("right\u202eleft\u2066\u2028", r"right\u202eleft\u2066\u2028"),
        ("lone \ud800", r"lone \ud800"),
    ],
)
def test_visible_keeps_a_terminal_from_obeying_a_text(text: str, expected: str) -> None:
    """Fails if what others wrote can clear a screen or turn words round, or a text of any language is spoilt."""
    assert (visible(text), visible(visible(text))) == (expected, expected)
    assert text == expected or expected in str(RunbookError("x", text, "y"))
