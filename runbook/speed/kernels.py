"""Jupyter kernels, forked from a process that has already imported what every notebook imports.

Each has its own process and namespace, like the kernels that jupyter_client starts. Only the imports, most of what a
kernel's start takes, happen once a run. The standard library forks: `multiprocessing`'s "forkserver".

Saved for each notebook, measured as in `startup`:

fork        2000 ms  a kernel that starts by itself imports everything again
debugpy      350 ms  a kernel that is asked for its features imports the debugger
"""

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from runbook.speed import forkserver, startup
from runbook.system.host import headless, interrupts, temporary

_NAME = "registry-runbook-forked"  # the entry point of jupyter_client.kernel_provisioners
_LAUNCHER = "ipykernel_launcher"  # the module that the kernel's command runs; its arguments follow
# A kernel logs its own end as an error; the history of its cells would be a file that is never read.
_ARGUMENTS = ("--log-level=50", "--HistoryManager.enabled=False")


def fork_kernels() -> None:
    """Let jupyter_client fork its kernels."""
    forkserver.start()
    KernelProvisionerFactory.instance().default_provisioner_name = _NAME


def one_after_another(count: int) -> Generator["Kernel"]:
    """Yield kernels; the next one starts, and the one before ends, while one is in use."""
    factory = KernelProvisionerFactory.instance()
    before = factory.default_provisioner_name
    fork_kernels()
    made: list[Kernel] = []
    with ExitStack() as restored, temporary.folder() as folder, ThreadPoolExecutor(1) as beside:
        restored.callback(setattr, factory, "default_provisioner_name", before)

        def start(number: int) -> Kernel:
            """Start a kernel and record it; in this thread no interrupt comes between the two."""
            made.append(Kernel(folder / str(number)))
            return made[-1]

        def submit(work: Callable[..., Any], *arguments: object) -> Future[Any]:
            with interrupts.held():
                return beside.submit(work, *arguments)

        try:
            started = submit(start, 0)
            import jinja2  # noqa: F401 (as below)
            import papermill  # noqa: F401 (a run needs both later, and this thread only waits)

            for number in range(1, count + 1):
                kernel = started.result()
                if number < count:
                    started = submit(start, number)
                yield kernel
                submit(kernel.end)
        finally:
            submit(_end_all, made)


def _end_all(kernels: Iterable["Kernel"]) -> None:
    """End kernels, even if one fails to end, and close the event loop that jupyter_client made in this thread."""
    with ExitStack() as ended:
        ended.callback(lambda: asyncio.get_event_loop().close())
        for kernel in kernels:
            ended.callback(kernel.end)


class Kernel(KernelManager):
    """A kernel that is starting, for one client, which waits until it is ready.

    Its sockets are files in a folder for this user alone: over TCP, every user of this host could read its messages.
    """

    def __init__(self, path: Path) -> None:
        """Start it with the folder and environment of this process; the names of its files begin with `path`."""
        super().__init__(
            kernel_name="python3",
            transport="ipc",
            ip=str(path),
            connection_file=f"{path}.json",
            client_class=f"{__name__}.{ReadyClient.__name__}",
        )
        self._clients: list[BlockingKernelClient] = []
        self.start_kernel(extra_arguments=list(_ARGUMENTS))

    def client(self, **kwargs: Any) -> BlockingKernelClient:  # noqa: ANN401 (jupyter_client's)
        """Return a ReadyClient, which is closed when the kernel is ended."""
        client = super().client(**kwargs)
        self._clients.append(client)
        return client

    def interrupt(self) -> None:
        """Interrupt the running cell, or else the next one."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """Kill it if it still runs, and remove its sockets."""
        while self._clients:
            self._clients.pop().stop_channels()
        self._process.kill()
        self._process.wait()
        self.cleanup_resources()

    @property
    def _process(self) -> "_Process":
        provisioner = self.provisioner
        assert isinstance(provisioner, ForkedProvisioner)  # noqa: S101 (`fork_kernels` was called)
        assert isinstance(provisioner.process, _Process)  # noqa: S101 (it was started)
        return provisioner.process


class ReadyClient(AsyncKernelClient):
    """A client that is ready at the kernel's first message: jupyter_client's waits for a while of silence."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 (jupyter_client's)
        """Wait until the kernel replies and its outputs arrive; raises nbclient's DeadKernelError if it does not.

        `timeout` is in seconds. The first output is ipykernel's "iopub_welcome" (Jupyter's messaging specification
        5.4), but a kernel that sends something just as the client subscribes can leave it out: a request for its
        features, repeated, makes it send its status.
        """
        deadline = time.monotonic() + (timeout or float("inf"))
        self.kernel_info()
        for channel in (self.shell_channel, self.iopub_channel):
            while True:
                with suppress(Empty):
                    await channel.get_msg(timeout=1)
                    break
                if time.monotonic() > deadline or not await self.is_alive():
                    from nbclient.exceptions import DeadKernelError

                    reason = f"a kernel that does not answer within {timeout} s, or has ended"
                    raise DeadKernelError(reason)
                if channel is self.iopub_channel:
                    self.kernel_info()


class ForkedProvisioner(LocalProvisioner):
    """Starts a kernel as a fork, in its own session like jupyter_client's launcher."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:  # noqa: ANN401 (jupyter_client's)
        """Start the kernel and return its connection; of `kwargs`, `env` and `cwd` are used."""
        arguments = cmd[cmd.index(_LAUNCHER) + 1 :]
        self.cwd = kwargs.get("cwd") or os.getcwd()  # noqa: PTH109 (a string, as jupyter_client has it)
        kernel = _Process(target=_serve, args=(arguments, dict(kwargs["env"]), self.cwd), daemon=True)
        kernel.start()
        self.process = kernel  # type: ignore[assignment] # it has what jupyter_client uses of a Popen
        self.pid = self.pgid = kernel.pid
        return self.connection_info


class _Process(ForkServerProcess):
    """A forked process with those names of subprocess.Popen that jupyter_client uses."""

    stdin = stdout = stderr = None

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""
        return self.exitcode

    def wait(self) -> int | None:
        """Wait for its end and return its exit code."""
        self.join()
        return self.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal; one that has ended takes none."""
        if self.is_alive() and self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _serve(arguments: list[str], environment: Mapping[str, str], directory: str) -> None:
    """Run the kernel until its shutdown, headless; what it creates is for this user alone, unless it sets a mode."""
    from ipykernel.kernelapp import IPKernelApp

    from runbook.jupyter.interruptible_kernel import InterruptibleKernel

    startup.leave_out("debugpy")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.setsid()
    os.umask(0o077)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    headless.declare()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    app = IPKernelApp.instance(kernel_class=InterruptibleKernel)
    app.initialize(arguments)  # type: ignore[no-untyped-call] # ipykernel leaves it untyped
    app.start()  # type: ignore[no-untyped-call] # as above


def _end_with_parent() -> None:
    """End this kernel once the process that asked for it is gone: ipykernel watches only the one that forked it."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 (none but in the main process)
    parent.join()
    os._exit(1)
