"""YAML files of ours: what is written is what every reader of it reads."""

import copy
import json

import pytest
from ruamel.yaml import YAML

from runbook.model.errors import HostError
from runbook.system.host import yaml_text

DATA: dict[str, object] = {
    "version": 0.1,
    "empty": {},
    "nothing": None,
    "on": True,
    "list": ["a: b", "443:443", "#x", ""],
    "deep": {"text": "a\nb", "cost": "$HOME 'and' \"quotes\"", "long": "x " * 100, "unbroken": "y" * 200},
}


def test_render_reads_back_as_it_was() -> None:
    """Fails if a value comes back as another, the keys in another order, or the input is changed."""
    before = copy.deepcopy(DATA)
    text = yaml_text.render(DATA)
    assert text.startswith(yaml_text.HEADER)
    assert json.dumps(before) == json.dumps(yaml_text.read_back(text))
    assert before == DATA
    assert text == yaml_text.render(DATA)


@pytest.mark.parametrize("value", ["no", "on", "Yes", "22:22", "1_000", "0443", "0x1F", "1e3", "~", "2026-01-01"])
def test_render_means_the_same_to_readers_of_yaml_1_1(value: str) -> None:
    """Fails if the registry or an old Compose, which read YAML 1.1, would take text for a boolean or a number."""
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 1)
    expected: dict[str, object] = {"realm": value, "volumes": {value: {}}}
    assert expected == reader.load(yaml_text.render(expected))


def test_render_refuses_what_does_not_read_back() -> None:
    """Fails if a file is written that says something else than the plan's data."""
    with pytest.raises(HostError, match="the rendered YAML to read back as it was; found other data"):
        yaml_text.render({"a": (1, 2)})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: [", "line 1", id="unfinished"),
        pytest.param("a: 1\na: 2\n", "line 2", id="key-twice"),
        pytest.param("version: 0.1\nlog:\nlevel: debug\n  x: 1\n", "line 4", id="the-document's-indentation"),
        pytest.param("a: !!python/object:os.system x", "could not determine a constructor", id="python-tag"),
        pytest.param("[" * 5000 + "]" * 5000, "", id="5000-levels"),
    ],
)
def test_read_back_refuses_what_is_no_yaml(text: str, expected: str) -> None:
    """Fails if a broken file ends in a traceback, or the message does not name the line."""
    with pytest.raises(HostError, match=rf"(?s)a YAML file; found .*{expected}"):
        yaml_text.read_back(text)
