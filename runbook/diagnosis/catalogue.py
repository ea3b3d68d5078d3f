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
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """Why something is wrong, how it is confirmed, and what removes it.

    `notebook` carries the remedy out, after what the remedy leaves to a person; it is empty where all of it is left.
    `asked` marks a cause that is looked for only where a message points to it: without one, it is no fault.
    """

    name: str
    text: str
    check: Check
    remedy: str
    notebook: str = ""
    asked: bool = False

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


def find(text: str) -> list[Message]:
    """Return the known messages in a text of one or many lines, in the order of the catalogue."""
    unwrapped = re.sub(r"\s+", " ", text)  # a terminal, or who pastes, breaks lines anywhere
    return [message for message in messages() if re.search(message.pattern, unwrapped, re.IGNORECASE)]


def causes_of(found: Sequence[Message]) -> list[Cause]:
    """Return the causes that messages may have, roots first."""
    names = {name for message in found for name in message.causes}
    return [cause for cause in causes() if cause.name in names]
