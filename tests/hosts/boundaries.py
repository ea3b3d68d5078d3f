"""What a notebook's cells call, in one process on a host, which is killed before its N-th call that changes the host.

`python tests/hosts/boundaries.py N PARAMETERS NOTEBOOK…`: PARAMETERS is JSON, N counts from 1, 0 kills nobody. A call
that changes something is seen by Python's own audit events: files made, moved or removed, programs started, requests
to the engine or the registry that are not GET or HEAD. Those it made are printed, one a line, on standard error.
"""

import contextlib
import io
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runbook.display import overview
from runbook.jupyter import cells, steps
from runbook.model.parameters import read

HOST = ("/etc/", "/opt/", "/usr/", "/var/")  # its own files; what is below /tmp and /run is gone at the next boot
FILES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link", "os.symlink"}
READING = {"version", "is-enabled", "cat", "-L", "config", "--help", "--version"}  # words of commands that only read
ASKED = re.compile(rb"(?:POST|PUT|PATCH|DELETE) \S+ ")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def boundary(event: str, arguments: Sequence[Any]) -> str | None:
    """Return in a few words what an audit event changes, None where it changes nothing of the host."""
    if event in FILES:
        path = os.fsdecode(arguments[0]) if not isinstance(arguments[0], int) else ""
        if event in {"os.remove", "os.rmdir"} and arguments[1] >= 0:  # below a folder that rmtree has opened
            path = str(Path(f"/proc/self/fd/{arguments[1]}").resolve() / path)
        changes = event != "os.remove" or os.path.lexists(path)
        return f"{event} {path}" if path.startswith(HOST) and changes else None
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, str) and path.startswith(HOST) and flags & WRITING:
            return f"open {path}"
    if event == "subprocess.Popen" and not READING & {*map(str, arguments[1])}:
        return f"run {' '.join(map(str, arguments[1][:4]))}"
    if event == "http.client.send" and (asked := ASKED.match(arguments[1])) and not asked[0].endswith(b"/exec "):
        return f"send {asked[0].decode()}"
    return None


def kill_at(number: int) -> Callable[[], list[str]]:
    """Have this process killed right before its `number`-th change, and return the function that lists those made."""
    made: list[str] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if (change := boundary(event, arguments)) is not None:
            made.append(change)
            if len(made) == number:
                sys.stderr.write(f"killed before {change}\n")
                sys.stderr.flush()
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return lambda: made


def main() -> None:
    """Do what the notebooks' cells do."""
    number, parameters, *names = sys.argv[1:]
    made = kill_at(int(number))
    for name in names:
        values = read(json.loads(parameters), where="a test")
        steps.end_load(values)
        section = overview.section(name)
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            changes = cells.plan(section, values)
            cells.apply(changes, values)
            cells.verify(section, values)
        sys.stdout.write(shown.getvalue())
    sys.stderr.writelines(f"{change}\n" for change in made())


if __name__ == "__main__":
    main()
