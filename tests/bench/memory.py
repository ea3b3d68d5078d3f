"""Run a command, and print the most memory that it and all that it started held at once.

`python -m tests.bench.memory COMMAND…`; in megabytes, what processes share is counted once (proc(5), Pss).
"""

import subprocess
import sys
import time

import psutil

_SECONDS = 0.05  # between two looks


def main() -> None:
    """Run the command of the arguments; its output goes where it went, the figure is the last line."""
    most = 0
    with subprocess.Popen(sys.argv[1:]) as running:
        while running.poll() is None:
            most = max(most, _held(psutil.Process(running.pid)))
            time.sleep(_SECONDS)
    print(most / 1e6)  # noqa: T201 (what it is for)
    sys.exit(running.returncode)


def _held(first: psutil.Process) -> int:
    total = 0
    try:
        processes = [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:  # it has ended meanwhile
            continue
    return total


if __name__ == "__main__":
    main()
