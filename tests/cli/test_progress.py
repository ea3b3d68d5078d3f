"""What a run tells while it works: lines in a log, a bar in a terminal."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runbook.cli import progress, summary
from tests.records import BAD, GOOD

# A run as the bar sees it, in a process of its own.
RUN = """
from runbook.cli import progress
from tests.records import BAD, GOOD
with progress.reporter(2, bar={bar}) as watch:
    for done in (GOOD, BAD):
        watch.begin(done.notebook, "[t] " + done.title)
        watch.step("", 0.0)
        watch.step("Apply [it]", 0.5)
        watch.end(done)
"""
COLOUR = r"\x1b\[(?:\d+;)*(?:3[0-9]|4[0-9]|9[0-9]|10[0-7])(?:;\d+)*m"


def in_terminal(code: str, **environment: str) -> str:
    """Return what a program shows on a terminal of its own."""
    ours, theirs = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=clean | {"TERM": "xterm", "COLUMNS": "200"} | environment,
        cwd=Path(__file__).resolve().parents[1],
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the program has closed the terminal
            part = b""
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown
    return shown.decode()


def test_lines_tell_when_a_notebook_begins_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if a log does not say what is running, mixes with what a program reads, or holds a terminal's codes."""
    exec(RUN.format(bar=False), {})  # noqa: S102 (our own text)
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.splitlines() == [
        "begin  10-host  [t] The host",
        summary.progress(GOOD),
        "begin  50-compose  [t] ",
        summary.progress(BAD),
    ]


def test_bar_names_the_step_and_leaves_a_line_for_each_notebook() -> None:
    """Fails if a terminal does not show what is running, brackets get lost, or the bar stays after the end."""
    shown = in_terminal(RUN.format(bar=True))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "10-host: Apply [it]" in plain
    assert "50-compose: Apply [it]" in plain
    assert "━" in plain
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", plain)]
    assert [line for line in lines if line.startswith(("done", "FAILED"))] == [
        summary.progress(GOOD),
        summary.progress(BAD),
    ]
    assert shown.endswith("\x1b[1A\x1b[2K")  # up, and the bar is gone


def test_bar_obeys_no_color() -> None:
    """Fails if a terminal whose user wants no colour gets one (no-color.org)."""
    assert re.search(COLOUR, in_terminal(RUN.format(bar=True)))
    assert re.findall(COLOUR, in_terminal(RUN.format(bar=True), NO_COLOR="1")) == []


@pytest.mark.parametrize(
    ("terminal", "kind", "expected"),
    [
        pytest.param(True, "xterm", True, id="terminal"),
        pytest.param(True, "dumb", False, id="dumb"),
        pytest.param(True, "", False, id="no-kind"),
        pytest.param(False, "xterm", False, id="log"),
    ],
)
def test_bar_is_for_terminals_that_can_draw_one(*, terminal: bool, kind: str, expected: bool) -> None:
    """Fails if a log is filled with the frames of a bar."""
    code = "import sys\nfrom runbook.cli import progress\nprint('wants', progress.wants_bar())"
    if terminal:
        assert f"wants {expected}" in in_terminal(code, TERM=kind)
        return
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=os.environ | {"FORCE_COLOR": "1"})
    assert done.stdout == f"wants {expected}\n"


def test_telling_gives_lines_or_a_bar() -> None:
    """Fails if `--no-progress-bar` draws one, or `--progress-bar` none."""
    with progress.reporter(1, bar=False) as lines, progress.reporter(1, bar=True) as bar:
        assert (type(lines), type(bar)) == (progress.Lines, progress.Bar)
