"""A kernel as JupyterLab starts one, and its client; ended whatever happens."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel


@contextmanager
def start(*, headless: bool = False) -> Iterator[BlockingKernelClient]:
    """Give the client of a new kernel, in which a headless run is declared or not."""
    environment = {name: value for name, value in os.environ.items() if headless or name != "RUNBOOK_HEADLESS"}
    manager, client = start_new_kernel(kernel_name="python3", env=environment, extra_arguments=["--log-level=50"])
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
