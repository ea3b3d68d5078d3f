"""The answer: the causes of a message, or of whatever is wrong here, each checked now, the confirmed ones first."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from runbook.display import tables
from runbook.model.parameters import Parameters
from runbook.model.redaction import redact
from runbook.system.host import network

from .catalogue import Cause, Message, causes, causes_of, excerpt, find, plain
from .situation import Finding, Situation, look

_ORDER = {True: 0, None: 1, False: 2}
_WORDS = {True: "confirmed", None: "undecided", False: "ruled out"}
_TONES: dict[bool | None, tables.Tone] = {True: "bad", None: "open", False: ""}


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A cause, and what its check found."""

    cause: Cause
    finding: Finding

    @property
    def remedy(self) -> str:
        """What removes the cause: what the check found to be done, else what holds for the cause."""
        first, then = self.finding.remedy, self.cause.notebook
        then = f", then run the notebook {then}" if then else ""
        return f"{first[:1].upper()}{first[1:]}{then}." if first else self.cause.remedy

    @property
    def notebook(self) -> str:
        """The notebook that carries the remedy out; empty where a person must do something else first."""
        return "" if self.finding.remedy else self.cause.notebook


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The known messages in what was asked, and the causes in order; `asked` is whether there was a message at all.

    `others` are the registries that it speaks of, where none of them is this host's.
    """

    asked: bool
    messages: tuple[Message, ...]
    judged: tuple[Judged, ...]
    others: tuple[str, ...] = ()

    @property
    def confirmed(self) -> tuple[Judged, ...]:
        """The causes that are confirmed, roots first."""
        return tuple(item for item in self.judged if item.finding.confirmed)

    @property
    def all_is_well(self) -> bool:
        """Whether nothing wrong was found, and nothing unknown was asked."""
        return not self.confirmed and (bool(self.messages) or not self.asked)

    def as_data(self, options: Sequence[str] = ()) -> dict[str, object]:
        """Return it as plain data, for JSON."""
        return {
            "asked": self.asked,
            "messages": [message.name for message in self.messages],
            "other_registries": list(self.others),
            "causes": [
                {
                    "name": item.cause.name,
                    "cause": item.cause.text,
                    "confirmed": item.finding.confirmed,
                    "check": item.cause.looks,
                    "found": item.finding.found,
                    "remedy": item.remedy,
                    "notebook": item.notebook,
                    "command": command(item.notebook, options),
                }
                for item in self.judged
            ],
        }

    def table(self, options: Sequence[str] = ()) -> tables.Table:
        """Return the table: with a known message all of its causes, else the confirmed ones."""
        shown = self.judged if self.messages else self.confirmed
        rows = tuple(
            (_WORDS[item.finding.confirmed], item.cause.text, item.finding.found, *_to_do(item, options))
            for item in shown
        )
        return tables.Table(
            headings=("Here and now", "Cause", "The check found", "Remedy", "Carried out by"),
            rows=rows,
            empty=f"{len(self.judged)} causes were looked for, and none is confirmed.",
            caption=self.heading,
            details=self.undecided,
            tones=tuple(_TONES[item.finding.confirmed] for item in shown),
            marked="Here and now",
            record={"kind": "diagnosis", **self.as_data(options)},
        )

    @property
    def heading(self) -> str:
        """What the table is about, in a sentence."""
        if self.messages:
            known = "Known: " + "; ".join(f"“{message.name}”" for message in self.messages)
            others = ", ".join(self.others)
            return f"{known}. It speaks of {others}; what is confirmed is about this host's own" if others else known
        if self.asked:
            return "The catalogue does not know this message; the host was looked at instead"
        return "What was found wrong here, the root first"

    @property
    def undecided(self) -> tuple[str, ...]:
        """What could not be looked at, where the table does not show it; nothing where all was."""
        if self.messages:
            return ()
        left: dict[str, list[str]] = {}
        for item in self.judged:
            if item.finding.confirmed is None:
                left.setdefault(item.finding.found, []).append(item.cause.name)
        return tuple(f"not looked at, for {why}: {', '.join(names)}" for why, names in left.items())


def command(notebook: str, options: Sequence[str] = ()) -> str:
    """Return the command that carries out a remedy by a notebook, empty where that is left to a person."""
    return shlex.join(["registry-runbook", "run", notebook, *options]) if notebook else ""


def _to_do(item: Judged, options: Sequence[str]) -> tuple[str, str]:
    if item.finding.confirmed is False:
        return "", ""
    return item.remedy, command(item.notebook, options) or "yourself"


def diagnose(message: str, parameters: Parameters) -> Answer:
    """Return the causes of the known messages in a text, each checked now: confirmed, then undecided, then ruled out.

    Without a known message, all causes are looked for that are faults by themselves. Nothing on this host is changed.
    """
    message = redact(plain(message))
    found = find(message)
    situation = Situation(parameters, message=excerpt(message, found))
    looked_for = causes_of(found) if found else [cause for cause in causes() if not cause.asked]
    judged = [Judged(cause=cause, finding=look(cause.check, situation)) for cause in looked_for]
    if not found:
        judged = _without_repetition(judged)
    judged.sort(key=lambda item: _ORDER[item.finding.confirmed])
    others = _others(situation)
    return Answer(asked=bool(message.strip()), messages=tuple(found), judged=tuple(judged), others=others)


def _others(situation: Situation) -> tuple[str, ...]:
    """Return the registries that the message names; none where this host's is among them."""
    parameters = situation.parameters
    names = re.findall(_REGISTRIES, situation.message)
    own = {parameters.domain, *parameters.extra_names, *parameters.extra_addresses, *network.host_addresses()}
    hosts = [name.partition(":")[0].lower() for name in names]
    is_own = any(host in own or host == "localhost" or host.startswith("127.") for host in hosts)
    return () if is_own else tuple(dict.fromkeys(names))


_REGISTRIES = r"https?://([\w.-]{1,255}(?::\d{1,5})?)/v[12]/"


def _without_repetition(judged: Sequence[Judged]) -> list[Judged]:
    """Return what was judged without what says again that a notebook would change what a cause before it names.

    A notebook that refuses is told all the same, with what to do first, unless a cause before it found just that.
    """
    before = [item for item in judged if item.finding.confirmed and not item.cause.general]
    named, found = {item.notebook for item in before}, [item.finding.found for item in before]

    def repeats(item: Judged) -> bool:
        return item.notebook in named if item.notebook else item.finding.refusal in found

    return [item for item in judged if not (item.cause.general and repeats(item))]
