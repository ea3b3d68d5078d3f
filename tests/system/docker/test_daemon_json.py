"""daemon.json as text: what is merged into it, what stays, and what is refused with its line and column."""

import json

import pytest

from runbook.model.errors import HostError
from runbook.system.docker.daemon_json import (
    conceal,
    lists,
    merge,
    missing,
    same_mirror,
    same_registry,
    value,
    without_registries,
)

REGISTRY, NETWORK, MIRROR = "192.168.1.2:5000", "10.0.0.0/8", "http://mirror.test"
NEW = '{\n  "insecure-registries": [\n    "192.168.1.2:5000"\n  ]\n}\n'


def with_registry(text: str | None) -> str:
    """Return a text with one registry merged into it."""
    return merge(text, insecure_registries=[REGISTRY], registry_mirrors=[])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(None, NEW, id="no-file"),
        pytest.param("{}\n", NEW, id="empty-object"),
        pytest.param(" { \n } ", f" {NEW[:-1]} ", id="empty-object-with-blanks"),
        pytest.param('{"a": 1}', '{"a": 1, "insecure-registries": ["192.168.1.2:5000"]}', id="one-line"),
        pytest.param(
            '{\n\t"b": 1.0e3,\n\t"a": {"x": [1,2]}\n}\n',
            '{\n\t"b": 1.0e3,\n\t"a": {"x": [1,2]},\n\t"insecure-registries": [\n\t\t"192.168.1.2:5000"\n\t]\n}\n',
            id="tabs-numbers-and-order-stay",
        ),
        pytest.param(
            '{\r\n    "a": "\\u00e4"\r\n}',
            '{\r\n    "a": "\\u00e4",\r\n    "insecure-registries": [\r\n        "192.168.1.2:5000"\r\n    ]\r\n}',
            id="ends-of-lines-and-escapes-stay",
        ),
        pytest.param(
            '{\n"a": 1,\n"insecure-registries": [\n"theirs:1"\n]\n}',
            '{\n"a": 1,\n"insecure-registries": [\n"theirs:1",\n"192.168.1.2:5000"\n]\n}',
            id="the-document's-layout",
        ),
        pytest.param(
            '{"insecure-registries": ["theirs:1"], "a": 1}',
            '{"insecure-registries": ["theirs:1", "192.168.1.2:5000"], "a": 1}',
            id="their-list-on-one-line",
        ),
        pytest.param(
            '{\n  "insecure-registries": [],\n  "a": 1\n}\n',
            '{\n  "insecure-registries": [\n    "192.168.1.2:5000"\n  ],\n  "a": 1\n}\n',
            id="empty-list",
        ),
        pytest.param('{"insecure-registries":[ "192.168.1.2:5000" ]}', None, id="there-already"),
        pytest.param('{ "insecure\\u002dregistries": ["192.168.1.2:5000"]}', None, id="there-already-in-escapes"),
    ],
)
def test_merge_adds_what_is_missing_and_leaves_the_rest(text: str | None, expected: str | None) -> None:
    """Fails if a foreign key, its place or its layout changes, or an entry is lost or added twice."""
    merged = with_registry(text)
    assert (text if expected is None else expected) == merged
    assert merged == with_registry(merged)
    assert {**json.loads(merged), "insecure-registries": None} == {
        **json.loads(text or "{}"),
        "insecure-registries": None,
    }


def test_merge_adds_both_lists() -> None:
    """Fails if one of the lists is left out, or an entry that is wanted twice is written twice."""
    merged = merge('{"a": 1}', insecure_registries=[REGISTRY, NETWORK, REGISTRY], registry_mirrors=[MIRROR])
    assert json.loads(merged) == {"a": 1, "registry-mirrors": [MIRROR], "insecure-registries": [REGISTRY, NETWORK]}


