"""The loop that makes the changes of a plan in order and stops at the first failure."""

import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from runbook.changes import deployment, ledger
from runbook.changes.base import Change, Result, as_json
from runbook.model.errors import ApplyError, HostError, InterruptError, RunbookError
from runbook.system.docker import engine, ports
from runbook.system.host import sudo


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The result of one change, how long it took, and its note."""

    change: Change
    state: Result
    seconds: float = 0.0
    note: str = ""


def apply(  # noqa: PLR0913 (each is another caller's)
    changes: Sequence[Change],
    *,
    timeout_seconds: float = 60,
    before: Callable[[int, Change], None] | None = None,
    after: Callable[[Outcome], None] | None = None,
    entering: bool = True,
    kept: Mapping[str, Any] | None = None,
) -> list[Outcome]:
    """Make the changes in order and return their outcomes; `timeout_seconds` limits each wait for an engine.

    `before` is called before each change, with its number (from 1) and the change; `after` with its outcome.
    Each change is entered in the ledger first, unless `entering` is False: the registry is then not this host's.
    At the end, `kept` goes to `deployment.update`, if there is any.

    A user other than root makes the changes that need no root and passes the others to a single sudo process.
    All targets are checked before the first change, so that an unwritable path, or a sudo that asks for a password,
    shows while nothing has changed. Stops at the first failure or interrupt with an ApplyError, which lists what was
    done and what was not, and chains the cause.
    """
    outcomes: list[Outcome] = []
    if entering and os.geteuid() == 0:
        ledger.remove_unfinished()
    with ExitStack() as stack:
        start_root = functools.cache(lambda: stack.enter_context(sudo.root("runbook.changes.root", timeout_seconds)))

        def helper_for(change: Change) -> sudo.Root | None:
            """Return the root process if this user needs it for the change or its ledger entry, else None."""
            if os.geteuid() == 0:
                return None
            is_needed = change.needs_root() or (entering and change.things() and _has_ledger(timeout_seconds))
            return start_root() if is_needed else None

        _check_targets(changes, helper_for)
        for number, change in enumerate(changes, start=1):
            started = time.monotonic()
            with _explaining(change, outcomes, len(changes)):
                if before:
                    before(number, change)
                helper = helper_for(change)
                with _entered(change, entering=entering, helper=helper, timeout_seconds=timeout_seconds):
                    if helper and change.needs_root():
                        note = helper.ask("make", as_json(change))
                    else:
                        change.refuse_drift()
                        note = change.make(timeout_seconds) or ""
            outcomes.append(Outcome(change=change, state=change.result, seconds=time.monotonic() - started, note=note))
            if after:
                after(outcomes[-1])
        if kept is not None:
            _keep(kept, next(filter(None, map(helper_for, changes)), None))
    return outcomes


def _check_targets(changes: Sequence[Change], helper_for: Callable[[Change], sudo.Root | None]) -> None:
    for change in changes:
        with _explaining(change, (), len(changes)):
            helper = helper_for(change)
            if helper and change.needs_root():
                helper.ask("check target", as_json(change))
            else:
                change.check_target()


def _keep(kept: Mapping[str, Any], helper: sudo.Root | None) -> None:
    """Keep the parameters of what was applied; a user whose changes needed no root keeps none."""
    try:
        if os.geteuid() == 0:
            deployment.update(**kept)
        elif helper:
            helper.ask("deployment", kept)
    except OSError as error:
        remedy = "remove the cause; then run this notebook again"
        raise HostError("to keep these parameters beside the ledger", engine.error_text(error), remedy) from error


def _has_ledger(timeout_seconds: float) -> bool:
    """Return whether this host keeps a ledger: not on Docker Desktop, whose engine runs in a virtual machine."""
    client = engine.connect(timeout_seconds)
    return client is None or not engine.is_desktop(client)


@contextmanager
def _explaining(change: Change, outcomes: Sequence[Outcome], planned: int) -> Iterator[None]:
    """Raise ApplyError if the change fails."""
    try:
        yield
    except (RunbookError, OSError, KeyboardInterrupt) as error:
        raise _failure(change, error, outcomes, planned) from error


def _failure(change: Change, error: BaseException, outcomes: Sequence[Outcome], planned: int) -> ApplyError:
    kind, expected, found, remedy = ApplyError, f"to {change}", engine.error_text(error), "remove the cause; then "
    if isinstance(error, RunbookError):
        expected, found, remedy = error.expected, error.found, f"{error.remedy}; then "
    elif isinstance(error, KeyboardInterrupt):
        kind, found, remedy = InterruptError, "an interrupt", ""
    holder, hint = ports.holder_of(found)
    found, remedy = f"{found}{holder}", f"{hint}{remedy}"
    done = "; ".join(str(outcome.change) for outcome in outcomes) or "nothing"
    return kind(
        expected,
        f"{found} (failed: {change}; done before it: {done}; not reached: {planned - len(outcomes) - 1})",
        f"{remedy}run this notebook again, it goes on from here",
    )


@contextmanager
def _entered(change: Change, *, entering: bool, helper: sudo.Root | None, timeout_seconds: float) -> Iterator[None]:
    """Add what a change makes to the ledger, and record its state afterwards; only root can do this."""
    if not entering or (helper is None and os.geteuid() != 0):
        yield
        return
    entries: tuple[ledger.Entry, ...] = ()
    begun = helper.ask("enter", as_json(change)) != "0" if helper else bool(entries := change.enter(timeout_seconds))

    def settle() -> None:
        if begun and helper:
            helper.ask("settle", as_json(change))
        elif begun:
            ledger.settle(entries, timeout_seconds)

    try:
        yield
    except BaseException:
        with suppress(Exception):  # the entry stays marked as unfinished; the cause of the failure counts
            settle()
        raise
    settle()
