"""The process that kernels are forked from: it imports, once a run, what every notebook imports."""

import multiprocessing
import shutil
from multiprocessing import forkserver, process, util

from runbook.system.host import temporary

_PRELOADED = "runbook.speed.preloaded"


def start() -> None:
    """Start it, if it does not run yet, without waiting for its imports."""
    own = process.current_process()._config  # type: ignore[attr-defined] # noqa: SLF001 (as multiprocessing.util has it)
    if "tempdir" not in own:  # for its socket: multiprocessing's own folder would remain after a SIGKILL
        own["tempdir"] = str(temporary.make())
        util.Finalize(None, shutil.rmtree, (own["tempdir"],), {"ignore_errors": True}, exitpriority=-100)
    multiprocessing.set_forkserver_preload([_PRELOADED])
    forkserver.ensure_running()
