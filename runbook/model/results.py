"""What a proof is made of: one result a claim, with what was expected and what was found."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One claim, tried. `refusal` marks the negative twin: the claim is that something is refused.

    `asker` says who asked the registry, and is empty where nobody did.
    """

    claim: str
    expected: str
    found: str
    passed: bool
    refusal: bool
    remedy: str
    asker: str = ""


def works(claim: str, *, expected: object, found: object, remedy: str, asker: str = "") -> Result:
    """Return the result of a claim that something works: it passes where `found` equals `expected`."""
    return _compare(claim, expected, found, refusal=False, remedy=remedy, asker=asker)


def refused(claim: str, *, expected: object, found: object, remedy: str, asker: str = "") -> Result:
    """Return the result of a claim that something is refused: it passes where `found` equals `expected`."""
    return _compare(claim, expected, found, refusal=True, remedy=remedy, asker=asker)


def _compare(  # noqa: PLR0913 (one a field)
    claim: str, expected: object, found: object, *, refusal: bool, remedy: str, asker: str
) -> Result:
    passed = expected == found
    return Result(
        claim=claim,
        expected=str(expected),
        found=str(found),
        passed=passed,
        refusal=refusal,
        remedy=remedy,
        asker=asker,
    )


def says(text: str, *, expected: str) -> str:
    """Return `expected` where it stands in `text`, else the text's last line: what a check shows of a long message."""
    if expected in text:
        return expected
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"
