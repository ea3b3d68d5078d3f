"""The program's start, also as `python -m runbook`: what a run takes longest for begins before all imports."""

import atexit
import gc
import sys
from contextlib import suppress

from runbook import start


def main() -> None:
    """Run the program, as `runbook.cli.program.main` does."""
    start.settle()
    atexit.register(gc.freeze)  # else Python looks for garbage among all that was imported, and a user waits for it
    if sys.argv[1:2] == ["run"]:
        from runbook.runs import forkserver

        with suppress(OSError):  # the command itself starts it again, and says what is wrong
            forkserver.start()
    from runbook.cli import program

    program.main()


if __name__ == "__main__":
    main()
