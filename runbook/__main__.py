"""The program's start, also as `python -m runbook`: what a run takes longest for begins before all imports."""

import sys

from runbook import forkserver


def main() -> None:
    """Run the program, as `runbook.cli.main` does."""
    if sys.argv[1:2] == ["run"]:
        forkserver.start()
    from runbook import cli

    cli.main()


if __name__ == "__main__":
    main()
