"""What every test starts from: none of the operator's own secrets, folders of its own, and a seed for the samples."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
from _pytest.terminal import TerminalReporter

from runbook import secrets
from runbook.outside import lock
from runbook.parameters import Parameters, read

ALL = "RUNBOOK_TEST_ALL" in os.environ  # of long matrices, all and not a sample
EXAMPLES = 400 if ALL else 40  # that a property is tried with, where its test says nothing else
hypothesis.settings.register_profile(
    "runbook",
    max_examples=EXAMPLES,
    deadline=None,  # machines differ
    database=None,  # a failure is repeated by its seed, and leaves no folder in the tree
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("runbook")


@pytest.hookimpl(tryfirst=True)  # before Hypothesis takes its seed
def pytest_configure(config: pytest.Config) -> None:
    """Take interrupts: a shell that starts the tests in the background has them, and all they start, ignore them.

    Choose the seed of all samples, where none is given.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(random.SystemRandom().randrange(10**6))


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Print what tests have told of themselves, with the seed that repeats their samples."""
    for report in terminalreporter.getreports(""):  # those of set-up and clean-up
        for name, value in report.user_properties:
            if (report.when, name) == ("teardown", "told"):
                terminalreporter.write_line(f"{report.nodeid}: {value}")
    terminalreporter.write_line(f"samples can be repeated with --hypothesis-seed={config.option.hypothesis_seed}")


@pytest.fixture
def seeded(request: pytest.FixtureRequest) -> random.Random:
    """Return a source of samples that the session's seed and the test's name decide."""
    return random.Random(f"{request.config.option.hypothesis_seed} {request.node.nodeid}")  # noqa: S311 (no secret)


@pytest.fixture(autouse=True)
def _without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the operator's environment says, and let nobody be asked at a prompt."""
    for name in (secrets.PASSWORD_VARIABLE, secrets.PASSPHRASE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RUNBOOK_HEADLESS", "1")


@pytest.fixture(autouse=True)
def _with_a_lock_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let tests that run beside each other, none of which changes this host, have a lock each."""
    monkeypatch.setattr(lock, "PATH", tmp_path.with_name(f"{tmp_path.name}.lock"))


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
