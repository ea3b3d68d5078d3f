"""The imports of the fork server: a kernel, and what every notebook imports. Nothing else imports this module."""

import atexit
import gc
import os

gc.disable()

import ipykernel.kernelapp
import jinja2

import runbook.jupyter.cells
import runbook.jupyter.interruptible_kernel
import runbook.jupyter.parameter_form
import runbook.speed.kernels


def _end(server: int) -> None:
    """End the fork server at once, but no kernel: it has nothing to clean up, and the run waits for its end."""
    if os.getpid() == server:
        os._exit(0)


gc.freeze()  # kernels share the memory of what was imported, and collect no garbage there
gc.enable()
atexit.register(_end, os.getpid())
