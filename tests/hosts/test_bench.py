"""`script/bench`: a short run of it, without what takes long."""

import csv
import subprocess
import sys
from pathlib import Path

from .lab import PROJECT

SHORT = ("--rounds", "1", "--without", "playbook", "memory", "users", "repositories", "large")


def test_bench_measures_the_product_beside_the_document(tmp_path: Path) -> None:
    """Fails where one of them does not come to its end there, or a figure is not written down."""
    command = (sys.executable, "-m", "tests.bench", *SHORT, "--output", str(tmp_path))
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done
    found = {row["figure"]: row for row in csv.DictReader((tmp_path / "bench.csv").read_text().splitlines())}
    assert {"the document's commands", "first run", "second run", "plan", "--help"} <= set(found)
    assert all(float(row["median"]) > 0 for row in found.values())
    assert found["first run"]["compared with"] == "the document's commands"
    assert (tmp_path / "bench.svg").read_text().startswith("<svg")
