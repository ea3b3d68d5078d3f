"""The ways in of parameters given nonsense: random and mutated files, and words of the command line."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.catalogue import PROJECT
from runbook.cli import program
from runbook.model.errors import ParameterError
from runbook.model.parameter_yaml import LONGEST
from runbook.model.parameters import Parameters, read
from tests.draws import count_examples, tries_all

# Of files; of words three times as many in the ordinary run, and as many in the long one.
COUNT = 50_000 if tries_all() else 600
SLOWEST_SECONDS = 1.0
NAMES = [*Parameters.model_fields]
BASES = [line for path in sorted(PROJECT.glob("parameters/*.yml")) for line in path.read_bytes().splitlines()]
# What a parser, a form or a message may stumble over.
TOKENS = [
    *("NO", "no", "on", "Yes", "true", "null", "~", "", " ", "0443", "0o17", "0x1F", "1_000", "22:22", "1e400", ".inf"),
    *("-0", "+1", "443", "0", "-1", "65536", "9" * 5000, "1" * 400, "2026-13-45", "2026-01-01T25:00:00Z", "=", "<<"),
    *(
        "!!python/object/apply:os.system [id]",
        "!!bool x",
        "!!int ''",
        "!!float x",
        "!!binary '%'",
        "!!omap [x]",
        "!a b",
    ),
    *("&a [*a, *a]", "*b", "&a", "[", "]", "{", "}", "[[x]]", "{a: b}", "? [a]", ": x", "- x", "- - - x", "---", "..."),
    *(
        "%YAML 1.1\n---\n",
        "%YAML 1.3\n---\n",
        "%TAG ! x\n---\n",
        "<<: {port: 1}",
        "'",
        '"',
        '"\\U00110000"',
        '"\\uD800"',
    ),
    *(
        "\x00",
        "\ufeff",
        "\ud800",
        "\u2028",
        "\x85",
        "\x1b[2J",
        "\t",
        "\r",
        "\r\n",
        "\n",
        "\n\n",
        "#",
        "|",
        ">-",
        "@",
        "`",
    ),
    *("[" * 5000, "{" * 5000, "- " * 5000, "[a," * 2000, "1," * 5000, "a" * LONGEST, "\n" * LONGEST, "a: b\n" * 6000),
    *("d\u043emain", "p\u043ert", "\uff44omain", "\u0661\u0662", "\u212a", "\u00df", "xn--", "xn--a", "\u202eabc"),
    *(
        "../..",
        "/../etc",
        "/etc/./x",
        "/",
        "-rf",
        "$(id)",
        "`id`",
        "$HOME",
        "a b",
        "a;b",
        "%s%n",
        "\\",
        "a|b",
        "::1%x\n",
    ),
    *("localhost", "127.0.0.1", "::1", "0.0.0.0", "registry", "a" * 64 + ".test", "a." * 200, "_", "*", ".", "sha256:"),  # noqa: S104
]
ESCAPED = "surrogateescape"
"""How Python reads a word of the command line that is no UTF-8, and gives it on: PEP 383."""
BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def mutated(text: bytes, random: Random) -> bytes:  # noqa: PLR0911 (one case a kind of mutation)
    """Return a text with a byte, a line or a token of it changed."""
    place, end = sorted(random.choices(range(len(text) + 1), k=2))
    lines = text.split(b"\n")
    line = random.randrange(len(lines))
    token = random.choice(TOKENS).encode(errors="surrogatepass")
    match random.randrange(9):
        case 0:
            return text[:place] + random.randbytes(1) + text[place + 1 :]
        case 1:
            return text[:place] + random.randbytes(random.randrange(1, 4)) + text[place:]
        case 2:
            return text[:place] + text[end:]
        case 3:
            return text[:end] + text[place:]
        case 4:
            return b"\n".join([*lines, lines[line]])
        case 5:
            return b"\n".join([*lines[:line], b"  " + lines[line], *lines[line + 1 :]])
        case 6:
            name, colon, _ = lines[line].partition(b":")
            return b"\n".join([*lines[:line], name + colon + b" " + token, *lines[line + 1 :]])
        case 7:
            return text[:place] + token + text[place:]
    return b"\n".join([*lines, random.choice(NAMES).encode() + b": " + token])


def random_file(random: Random) -> bytes:
    """Return a parameter file of a few lines, mutated a few times."""
    if random.randrange(200) == 0:
        return BOMB.encode()
    text = b"\n".join(random.sample(BASES, k=random.randrange(1, 7))) + b"\n"
    for _ in range(random.randrange(1, 4)):
        text = mutated(text, random)
    return text


def random_word(random: Random) -> tuple[str, str]:
    """Return NAME and VALUE as a command line can give them: without NUL, and of bytes that may be no UTF-8."""
    name, value = random.choice(NAMES), random.choice(TOKENS).encode(errors="surrogatepass").decode(errors=ESCAPED)
    if random.randrange(4) == 0:
        name = mutated(name.encode(), random).decode(errors=ESCAPED)
    if random.randrange(2):
        value = mutated(random.choice(BASES).partition(b": ")[2], random).decode(errors=ESCAPED)
    return name.replace("\0", ""), value.replace("\0", "")


class Trial:
    """A parameter file on disk, and what came of giving it, with words over it, to what the program calls."""

    def __init__(self, path: Path) -> None:
        """Make the file."""
        path.write_bytes(b"")
        self.path, self.count, self.refused, self.slowest = path, 0, 0, (0.0, "")

    def give(self, content: bytes, words: list[tuple[str, str]]) -> None:
        """Load and check; fails for any other error than one of ours, and for one that does not say all it should."""
        self.path.write_bytes(content)
        started = time.process_time()
        try:
            read(program.checked_values(self.path, words), where="set in a file")
        except ParameterError as error:
            self.refused += 1
            assert said_well(error, self.path), repr(error)  # noqa: PT017 (either is right, each for its files)
        self.count += 1
        self.slowest = max(self.slowest, (time.process_time() - started, repr((content, words))[:100]))

    def __str__(self) -> str:
        """Return the counts, and the slowest."""
        seconds, what = self.slowest
        return f"{self.count} tried, {self.refused} refused, the slowest took {seconds:.3f} s of processor time: {what}"


def said_well(error: ParameterError, path: Path) -> bool:
    """Return whether an error names parameter or line, value and remedy, and does nothing to a terminal."""
    forms = (
        r"expected for (\w+): .+; found .+ \(set (in|on) .+\)\. To repair: set \1 \(.+\)\.",
        r"expected a parameter that the runbook knows; found .+ = .+ \(set .+\)\. To repair: (write|see) .+",
        rf"expected a parameter file in YAML; found {path}: (line \d+|more than \d+ char).+\. To repair: write one .+",
        rf"expected a mapping of names to values; found {path}: .+\. To repair: write one .+",
    )
    said = str(error)
    return len(said) < 2_000 and said.isprintable() and any(re.fullmatch(form, said) for form in forms)


@pytest.fixture
def trial(tmp_path: Path, record_property: Callable[[str, object], None]) -> Iterator[Trial]:
    """Give a trial whose file is the only thing in the test's folder, at its end too."""
    found = Trial(tmp_path / "some.yml")
    yield found
    record_property("told", str(found))
    assert [found.path] == list(tmp_path.iterdir())
    assert found.slowest[0] < SLOWEST_SECONDS or not tries_all(), str(found)


