"""daemon.json whatever it holds: what others wrote stays, and what the engine would not read as we do is refused."""

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.model.errors import HostError
from runbook.system.docker import daemon_json
from tests.draws import count_examples

OURS = (daemon_json.INSECURE_REGISTRIES, daemon_json.REGISTRY_MIRRORS)
WRONG = ("registry-mirror", "insecure-registry", "insecure-registrys")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
REGISTRIES = st.lists(st.sampled_from(["a.test", "b.test:5000", "192.168.1.2:5000", "10.0.0.0/8"]), max_size=3)
MIRRORS = st.lists(st.sampled_from(["http://a.test", "https://b.test:5000", "http://c.test/"]), max_size=3)


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an object with foreign keys and, in any place among them, the two lists or none."""
    names = TEXTS.filter(lambda name: name not in (*OURS, *WRONG))
    members = [*draw(st.dictionaries(names, VALUES, max_size=5)).items()]
    for key, entries in zip(OURS, (REGISTRIES, MIRRORS), strict=True):
        if draw(st.booleans()):
            members.insert(draw(st.integers(0, len(members))), (key, draw(entries)))
    return dict(members)


@st.composite
def layouts(draw: st.DrawFn, data: st.SearchStrategy[dict[str, Any]]) -> str:
    """Draw the text of an object, laid out in any of the usual ways."""
    text = json.dumps(
        draw(data),
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 0, 1, 4, "\t"])),
        separators=draw(st.sampled_from([None, (",", ":"), (" , ", " : ")])),
    )
    text = draw(st.sampled_from(["", " ", "\n\n"])) + text + draw(st.sampled_from(["", "\n", " \n"]))
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


def merge(text: str, insecure: list[str], mirrors: list[str]) -> str:
    """Merge both lists into a text."""
    return daemon_json.merge(text, insecure_registries=insecure, registry_mirrors=mirrors)


@given(text=layouts(objects()), insecure=REGISTRIES, mirrors=MIRRORS)
def test_merge_keeps_every_foreign_key(text: str, insecure: list[str], mirrors: list[str]) -> None:
    """Fails if a foreign key or entry is lost, moved or laid out anew, or one of ours is missing."""
    before, merged = json.loads(text), merge(text, insecure, mirrors)
    after = json.loads(merged)
    assert [*before.items()] == [
        (key, value if key not in OURS else before[key]) for key, value in after.items() if key in before
    ]
    assert set(after) - set(before) <= set(OURS)
    for key, wanted, form in zip(
        OURS, (insecure, mirrors), (daemon_json.same_registry, daemon_json.same_mirror), strict=True
    ):
        found, earlier = after.get(key, []), before.get(key, [])
        assert earlier == found[: len(earlier)]
        assert {form(entry) for entry in wanted} | {form(entry) for entry in earlier} == {
            form(entry) for entry in found
        }
    characters = iter(merged)
    assert not before or all(character in characters for character in text)  # nothing goes: only added between
    assert merged == merge(merged, insecure, mirrors)
    assert daemon_json.conceal(merged) == merge(daemon_json.conceal(text), insecure, mirrors)


def refuse_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object; fails for a key that is there twice, which Go's reader and ours would take differently."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("twice")
    return dict(pairs)


def is_sound(text: str) -> bool:
    """Return whether a text is one that may be merged into, by another way than the product's."""
    try:
        found = json.loads(text, object_pairs_hook=refuse_twice, parse_constant=lambda _: json.loads(""))
    except ValueError:  # a byte order mark among them
        return False
    if not isinstance(found, dict) or set(WRONG) & found.keys():
        return False
    lists = [found[key] for key in OURS if key in found]
    return all(isinstance(item, list) and all(isinstance(entry, str) for entry in item) for item in lists)


@st.composite
def broken_texts(draw: st.DrawFn) -> str:
    """Draw a text as a file may be after an accident: with a mark, a key twice, a piece lost or put in."""
    text = draw(layouts(objects()))
    if draw(st.integers(0, 7)) == 0:
        return f"\ufeff{text}"
    if draw(st.integers(0, 3)) == 0:
        place = 1 + draw(st.sampled_from([place for place, sign in enumerate(text) if sign == "{"]))
        return f'{text[:place]}"a": 1, "a": 2{"" if text[place:].lstrip().startswith("}") else ","}{text[place:]}'
    place = draw(st.integers(0, len(text)))
    pieces = ["", "{", "}", "[", "]", '"', ",", ":", "\\", "NaN", "'", "\n", "\x00", "é", "1", '"a":1,']
    return text[:place] + draw(st.sampled_from(pieces)) + text[place + draw(st.integers(0, 3)) :]


@settings(max_examples=3 * count_examples())
@given(broken_texts())
def test_merge_refuses_exactly_what_is_broken(broken: str) -> None:
    """Fails if a broken text is merged into, its place is not told, or a sound one is refused."""
    try:
        merged = merge(broken, ["a.test"], [])
    except HostError as error:
        assert not is_sound(broken), str(error)  # noqa: PT017 (both outcomes are right, each for its texts)
        assert re.search(r"line \d+ column \d+: ", error.found)  # noqa: PT017 (as above)
        assert "nothing was written" in error.remedy  # noqa: PT017 (as above)
    else:
        assert is_sound(broken)
        assert "a.test" in json.loads(merged)[daemon_json.INSECURE_REGISTRIES]
