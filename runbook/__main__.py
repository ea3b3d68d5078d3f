"""The program's start, also as `python -m runbook`."""

import sys

from runbook import start


def main() -> None:
    """Run the program, as `runbook.cli.program.main` does."""
    start.settle()
    from runbook.speed import startup

    startup.begin(sys.argv[1:])
    from runbook.cli import program

    program.main()


if __name__ == "__main__":
    main()
