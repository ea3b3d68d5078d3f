"""The root process: makes the changes that it reads, one JSON object a line. `apply` starts it by sudo."""

import functools
import json
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from runbook.changes import deployment, ledger
from runbook.changes.base import Change, from_json
from runbook.model.errors import RunbookError
from runbook.system.docker import engine
from runbook.system.host import lock
from runbook.system.host.files import mode_of


def main() -> None:
    """Check, enter, make or settle each change read from stdin, one JSON line each; answer with a note or an error.

    The request `deployment` has the arguments of `deployment.update` in place of a change.

    The first line holds `owner`, the requesting user's user and group ID, and `timeout_seconds`. The note of an `enter`
    is the number of entries; they are settled before the next change.
    """
    with ExitStack() as stack:
        _serve(json.loads(sys.stdin.readline()), stack)


def _serve(header: Mapping[str, Any], stack: ExitStack) -> None:
    timeout_seconds, begun = header["timeout_seconds"], tuple[ledger.Entry, ...]()

    @functools.cache
    def take_lock() -> None:
        stack.enter_context(lock.hold())
        ledger.remove_unfinished()

    for line in sys.stdin:
        request, data = json.loads(line)
        note = about = ""
        try:
            take_lock()
            if request == "deployment":
                about = "keep the parameters of this deployment"
                deployment.update(**data)
            else:
                about = str(change := from_json(data))
            match request:
                case "check target":
                    change.check_target()
                case "enter":
                    begun = change.enter(timeout_seconds)
                    note = str(len(begun))
                case "settle":
                    ledger.settle(begun, timeout_seconds)
                case "make":
                    change.refuse_drift()
                    note = change.make(timeout_seconds) or ""
                    _give(change, tuple(header["owner"]))
            answer = {"note": note}
        except RunbookError as error:
            answer = {"expected": error.expected, "found": error.found, "remedy": error.remedy}
        except OSError as error:
            answer = {"expected": f"to {about}", "found": engine.error_text(error), "remedy": "remove the cause"}
        print(json.dumps(answer), flush=True)  # noqa: T201 (the answer)


def _give(change: Change, owner: tuple[int, int]) -> None:
    """Give the private files that a change made to the user it was made for."""
    for path in change.private_paths():
        if (mode := mode_of(path)) is not None and not mode & 0o077:
            os.chown(path, *owner, follow_symlinks=False)


if __name__ == "__main__":
    main()
