"""What `script/bench` makes of its figures."""

from xml.etree import ElementTree

from tests.bench.figures import Goal, as_csv, as_svg, as_text, rows

FIGURES = {"typed": [4.0, 6.0, 5.0], "run": [3.0, 2.0, 10.0], "list": [0.4]}
GOALS = (
    Goal(figure="run", at_most=0.5, other="typed"),
    Goal(figure="run", other="list"),
    Goal(figure="list", at_most=0.3),
    Goal(figure="list", at_most=1, other="not measured"),
)


def test_rows_hold_medians_ratios_and_what_became_of_goals() -> None:
    """Fails where a ratio is not that of the medians, a goal that is missed looks met, or a figure is left out."""
    assert rows(FIGURES, GOALS)[1:] == [
        ("typed", "3", "4.000", "5.000", "6.000", "", "", ""),
        ("run", "3", "2.000", "3.000", "10.000", "typed", "0.60", "0.5: missed"),
        ("run", "3", "2.000", "3.000", "10.000", "list", "7.50", ""),
        ("list", "1", "0.400", "0.400", "0.400", "", "", "0.3: missed"),
    ]
    met = rows(FIGURES, [Goal(figure="run", at_most=0.6, other="typed"), Goal(figure="list", at_most=0.4)])
    assert [row[-1] for row in met[1:]] == ["", "0.6: met", "0.4: met"]


def test_text_and_csv_hold_all_rows() -> None:
    """Fails where a column is not one, or a comma in a name makes two."""
    table = rows({"second run, 1,000 users": [1.0], "x": [2.0]}, ())
    lines = as_text(table).splitlines()
    assert {line.index(number) for line, number in zip(lines[1:], ("1.000", "2.000"), strict=True)} == {
        lines[0].index("minimum")
    }
    assert as_csv(table).splitlines()[1] == '"second run, 1,000 users",1,1.000,1.000,1.000,,,'


def test_picture_shows_medians_to_scale() -> None:
    """Fails where a bar is not as long as its median says, or what was not measured is drawn."""
    picture = ElementTree.fromstring(as_svg(FIGURES, ["run", "typed", "none"]))  # noqa: S314 (made here)
    space = "{http://www.w3.org/2000/svg}"
    _, run, typed = picture.findall(f"{space}rect")
    assert abs(float(run.get("width", "")) / float(typed.get("width", "")) - 3 / 5) < 0.01
    assert [text.text for text in picture.findall(f"{space}text")] == ["run", "3.0 s", "typed", "5.0 s"]
    assert "run 3.0, typed 5.0" in str(picture.findtext(f"{space}title"))
