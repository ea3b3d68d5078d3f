"""The command `registry-runbook prove`: prove, compare, show, accept, and the timer."""

import dataclasses
import datetime
import getpass
import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import click

from runbook.changes.apply import apply
from runbook.changes.base import Change, as_json
from runbook.display import tables
from runbook.display.tables import Table
from runbook.model import value_types
from runbook.model.errors import HostError, ParameterError, SecretError
from runbook.model.parameters import Parameters
from runbook.model.results import Result
from runbook.model.words import say
from runbook.operations import proof_timer
from runbook.proof import all_sections, baseline, remote
from runbook.proof.baseline import Baseline, State
from runbook.system import credentials
from runbook.system.certificates import supplied, tls
from runbook.system.host import commands, files, lock, own_code, selinux
from runbook.system.host.patience import Patience
from runbook.system.registry import api

_TIMER_WAIT_SECONDS = 900  # how long the timer's proof waits for another run
_LAYER_SECONDS = 3600.0  # enough for a layer of any size of --layer-megabytes; a registry that hangs is asked only once


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """The registry to prove: how to prove it, how to read its state, and the file with the accepted state.

    `password_path` is the file with the password, None for another source. The proof and the comparison after it share
    `patience`. `alone` marks this host's own registry.
    """

    registry: str
    prove: Callable[[], dict[str, list[Result]]]
    gather: Callable[[], State]
    path: Path
    password_path: Path | None
    patience: Patience
    alone: bool = False

    def lock(self, wait_seconds: float) -> AbstractContextManager[None]:
        """Return the lock against other runs if the registry is this host's, otherwise a context without effect."""
        return lock.hold(wait_seconds) if self.alone else nullcontext()


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """A proof: its rows by section, its times, the accepted state, and the changes to that state."""

    registry: str
    started: datetime.datetime
    seconds: float
    sections: Mapping[str, Sequence[Result]]
    accepted: Baseline | None
    changes: Sequence[Change] = ()

    @property
    def rows(self) -> list[Result]:
        """The rows of all sections."""
        return [row for rows in self.sections.values() for row in rows]

    @property
    def passed(self) -> bool:
        """Whether all rows hold."""
        return all(row.passed for row in self.rows)

    def as_json(self) -> str:
        """Return the proof as JSON."""
        plain = {
            "registry": self.registry,
            "passed": self.passed,
            "started": self.started.isoformat(),
            "seconds": round(self.seconds, 3),
            "accepted": self.accepted.accepted.isoformat() if self.accepted else None,
            "changes": [as_json(change) for change in self.changes],
            "sections": {name: [dataclasses.asdict(row) for row in rows] for name, rows in self.sections.items()},
        }
        return json.dumps(plain, indent=2) + "\n"


def own(parameters: Parameters, *, images: bool) -> Subject:
    """Return this host's own registry as a subject."""
    patience = Patience()
    return Subject(
        registry=parameters.registry_host,
        prove=lambda: all_sections.prove(parameters, images=images, patience=patience),
        gather=lambda: baseline.gather(parameters),
        path=parameters.baseline_path,
        password_path=parameters.password_path,
        patience=patience,
        alone=True,
    )


def elsewhere(  # noqa: PLR0913 (one an option)
    url: str, *, ca: Path | None, username: str, password_file: Path | None, days: int, repository: str, megabytes: int
) -> Subject:
    """Return the registry at a URL as a subject.

    Raises ParameterError for another URL than https://HOST[:PORT] and for an invalid repository, SecretError without a
    password.
    """
    host = remote.host_of(url)
    try:
        value_types.a_repository(repository)
    except ValueError as error:
        raise ParameterError(f"for --repository: {error}", repository, "name one that the user may push to") from error
    authority = None if ca is None else _authority(ca)
    registry = api.Registry(
        url=f"https://{host}",
        tls=tls.client_context(authority),
        login=(username, _password(password_file, username, host)),
    )
    target = remote.Target(
        known=registry, authority=authority, days=days, repository=repository, layer_bytes=megabytes << 20
    )
    patience = Patience(_LAYER_SECONDS)

    def prove() -> dict[str, list[Result]]:
        with patience.spent():
            return remote.prove(target)

    return Subject(
        registry=host,
        prove=prove,
        gather=lambda: remote.gather(target),
        path=baseline.path_elsewhere(host),
        password_path=password_file,
        patience=patience,
    )


def _authority(path: Path) -> str:
    return b"".join(tls.certificate_text(certificate) for certificate in supplied.load_chain(path)).decode()


def _password(path: Path | None, username: str, host: str) -> str:
    """Return the password from RUNBOOK_PASSWORD, a 0600 file, or a prompt on the terminal; raises SecretError."""
    found = credentials.find_password(path or Path("/nonexistent"))
    if found is None and path is None and sys.stdin.isatty():
        found = credentials.check_password(getpass.getpass(f"Password of {username} at {host}: "), "the prompt")
    if found is None:
        raise SecretError(
            f"a password in {credentials.PASSWORD_VARIABLE}{f' or {path}' if path else ''}",
            "none",
            "give --password-file",
        )
    return found


