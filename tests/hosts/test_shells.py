"""Completion in the shells themselves, as one types: a terminal, a few letters, a tab."""

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from runbook.catalogue import PROJECT
from runbook.cli import completion
from runbook.cli.program import program

ARGV = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "--no-rcs", "-i"),
    "fish": ("fish", "--no-config", "--interactive"),
}
READY = {"zsh": "autoload -U compinit && compinit -D -u; "}
SECONDS = 60


class Terminal:
    """A shell in a terminal of its own."""

    def __init__(self, shell: str, home: Path) -> None:
        """Start the shell in the project's folder, with a home of its own."""
        self.ours, theirs = pty.openpty()
        own = {
            "HOME": str(home),
            "TERM": "xterm",
            "PS1": "$ ",
            "XDG_CONFIG_HOME": str(home),
            "XDG_DATA_HOME": str(home),
        }
        self.process = subprocess.Popen(
            ("setsid", "--ctty", *ARGV[shell]),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=PROJECT,
            env=os.environ | own,
        )
        os.close(theirs)
        self.shown = ""

    def type(self, text: str) -> None:
        """Type a text."""
        self.shown = ""
        os.write(self.ours, text.encode())

    def wait_for(self, text: str) -> None:
        """Read what is shown until the text is there."""
        deadline = time.monotonic() + SECONDS
        while text not in self.shown:
            assert time.monotonic() < deadline, f"expected {text!r}, found {self.shown!r}"
            if select.select([self.ours], [], [], 1.0)[0]:
                self.shown += os.read(self.ours, 4096).decode(errors="replace")

    def end(self) -> None:
        """End the shell."""
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


@pytest.mark.parametrize("shell", ARGV)
def test_shell_completes_as_one_types(shell: str, tmp_path: Path) -> None:
    """Fails if a shell refuses the script, or does not complete a notebook, a parameter or its value."""
    script = tmp_path / f"completion.{shell}"
    script.write_text(completion.script(program, shell), encoding="utf-8")
    terminal = Terminal(shell, tmp_path)
    try:
        terminal.type(f"{READY.get(shell, '')}source {script}; echo rea''dy\n")
        terminal.wait_for("ready")
        terminal.type("registry-runbook comple\t")
        terminal.wait_for("tion")
        terminal.type("\x15./script/run 60\t")
        terminal.wait_for("-push-pull")
        terminal.type(" -p delete_en\t")
        terminal.wait_for("abled")
        terminal.type(" tr\t")
        terminal.wait_for("ue")
    finally:
        terminal.end()
