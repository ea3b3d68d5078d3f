"""What every test starts from: none of the operator's own secrets, and folders of its own."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runbook import secrets
from runbook.parameters import Parameters, read


def pytest_configure() -> None:
    """Take interrupts: a shell that starts the tests in the background has them, and all they start, ignore them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the operator's environment says, and let nobody be asked at a prompt."""
    for name in (secrets.PASSWORD_VARIABLE, secrets.PASSPHRASE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RUNBOOK_HEADLESS", "1")


@pytest.fixture
def make_parameters(tmp_path: Path) -> Callable[..., Parameters]:
    """Return the function that makes parameters whose two folders lie below the test's own."""
    folders = {"private_directory": f"{tmp_path}/private", "configuration_directory": f"{tmp_path}/registry"}
    return lambda **values: read(folders | values, where="a test")


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be another user than root for a while."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
