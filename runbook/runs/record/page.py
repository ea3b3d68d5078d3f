"""The record as one page of HTML that asks for nothing from outside, for a screen and for paper."""

import html
from collections.abc import Sequence
from importlib.resources import files

from runbook.runs.record import timeline
from runbook.runs.record.model import Record

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # Content Security Policy Level 3: nothing is fetched
# A result differs by its word, its mark and its colour.
_MARKS = {
    "passed": ("good", "✓"),
    "done": ("good", "✓"),
    "FAILED": ("bad", "✗"),
    "failed": ("bad", "✗"),
    "interrupted": ("bad", "■"),
    "left to you": ("open", "→"),
}
_MARKED = {"Result", "State"}  # headings of the columns that hold one of these
_SHORT = {"Is", "State", "Proofs", "Step"}  # of those whose words are not broken
_NOT_KNOWN = "{} not known: the record was made from the executed notebooks."


def text(record: Record) -> str:
    """Return the page; all text of the run in it is escaped."""
    style = files("runbook.runs.record").joinpath("page.css").read_text(encoding="utf-8")
    heading = f"Registry runbook: {_verdict(record)}"
    body = "".join(
        (_summary(record), _failure(record), _notes(record), _proofs(record), _changes(record), _times(record))
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(heading)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{_marked(record.result)} {html.escape(heading)}</h1></header>\n"
        f"<main>\n{body}{_surroundings(record)}</main>\n</body>\n</html>\n"
    )


def _verdict(record: Record) -> str:
    if record.result != "done":
        return record.result
    if record.mode == "plan":
        return "planned, nothing was changed"
    return "done, and proven" if any(one.results for one in record.notebooks) else "done"


def _marked(word: str) -> str:
    kind, mark = _MARKS[word]
    return f'<span class="{kind}" aria-hidden="true">{mark}</span>'


def _section(heading: str, *parts: str) -> str:
    return f"<section>\n<h2>{html.escape(heading)}</h2>\n{''.join(parts)}</section>\n"


def _table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> str:
    """Return a table whose first column names its rows, or a sentence in place of one without rows."""
    if not rows:
        return f"<p>{html.escape(empty)}</p>\n"
    head = "".join(f'<th scope="col">{html.escape(heading)}</th>' for heading in headings)
    body = "".join(
        f'<tr><th scope="row">{html.escape(row[0])}</th>'
        + "".join(_cell(heading, said) for heading, said in zip(headings[1:], row[1:], strict=True))
        + "</tr>\n"
        for row in rows
    )
    return (
        f"<table>\n<caption>{html.escape(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"
    )


def _cell(heading: str, said: str) -> str:
    if heading in _MARKED and said in _MARKS:
        return f'<td class="word"><span class="{_MARKS[said][0]}">{_MARKS[said][1]} {html.escape(said)}</span></td>'
    kind = ' class="word"' if heading in _SHORT else ""
    return f"<td{kind}>{html.escape(said)}</td>"


def _summary(record: Record) -> str:
    proofs = sum(len(done.results) for done in record.notebooks)
    passed = sum(done.passed for done in record.notebooks)
    facts = {
        "Begun": f"{record.started:%Y-%m-%d %H:%M:%S} UTC",
        "Took": f"{record.seconds:.1f} s",
        "Host": record.host.get("name", "not known"),
        "Changes": f"{sum(len(done.changes) for done in record.notebooks)} planned, "
        f"{sum(done.changed for done in record.notebooks)} made",
        "Proofs": f"{passed} of {proofs} passed",
        "Folder": str(record.folder),
    }
    pairs = "".join(f"<div><dt>{name}</dt><dd>{html.escape(said)}</dd></div>" for name, said in facts.items())
    rows = [
        (
            done.notebook,
            done.title,
            done.result,
            str(len(done.changes)),
            str(done.changed),
            f"{done.passed} of {len(done.results)}",
            f"{done.seconds:.1f}",
        )
        for done in record.notebooks
    ]
    headings = ("Notebook", "Title", "Result", "Planned", "Changed", "Proofs", "Seconds")
    return _section(
        "Summary",
        f"<dl>{pairs}</dl>\n",
        _table("Notebooks, in the order of the run", headings, rows, empty="No notebook was run."),
    )


