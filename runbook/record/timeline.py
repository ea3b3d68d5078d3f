"""Where the time of a run went, as a drawing: a row for each notebook, a bar for each step."""

from collections.abc import Iterator
from dataclasses import dataclass

from runbook.record.model import NotebookRun, Record

KERNEL, END = "start of the kernel", "end of the kernel"
_LABELS, _CHART, _TOTALS = 150, 700, 120  # widths, in units of the drawing
_ROW, _BAR, _TOP = 30, 20, 26
_TICKS = 8
_LETTER = 6.6  # about the width of one at 12 units
_KINDS = {KERNEL: "kernel", END: "kernel", "Plan": "plan", "Apply": "apply", "Verify": "verify"}
_LEGEND = (
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


def drawing(record: Record) -> dict[str, object]:
    """Return what `timeline.svg.j2` draws: places and sizes in units of the drawing, and all its text."""
    whole = max([record.seconds, *((_end(done, record)) for done in record.notebooks), 0.1])
    each = "; ".join(f"{done.notebook} {done.seconds:.1f} s" for done in record.notebooks)
    step = next(size for size in _sizes() if whole / size <= _TICKS)
    marks = [n * step for n in range(int(whole / step) + 1)]
    return {
        "width": _LABELS + _CHART + _TOTALS,
        "height": _TOP + _ROW * len(record.notebooks) + 4,
        "top": _TOP,
        "bar": _BAR,
        "legend": _LEGEND,
        "description": f"{record.seconds:.1f} seconds in all: {each}. The table below has each step.",
        "ticks": [(_place(seconds / whole), f"{seconds:g} s") for seconds in marks],
        "rows": [_row(number, done, record, whole) for number, done in enumerate(record.notebooks)],
    }


def _end(done: NotebookRun, record: Record) -> float:
    return (done.started - record.started).total_seconds() + done.seconds


def _place(part: float, beside: float = 0) -> str:
    return f"{_LABELS + part * _CHART + beside:.1f}"


def _sizes() -> Iterator[float]:
    size = 0.1
    while True:
        yield from (size, 2 * size, 5 * size)
        size *= 10


def _row(number: int, done: NotebookRun, record: Record, whole: float) -> dict[str, object]:
    y = _TOP + number * _ROW
    result = "" if done.result == "done" else f" {done.result}"
    return {
        "name": done.notebook,
        "y": y,
        "middle": f"{y + _BAR / 2 + 4.5:.1f}",
        "bars": [_bar(bar, done.notebook, whole) for bar in bars(done, record)],
        "end": _place(min(_end(done, record) / whole, 1.0), 5),
        "total": f"{done.seconds:.1f} s{result}",
    }


def _bar(bar: Bar, notebook: str, whole: float) -> dict[str, str]:
    kind, width = _KINDS.get(bar.name, "other"), bar.seconds / whole * _CHART
    has_room = kind != "kernel" and width > (len(bar.name) + 1) * _LETTER
    return {
        "kind": kind,
        "x": _place(bar.begins / whole),
        "width": f"{max(width, 0.5):.1f}",
        "title": f"{notebook}, {bar.name}: {bar.seconds:.2f} s",
        "label": bar.name if has_room else "",
        "label_x": _place(bar.begins / whole, 4),
    }
