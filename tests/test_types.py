"""The types of the product and of its tests."""

import subprocess
import sys

from runbook.catalogue import PROJECT


def test_types_hold() -> None:
    """Fails if mypy, with the settings of pyproject.toml, finds anything in what it reads."""
    argv = (sys.executable, "-m", "mypy", "--no-color-output")
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
