"""What `registry-runbook prove` does: proves, compares, shows, and where it is asked to, accepts or keeps a timer."""

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
from runbook.operations import proof_timer
from runbook.proof import all_sections, baseline, remote
from runbook.proof.baseline import Accepted, State
from runbook.system import credentials
from runbook.system.certificates import supplied, tls
from runbook.system.host import commands, files, lock, own_code
from runbook.system.host.patience import Patience
from runbook.system.registry import api

_TIMER_WAITS = 900  # seconds for a run that the timer meets
_LAYER_SECONDS = 3600.0  # a layer of any size, which --layer-megabytes asks for; who hangs is asked once all the same


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is proven: how that is done, what is compared, and the file that keeps what was accepted.

    `password_path` is the file with the password, None where it comes from elsewhere. `patience` is that of the proof
    and of the comparison after it.
    """

    registry: str
    prove: Callable[[], dict[str, list[Result]]]
    gather: Callable[[], State]
    path: Path
    password_path: Path | None
    patience: Patience
    alone: bool = False

    def lock(self, wait_seconds: float) -> AbstractContextManager[None]:
        """Return what keeps other runs from this host meanwhile, where the registry is this host's."""
        return lock.hold(wait_seconds) if self.alone else nullcontext()


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A proof and all that is told of it."""

    registry: str
    started: datetime.datetime
    seconds: float
    sections: Mapping[str, Sequence[Result]]
    accepted: Accepted | None
    changes: Sequence[Change] = ()

    @property
    def rows(self) -> list[Result]:
        """All rows."""
        return [row for rows in self.sections.values() for row in rows]

    @property
    def passed(self) -> bool:
        """Whether all rows hold."""
        return all(row.passed for row in self.rows)

    def as_json(self) -> str:
        """Return it as JSON."""
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
    """Return this host's own registry as what is proven."""
    patience = Patience()
    return Subject(
        registry=parameters.registry_host,
        prove=lambda: all_sections.prove(parameters, images=images, patience=patience),
        gather=lambda: baseline.gather(parameters),
        path=parameters.accepted_path,
        password_path=parameters.password_path,
        patience=patience,
        alone=True,
    )


def elsewhere(  # noqa: PLR0913 (one an option)
    url: str, *, ca: Path | None, username: str, password_file: Path | None, days: int, repository: str, megabytes: int
) -> Subject:
    """Return the registry at a URL, whoever made it, as what is proven.

    Raises ParameterError for another URL than https://HOST[:PORT] and for what is no repository, SecretError where
    nobody gives the password.
    """
    host = remote.host_of(url)
    try:
        value_types.a_repository(repository)
    except ValueError as error:
        raise ParameterError(f"for --repository: {error}", repository, "name one that the user may push to") from error
    authority = None if ca is None else _authority(ca)
    known = api.Registry(
        url=f"https://{host}", tls=tls.trusting(authority), login=(username, _password(password_file, username, host))
    )
    target = remote.Target(
        known=known, authority=authority, days=days, repository=repository, layer_bytes=megabytes << 20
    )
    patience = Patience(_LAYER_SECONDS)

    def proven() -> dict[str, list[Result]]:
        with patience.spent():
            return remote.prove(target)

    return Subject(
        registry=host,
        prove=proven,
        gather=lambda: remote.gather(target),
        path=baseline.path_elsewhere(host),
        password_path=password_file,
        patience=patience,
    )


def _authority(path: Path) -> str:
    return b"".join(tls.certificate_text(certificate) for certificate in supplied.load_chain(path)).decode()


def _password(path: Path | None, username: str, host: str) -> str:
    """Return the password from RUNBOOK_PASSWORD, a 0600 file, or whoever sits at the terminal."""
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


def run(subject: Subject, *, accept: bool, wait_seconds: float = 0) -> Told:
    """Prove, compare with what was accepted or, where all proofs hold, accept what is there now; return what is told.

    Raises ApplyError where the file cannot be written, LockError where another run goes on after `wait_seconds`.
    """
    started, clock = baseline.now(), time.monotonic()
    changes: list[Change] = []
    with subject.lock(wait_seconds):
        sections = subject.prove()
        if accept and all(row.passed for rows in sections.values() for row in rows):
            changes = _accept(subject, started)
        if changes or not accept:
            sections |= all_sections.compare(subject.path, subject.gather, patience=subject.patience)
    kept = files.read_text(subject.path)
    return Told(
        registry=subject.registry,
        started=started,
        seconds=time.monotonic() - clock,
        sections=sections,
        accepted=None if kept is None else _readable(kept),
        changes=changes,
    )


