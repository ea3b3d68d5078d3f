"""The catalogue: each message recognised from its own words, each cause with a check, a remedy and a notebook."""

import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from re import _parser  # type: ignore[attr-defined] # what a pattern is made of, to make its worst case of it
from typing import Any

import pytest

from runbook import catalogue
from runbook.diagnosis.catalogue import Message, causes, causes_of, excerpt, find, messages, plain
from runbook.model.redaction import redact
from tests import draws
from tests.draws import tries_all

MESSAGES = messages()
ALONE = {"not_reproduced"}
HOSTS = Path(__file__).parents[1] / "hosts"


@pytest.mark.parametrize("message", MESSAGES, ids=[message.name for message in MESSAGES])
def test_find_knows_each_message_by_its_words(message: Message) -> None:
    """Fails if a message is not found in its own words, wrapped by a terminal or amid a log."""
    for text in (message.example, message.example.replace(" ", "\n  "), f"a\n{message.example}\nb", message.example[:]):
        assert message in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "Login Succeeded",
        "latest: digest: sha256:0 size: 1",
        "Status: Image is up to date",
        "200 OK",
        "x" * 10**5,
    ],
)
def test_find_knows_no_message_where_there_is_none(text: str) -> None:
    """Fails if words of success, or no words, are taken for a message."""
    assert find(text) == []


# What one of them is not, although it has words of it; and the one that it is, if any.
NEAR_MISSES = (
    (
        'traces export: Post "https://localhost:4318/v1/traces": dial tcp [::1]:4318: connect: connection refused',
        "dial tcp …: connect: connection refused",
        'traces export: Post "https://localhost:4318/v1/traces": … connection refused',
    ),
    (
        "proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused",
        "dial tcp …: connect: connection refused",
        "proxyconnect tcp: …",
    ),
    ("manifest unknown: manifest unknown", "manifest invalid", "manifest unknown"),
    ("blob upload unknown to registry", "blob unknown to registry", "blob upload invalid (or unknown)"),
    (
        'Patch "registry.test/v2/a/blobs/uploads/0": unsupported protocol scheme ""',
        "remote error: tls: handshake failure (or protocol version not supported)",
        "unsupported protocol scheme",
    ),
    (
        "invalid reference format: repository name (A/b) must be lowercase",
        "invalid reference format",
        "invalid reference format: repository name must be lowercase",
    ),
    (
        "certificate signed by unknown authority",
        "x509: cannot verify signature: insecure algorithm SHA1-RSA",
        "x509: certificate signed by unknown authority",
    ),
    (
        "net/http: TLS handshake timeout",
        "remote error: tls: handshake failure (or protocol version not supported)",
        "net/http: TLS handshake timeout",
    ),
    ("the attribute `version` is obsolete", 'Version in "…" is unsupported', "the attribute `version` is obsolete"),
    (
        "Bind for 0.0.0.0:443 failed: port is already allocated",
        "failed to bind host port …: address already in use",
        "Bind for … failed: port is already allocated",
    ),
    (
        'error storing credentials - err: exec: "docker-credential-nobody": executable file not found in $PATH',
        "Cannot autolaunch D-Bus without X11 $DISPLAY",
        "error storing (or getting) credentials - err: exec: docker-credential-…",
    ),
    ("502 Bad Gateway", "unexpected status from … request to …: 5…", "502 Bad Gateway"),
    ("no configuration file provided: not found", "manifest unknown", "no configuration file provided: not found"),
    ("open /etc/docker/daemon.json: permission denied", "open …: permission denied", ""),
    ("the port 407 is taken", "407 Proxy Authentication Required", ""),
    ("the image has 403 layers", "unexpected status from HEAD (GET, PUT, POST) request to …: 403 Forbidden", ""),
)


