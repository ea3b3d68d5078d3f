"""One call of sudo: a process of root's that makes the changes handed to it as JSON, one a line."""

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
    """The process of root's: what is handed to it, what it answers, and what it says beside that."""

    process: subprocess.Popen[str]
    given: IO[str]
    answers: IO[str]
    errors: IO[str]

    def send(self, data: object) -> None:
        """Write one line of JSON to it; one that has ended is found by its missing answer."""
        with suppress(BrokenPipeError):
            self.given.write(f"{json.dumps(data)}\n")
            self.given.flush()

    def ask(self, what: str, about: Mapping[str, object]) -> str:
        """Return the note with which it answers; raises HostError with what it found where that is an error."""
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
    """Run a module as root by `sudo -n`, for as long as changes are handed to it; private files become this user's."""
    argv = ("sudo", "-n", "--", sys.executable, "-m", module)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
            )
        except FileNotFoundError as error:
            raise HostError("root, or sudo", "no sudo on this host", "run it as root") from error
        given, answers = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)
        started = Root(process=process, given=given, answers=answers, errors=errors)
        started.send({"owner": (os.geteuid(), os.getegid()), "timeout_seconds": timeout_seconds})
        try:
            yield started
        finally:
            with suppress(BrokenPipeError):
                given.close()
            answers.close()
            process.wait(_SECONDS_TO_END)