def _readable(text: str) -> Accepted | None:
    try:
        return baseline.read(text)
    except HostError:
        return None  # the comparison has a row that says so


def _accept(subject: Subject, now: datetime.datetime) -> list[Change]:
    wanted = Accepted(registry=subject.registry, accepted=now, state=subject.gather())
    changes = baseline.plan(subject.path, files.read_text(subject.path), wanted)
    changes = [*(baseline.folder_for(subject.path) if changes else ()), *changes]
    apply(changes, entering=subject.alone)
    return changes


def show(told: Told, *, accept: bool) -> None:
    """Print the rows, what is wrong with those that fail, what was accepted, and the counts."""
    tables.show(table(told.sections))
    if told.changes:
        tables.show(tables.changes_table(told.changes))
    passed, count = sum(row.passed for row in told.rows), len(told.rows)
    click.echo(f"\n{told.registry}: {passed} of {count} rows hold, in {told.seconds:.1f} s.")
    click.echo(_compared(told, accept=accept))


def _compared(told: Told, *, accept: bool) -> str:
    if accept and not told.passed:
        return "Nothing was accepted: not all proofs hold."
    if told.changes:
        return "This state is the accepted one now."
    if told.accepted is None:
        return "No state was accepted yet: `prove --accept` keeps this one, and later proofs are compared with it."
    return f"Compared with the state accepted on {told.accepted.accepted:%Y-%m-%d %H:%M} UTC."


def table(sections: Mapping[str, Sequence[Result]]) -> Table:
    """Return the table of a proof; below it stands what each row that fails expected and found, and its remedy."""
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


def write_junit(path: Path, told: Told) -> None:
    """Write a proof as JUnit XML; a file that is there is replaced."""
    from runbook.runs.record import junit  # a proof seldom needs it

    files.require_own_way(path)
    files.write(path, junit.proof_text(told.sections, told.started), 0o644)


def install_timer(arguments: Sequence[str], subject: Subject, *, calendar: str, on_failure: str | None) -> None:
    """Show and make what lets systemd run `prove` with these arguments; `on_failure` is a command in a shell's words.

    Raises HostError without systemd, for a calendar that it refuses, and for a command that is not on this host;
    and for a tree that another user could change; SecretError where the password is in no file, since nobody will be
    there to give it.
    """
    facts = proof_timer.gather()
    own_code.require(whole=True)  # systemd runs it as root, again and again
    if subject.password_path is None or credentials.read_file(subject.password_path) is None:
        place = subject.password_path or "the file of --password-file"
        raise SecretError(f"the password in {place}: the timer has no other", "none", "keep it there, 0600")
    proof_timer.refuse_calendar(calendar)
    program = Path(sys.executable).with_name("registry-runbook")
    units = proof_timer.render(
        (str(program), "prove", "--wait", str(_TIMER_WAITS), *arguments),
        calendar=calendar,
        delay_minutes=15,
        on_failure=command_of(on_failure) if on_failure else (),
    )
    _make(proof_timer.plan(units, facts))


def remove_timer() -> None:
    """Show and make what takes the timer away."""
    _make(proof_timer.plan_removal(proof_timer.states()))


def command_of(text: str) -> tuple[str, ...]:
    """Return the words of a command as a shell splits them, the program by its path; raises HostError without one."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise HostError("a command in --on-failure", f"{text}: {error}", "close its quotes") from error
    found = commands.which(words[0]) if words else None
    if found is None:
        raise HostError("a command of this host in --on-failure", text, "give the path of a program")
    return (str(Path(found).absolute()), *words[1:])


def _make(changes: Sequence[Change]) -> None:
    tables.show(tables.changes_table(changes))
    with lock.hold():
        tables.show(tables.outcomes_table(apply(changes)))
