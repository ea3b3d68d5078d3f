"""Kernels by fork: each on its own, in the environment and folder it was given, and gone with whoever asked for it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel
from jupyter_client.provisioning.factory import KernelProvisionerFactory

from runbook.speed import kernels
from tests.waiting import wait_for

START = """
import os, sys, time
from jupyter_client.manager import start_new_kernel
from runbook.speed import kernels
kernels.fork_kernels()
manager, client = start_new_kernel(extra_arguments=["--log-level=50"])
print(manager.provisioner.pid, flush=True)
time.sleep(60)
"""
# Part of ipykernel's own work around a cell's code is interrupted.
PATCH = """
import os, signal
def interrupted(*given, kernel=get_ipython().kernel, work=get_ipython().kernel.{name}):
    if kernel.get_parent()["content"]["code"] == "print(1)":
        os.kill(os.getpid(), signal.SIGINT)
    return work(*given)
get_ipython().kernel.{name} = interrupted
"""


@pytest.fixture(autouse=True)
def _forked_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let jupyter_client fork its kernels in these tests alone."""
    factory = KernelProvisionerFactory.instance()
    monkeypatch.setattr(factory, "default_provisioner_name", factory.default_provisioner_name)  # restored at the end
    kernels.fork_kernels()


@contextmanager
def kernel(**options: Any) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:  # noqa: ANN401 (jupyter_client's)
    """Give a running kernel and a client of it."""
    manager, client = start_new_kernel(**options)
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def said(client: BlockingKernelClient, code: str) -> str:
    """Run a code and return what it printed, or the name of its error."""
    texts = []

    def hear(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            texts.append(message["content"]["text"])

    reply = client.execute_interactive(code, output_hook=hear, timeout=60)
    return "".join(texts).strip() if reply["content"]["status"] == "ok" else str(reply["content"]["ename"])


def test_kernel_has_its_imports_when_it_starts() -> None:
    """Fails where a kernel is not forked: it would import for a second what all of them need."""
    with kernel() as (_, client):
        assert said(client, "import sys; print('runbook.jupyter.cells' in sys.modules)") == "True"
        assert said(client, "print(__name__, [name for name in dir() if name[0] != '_' and name != 'sys'][:1])") == (
            "__main__ ['In']"
        )


def test_kernel_sees_no_variable_of_another() -> None:
    """Fails where what one notebook sets or imports is there in the next one."""
    with kernel() as (_, first):
        said(first, "left = 1; import runbook; runbook.left = 1; import os; os.environ['LEFT'] = '1'")
        assert said(first, "print(left)") == "1"
        with kernel() as (_, second):
            assert said(second, "print(left)") == "NameError"
            assert said(second, "import runbook; print(runbook.left)") == "AttributeError"
            assert said(second, "import os; print(os.environ['LEFT'])") == "KeyError"


def test_kernel_runs_where_and_with_what_it_was_given(tmp_path: Path) -> None:
    """Fails where a kernel takes over the folder or the environment of the process that forks."""
    with kernel(cwd=str(tmp_path), env={"PATH": os.environ["PATH"], "GIVEN": "yes"}) as (_, client):
        assert said(client, "import os; print(os.getcwd(), os.environ['GIVEN'], 'HOME' in os.environ)") == (
            f"{tmp_path} yes False"
        )


def test_kernel_is_interrupted_and_ends_when_asked(tmp_path: Path) -> None:
    """Fails where an interrupt does not reach the cell, reaches others too, or a kernel outlives its end."""
    with kernel() as (manager, client):
        number = manager.provisioner.pid  # type: ignore[union-attr] # it has been started
        assert os.getpgid(number) == number
        begun = tmp_path / "begun"
        asked = client.execute(f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(60)")
        wait_for("the cell to begin", begun.exists)
        manager.interrupt_kernel()
        assert reply_to(client, asked)["ename"] == "KeyboardInterrupt"
    assert not psutil.pid_exists(number)


def reply_to(client: BlockingKernelClient, asked: str) -> dict[str, Any]:
    """Return the content of the reply to a request."""
    while (reply := client.get_shell_msg(timeout=60))["parent_header"].get("msg_id") != asked:
        pass
    content: dict[str, Any] = reply["content"]
    return content


def test_interrupt_before_a_cell_ends_that_cell() -> None:
    """Fails where an interrupt between two cells is lost, or ends more than the next one."""
    with kernel() as (manager, client):
        said(client, "pass")
        manager.interrupt_kernel()
        assert (
            reply_to(client, client.execute("import time; time.sleep(60)", stop_on_error=False))["ename"]
            == "KeyboardInterrupt"
        )
        assert said(client, "print(1)") == "1"


@pytest.mark.parametrize("name", ["_forward_input", "_restore_input"], ids=["before", "after"])
def test_interrupt_around_a_cell_s_code_is_answered(name: str) -> None:
    """Fails where an interrupt that comes while the kernel prepares or ends a cell leaves it without a reply."""
    with kernel() as (_, client):
        said(client, PATCH.format(name=name))
        assert reply_to(client, client.execute("print(1)", stop_on_error=False))["ename"] == "KeyboardInterrupt"
        assert said(client, "print(2)") == "2"


def test_kernel_ends_with_the_process_that_asked_for_it() -> None:
    """Fails where a run that is killed leaves a kernel."""
    with subprocess.Popen([sys.executable, "-c", START], stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        started = psutil.Process(int(asking.stdout.readline()))
        os.kill(asking.pid, signal.SIGKILL)
    assert psutil.wait_procs([started], timeout=60)[1] == []


class Interrupted(ThreadPoolExecutor):
    """A pool whose second task begins, and is interrupted before its caller has it."""

    begun: ClassVar[list[Future[Any]]] = []

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401 (any task)
        """Begin a task."""
        self.begun.append(super().submit(*args, **kwargs))
        if len(self.begun) == 2:
            raise KeyboardInterrupt
        return self.begun[-1]


def test_kernel_that_begins_as_the_run_is_interrupted_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if nobody knows of it: it outlives the folder of its sockets, and ends in a traceback."""
    monkeypatch.setattr(kernels, "ThreadPoolExecutor", Interrupted)
    Interrupted.begun.clear()
    given = kernels.one_after_another(3)
    with pytest.raises(KeyboardInterrupt):
        next(given)
    started = [task.result() for task in Interrupted.begun[:2]]
    assert [kernel.provisioner.process.poll() for kernel in started] == [-signal.SIGKILL] * 2


def test_kernels_of_others_are_their_own_after_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a kernel that is started after a run is forked too: it would ask nobody for a password."""
    factory = KernelProvisionerFactory.instance()
    monkeypatch.setattr(factory, "default_provisioner_name", "local-provisioner")
    given = kernels.one_after_another(1)
    next(given)
    given.close()
    assert factory.default_provisioner_name == "local-provisioner"


def test_client_is_ready_without_a_welcome() -> None:
    """Fails if a client waits for a welcome alone: ipykernel forgets it where it sends something at that moment."""
    withhold = "get_ipython().kernel.iopub_thread._send_welcome_message = lambda _: None"
    with kernel() as (manager, client):
        assert client.execute_interactive(withhold)["content"]["status"] == "ok"
        other = kernels.ReadyClient(**manager.get_connection_info(session=True))
        other.start_channels()
        try:
            asyncio.run(other.wait_for_ready(timeout=20))
        finally:
            other.stop_channels()
