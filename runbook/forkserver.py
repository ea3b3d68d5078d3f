"""The process that kernels are forked from: it imports, once a run, what every notebook imports."""

import multiprocessing
from multiprocessing import forkserver

_IMPORTED = (
    "ipykernel.kernelapp",
    "runbook.cli",
    "runbook.form",
    "runbook.interruptible",
    "runbook.kernels",
    "runbook.notebook",
)


def start() -> None:
    """Start it, where it does not run yet, without waiting for its imports."""
    multiprocessing.set_forkserver_preload(list(_IMPORTED))
    forkserver.ensure_running()
