"""The command `registry-runbook renew`: a new server certificate in time, in force at once, and the gap measured."""

import datetime
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from runbook.changes.apply import apply
from runbook.changes.certificates import InstallCertificate
from runbook.display import overview
from runbook.model.errors import HostError
from runbook.model.parameters import Parameters
from runbook.model.project import COMMAND
from runbook.proof import baseline, surroundings
from runbook.system.certificates import tls
from runbook.system.docker import engine
from runbook.system.host import files, lock
from runbook.system.registry.config_yml import DRAIN_SECONDS, TLS_PORT

_PROBE_SECONDS = 0.05  # between two requests
PATIENCE = 900.0  # seconds to wait for a moment in which nobody is connected
_LOOK_SECONDS = 1.0  # between two looks at who is connected
_LOOKS = 5  # one after the other: Docker makes a connection for each request, with pauses between them


@dataclass(kw_only=True, slots=True)
class Gap:
    """How often the registry was asked, and the longest time without an answer in seconds, 0 if each had one."""

    probes: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        """Return the measurement in one sentence."""
        if not self.seconds:
            return f"The registry answered all the time ({self.probes} requests)."
        return f"The registry did not answer for {self.seconds:.1f} s; uploads in flight had {DRAIN_SECONDS} s to end."


def notebooks(parameters: Parameters) -> tuple[str, str]:
    """Return the notebook that issues the certificate, and the one that puts it in force."""
    return "30-certificates", "55-nginx" if parameters.proxy == "nginx" else "50-compose"


def served(parameters: Parameters) -> str:
    """Return the certificate that is served as the accepted state has it, `none` if nobody answers."""
    return baseline.certificate(baseline.ask(parameters).server_certificate)[baseline.SERVED]


def not_due(parameters: Parameters, in_force: str) -> str:
    """Return why nothing is to be renewed, in a sentence; empty if a certificate is due, or not in force yet.

    `in_force` is what `served` returns. Raises MissingError without a certificate, HostError if more than the
    certificate would change, or if an operator's own certificate is due and no other one is there.
    """
    now = datetime.datetime.now(datetime.UTC)
    on_disk = tls.describe(tls.require_certificate(parameters.certificate_path))
    if in_force not in ("none", f"SHA-256 {on_disk.fingerprint}"):
        return ""  # an earlier renewal was cut off
    due = on_disk.not_after - datetime.timedelta(days=parameters.renew_before_days)
    days = max((on_disk.not_after - now).days, 0)
    if due > now:
        return f"Nothing to renew: the certificate is valid for {days} more days, and due on {due:%Y-%m-%d}."
    issues, in_force_by = notebooks(parameters)
    if parameters.certificate_source == "own":
        _require_another(parameters, overview.state(issues, parameters), days, until=on_disk.not_after)
    puts_in_force = overview.state(in_force_by, parameters)
    if puts_in_force.name != "done":
        raise HostError(
            f"nothing to change in {puts_in_force.notebook} but the certificate",
            puts_in_force.reason or "; ".join(map(str, puts_in_force.changes)),
            f"run `{COMMAND}`, which renews the certificate too",
        )
    return ""


def _require_another(parameters: Parameters, issues: overview.State, days: int, *, until: datetime.datetime) -> None:
    """Raise HostError unless the operator has put another certificate in the place of the one that is due."""
    if any(isinstance(change, InstallCertificate) for change in issues.changes):
        return
    raise HostError(
        f"a new certificate in {parameters.own_certificate_file}, since the one in force expires in {days} days",
        issues.reason or f"the same one, valid until {until:%Y-%m-%d}",
        f"get a new one from its authority, put it and its key there, then run `{COMMAND} renew`",
    )


def wait_until_quiet(parameters: Parameters, connected: Callable[[Parameters], int], seconds: float = PATIENCE) -> str:
    """Wait until nobody is `connected` to the registry, for at most some seconds; return what came of it, if not that.

    A restart in the middle of a push can break it: Docker tries a layer again, but not what comes after the last one.
    nginx lets connections end by itself: there is nothing to wait for.
    """
    deadline, quiet = time.monotonic() + seconds, 0
    while parameters.proxy == "none" and quiet < _LOOKS:
        count = connected(parameters)
        quiet = 0 if count else quiet + 1
        if count and time.monotonic() >= deadline:
            return f"Somebody was connected for all of {seconds:g} s ({count} connections): the registry restarts now."
        time.sleep(_LOOK_SECONDS)
    return ""


def connections(parameters: Parameters) -> int:
    """Return how many connections the registry has on its port; 0 where it does not run, or this user may not see."""
    client = engine.require(parameters.timeout_seconds)
    found = 0
    with suppress(psutil.Error, surroundings.NotVisibleError):
        first = surroundings.process_of(client, parameters)
        for process in (first, *first.children(recursive=True)):
            sockets = process.net_connections("tcp")
            found += sum(end.status == psutil.CONN_ESTABLISHED and end.laddr.port == TLS_PORT for end in sockets)
    return found


@contextmanager
def measured(parameters: Parameters) -> Iterator[Gap]:
    """Ask the registry again and again meanwhile; the gap that this gives is complete at the end."""
    gap, ended = Gap(), threading.Event()

    def probe() -> None:
        answered, was_missed = time.monotonic(), False
        while not ended.is_set():
            is_missed, now = baseline.ask(parameters).status is None, time.monotonic()
            gap.probes += 1
            if was_missed:
                gap.seconds = max(gap.seconds, now - answered)
            answered, was_missed = answered if is_missed else now, is_missed
            ended.wait(_PROBE_SECONDS)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield gap
    finally:
        ended.set()
        thread.join()


def accept(parameters: Parameters, before: str) -> bool:
    """Put the certificate that is served into the accepted state, if the one served `before` was in it; return so."""
    text = files.read_text(parameters.baseline_path)
    with suppress(HostError):  # `prove` names a malformed one
        accepted = baseline.read(text or "")
        if accepted.state.get(baseline.SERVED) == before:
            state = accepted.state | baseline.certificate(baseline.ask(parameters).server_certificate)
            with lock.hold():
                apply(baseline.plan(parameters.baseline_path, text, accepted.model_copy(update={"state": state})))
            return True
    return False
