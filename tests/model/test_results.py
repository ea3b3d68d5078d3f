"""Results: when a claim passes, and what is shown of a long message."""

from collections.abc import Callable

import pytest

from runbook.model.results import Result, refused, says, works


@pytest.mark.parametrize(
    ("make", "refusal"), [pytest.param(works, False, id="works"), pytest.param(refused, True, id="refused")]
)
@pytest.mark.parametrize(
    ("found", "passed"),
    [
        pytest.param(401, True, id="equal"),
        pytest.param(200, False, id="other"),
        pytest.param(None, False, id="nothing"),
        pytest.param("401", False, id="text-is-no-number"),
    ],
)
def test_result_passes_only_where_found_equals_expected(
    make: Callable[..., Result], *, refusal: bool, found: object, passed: bool
) -> None:
    """Fails if a truth test takes the place of equality, or a refusal is recorded as a success."""
    expected = Result(claim="c", expected="401", found=str(found), passed=passed, refusal=refusal, remedy="r")
    assert expected == make("c", expected=401, found=found, remedy="r")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Error: x509: unknown authority (of r)\nbye", "unknown authority", id="it-is-there"),
        pytest.param("first\n\n  last  \n\n", "  last", id="else-the-last-line"),
        pytest.param(" \n\n", "no message", id="blank"),
        pytest.param("", "no message", id="empty"),
    ],
)
def test_says_shows_the_part_that_counts(text: str, expected: str) -> None:
    """Fails if a message that says something else would pass, or is shown at full length."""
    assert expected == says(text, expected="unknown authority")
