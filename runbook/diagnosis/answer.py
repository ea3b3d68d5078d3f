"""The answer to a message, or to no message at all: the possible causes, each checked now, confirmed ones first."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from runbook.display import tables
from runbook.model.parameters import Parameters
from runbook.model.project import COMMAND
from runbook.model.redaction import redact
from runbook.system.host import network

from .catalogue import Cause, Message, causes, causes_of, excerpt, find, plain
from .situation import Finding, Situation, look

_ORDER = {True: 0, None: 1, False: 2}
_STATUSES = {True: "confirmed", None: "undecided", False: "ruled out"}
_TONES: dict[bool | None, tables.Tone] = {True: "bad", None: "open", False: ""}


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """A cause and the finding of its check."""

    cause: Cause
    finding: Finding

    @property
    def remedy(self) -> str:
        """What removes the cause: the finding's remedy and then the notebook, or else the cause's own remedy."""
        first = self.finding.remedy
        if not first:
            return self.cause.remedy
        first = f"{first[:1].upper()}{first[1:]}"
        return f"{first}, then run the notebook {self.cause.notebook}." if self.cause.notebook else f"{first}."

    @property
    def notebook(self) -> str:
        """The notebook that carries out the remedy; empty if a person has to act first."""
        return "" if self.finding.remedy else self.cause.notebook


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The known messages in a text, and their causes in order; `asked` is whether there was a text.

    `others` are the registries that the text names, if none of them is this host's.
    """

    asked: bool
    messages: tuple[Message, ...]
    diagnoses: tuple[Diagnosis, ...]
    others: tuple[str, ...] = ()

    @property
    def confirmed(self) -> tuple[Diagnosis, ...]:
        """The confirmed causes, roots first."""
        return tuple(item for item in self.diagnoses if item.finding.confirmed)

    @property
    def all_is_well(self) -> bool:
        """Whether no cause is confirmed and the message, if there was one, is known."""
        return not self.confirmed and (bool(self.messages) or not self.asked)

    def as_data(self, options: Sequence[str] = ()) -> dict[str, object]:
        """Return the answer as plain data for JSON; `options` are those of the commands in it."""
        return {
            "asked": self.asked,
            "messages": [message.name for message in self.messages],
            "other_registries": list(self.others),
            "causes": [
                {
                    "name": item.cause.name,
                    "cause": item.cause.text,
                    "confirmed": item.finding.confirmed,
                    "check": item.cause.check_text,
                    "found": item.finding.found,
                    "remedy": item.remedy,
                    "notebook": item.notebook,
                    "command": command(item.notebook, options),
                }
                for item in self.diagnoses
            ],
        }

    def table(self, options: Sequence[str] = ()) -> tables.Table:
        """Return the table of the causes: all causes of a known message, otherwise the confirmed ones."""
        shown = self.diagnoses if self.messages else self.confirmed
        rows = tuple(
            (_STATUSES[item.finding.confirmed], item.cause.text, item.finding.found, *_to_do(item, options))
            for item in shown
        )
        return tables.Table(
            headings=("Here and now", "Cause", "The check found", "Remedy", "Carried out by"),
            rows=rows,
            empty=f"{len(self.diagnoses)} causes were looked for, and none is confirmed.",
            caption=self.heading,
            details=self.undecided,
            tones=tuple(_TONES[item.finding.confirmed] for item in shown),
            marked="Here and now",
            links=tables.notebook_links(),
            record={"kind": "diagnosis", **self.as_data(options)},
        )

    @property
    def heading(self) -> str:
        """The table's caption."""
        if self.messages:
            names = ", ".join(f"“{message.name}”" for message in self.messages)
            known = f"A known message: {names}"
            others = ", ".join(self.others)
            return f"{known}. It speaks of {others}. What is confirmed is about this host's own" if others else known
        if self.asked:
            return "The catalogue does not know this message; the host was looked at instead"
        return "What was found wrong here, the root first"

    @property
    def undecided(self) -> tuple[str, ...]:
        """The undecided causes by reason, one line each; empty for a known message, whose table shows them."""
        if self.messages:
            return ()
        names_by_reason: dict[str, list[str]] = {}
        for item in self.diagnoses:
            if item.finding.confirmed is None:
                names_by_reason.setdefault(item.finding.found, []).append(item.cause.name)
        return tuple(f"not looked at, for {reason}: {', '.join(names)}" for reason, names in names_by_reason.items())


def command(notebook: str, options: Sequence[str] = ()) -> str:
    """Return the command that runs a notebook; empty without a notebook."""
    return shlex.join([COMMAND, notebook, *options]) if notebook else ""


def _to_do(item: Diagnosis, options: Sequence[str]) -> tuple[str, str]:
    if item.finding.confirmed is False:
        return "", ""
    return item.remedy, command(item.notebook, options) or "yourself"


def diagnose(message: str, parameters: Parameters) -> Answer:
    """Return the causes of the known messages in a text, each checked now: confirmed, then undecided, then ruled out.

    Without a known message, this checks all causes that are faults by themselves. It changes nothing on this host.
    """
    message = redact(plain(message))
    found = find(message)
    situation = Situation(parameters, message=excerpt(message, found))
    to_check = causes_of(found) if found else [cause for cause in causes() if not cause.asked]
    diagnoses = [Diagnosis(cause=cause, finding=look(cause.check, situation)) for cause in to_check]
    if not found:
        diagnoses = _without_repetition(diagnoses)
    diagnoses.sort(key=lambda item: _ORDER[item.finding.confirmed])
    return Answer(
        asked=bool(message.strip()),
        messages=tuple(found),
        diagnoses=tuple(diagnoses),
        others=_other_registries(situation),
    )


def _other_registries(situation: Situation) -> tuple[str, ...]:
    """Return the registries that the message names; none if this host's is among them."""
    parameters = situation.parameters
    names = re.findall(_REGISTRIES, situation.message)
    own = {parameters.domain, *parameters.extra_names, *parameters.extra_addresses, *network.host_addresses()}
    hosts = [name.partition(":")[0].lower() for name in names]
    is_own = any(host in own or host == "localhost" or host.startswith("127.") for host in hosts)
    return () if is_own else tuple(dict.fromkeys(names))


_REGISTRIES = r"https?://([\w.-]{1,255}(?::\d{1,5})?)/v[12]/"


def _without_repetition(diagnoses: Sequence[Diagnosis]) -> list[Diagnosis]:
    """Return the causes without the general ones that only repeat a confirmed specific cause.

    A general cause repeats it if both name the same notebook. One whose notebook refuses names none: it repeats a
    specific cause only if that found the reason of the refusal.
    """
    specific = [item for item in diagnoses if item.finding.confirmed and not item.cause.general]
    notebooks, findings = {item.notebook for item in specific}, [item.finding.found for item in specific]

    def repeats(item: Diagnosis) -> bool:
        return item.notebook in notebooks if item.notebook else item.finding.refusal in findings

    return [item for item in diagnoses if not (item.cause.general and repeats(item))]
