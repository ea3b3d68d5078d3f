"""What `registry-runbook ledger` shows: each entry, how its thing was before, and how it is now."""

import dataclasses
import json

from runbook.changes import ledger, made
from runbook.changes.ledger import Entry
from runbook.display import tables
from runbook.display.tables import Table, Tone

_TONES: dict[str, Tone] = {"as made": "good", "changed since": "bad", "gone": "bad", "as before": "open"}


def state(entry: Entry) -> str:
    """Return how an entry's thing is now: as made, being made, changed since, gone, or as before the first run."""
    there = made.now(entry.thing)
    if there == entry.before:
        return "as before"
    if entry.made is None:
        return "being made"
    if entry.thing.kind == "folder" or there == entry.made:
        return "as made"
    return "gone" if there is None else "changed since"


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
