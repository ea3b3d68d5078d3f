"""What every notebook imports, and a kernel: the process that kernels are forked from imports this module alone."""

import atexit
import gc
import os

gc.disable()

import ipykernel.kernelapp

import runbook.jupyter.cells
import runbook.jupyter.parameter_form
import runbook.runs.interruptible
import runbook.runs.kernels


def _end(process: int) -> None:
    """End this process at once, unless it is a kernel: it has nothing to tidy up, and its end is waited for."""
    if os.getpid() == process:
        os._exit(0)


gc.freeze()  # kernels need not look at what was imported, and share the memory that it takes
gc.enable()
atexit.register(_end, os.getpid())
