"""Fixtures that give running test hosts, each with this project in /root/registry-runbook."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import pytest

from .browser import PICTURES
from .faults import FaultyHosts, confirmed, faulty_host
from .images import RECIPES
from .lab import Host, NewHost, SetUp, start_host
from .proven import start_proven

HERE = Path(__file__).resolve().parent


def pytest_configure() -> None:
    """Let a polite end of the process remove its hosts, as an interrupt does."""
    signal.signal(signal.SIGTERM, interrupt_once)


def interrupt_once(number: int, _frame: FrameType | None) -> None:
    """End the session as an interrupt would; a second signal must not break off the clean-up."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test below this folder before pytest selects by marker."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.host)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the browser's pictures of the notebooks are."""
    if PICTURES.exists():
        terminalreporter.write_line(f"pictures of the notebooks: {PICTURES}")


@contextmanager
def start_with_project(recipe_name: str, *, address: str | None = None, set_up: SetUp = "run") -> Iterator[Host]:
    """Give a host of this recipe that holds the project, and what script/setup makes."""
    with start_host(RECIPES[recipe_name], address=address, set_up=set_up) as host:
        host.copy_project()
        yield host


@pytest.fixture(scope="module")
def bookworm() -> Iterator[Host]:
    """Debian 12 with Docker Engine 20.10 and Compose 1.29."""
    with start_with_project("bookworm") as host:
        yield host


@pytest.fixture(scope="module")
def trixie() -> Iterator[Host]:
    """Debian 13 with Docker Engine 26.1 and Compose 2.26."""
    with start_with_project("trixie") as host:
        yield host


@pytest.fixture(scope="module")
def bare() -> Iterator[Host]:
    """Debian 12 with systemd, but without Docker."""
    with start_with_project("bare", set_up="") as host:
        yield host


@pytest.fixture(scope="module")
def plain() -> Iterator[Host]:
    """Debian 12 without systemd and without Docker, where packages may not start services."""
    with start_with_project("plain") as host:
        yield host


@pytest.fixture(scope="module")
def sid() -> Iterator[Host]:
    """Debian's unstable without systemd, with Docker Engine 28 and Compose 2; nothing starts the engine."""
    with start_with_project("sid", set_up="") as host:
        yield host


@pytest.fixture
def new_host() -> Iterator[NewHost]:
    """Start hosts for one test alone, which may break them."""
    with ExitStack() as stack:

        def start(recipe_name: str, *, address: str | None = None, set_up: SetUp = "run") -> Host:
            return stack.enter_context(start_with_project(recipe_name, address=address, set_up=set_up))

        yield start


@pytest.fixture(scope="module")
def proven_bookworm() -> Iterator[Host]:
    """Debian 12 with a proven registry, for one file of tests: one that breaks something repairs it at its end."""
    with start_proven("bookworm") as host:
        yield host


@pytest.fixture(scope="module")
def proven_trixie() -> Iterator[Host]:
    """Debian 13 with a proven registry, for one file of tests: one that breaks something repairs it at its end."""
    with start_proven("trixie") as host:
        yield host


@pytest.fixture(scope="module")
def proven_newest() -> Iterator[Host]:
    """Debian 13 with a proven registry of the newest release; else as above."""
    with start_proven("newest") as host:
        yield host


@pytest.fixture(scope="module")
def faulty_hosts(proven_bookworm: Host, proven_trixie: Host) -> Iterator[FaultyHosts]:
    """Give a host of each engine to bring faults about on; afterwards, each must be whole again."""
    with faulty_host(proven_bookworm) as older, faulty_host(proven_trixie) as newer:
        both = {"bookworm": older, "trixie": newer}
        for found in both.values():
            found.shell("login")
        yield FaultyHosts(by_recipe=both)
        for found in both.values():
            found.shell("docker logout registry.test")
            assert confirmed(found.diagnose("")) == []
