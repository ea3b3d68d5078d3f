"""The YAML of parameter files: what is read, and what is refused with its line and without its value."""

import re

import pytest
from ruamel.yaml.error import YAMLError

from runbook.model.parameter_yaml import LONGEST, load


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", None, id="empty"),
        pytest.param("a: NO\nb: 22:22\nc: x\n", {"a": "NO", "b": "22:22", "c": "x"}, id="text"),
        pytest.param("a: [1, -2, x]\nb:\n- true\n- null\n", {"a": [1, -2, "x"], "b": [True, None]}, id="lists"),
        pytest.param("[a.test, b.test]", ["a.test", "b.test"], id="list-alone"),
        pytest.param("'2026-01-01'", "2026-01-01", id="quoted"),
    ],
)
def test_load_reads_values_and_lists_of_them(text: str, expected: object) -> None:
    """Fails if what a parameter file may hold is refused, or read otherwise than as YAML 1.2."""
    assert expected == load(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: 1\nb: 0443\n", r"line 2: what is not the same to all readers \(int\)", id="octal"),
        pytest.param("a: 0o17\n", "line 1: what is not the same", id="octal-of-1.2"),
        pytest.param("a: 1_000\n", "line 1: what is not the same", id="underscore"),
        pytest.param(f"a: {'9' * 5000}\n", "line 1: what is not the same", id="5000-digits"),
        pytest.param("a: 2026-13-45\n", r"line 1: what is not the same to all readers \(timestamp\)", id="no-date"),
        pytest.param("a: 2026-01-01\n", "line 1: what is not the same", id="date"),
        pytest.param("<<: {a: 1}\n", r"line 1: what is not the same to all readers \(merge\)", id="merge"),
        pytest.param("a: x\nb: !!bool x\n", r"line 2: a tag \(!\)", id="tag-that-does-not-fit"),
        pytest.param("a: !!python/object/apply:os.system [id]\n", r"line 1: a tag \(!\)", id="python-tag"),
        pytest.param("%YAML 1.1\n---\na: NO\n", r"line 2: a directive \(%\)", id="asks-for-1.1"),
        pytest.param("%YAML 1.3\n---\na: NO\n", "line 1: version minor part", id="asks-for-1.3"),
        pytest.param("%TAG ! x\n---\na: b\n", r"line 2: a directive \(%\)", id="prefix-of-tags"),
        pytest.param("a: &x [y]\nb: *x\n", "line 1: an anchor or alias", id="alias"),
        pytest.param("a: &x [*x]\n", "line 1: an anchor or alias", id="holds-itself"),
        pytest.param("a: [[[x]]]\n", "line 1: one more level", id="fourth-level"),
        pytest.param("a: 1\nb:\n" + "- " * 5000, "line 3: one more level", id="5000-levels"),
        pytest.param("[" * 5000 + "]" * 5000, "line 1: one more level", id="5000-brackets"),
        pytest.param(f"a: [{'1,' * 9000}]\n", "line 1: more than 8000 values", id="too-many"),
        pytest.param("#" * (LONGEST + 1), f"more than {LONGEST} characters", id="too-long"),
        pytest.param('a: 1\nb: "\\U00110000"\n', "line 2: chr", id="beyond-unicode"),
        pytest.param("a: 1\nb: \x00\n", r"line 2: the unacceptable character U\+0000", id="nul"),
        pytest.param("a\u2028b: 1\na\u2028b: 2\n", r'line 2 column 1: .*duplicate key "a\\u2028b"$', id="unprintable"),
        pytest.param("a: 1\n\na: 2\n", r'line 3 column 1: .*found duplicate key "a"$', id="twice"),
        pytest.param("a: 1\n  b: 2\n", "line 2 column 4: mapping values are not allowed here", id="indentation"),
        pytest.param("a: 1\n---\nb: 2\n", "line 2 column 1: expected a single document", id="two-documents"),
    ],
)
def test_load_refuses_all_else_with_its_line(text: str, expected: str) -> None:
    """Fails if a text with two meanings passes, keeps the reader busy, or ends in an error without its line."""
    with pytest.raises(YAMLError) as caught:
        load(text)
    assert re.match(expected, str(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("password: c4n4ry\npassword: c4n4ry2\n", id="twice"),
        pytest.param("password: c4n4ry: x\n", id="broken"),
        pytest.param("password: !c4n4ry x\n", id="tag"),
        pytest.param("password: *c4n4ry\n", id="alias"),
        pytest.param("password: 'c4n4ry\n", id="unfinished"),
        pytest.param("password: [c4n4ry\n", id="unfinished-list"),
        pytest.param("password: 0c4n4ry\x00\n", id="nul"),
    ],
)
def test_load_repeats_no_value(text: str) -> None:
    """Fails if a secret that somebody wrote into a parameter file gets into a message, and so into a log."""
    with pytest.raises(YAMLError) as caught:
        load(text)
    assert "c4n4ry" not in str(caught.value)