def _failure(record: Record) -> str:
    failed = [done for done in record.notebooks if done.error]
    if not failed:
        return ""
    parts = []
    for done in failed:
        parts.append(f"<p><strong>{html.escape(done.notebook)}</strong>: {html.escape(done.error or '')}</p>\n")
        told = [f"{item.cause} {item.found}. {item.remedy} {item.command}".rstrip() for item in done.diagnosis]
        parts += [f"<p>Diagnosis: {html.escape(said)}</p>\n" for said in told]
    if record.go_on:
        parts.append(f"<p>Then go on with:</p>\n<pre>{html.escape(record.go_on)}</pre>\n")
    return _section("What went wrong", *parts)


def _notes(record: Record) -> str:
    rows = [(done.notebook, done.note) for done in record.notebooks if done.note]
    if not rows:
        return ""
    return _section("Notes", _table("What was written in the notebooks", ("Notebook", "Note"), rows, empty=""))


def _proofs(record: Record) -> str:
    rows = [
        (
            done.notebook,
            proof.claim,
            "refused" if proof.refusal else "works",
            proof.expected,
            proof.found,
            "passed" if proof.passed else "FAILED",
        )
        for done in record.notebooks
        for proof in done.results
    ]
    headings = ("Notebook", "Claim", "Is", "Expected", "Found", "Result")
    caption = "What was tried from outside: that something works, or that it is refused"
    return _section("Proofs", _table(caption, headings, rows, empty="Nothing was proven."))


def _changes(record: Record) -> str:
    if record.mode == "plan":
        rows = [(done.notebook, change.summary) for done in record.notebooks for change in done.changes]
        rows += [(done.notebook, f"cannot be planned yet: {done.waits}") for done in record.notebooks if done.waits]
        table = _table(
            "What a run would change",
            ("Notebook", "Change"),
            sorted(rows, key=lambda row: row[0]),
            empty="Nothing to do.",
        )
        return _section("Changes", table)
    made = [
        (done.notebook, item.change.summary, item.state, f"{item.seconds:.2f}", item.note)
        for done in record.notebooks
        for item in done.outcomes
    ]
    # Changes are made in the plan's order: the first that has no outcome is the one that failed.
    made += [
        (done.notebook, change.summary, "planned", "", "see what went wrong")
        for done in record.notebooks
        if done.error
        for change in done.changes[len(done.outcomes) :]
    ]
    headings = ("Notebook", "Change", "State", "Seconds", "Note")
    return _section("Changes", _table("What was changed on this host", headings, made, empty="0 changes made."))


def _times(record: Record) -> str:
    legend = "".join(
        f'<li><span class="{kind}" aria-hidden="true"></span> {html.escape(said)}</li>'
        for kind, said in timeline.LEGEND
    )
    rows = [
        (done.notebook, bar.name, f"{bar.begins:.2f}", f"{bar.seconds:.2f}")
        for done in record.notebooks
        for bar in timeline.bars(done, record)
    ]
    headings = ("Notebook", "Step", "Began after seconds", "Seconds")
    return _section(
        "Time line",
        timeline.svg(record),
        f'\n<ul class="legend">{legend}</ul>\n',
        _table("Where the time went", headings, rows, empty="No notebook was run."),
    )


def _surroundings(record: Record) -> str:
    pair = ("What", "Is")
    given = [(name, str(value)) for name, value in record.parameters.items()]
    return _section(
        "Versions, host, parameters",
        _table("Versions", pair, list(record.versions.items()), empty=_NOT_KNOWN.format("The versions are")),
        _table("Host", pair, list(record.host.items()), empty=_NOT_KNOWN.format("The host is")),
        _table("Parameters that were given", ("Parameter", "Value"), given, empty="All had their defaults."),
    )