@pytest.mark.parametrize(("text", "wrong", "right"), NEAR_MISSES, ids=[text[:40] for text, _, _ in NEAR_MISSES])
def test_no_message_is_taken_for_one_that_is_like_it(text: str, wrong: str, right: str) -> None:
    """Fails if words that two messages share make one of the other."""
    assert wrong in {message.name for message in MESSAGES}
    found = [message.name for message in find(text)]
    assert wrong not in found
    assert found == ([right] if right else [])


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "\x1b[31;1m{}\x1b[0m",
        "\x1b]8;;https://example.test\x07{}\x1b]8;;\x07",
        "registry-1  | {}",
        "#8 0.412 {}",
        "2026-11-28T09:12:01.1234567Z {}",
        "Nov 28 09:12:01 host dockerd[812]: {}",
        'time="2026-11-28T09:12:01Z" level=error msg="{}"',
    ],
)
def test_plain_takes_off_what_programs_put_around(around: str) -> None:
    """Fails if colours, the beginning of a log's line or escaped quotes hide a message, in the middle of it too."""
    words = ('exec: \\"htpasswd\\": executable file', "not found in $PATH")
    text = "\n".join(around.format(part) for part in words) if "level" not in around else around.format(" ".join(words))
    assert [message.name for message in find(plain(text))] == ['exec: "htpasswd": executable file not found in $PATH']
    assert "\x1b" not in plain(text)


@pytest.mark.parametrize("text", ["a | b", "# 8 apples", "Nov 28", "2026-11-28", 'say "no"', "a\\b"])
def test_plain_leaves_what_nobody_put_around(text: str) -> None:
    """Fails if words of a message itself are taken off."""
    assert plain(f"x\n{text}") == (f"x\n{text}" if text != "a | b" else "x\nb")


def test_find_knows_several_messages_of_a_log() -> None:
    """Fails if of a whole paste only one message is found."""
    pasted = "\n".join(message.example for message in MESSAGES[:5])
    assert {message.name for message in MESSAGES[:5]} <= {message.name for message in find(pasted)}


def test_no_gap_of_a_pattern_is_without_a_bound() -> None:
    """Fails if a long log could keep a pattern busy: each start of it would be tried with all that follows."""
    for message in MESSAGES:
        for repeat, *_ in repeats(_parser.parse(message.pattern)):
            assert repeat <= 1000, message.pattern  # what may be repeated without a bound is more than that


def repeats(parsed: Iterable[tuple[Any, Any]], before: str = "") -> Iterator[tuple[int, str, str]]:
    """Yield each repetition in a parsed pattern: how often at most, a text that leads to it, and one that it takes."""
    for operation, argument in parsed:
        match str(operation):
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, inside = argument
                filler = words_of(inside)
                yield int(most), before, filler
                yield from repeats(inside, before)
                before += filler * max(least, 1)
            case "BRANCH":
                for branch in argument[1]:
                    yield from repeats(branch, before)
                before += words_of(argument[1][0])
            case "SUBPATTERN":
                yield from repeats(argument[3], before)
                before += words_of(argument[3])
            case _:
                before += words_of([(operation, argument)])


def words_of(parsed: Iterable[tuple[Any, Any]]) -> str:
    """Return a text that a parsed pattern takes, as short as may be."""
    text = ""
    for operation, argument in parsed:
        match str(operation):
            case "LITERAL":
                text += chr(argument)
            case "ANY" | "NOT_LITERAL":
                text += "x"
            case "IN":
                text += words_of(argument[:1]) or "x"
            case "RANGE":
                text += chr(argument[0])
            case "CATEGORY":
                text += "1" if "DIGIT" in str(argument) and "NOT" not in str(argument) else "x"
            case "MAX_REPEAT" | "MIN_REPEAT":
                text += words_of(argument[2]) * argument[0]
            case "BRANCH":
                text += words_of(argument[1][0])
            case "SUBPATTERN":
                text += words_of(argument[3])
    return text


