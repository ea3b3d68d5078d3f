"""The start and the end of every command.

Saved, measured on two cores with Python 3.11: medians of seven runs or more, in processor time for imports, and by the
clock for the rest.

httpx._main     50 ms  httpx imports its own command-line program where click is installed
rfc3987_syntax 1200 ms of each run: jsonschema, which papermill needs, compiles grammars of a format no notebook has
gc.freeze      120 ms  at exit, Python looks for garbage among everything that was imported
fork server    300 ms  of each run: it imports what notebooks need while this process imports what the command needs
"""

import atexit
import gc
import sys
from collections.abc import Sequence
from contextlib import suppress

_NOT_NEEDED = ("httpx._main", "rfc3987_syntax")


def begin(arguments: Sequence[str]) -> None:
    """Prepare this process, before it imports anything else, to start and end quickly with these arguments.

    Importing a module of `_NOT_NEEDED` fails from now on, which its importers expect. `gc.freeze` runs at exit, and the
    fork server starts where the command is `run`.
    """
    leave_out(*_NOT_NEEDED)
    atexit.register(gc.freeze)
    if arguments[:1] == ["run"]:
        from runbook.speed import forkserver

        with suppress(OSError):  # the command starts it again, and then reports the error
            forkserver.start()


def leave_out(*modules: str) -> None:
    """Make the import of modules fail in this process (docs.python.org, "The import system", 5.3.1)."""
    for module in modules:
        sys.modules.setdefault(module, None)  # type: ignore[arg-type] # typed as if it could not be None
