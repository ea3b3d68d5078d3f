"""The process that kernels are forked from: it imports, once a run, what every notebook imports."""

import multiprocessing
import os
from multiprocessing import forkserver

_IMPORTED = "runbook.imported"


def start() -> None:
    """Start it, where it does not run yet, without waiting for its imports; it gives its umask to the kernels.

    The environment says from now on that nobody looks on.
    """
    os.environ["RUNBOOK_HEADLESS"] = "1"
    os.umask(0o077)
    multiprocessing.set_forkserver_preload([_IMPORTED])
    forkserver.ensure_running()