def run(subject: Subject, *, accept: bool, wait_seconds: float = 0) -> Proof:
    """Prove a registry and compare it with its accepted state, or with `accept` store the current state if all holds.

    Raises ApplyError if the file cannot be written, LockError if another run is still active after `wait_seconds`.
    """
    started, clock = baseline.now(), time.monotonic()
    changes: list[Change] = []
    with subject.lock(wait_seconds):
        sections = subject.prove()
        if accept and all(row.passed for rows in sections.values() for row in rows):
            changes = _accept(subject, started)
        if changes or not accept:
            sections |= all_sections.compare(subject.path, subject.gather, patience=subject.patience)
    return Proof(
        registry=subject.registry,
        started=started,
        seconds=time.monotonic() - clock,
        sections=sections,
        accepted=_accepted(subject.path),
        changes=changes,
    )


def _accepted(path: Path) -> Baseline | None:
    text = files.read_text(path)
    try:
        return None if text is None else baseline.read(text)
    except HostError:
        return None  # the comparison has a row about it


def _accept(subject: Subject, now: datetime.datetime) -> list[Change]:
    wanted = Baseline(registry=subject.registry, accepted=now, state=subject.gather())
    changes = baseline.plan(subject.path, files.read_text(subject.path), wanted)
    changes = [*(baseline.folder_for(subject.path) if changes else ()), *changes]
    apply(changes, entering=subject.alone)
    return changes


def show(proof: Proof, *, accept: bool) -> None:
    """Print the rows, the details of the failed ones, the changes, the counts, and the comparison."""
    tables.show(table(proof.sections))
    if proof.changes:
        tables.show(tables.changes_table(proof.changes))
    passed, count = sum(row.passed for row in proof.rows), len(proof.rows)
    click.echo(f"\n{say(f'{proof.registry}: {passed} of {count} rows hold, in {proof.seconds:.1f} s.')}")
    click.echo(say(_comparison(proof, accept=accept)))


def _comparison(proof: Proof, *, accept: bool) -> str:
    if accept and not proof.passed:
        return "Nothing was accepted: not all proofs hold."
    if proof.changes:
        return "This state is the accepted one now."
    if proof.accepted is None:
        return "No state was accepted yet: `prove --accept` keeps this one, and later proofs are compared with it."
    return f"Compared with the state accepted on {proof.accepted.accepted:%Y-%m-%d %H:%M} UTC."


def table(sections: Mapping[str, Sequence[Result]]) -> Table:
    """Return the table of a proof; its details list the expected and found value and the remedy of each failed row."""
    rows = [(name, row) for name, found in sections.items() for row in found]
    return Table(
        headings=("Section", "Claim", "Is", "Found", "Result"),
        rows=tuple(
            (name, row.claim, "refused" if row.refusal else "works", row.found, "passed" if row.passed else "FAILED")
            for name, row in rows
        ),
        empty="Nothing was proven.",
        details=tuple(
            f"\n{name}, {row.claim}:\n  expected {row.expected}\n  found {row.found}\n  To repair: {row.remedy}"
            for name, row in rows
            if not row.passed
        ),
    )


def write_junit(path: Path, proof: Proof) -> None:
    """Write a proof as JUnit XML; an existing file is replaced."""
    from runbook.record import junit  # few proofs need it

    files.require_trusted_path(path)
    files.write(path, junit.proof_text(proof.sections, proof.started), 0o644)


def install_timer(
    arguments: Sequence[str], subject: Subject, *, renews: Sequence[str] | None, calendar: str, on_failure: str | None
) -> None:
    """Plan, show and apply a systemd timer for `prove` with these arguments; `on_failure` is a command in shell syntax.

    `renews` are the arguments of `renew`, which runs first; None for a registry on another host.

    Raises HostError without systemd, for a calendar that systemd refuses, for a command that is not on this host, and
    if another user could change the project's code. Raises SecretError if the password is in no file: the timer cannot
    prompt for it.
    """
    facts = proof_timer.gather()
    own_code.require(whole=True)  # the timer runs this code as root
    if subject.password_path is None or credentials.read_file(subject.password_path) is None:
        source = subject.password_path or "the file of --password-file"
        raise SecretError(f"the password in {source}: the timer has no other", "none", "keep it there, 0600")
    proof_timer.refuse_calendar(calendar)
    program = Path(sys.executable).with_name("registry-runbook")
    selinux.refuse_below_home(program)
    waits = ("--wait", str(_TIMER_WAIT_SECONDS))
    units = proof_timer.render(
        (str(program), "prove", *waits, *arguments),
        before=() if renews is None else (str(program), "renew", *waits, *renews),
        calendar=calendar,
        delay_minutes=15,
        on_failure=command_of(on_failure) if on_failure else (),
    )
    _show_and_apply(proof_timer.plan(units, facts))


def remove_timer() -> None:
    """Plan, show and apply the removal of the timer."""
    _show_and_apply(proof_timer.plan_removal(proof_timer.states()))


def command_of(text: str) -> tuple[str, ...]:
    """Return a command as a shell splits it, with the program's path; raises HostError if the program is not found."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise HostError("a command in --on-failure", f"{text}: {error}", "close its quotes") from error
    found = commands.which(words[0]) if words else None
    if found is None:
        raise HostError("a command of this host in --on-failure", text, "give the path of a program")
    return (str(Path(found).absolute()), *words[1:])


def _show_and_apply(changes: Sequence[Change]) -> None:
    tables.show(tables.changes_table(changes))
    with lock.hold():
        tables.show(tables.outcomes_table(apply(changes)))
