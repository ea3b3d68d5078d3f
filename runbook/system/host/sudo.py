"""One call of sudo: a root process that makes the changes it receives as JSON, one a line."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, cast

from runbook.model.errors import HostError

_SECONDS_TO_END = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Root:
    """The root process, with its standard input, standard output (the answers) and standard error."""

    process: subprocess.Popen[str]
    given: IO[str]
    answers: IO[str]
    errors: IO[str]

    def send(self, data: object) -> None:
        """Send one line of JSON; if the process has ended, `ask` reports that."""
        with suppress(BrokenPipeError):
            self.given.write(f"{json.dumps(data)}\n")
            self.given.flush()

    def ask(self, what: str, about: Mapping[str, object]) -> str:
        """Send a request and return the note of the answer; raises HostError if the answer is an error, or missing."""
        self.send((what, about))
        if not (line := self.answers.readline()):
            self.process.wait(_SECONDS_TO_END)
            self.errors.seek(0)
            raise HostError(
                "root, or sudo that does not ask for a password",
                self.errors.read().strip() or f"exit code {self.process.returncode}",
                "run it as root, or allow it in /etc/sudoers (NOPASSWD)",
            )
        answer: dict[str, str] = json.loads(line)
        if "note" not in answer:
            raise HostError(**answer)
        return answer["note"]


@contextmanager
def root(module: str, timeout_seconds: float) -> Iterator[Root]:
    """Run a module as root with `sudo -n` in this context; private files that it writes belong to this user."""
    argv = ("sudo", "-n", "--", sys.executable, "-m", module)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
            )
        except FileNotFoundError as error:
            raise HostError("root, or sudo", "no sudo on this host", "run it as root") from error
        given, answers = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)
        helper = Root(process=process, given=given, answers=answers, errors=errors)
        helper.send({"owner": (os.geteuid(), os.getegid()), "timeout_seconds": timeout_seconds})
        try:
            yield helper
        finally:
            with suppress(BrokenPipeError):
                given.close()
            answers.close()
            process.wait(_SECONDS_TO_END)
