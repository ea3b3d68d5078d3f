"""What every session does: one seed for all that draws, an order that it decides, new hosts after a failure."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent.parent
DRAWING = """
import os
from tests import draws

def test_draws(seeded):
    print("drew", seeded.random(), draws.source("a").random(), draws.tries_all(), draws.count_examples())

def test_writes(tmp_path):
    with open({seen!r}, "a") as file:
        file.write(os.environ["RUNBOOK_TEST_SEED"] + "\\n")
"""
BREAKING = """
import pytest

@pytest.fixture(scope="module")
def host():
    with open({seen!r}, "a") as file:
        file.write("made\\n")
        yield
        file.write("ended\\n")

@pytest.mark.parametrize("holds", [{first}, True])
def test_host(host, holds):
    assert holds
"""


def session(folder: Path, *options: str) -> str:
    """Run the tests of a folder in a session of its own, and return what it prints."""
    own = ("-c", "/dev/null", "--rootdir", str(folder), "-p", "tests.conftest", "-s", "-v")
    without = ("-p", "no:cacheprovider", "-p", "no:nbval")  # whose imports take a second
    command = (sys.executable, "-m", "pytest", *own, *without, *options, str(folder))
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout


def test_seed_decides_draws_and_order(tmp_path: Path) -> None:
    """Fails where a seed does not give the same again, another one does, it is not printed, or files are mixed."""
    seen = tmp_path / "seen"
    for name in "abcdef":
        (tmp_path / f"test_{name}.py").write_text(DRAWING.format(seen=str(seen)), encoding="ascii")
    one, again = (session(tmp_path, "--seed=7", "--shuffle") for _ in range(2))
    other, drawn = session(tmp_path, "--seed=8", "--shuffle", "--all"), session(tmp_path, "-n", "2")

    def draws(shown: str) -> list[str]:
        return re.findall("drew .*", shown)

    def order(shown: str) -> list[str]:
        return re.findall(r"test_(\w)\.py::test_", shown)

    assert draws(one) == draws(again) != draws(other)
    assert ("False 40" in one, "True 400" in other) == (True, True)
    assert order(one) == order(again) != order(other)
    assert sorted(order(one)) == [*"aabbccddeeff"] != order(one)
    assert order(one)[::2] == order(one)[1::2]
    seeds = re.findall(r"--seed=(\d+)", drawn)
    assert (len(seeds), len({*seeds})) == (2, 1)
    assert seen.read_text(encoding="ascii").split() == 6 * ["7"] + 6 * ["7"] + 6 * ["8"] + 6 * seeds[:1]


GROUPED = """
import pytest

@pytest.mark.one_of("group")
@pytest.mark.parametrize("number", [1, 2])
def test_first(number): ...

@pytest.mark.one_of("group")
def test_second(): ...

def test_alone(): ...
"""
ALONE, FIRST, SECOND = ["test_alone"], ["test_first[1]", "test_first[2]"], ["test_second"]


def test_one_of_a_group_is_drawn(tmp_path: Path) -> None:
    """Fails where all of a group run, none does, the seed does not decide, or one that is named is left out."""
    path = tmp_path / "test_a.py"
    path.write_text(GROUPED, encoding="ascii")

    def collected(*options: str) -> list[str]:
        return re.findall(r"::(\S+)", session(tmp_path, "--collect-only", "-qq", "-W", "ignore", *options))

    seen = [collected(f"--seed={seed}") for seed in (1, 1, 2, 3, 4)]
    assert seen[0] == seen[1]
    assert all(sorted(found) in (sorted(ALONE + FIRST), sorted(ALONE + SECOND)) for found in seen)
    assert len({tuple(found) for found in seen}) == 2
    assert sorted(collected("--all")) == sorted(ALONE + FIRST + SECOND)


@pytest.mark.parametrize(("first", "expected"), [(False, 2), (True, 1)])
def test_fixture_is_made_anew_after_a_failure_alone(tmp_path: Path, *, first: bool, expected: int) -> None:
    """Fails where a test gets what one before it has broken, or new things where nothing is broken.

    The end of a session shows what its time went for.
    """
    seen = tmp_path / "seen"
    (tmp_path / "test_a.py").write_text(BREAKING.format(seen=str(seen), first=first), encoding="ascii")
    shown = session(tmp_path)
    assert seen.read_text(encoding="ascii").split() == expected * ["made", "ended"]
    assert re.search(r"^(?: +\d+\.\d){4}  test_a\.py$", shown, re.MULTILINE)  # however busy the machine is
