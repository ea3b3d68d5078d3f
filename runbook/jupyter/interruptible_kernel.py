"""A Jupyter kernel that loses no interrupt and no reply to one.

ipykernel drops an interrupt between two cells. One just before or after a cell's code ends the request without a reply,
and a client without a timeout, such as papermill, then waits forever.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ipykernel.ipkernel import IPythonKernel


class InterruptibleKernel(IPythonKernel):
    """Holds an interrupt until the next cell, and replies to that cell with it.

    Expects SIGINT to be blocked in all threads.
    """

    def pre_handler_hook(self) -> None:
        """Leave SIGINT blocked while a request is received."""

    def post_handler_hook(self) -> None:
        """Leave SIGINT blocked while a request is answered."""

    async def do_execute(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 (ipykernel's)
        """Run a cell and return the content of its reply (Jupyter's messaging specification, "Execution results")."""
        try:
            with _interrupts():
                reply: dict[str, Any] = await super().do_execute(*args, **kwargs)  # type: ignore[no-untyped-call] # ipykernel leaves it untyped
                return reply
        except KeyboardInterrupt:
            assert self.shell is not None  # noqa: S101 (a kernel that runs cells has one)
            self.shell.showtraceback()
            error = {"status": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": []}
            return {**error, "execution_count": self.execution_count, "user_expressions": {}, "payload": []}


@contextmanager
def _interrupts() -> Iterator[None]:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
