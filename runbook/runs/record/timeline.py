"""Where the time of a run went, drawn as SVG: a row a notebook, a bar a step. The table beside it says the same."""

import html
from collections.abc import Iterator
from dataclasses import dataclass

from runbook.runs.record.model import NotebookRun, Record

KERNEL, END = "start of the kernel", "end of the kernel"
_LABELS, _CHART, _TOTALS = 150, 700, 120  # widths, in units of the drawing
_ROW, _BAR, _TOP = 30, 20, 26
_TICKS = 8
_LETTER = 6.6  # about the width of one at 12 units
_KINDS = {KERNEL: "kernel", END: "kernel", "Plan": "plan", "Apply": "apply", "Verify": "verify"}
LEGEND = (
    ("kernel", "start and end of the kernel"),
    ("plan", "Plan"),
    ("apply", "Apply"),
    ("verify", "Verify"),
    ("other", "other steps"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A stretch of time, in seconds since the run began."""

    name: str
    begins: float
    seconds: float


def bars(done: NotebookRun, record: Record) -> list[Bar]:
    """Return the stretches of a notebook's time: its steps, between the start of its kernel and that one's end."""
    begins = (done.started - record.started).total_seconds()
    steps = [
        Bar(name=step.heading, begins=(step.started - record.started).total_seconds(), seconds=step.seconds)
        for step in done.steps
    ]
    if not steps:
        return [Bar(name=KERNEL, begins=begins, seconds=done.seconds)]
    ended = steps[-1].begins + steps[-1].seconds
    return [
        Bar(name=KERNEL, begins=begins, seconds=max(steps[0].begins - begins, 0.0)),
        *steps,
        Bar(name=END, begins=ended, seconds=max(begins + done.seconds - ended, 0.0)),
    ]


def svg(record: Record) -> str:
    """Return the drawing, with a title and a description for those who do not see it."""
    whole = max([record.seconds, *((_end(done, record)) for done in record.notebooks), 0.1])
    height = _TOP + _ROW * len(record.notebooks) + 4
    width = _LABELS + _CHART + _TOTALS
    rows = "".join(part for n, done in enumerate(record.notebooks) for part in _row(n, done, record, whole))
    return (
        f'<svg class="timeline" viewBox="0 0 {width} {height}" role="img" aria-labelledby="drawn drawn-long">'
        f'<title id="drawn">Time line of the run</title><desc id="drawn-long">{html.escape(_told(record))}</desc>'
        f"{_axis(whole, height)}{rows}</svg>"
    )


def _end(done: NotebookRun, record: Record) -> float:
    return (done.started - record.started).total_seconds() + done.seconds


def _told(record: Record) -> str:
    each = "; ".join(f"{done.notebook} {done.seconds:.1f} s" for done in record.notebooks)
    return f"{record.seconds:.1f} seconds in all: {each}. The table below has each step."


def _axis(whole: float, height: int) -> str:
    step = next(size for size in _sizes() if whole / size <= _TICKS)
    parts = []
    for n in range(int(whole / step) + 1):
        x = _LABELS + n * step / whole * _CHART
        parts.append(f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 6}" y2="{height}"/>')
        parts.append(f'<text class="scale" x="{x:.1f}" y="{_TOP - 11}">{n * step:g} s</text>')
    return "".join(parts)


def _sizes() -> Iterator[float]:
    size = 0.1
    while True:
        yield from (size, 2 * size, 5 * size)
        size *= 10


def _row(number: int, done: NotebookRun, record: Record, whole: float) -> Iterator[str]:
    y = _TOP + number * _ROW
    middle = y + _BAR / 2 + 4.5
    yield f'<text x="0" y="{middle:.1f}">{html.escape(done.notebook)}</text>'
    for bar in bars(done, record):
        x, width = _LABELS + bar.begins / whole * _CHART, bar.seconds / whole * _CHART
        kind = _KINDS.get(bar.name, "other")
        said = html.escape(f"{done.notebook}, {bar.name}: {bar.seconds:.2f} s")
        yield (
            f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{max(width, 0.5):.1f}" height="{_BAR}">'
            f"<title>{said}</title></rect>"
        )
        if kind != "kernel" and width > (len(bar.name) + 1) * _LETTER:
            yield f'<text class="inside" x="{x + 4:.1f}" y="{middle:.1f}">{html.escape(bar.name)}</text>'
    mark = "" if done.result == "done" else f" {done.result}"
    x = _LABELS + min(_end(done, record) / whole, 1.0) * _CHART + 5
    yield f'<text x="{x:.1f}" y="{middle:.1f}">{done.seconds:.1f} s{mark}</text>'
