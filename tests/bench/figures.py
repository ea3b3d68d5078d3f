"""What was measured: figures, their ratios and goals, as a table, as CSV and as a picture."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from runbook.display.pictures import BLUE, FONT, INK, PAPER

Figures = Mapping[str, Sequence[float]]  # by their names; seconds, where the name does not say otherwise

_HEAD = ("figure", "runs", "minimum", "median", "maximum", "compared with", "ratio", "goal")
_LEFT, _WIDTH, _ROW = 250, 800, 26  # pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What a figure's median is compared with: that of `other`, or nothing; and what it is to be at most, if anything.

    `at_most` is a ratio where there is another, else in the figure's own unit.
    """

    figure: str
    other: str = ""
    at_most: float | None = None


def rows(figures: Figures, goals: Sequence[Goal]) -> list[tuple[str, ...]]:
    """Return a heading and a row for each figure, once for each of its goals."""
    found: list[tuple[str, ...]] = [_HEAD]
    for name, values in figures.items():
        measured = (name, str(len(values)), *(f"{pick(values):.3f}" for pick in (min, statistics.median, max)))
        own: list[Goal | None] = [goal for goal in goals if goal.figure == name and goal.other in ("", *figures)]
        found += [(*measured, *_judged(figures, goal)) for goal in own or [None]]
    return found


def _judged(figures: Figures, goal: Goal | None) -> tuple[str, str, str]:
    if goal is None:
        return "", "", ""
    median = statistics.median(figures[goal.figure])
    ratio = median / statistics.median(figures[goal.other]) if goal.other else median
    judged = "" if goal.at_most is None else f"{goal.at_most:g}: {'met' if ratio <= goal.at_most else 'missed'}"
    return goal.other, f"{ratio:.2f}" if goal.other else "", judged


def as_text(table: Sequence[Sequence[str]]) -> str:
    """Return rows in columns."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)
    return "\n".join(lines) + "\n"


def as_csv(table: Sequence[Sequence[str]]) -> str:
    """Return rows as CSV (RFC 4180, with line feeds alone)."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue()


def title(figures: Figures, names: Sequence[str]) -> str:
    """Return the words for a picture of these figures."""
    shown = [name for name in names if name in figures]
    return "Seconds, medians: " + ", ".join(f"{name} {statistics.median(figures[name]):.1f}" for name in shown)


def as_svg(figures: Figures, names: Sequence[str]) -> str:
    """Return a picture of these figures: a bar for each median, and a line from the minimum to the maximum."""
    shown = [name for name in names if name in figures]
    scale = (_WIDTH - _LEFT - 80) / max(max(figures[name]) for name in shown)
    height = _ROW * len(shown) + 16
    root = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH} {height}", role="img")
    SubElement(root, "title").text = title(figures, shown)
    SubElement(root, "rect", width=str(_WIDTH), height=str(height), fill=PAPER)
    words = {"font-family": FONT, "font-size": "12", "fill": INK}
    for number, name in enumerate(shown):
        values, top = figures[name], 8 + _ROW * number
        median, least, most = statistics.median(values), min(values), max(values)
        middle = f"{top + _ROW / 2:g}"
        SubElement(root, "text", words, x=str(_LEFT - 8), y=f"{top + 17}", **{"text-anchor": "end"}).text = name
        bar = {"x": str(_LEFT), "y": str(top + 5), "width": f"{median * scale:.1f}", "height": str(_ROW - 10)}
        SubElement(root, "rect", bar, fill=BLUE)
        ends = {"x1": f"{_LEFT + least * scale:.1f}", "x2": f"{_LEFT + most * scale:.1f}", "y1": middle, "y2": middle}
        SubElement(root, "line", ends, stroke=INK)
        SubElement(root, "text", words, x=f"{_LEFT + most * scale + 8:.1f}", y=f"{top + 17}").text = f"{median:.1f} s"
    return tostring(root, encoding="unicode") + "\n"
