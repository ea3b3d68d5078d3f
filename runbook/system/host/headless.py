"""What a headless run tells its kernels, by variables of its environment: that no person is at their prompt."""

import os

_VARIABLE = "RUNBOOK_HEADLESS"
FROM_FILE = "RUNBOOK_FROM_FILE"  # the names of the parameters that a run took from its file, for its notebooks


def declare() -> None:
    """Set the variable for this process and its children."""
    os.environ[_VARIABLE] = "1"


def is_declared() -> bool:
    """Return whether this process, or the one that started it, declared a headless run."""
    return _VARIABLE in os.environ