def worst_cases() -> Iterator[str]:
    """Yield what keeps each pattern busy: all that leads to a gap, again and again, alone or with the gap filled."""
    for message in MESSAGES:
        for _, before, filler in repeats(_parser.parse(message.pattern)):
            for unit in (before, f"{before}{filler * 30}", f"{before}{filler * 300}"):
                if unit.strip():
                    yield (unit * (MEGABYTE // len(unit) + 1))[:MEGABYTE]


def test_no_text_of_a_megabyte_keeps_a_diagnosis_busy() -> None:
    """Fails if what somebody pastes, or writes into a log from outside, stops the diagnosis for long.

    Each pattern's own worst case with `script/test --all`, otherwise a sample; and those of the texts' redaction.
    """
    every = list(dict.fromkeys([*worst_cases(), *(f"{unit} " * (MEGABYTE // (len(unit) + 1)) for unit in PASTED)]))
    chosen = every if tries_all() else [*every[-len(PASTED) :], *draws.source("texts").sample(every, 4)]
    slowest = (0.0, "")
    for text in chosen:
        started = time.process_time()
        concealed = redact(text)
        excerpt(concealed, find(concealed))
        slowest = max(slowest, (time.process_time() - started, text[:60]))
    print(f"{len(chosen)} texts of {len(every)}, the slowest took {slowest[0]:.2f} s: {slowest[1]!r}")  # noqa: T201
    assert slowest[0] < 60, slowest  # a pattern without a bound takes minutes; this is no bar on how fast one is


MEGABYTE = 1_000_000
PASTED = (
    "login",
    "authorization",
    "://a",
    "-----BEGIN PRIVATE KEY-----",
    "password",
    "docker login -p",
    "-u a",
    "http: TLS handshake error from 192.168.1.9:40000: EOF",
)


@pytest.mark.parametrize("length", [0, 100_000])
def test_excerpt_holds_what_a_check_reads(length: int) -> None:
    """Fails if a check does not find the particulars of a message in a long log, or a short text is another one."""
    text = "a log line\n" * (length // 11) + "client version 1.99 is too new\n" + "another\n" * (length // 8)
    found = excerpt(text, find(text))
    assert "client version 1.99 is too new" in found
    assert (found == text) is (length == 0)
    assert len(found) < 5_000


def test_each_message_has_causes_that_are_known() -> None:
    """Fails if a message names a cause that is none, the same twice, or none at all."""
    known = {cause.name for cause in causes()}
    assert {name for message in MESSAGES for name in message.causes} - known == set()
    for message in MESSAGES:
        assert len(set(message.causes)) == len(message.causes) > 0, message.name
        assert message.source, message.name
        assert message.versions, message.name


def test_each_cause_is_looked_for() -> None:
    """Fails if a cause is looked for neither without a message nor because of one, or its check does not say how."""
    named = {name for message in MESSAGES for name in message.causes}
    assert [cause.name for cause in causes() if cause.asked and cause.name not in named] == []
    for cause in causes():
        assert cause.check_text.endswith("."), cause.name
        assert cause.remedy.endswith((".", "`).", ")")), cause.name
        assert cause.notebook in ("", *catalogue.names()), cause.name
    assert len({cause.name for cause in causes()}) == len(causes())


def test_causes_come_roots_first() -> None:
    """Fails if a consequence is named before what brings it about."""
    names = [cause.name for cause in causes()]
    for root, consequence in (
        ("daemon-json-no-json", "engine-stopped"),
        ("engine-stopped", "container-stopped"),
        ("key-of-another", "container-restarts"),
        ("configuration-unknown-key", "configuration-is-another"),
        ("container-stopped", "registry-silent"),
        ("users-malformed", "login-refused"),
        ("environment-overrides", "registry-open"),
    ):
        assert names.index(root) < names.index(consequence)
    assert [cause.name for cause in causes_of(find("no basic auth credentials"))] == ["not-logged-in", "helper-missing"]


def test_catalogue_is_large_and_says_what_no_test_brings_about() -> None:
    """Fails if it has fewer than 140 messages, or fewer of those that the tests bring about than before."""
    assert len(MESSAGES) >= 140
    assert len([message for message in MESSAGES if not message.not_reproduced]) >= 85


def test_each_message_is_brought_about_by_a_test_on_a_host() -> None:
    """Fails if a message is said to be reproduced, and no test on a host has its name; or the other way round."""
    text = "".join(
        path.read_text(encoding="utf-8")
        for path in [*sorted(HOSTS.glob("test_diagnosis_*.py")), HOSTS / "test_nginx.py"]
    )
    constants = dict(re.findall(r'(?m)^([A-Z_]+) = "(.*)"$', text))
    text += "".join(
        value.replace("{UNKNOWN}", constants["UNKNOWN"]) for value in re.findall(r'f"(\{UNKNOWN\}.*)"', text)
    )
    missing = [message.name for message in MESSAGES if message.name not in text.replace('\\"', '"')]
    assert missing == [message.name for message in MESSAGES if message.not_reproduced]
