"""The results of checks: one a claim, with the expected and the found value."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The result of one claim. `refusal` marks a negative test: the claim is that something is refused.

    `asker` is the client that sent the request to the registry; empty if there was none.
    """

    claim: str
    expected: str
    found: str
    passed: bool
    refusal: bool
    remedy: str
    asker: str = ""


def works(claim: str, *, expected: object, found: object, remedy: str, asker: str = "") -> Result:
    """Return the result of a claim that something works; it passes if `found` equals `expected`."""
    return Result(
        claim=claim,
        expected=str(expected),
        found=str(found),
        passed=expected == found,
        refusal=False,
        remedy=remedy,
        asker=asker,
    )


def refused(claim: str, *, expected: object, found: object, remedy: str, asker: str = "") -> Result:
    """Return the result of a claim that something is refused; it passes if `found` equals `expected`."""
    result = works(claim, expected=expected, found=found, remedy=remedy, asker=asker)
    return replace(result, refusal=True)


def says(text: str, *, expected: str) -> str:
    """Return `expected` if `text` contains it, else the last line of `text`: the short form of a long message."""
    if expected in text:
        return expected
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"
