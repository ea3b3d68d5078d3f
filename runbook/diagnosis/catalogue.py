"""The catalogue as data: messages that people meet, and their causes, each with the one check that confirms it."""

import importlib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .situation import Finding, Situation

Check = Callable[[Situation], Finding]
_LONG, _AROUND = 20_000, 2_000  # characters
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """Why something is wrong, how it is confirmed, and what removes it.

    `notebook` carries the remedy out, after what the remedy leaves to a person; it is empty where all of it is left.
    `asked` marks a cause that is looked for only where a message points to it: without one, it is no fault. `general`
    marks one whose check plans a whole notebook.
    """

    name: str
    text: str
    check: Check
    remedy: str
    notebook: str = ""
    asked: bool = False
    general: bool = False

    @property
    def looks(self) -> str:
        """What the check does, in a sentence."""
        return (self.check.__doc__ or "").partition("\n")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message that people meet: `name` is its words without what is particular, `example` the real ones.

    `pattern` is a regular expression that finds it in a text; `versions` says who says so; `not_reproduced` says why
    the tests do not bring it about, and is empty where they do.
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
    return tuple(Cause(**{**entry, "check": _check(entry["check"])}) for entry in _entries("cause"))


def _check(name: str) -> Check:
    module, _, function = name.partition(".")
    found: Check = getattr(importlib.import_module(f".{module}", __package__), function)
    return found


@cache
def messages() -> tuple[Message, ...]:
    """Return all messages, in their order."""
    return tuple(Message(**{**entry, "causes": tuple(entry["causes"])}) for entry in _entries("message"))


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """Return a pattern in lower case: on a text in lower case, that takes a third of the time."""
    return re.compile(re.sub(r"(\\.)|([A-Z]+)", lambda at: at[1] or at[2].lower(), pattern))


def plain(text: str) -> str:
    """Return a text without what programs put around a message: colours, beginnings of lines, escapes of quotes.

    Beginnings are those of Compose, BuildKit, journald and runners of CI jobs. Source of the colours: ECMA-48.
    """
    text = _BEGINNINGS.sub("", _COLOURS.sub("", text))
    return re.sub(r"\\+([\"'])", r"\1", text).translate(_QUOTES)


_COLOURS = re.compile(r"\x1b(?:\[[\d;?]*[ -/]?[@-~]|\][^\x07\x1b]{0,1000}(?:\x07|\x1b\\))")
_BEGINNINGS = re.compile(
    r"(?m)^(?:[\w.-]{1,100} {1,40}\| ?|#\d{1,5} (?:\d{1,6}\.\d{1,6} )?|\d{4}-\d\d-\d\dT[\d:.]{8,18}Z? |"
    r"[A-Z][a-z]{2} [ \d]\d [\d:]{8} \S{1,200} [\w.-]{1,100}\[\d{1,10}\]: )"
)
_QUOTES = str.maketrans(dict.fromkeys("\u201c\u201d\u201e", '"') | dict.fromkeys("\u2018\u2019", "'"))


def _unwrapped(text: str) -> str:
    """Return a text in one line: a terminal, or who pastes, breaks lines anywhere."""
    return re.sub(r"\s+", " ", text)


def find(text: str) -> list[Message]:
    """Return the known messages in a text of one or many lines, in the order of the catalogue."""
    lowered = _unwrapped(text).lower()
    return [message for message in messages() if _expression(message.pattern).search(lowered)]


def excerpt(text: str, found: Sequence[Message]) -> str:
    """Return what checks read of a text: a long one's parts around the first place of each message, or its start."""
    if len(text) <= _LONG:
        return text
    unwrapped = _unwrapped(text)
    lowered = unwrapped.lower()
    places = [at.start() for message in found if (at := _expression(message.pattern).search(lowered))]
    return "\n".join(unwrapped[max(0, place - _AROUND) : place + _AROUND] for place in places or [0])


def causes_of(found: Sequence[Message]) -> list[Cause]:
    """Return the causes that messages may have, roots first."""
    names = {name for message in found for name in message.causes}
    return [cause for cause in causes() if cause.name in names]
