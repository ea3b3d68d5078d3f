"""The catalogue as data: known messages, and their causes, each with the check that confirms it."""

import importlib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from runbook.model.project import as_started

from .situation import Finding, Situation

Check = Callable[[Situation], Finding]
_LONG, _AROUND = 20_000, 2_000  # characters
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """A cause, the check that confirms it, and the remedy that removes it.

    `notebook` carries out the remedy, after its manual steps; it is empty if all steps are manual.
    `asked` marks a cause that is no fault by itself: it is checked only if a message points to it.
    `general` marks a cause whose check plans a whole notebook.
    """

    name: str
    text: str
    check: Check
    remedy: str
    notebook: str = ""
    asked: bool = False
    general: bool = False

    @property
    def check_text(self) -> str:
        """A sentence on what the check does: the first line of its docstring."""
        return (self.check.__doc__ or "").partition("\n")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A known message: `name` is its text without the variable parts, `example` a real message.

    `pattern` is a regular expression that finds it in a text. `versions` lists the programs that print it.
    `not_reproduced` is the reason why the tests do not reproduce it, empty if they do.
    """

    name: str
    pattern: str
    versions: str
    example: str
    causes: tuple[str, ...]
    source: str
    not_reproduced: str = ""


def _entries(kind: str) -> Sequence[Mapping[str, Any]]:
    entries: Sequence[Mapping[str, Any]] = tomllib.loads((_FOLDER / f"{kind}s.toml").read_text(encoding="utf-8"))[kind]
    return entries


@cache
def causes() -> tuple[Cause, ...]:
    """Return all causes, roots first."""
    return tuple(
        Cause(**{**entry, "check": _check(entry["check"]), "remedy": as_started(entry["remedy"])})
        for entry in _entries("cause")
    )


def _check(name: str) -> Check:
    module, _, function = name.partition(".")
    found: Check = getattr(importlib.import_module(f".{module}", __package__), function)
    return found


@cache
def messages() -> tuple[Message, ...]:
    """Return all messages, in the order of the catalogue."""
    return tuple(Message(**{**entry, "causes": tuple(entry["causes"])}) for entry in _entries("message"))


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """Compile a pattern in lower case: on a lower-case text, the search takes a third of the time."""
    return re.compile(re.sub(r"(\\.)|([A-Z]+)", lambda match: match[1] or match[2].lower(), pattern))


def plain(text: str) -> str:
    """Return a text without colours, line prefixes and escaped quotes.

    Line prefixes are those of Compose, BuildKit, journald and CI runners. Source of the colours: ECMA-48.
    """
    text = _PREFIXES.sub("", _COLOURS.sub("", text))
    return re.sub(r"\\+([\"'])", r"\1", text).translate(_QUOTES)


_COLOURS = re.compile(r"\x1b(?:\[[\d;?]*[ -/]?[@-~]|\][^\x07\x1b]{0,1000}(?:\x07|\x1b\\))")
_PREFIXES = re.compile(
    r"(?m)^(?:[\w.-]{1,100} {1,40}\| ?|#\d{1,5} (?:\d{1,6}\.\d{1,6} )?|\d{4}-\d\d-\d\dT[\d:.]{8,18}Z? |"
    r"[A-Z][a-z]{2} [ \d]\d [\d:]{8} \S{1,200} [\w.-]{1,100}\[\d{1,10}\]: )"
)
_QUOTES = str.maketrans(dict.fromkeys("\u201c\u201d\u201e", '"') | dict.fromkeys("\u2018\u2019", "'"))


def _unwrapped(text: str) -> str:
    """Return a text as one line: terminals and pasting break lines anywhere."""
    return re.sub(r"\s+", " ", text)


def find(text: str) -> list[Message]:
    """Return the known messages in a text, in the order of the catalogue."""
    lowered = _unwrapped(text).lower()
    return [message for message in messages() if _expression(message.pattern).search(lowered)]


def excerpt(text: str, found: Sequence[Message]) -> str:
    """Return the part of a text that checks read.

    A text of up to 20,000 characters is returned whole. Of a longer one, this returns 2,000 characters on each side of
    the start of each message's first match, or the first 2,000 characters if there is none.
    """
    if len(text) <= _LONG:
        return text
    unwrapped = _unwrapped(text)
    lowered = unwrapped.lower()
    starts = [match.start() for message in found if (match := _expression(message.pattern).search(lowered))]
    return "\n".join(unwrapped[max(0, start - _AROUND) : start + _AROUND] for start in starts or [0])


def causes_of(found: Sequence[Message]) -> list[Cause]:
    """Return the possible causes of messages, roots first."""
    names = {name for message in found for name in message.causes}
    return [cause for cause in causes() if cause.name in names]
