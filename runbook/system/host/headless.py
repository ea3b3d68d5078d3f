"""Whether this process works for a headless run, with no person at its prompt: a variable of its environment."""

import os

_VARIABLE = "RUNBOOK_HEADLESS"


def declare() -> None:
    """Set the variable for this process and its children."""
    os.environ[_VARIABLE] = "1"


def is_declared() -> bool:
    """Return whether this process, or the one that started it, declared a headless run."""
    return _VARIABLE in os.environ
