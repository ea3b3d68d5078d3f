"""The process that kernels are forked from: it imports, once a run, what every notebook imports."""

import multiprocessing
import os
import shutil
from multiprocessing import forkserver, process, util

from runbook.system.host import temporary

_IMPORTED = "runbook.runs.imported"


def start() -> None:
    """Start it, where it does not run yet, without waiting for its imports; it gives its umask to the kernels.

    The environment says from now on that nobody looks on.
    """
    os.environ["RUNBOOK_HEADLESS"] = "1"
    os.umask(0o077)
    own = process.current_process()._config  # type: ignore[attr-defined] # noqa: SLF001 (as multiprocessing.util has it)
    if "tempdir" not in own:  # where its socket is: multiprocessing's own folder would stay where this is killed
        own["tempdir"] = str(temporary.make())
        util.Finalize(None, shutil.rmtree, (own["tempdir"],), {"ignore_errors": True}, exitpriority=-100)
    multiprocessing.set_forkserver_preload([_IMPORTED])
    forkserver.ensure_running()
