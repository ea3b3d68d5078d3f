"""The drawing of where the time went."""

import re
import xml.etree.ElementTree as ET

import pytest

from runbook.display import templates
from runbook.record import timeline
from runbook.record.model import Record
from runbook.record.timeline import END, KERNEL, Bar
from tests.records import BAD, GOOD, notebook_run, record, step


def svg(whole: Record) -> str:
    """Return the drawing of a record."""
    return templates.fill("record/timeline.svg", timeline=timeline.drawing(whole))


def drawn(text: str) -> ET.Element:
    """Return the drawing as a tree."""
    return ET.fromstring(text)  # noqa: S314 (our own text)


def test_bars_are_each_step_between_start_and_end_of_the_kernel() -> None:
    """Fails if time is counted twice, or that before the first cell or after the last one is lost."""
    whole = record(GOOD, BAD)
    assert timeline.bars(GOOD, whole) == [
        Bar(name=KERNEL, begins=0.0, seconds=1.0),
        Bar(name="Load", begins=1.0, seconds=0.5),
        Bar(name="Apply", begins=1.5, seconds=2.25),
        Bar(name=END, begins=3.75, seconds=0.25),
    ]
    assert timeline.bars(BAD, whole) == [Bar(name=KERNEL, begins=4.0, seconds=6.0)]


def test_svg_draws_each_bar_to_scale() -> None:
    """Fails if a bar is longer or shorter than its time, lies outside the drawing, or two of them over each other."""
    tree = drawn(svg(record(GOOD, BAD)))
    _, _, width, height = map(float, tree.attrib["viewBox"].split())
    rects = [{name: float(rect.attrib[name]) for name in ("x", "y", "width", "height")} for rect in tree.iter("rect")]
    kernel, load, apply, end, second = rects
    assert apply["width"] == pytest.approx(4.5 * load["width"], abs=0.2)
    assert kernel["x"] + kernel["width"] == pytest.approx(load["x"], abs=0.2)
    assert apply["x"] + apply["width"] == pytest.approx(end["x"], abs=0.2)
    assert second["y"] > apply["y"] + apply["height"]
    assert all(rect["x"] + rect["width"] <= width and rect["y"] + rect["height"] <= height for rect in rects)


def test_svg_says_in_words_what_it_shows() -> None:
    """Fails if somebody who does not see it learns nothing of it, or a failure is but a colour."""
    tree = drawn(svg(record(GOOD, BAD)))
    named = {tree.find(f".//*[@id='{name}']") for name in tree.attrib["aria-labelledby"].split()}
    assert tree.attrib["role"] == "img"
    said = " ".join(element.text or "" for element in named if element is not None)
    assert "10-host 4.0 s; 50-compose 6.0 s" in said
    texts = [text.text for text in tree.iter("text")]
    assert [text for text in ("10-host", "Apply", "4.0 s", "6.0 s failed") if text not in texts] == []


@pytest.mark.parametrize("seconds", [0.0, 0.04, 7.3, 90.0, 4000.0])
def test_axis_has_a_few_ticks_whatever_the_time(seconds: float) -> None:
    """Fails if the axis of a long run is black, or that of a short one empty."""
    text = svg(record(notebook_run("10-host", seconds=seconds, steps=(step("Load", 0, seconds),)), seconds=0.0))
    assert 1 <= len(re.findall('class="scale"', text)) <= 10


def test_svg_escapes_all_text() -> None:
    """Fails if a heading becomes markup of the page."""
    run = notebook_run("10-<b>", seconds=9.0, steps=(step("<i>&", 0, 9.0),))
    text = svg(record(run))
    assert "<b>" not in text
    assert "<i>" not in text
    assert "<i>&" in [element.text for element in drawn(text).iter("text")]
