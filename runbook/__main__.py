"""`python -m runbook` is `registry-runbook`."""

from runbook.cli import main

main()