def test_checked_values_refuses_nonsense_in_a_file(trial: Trial, seeded: Random) -> None:
    """Fails if a mutated file ends in another error than ours, or in one without its line or parameter and remedy."""
    for _ in range(COUNT):
        trial.give(random_file(seeded), [])
    assert 0 < trial.refused < trial.count


def test_checked_values_refuses_nonsense_in_words(trial: Trial, seeded: Random) -> None:
    """Fails if what `-p` gives ends in another error than ours, or in one without parameter, value and remedy."""
    for _ in range(COUNT if tries_all() else 3 * COUNT):
        trial.give(b"", [random_word(seeded) for _ in range(seeded.randrange(1, 3))])
    assert 0 < trial.refused < trial.count


@settings(max_examples=25 * count_examples() if tries_all() else 10 * count_examples())
@given(
    content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
    words=st.lists(
        st.tuples(
            st.sampled_from(NAMES) | st.text(max_size=20), st.text(st.characters(codec=None, exclude_characters="\0"))
        ),
        max_size=2,
    ),
)
def test_checked_values_refuses_what_is_random(trial: Trial, content: bytes, words: list[tuple[str, str]]) -> None:
    """Fails if any bytes as a file, or any words, end in another error than ours."""
    trial.give(content, [])
    trial.give(b"", words)


def _as_users_do(folder: Path, *arguments: bytes | str | Path) -> subprocess.CompletedProcess[bytes]:
    folder.mkdir(exist_ok=True)
    elsewhere = {"DOCKER_HOST": "tcp://127.0.0.1:1", "HOME": str(folder), "XDG_STATE_HOME": str(folder)}
    argv = [sys.executable, "-m", "runbook", "plan", *arguments]
    return subprocess.run(argv, capture_output=True, check=False, env=os.environ | elsewhere, timeout=60, cwd=PROJECT)


def test_plan_ends_nonsense_with_an_error(tmp_path: Path, seeded: Random) -> None:
    """Fails if the program itself shows a traceback, exits with other than 2, or leaves something behind."""
    for number in range(48 if tries_all() else 8):
        trial = Trial(tmp_path / f"{number}.yml")
        while not trial.refused:
            content = random_file(seeded) if number % 2 else b""
            words = [] if number % 2 else [random_word(seeded)]
            trial.give(content, words)
        given_words = [os.fsencode(word) for pair in words for word in ("-p", *pair)]
        done = _as_users_do(tmp_path / "home", "-f", trial.path, *given_words)
        assert (done.returncode, done.stdout) == (2, b""), done
        assert done.stderr.startswith(b"registry-runbook: expected ")
        assert b"Traceback" not in done.stderr
    assert list((tmp_path / "home").iterdir()) == []
