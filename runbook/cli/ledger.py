"""The command `registry-runbook ledger`: each entry with its state before the first run and its current state."""

import dataclasses
import json

from runbook.changes import ledger, made
from runbook.changes.ledger import Entry
from runbook.display import tables
from runbook.display.tables import Table, Tone

_TONES: dict[str, Tone] = {"as made": "good", "changed since": "bad", "gone": "bad", "as before": "open"}


def state(entry: Entry) -> str:
    """Return an entry's current state: as made, being made, changed since, gone, or as before the first run."""
    current = made.current_state(entry.thing)
    if current == entry.before:
        return "as before"
    if entry.made is None:
        return "being made"
    if entry.thing.kind == "folder" or current == entry.made:
        return "as made"
    return "gone" if current is None else "changed since"


def as_json() -> str:
    """Return the ledger as JSON: a list of entries, oldest first."""
    entries = [dataclasses.asdict(entry) | {"state": state(entry)} for entry in ledger.read()]
    return json.dumps(entries, indent=2, default=str) + "\n"


def show() -> None:
    """Print the ledger as a table."""
    entries = ledger.read()
    states = [state(entry) for entry in entries]
    rows = tuple(
        (str(entry.number), entry.thing.kind, entry.thing.name, _before(entry), now, entry.thing.belongs or "always")
        for entry, now in zip(entries, states, strict=True)
    )
    tables.show(
        Table(
            headings=("#", "Kind", "Name", "Before", "Now", "Goes with"),
            rows=rows,
            empty="Nothing of the runbook's is here.",
            tones=tuple(_TONES.get(now, "") for now in states),
            marked="Now",
        )
    )


def _before(entry: Entry) -> str:
    if entry.before is None:
        return "not there"
    return f"a copy in {entry.kept.copy}" if entry.kept else entry.before
