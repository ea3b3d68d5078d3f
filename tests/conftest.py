"""What every test starts from: none of the operator's own secrets, folders of its own, and a seed for the samples."""

import itertools
import os
import random
import signal
import tempfile
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
from _pytest.terminal import TerminalReporter

from runbook.changes import ledger
from runbook.model.parameters import Parameters, read
from runbook.system import credentials
from runbook.system.docker import engine
from runbook.system.host import lock
from tests import draws

FAILED = pytest.StashKey[bool]()
SLOWEST = 15  # files whose time is shown at the end
# What takes longest, by what the end of a whole run shows, begins first: so no worker is left with it at the end.
LONG_FIRST = (
    "test_types.py",
    *("test_main_job.py", "test_sabotages.py", "test_browser.py", "test_notebooks.py", "test_kill_matrix.py"),
    *("test_ledger.py", "test_nginx.py", "test_document_faults.py", "test_readme.py", "test_tear_down.py", "hosts"),
)
# What other tests prove, and hosts that take long to make.
WITH_ALL = ("test_bench.py", "test_engine_29.py", "test_firewalld.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what decides a session's draws and its order."""
    group = parser.getgroup("registry-runbook")
    group.addoption("--seed", default="", help="of all samples and draws; without it, a new one, which is printed")
    group.addoption("--all", action="store_true", help="try long matrices whole, and not samples of them")
    group.addoption("--shuffle", action="store_true", help="take the files in an order that the seed decides")


@pytest.hookimpl(tryfirst=True)  # before Hypothesis takes its seed
def pytest_configure(config: pytest.Config) -> None:
    """Choose the session's seed, where none is given, and hand it to all that draws.

    Take interrupts: a shell that starts the tests in the background has them, and all they start, ignore them.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "workerinput"):  # a worker has the environment, and not each option, of what has started it
        config.option.seed = os.environ[draws.SEED_VARIABLE]
    config.option.seed = config.option.hypothesis_seed = config.option.seed or draws.choose_seed()
    os.environ[draws.SEED_VARIABLE] = config.option.seed
    os.environ[draws.ALL_VARIABLE] = str(int(config.option.all))
    hypothesis.settings.register_profile(
        "runbook",
        max_examples=draws.count_examples(),
        deadline=None,  # machines differ
        database=None,  # a failure is repeated by its seed, and leaves no folder in the tree
        print_blob=True,
        suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("runbook")


def pytest_report_header(config: pytest.Config) -> str:
    """Print the seed before the first test."""
    return f"samples and draws: --seed={config.option.seed}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the files that take longest first, or all of them in an order that the seed decides; none is taken apart.

    Those of `WITH_ALL` are left out, unless all is tried or the command names them; so are those whose mark `one_of`
    names a group of which another was drawn.
    """
    if not config.option.all and not any("::" in argument for argument in config.args):
        named = any(name in argument for name in WITH_ALL for argument in config.args)
        left_out = {item for item in items if item.path.name in WITH_ALL and not named} | set(not_drawn(items))
        config.hook.pytest_deselected(items=[*left_out])
        items[:] = [item for item in items if item not in left_out]
    ranks = {name: number for number, name in enumerate(LONG_FIRST)}
    last = len(ranks)

    def rank(path: Path) -> tuple[int, Path]:
        return ranks.get(path.name, ranks.get(path.parent.name, last)), path

    paths = sorted({item.path for item in items}, key=rank)
    if config.option.shuffle:
        draws.source("order").shuffle(paths)
    place = {path: number for number, path in enumerate(paths)}
    items.sort(key=lambda item: place[item.path])


def not_drawn(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Give the tests of each group, by the mark `one_of`, but those of the one name that the session's seed draws."""
    groups: dict[str, dict[str, list[pytest.Item]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        if mark := item.get_closest_marker("one_of"):
            groups[mark.args[0]][item.nodeid.partition("[")[0]].append(item)
    for name, tests in groups.items():
        drawn = draws.one_of(sorted(tests), name)
        yield from itertools.chain.from_iterable(found for test, found in tests.items() if test not in drawn)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test has failed, for its clean-up; a fixture that cannot be made is not made again and again."""
    report = yield
    if report.failed and report.when == "call":
        item.stash[FAILED] = True
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Throw all away that a test was given where it failed, a host that it broke: the next one gets new ones."""
    if item.stash.get(FAILED, False):
        item.session._setupstate.teardown_exact(None)  # noqa: SLF001 (as pytest-rerunfailures does it)


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Print what tests have told of themselves, where the time went, and the seed that repeats their samples."""
    for report in terminalreporter.getreports(""):  # those of set-up and clean-up
        for name, value in report.user_properties:
            if (report.when, name) == ("teardown", "told"):
                terminalreporter.write_line(f"{report.nodeid}: {value}")
    show_times(terminalreporter)
    terminalreporter.write_line(f"samples and draws can be repeated with --seed={config.option.seed}")


def show_times(terminalreporter: TerminalReporter) -> None:
    """Print the files that took longest, in seconds of a worker's time: in all, and for what."""
    spent: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(("setup", "call", "teardown"), 0.0))
    for report in itertools.chain.from_iterable(terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport):
            for name in (report.location[0], "all"):
                spent[name][report.when] += report.duration
    terminalreporter.write_sep("=", "where the time went, in seconds of a worker")
    terminalreporter.write_line("  whole  set-up    test  clean-up")
    for name, times in sorted(spent.items(), key=lambda row: -sum(row[1].values()))[: SLOWEST + 1]:
        shown = f"{sum(times.values()):7.1f} {times['setup']:7.1f} {times['call']:7.1f}   {times['teardown']:7.1f}"
        terminalreporter.write_line(f"{shown}  {name}")


@pytest.fixture
def seeded(request: pytest.FixtureRequest) -> random.Random:
    """Return a source of samples that the session's seed and the test's name decide."""
    return draws.source(request.node.nodeid)


@pytest.fixture(autouse=True)
def _without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the operator's environment says, and let nobody be asked at a prompt."""
    for name in (credentials.PASSWORD_VARIABLE, credentials.PASSPHRASE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RUNBOOK_HEADLESS", "1")


@pytest.fixture(autouse=True)
def _with_a_lock_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let tests that run beside each other, none of which changes this host, have a lock each."""
    monkeypatch.setattr(lock, "PATH", tmp_path.with_name(f"{tmp_path.name}.lock"))


@pytest.fixture(autouse=True)
def _with_an_ordinary_umask() -> Iterator[None]:
    """Let no test see the umask that an earlier one has left: a run of the program in this process takes 077."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def _with_a_ledger_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let what a test makes be entered in a ledger of the test's own."""
    monkeypatch.setattr(ledger, "FOLDER", tmp_path.with_name(f"{tmp_path.name}.ledger"))


def without_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no engine answer in this process, as on a host that has none."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setattr(engine, "other_engine", lambda: "")


@pytest.fixture
def make_parameters(tmp_path: Path) -> Callable[..., Parameters]:
    """Return the function that makes parameters whose two folders lie below the test's own."""
    folders = {"private_directory": f"{tmp_path}/private", "configuration_directory": f"{tmp_path}/registry"}
    return lambda **values: read(folders | values, where="a test")


def let_others_reach(path: Path) -> None:
    """Let other users reach a folder of a test's: those above it are root's alone, but for the machine's own."""
    for above in path.parents:
        if above == Path(tempfile.gettempdir()):
            break
        above.chmod(0o755)


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be another user than root for a while."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