def test_merge_of_nothing_is_the_same_text() -> None:
    """Fails if a file is laid out anew although nothing is wanted of it."""
    text = '{ "a":1,\n\n"b" :2}'
    assert text == merge(text, insecure_registries=[], registry_mirrors=[])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "line 1 column 1: the file is empty", id="empty"),
        pytest.param("\n \n", "line 3 column 1: the file is empty", id="blank"),
        pytest.param("\ufeff{}", "line 1 column 1: a byte order mark", id="byte-order-mark"),
        pytest.param("[]", "line 1 column 1: '[' in place of {", id="no-object"),
        pytest.param('{\n"a": 1,\n"a": 2}', "line 3 column 1: the key 'a' a second time", id="key-twice"),
        pytest.param('{"a": {"b": 1, "b": 2}}', "line 1 column 2: the key 'b' twice", id="key-twice-below"),
        pytest.param('{\n"a": ["x"],\n', "line 3 column 1: the text ends here", id="the-document's-missing-brace"),
        pytest.param('{"a": 1,}', "line 1 column 9: '}' in place of \"", id="comma-at-the-end"),
        pytest.param('{"a" 1}', "line 1 column 6: '1' in place of :", id="no-colon"),
        pytest.param('{"a": }', "line 1 column 7: Expecting value", id="no-value"),
        pytest.param('{"a": 1 "b": 2}', "line 1 column 9: '\"' in place of , or }", id="no-comma"),
        pytest.param('{"a": "x\ny"}', "line 1 column 9: Invalid control character", id="line-end-in-a-text"),
        pytest.param('{"a": NaN}', "line 1 column 2: NaN, which is no JSON", id="not-a-number"),
        pytest.param("{} x", "line 1 column 4: 'x' after the end", id="something-after-it"),
        pytest.param('{"a": ' + "[" * 100_000, "line 1 column 2: more levels than can be read", id="too-deep"),
        pytest.param('{"insecure-registries": "x"}', "line 1 column 25: the value of insecure-registries", id="text"),
        pytest.param('{"registry-mirrors": [1]}', "line 1 column 22: the value of registry-mirrors", id="numbers"),
        pytest.param('{\n"registry-mirror": [\n"x"\n]\n}', "line 2 column 1: the key 'registry-mirror'", id="A2"),
    ],
)
def test_merge_refuses_what_it_cannot_read(text: str, expected: str) -> None:
    """Fails if a text that the engine would not read as we do is written over, or the place is not told."""
    with pytest.raises(HostError) as caught:
        with_registry(text)
    assert expected in str(caught.value)
    assert "nothing was written" in caught.value.remedy


@pytest.mark.parametrize(
    ("wrong", "right"), [("registry-mirror", "registry-mirrors"), ("insecure-registry", "insecure-registries")]
)
def test_merge_names_the_right_key(wrong: str, right: str) -> None:
    """Fails if the document's wrong key stays: the engine takes it, and asks no mirror."""
    with pytest.raises(HostError, match=f"expected the key {right} in .*To repair: write {right} there"):
        with_registry(json.dumps({wrong: ["x"]}))


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        pytest.param(["a:1", "b:1"], ["b:1"], ["a:1"], id="one"),
        pytest.param(["10.1.2.3/8"], ["10.0.0.0/8", "127.0.0.0/8"], [], id="network-as-the-engine-shows-it"),
        pytest.param(["a:1"], ["a", "not/a/network"], ["a:1"], id="port-counts"),
        pytest.param(["a:1", "a:1"], [], ["a:1"], id="once"),
    ],
)
def test_missing_compares_as_the_engine_does(wanted: list[str], found: list[str], expected: list[str]) -> None:
    """Fails if a second run would add again what is there in another form."""
    assert expected == missing(wanted, found, same_registry)


def test_same_mirror_takes_no_account_of_the_last_slash() -> None:
    """Fails if the engine's own form of a mirror counts as another one."""
    assert missing([MIRROR], [f"{MIRROR}/"], same_mirror) == []


SECRETS = """{
    "proxies": {"https-proxy": "http://me:hidden@proxy.test:3128"},
    "log-opts": {"splunk-token" : "hid\\"den", "tag": "shown"}
}
"""


def test_conceal_leaves_no_secret_and_changes_nothing_else() -> None:
    """Fails if a plan or its record shows a login of somebody else's, or another text than the file's."""
    found = conceal(SECRETS)
    assert SECRETS.replace("me:hidden", "concealed").replace('hid\\"den', "concealed") == found
    assert conceal(with_registry(SECRETS)) == with_registry(found)  # so that a plan shows what is then written
    assert conceal(found) == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [('{"iptables": false, "x": 1}', False), ('{"x": 1}', None), (None, None), ("", None), ("[1]", None), ("{", None)],
)
def test_value_is_that_of_a_key(text: str | None, expected: object) -> None:
    """Fails if a setting is not seen, or a text that is no object ends in an error where it is only read."""
    assert expected == value(text, "iptables")


@pytest.mark.parametrize(
    "text", ['{"a": ' + "[" * 100_000, "{", "[]", "no"], ids=["too-deep", "cut", "list", "no-json"]
)
def test_lists_refuses_what_is_no_object(text: str) -> None:
    """Fails if a tear-down of a host whose file somebody has spoilt ends in a traceback."""
    for read in (lists, without_registries):
        with pytest.raises(
            HostError, match=r"one object in JSON in /etc/docker/daemon.json; found line 1 column \d+: "
        ):
            read(text)
    assert lists(None) == ((), ())
    assert lists('{"registry-mirrors": ["https://m.test"], "debug": true}') == ((), ("https://m.test",))
