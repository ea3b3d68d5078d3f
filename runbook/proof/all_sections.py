"""The proof of all sections at once, of what changes over time, and the comparison with the accepted baseline.

Notebook: 75-prove. A section's proof is its plan, which must be empty, and its `check`. Sections are proven in
parallel, since they wait for commands and responses. Checks that push images or run a container come last, one by one,
since they remove each other's images. A proof always ends: a check without a result in time is a row that fails, and
what has hung is not called again.
"""

import datetime
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from docker.errors import DockerException

from runbook.changes.base import Change
from runbook.display import overview, tables
from runbook.model.errors import CheckError, HostError, RunbookError
from runbook.model.parameters import Parameters
from runbook.model.project import COMMAND
from runbook.model.results import Result, refused, works
from runbook.model.value_types import split_reference
from runbook.proof import baseline, surroundings
from runbook.proof.baseline import Baseline, State
from runbook.sections import basic_registry, certificates, host, nginx, push_pull
from runbook.system.certificates import tls
from runbook.system.docker import engine, reload
from runbook.system.host import files, network
from runbook.system.host.patience import Patience
from runbook.system.registry import api, docker_client, storage

Check = Callable[[Parameters], list[Result]]
Proof = Mapping[str, Sequence[Result]]  # the rows of each section, in section order
LASTING, COMPARED = "lasting", "accepted"  # rows beyond the sections: changes over time, the baseline
# Sections whose checks temporarily change the engine: the check without an image or container, and the one with.
_SPLIT: Mapping[str, tuple[Check, Check]] = {
    "10-host": (host.check_settings, host.check_container),
    "20-basic-registry": (basic_registry.check_answers, basic_registry.check),
    "55-nginx": (nginx.check_front, nginx.check_layers),
    "60-push-pull": (push_pull.check_access, push_pull.check_images),
}
_ANSWER_SECONDS = 10  # a running registry responds at once; this also covers a restart
_UPLOAD_BYTES = 2 << 20  # above nginx's default body limit
_PLANNED = "planning again finds nothing to change"
_AGAIN = "run the notebook {}"
_CHECKED = "its own checks can be made"
_IMAGES = "its proof with a container or an image"
_HANGS = f"see what hangs: `docker logs`, `journalctl -u docker`, `df`, `dmesg`; `{COMMAND} diagnose`"
_FOR_COMPARING = 3.0  # seconds reserved for the comparison after the proof
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProveFacts:
    """The accepted baseline, and the state to accept.

    `kept` is the text of the baseline, None if there is none. `state` is the current state, None unless it is to be
    accepted: all proofs then hold.
    """

    kept: str | None
    state: State | None
    now: datetime.datetime


def gather(parameters: Parameters) -> ProveFacts:
    """Return the facts; to accept a state that differs from the baseline, run the whole proof first.

    Raises CheckError if a row of that proof fails.
    """
    kept, state = files.read_text(parameters.baseline_path), None
    if parameters.accept_proof:
        state = baseline.gather(parameters)
        if kept is None or baseline.read(kept).state != state:
            require(prove(parameters))
    return ProveFacts(kept=kept, state=state, now=baseline.now())


def plan(parameters: Parameters, facts: ProveFacts) -> list[Change]:
    """Return the change that stores the state as the baseline; empty if not requested, or stored already."""
    if facts.state is None:
        return []
    wanted = Baseline(registry=parameters.registry_host, accepted=facts.now, state=facts.state)
    return baseline.plan(parameters.baseline_path, facts.kept, wanted)


def check(parameters: Parameters) -> list[Result]:
    """Return all rows, each claim prefixed with its section: the proof and, if there is a baseline, the comparison."""
    patience = Patience()
    proven = prove(parameters, patience=patience)
    found = proven | compare(parameters.baseline_path, lambda: baseline.gather(parameters), patience=patience)
    return [replace(row, claim=f"{name}: {row.claim}") for name, rows in found.items() for row in rows]


def require(proof: Proof) -> None:
    """Raise CheckError with the failed rows, if there are any."""
    if failed := [(name, row) for name, rows in proof.items() for row in rows if not row.passed]:
        raise CheckError(
            "every proof to hold",
            "; ".join(f"{name}, {row.claim}: expected {row.expected}, found {row.found}" for name, row in failed),
            "; ".join(dict.fromkeys(row.remedy for _, row in failed)),
        )


def prove(parameters: Parameters, *, images: bool = True, patience: Patience | None = None) -> dict[str, list[Result]]:
    """Return the rows of each section, and of what changes over time; an error in a check is a row that fails.

    Without `images` it pushes, pulls and runs nothing, and ends within the seconds of its `patience`. The same applies
    if something has hung.
    """
    names, patience = overview.sections(parameters), patience or Patience()
    short_timeout = parameters.model_copy(update={"timeout_seconds": min(parameters.timeout_seconds, _ANSWER_SECONDS)})
    parts: dict[tuple[str, str], Callable[[], list[Result]]]
    parts = {(name, _PLANNED): partial(_plan_again, name, short_timeout) for name in names}
    parts |= {(name, _CHECKED): partial(_check_again, name, short_timeout) for name in names}
    parts |= {(LASTING, claim): check for claim, check in _lasting(short_timeout).items()}
    with patience.spent(keep=_FOR_COMPARING):
        proven = _run_in_parallel(parts, patience)
    rows = {part: [_timed_out(part[1])] if found is None else found for part, found in proven.items()}
    found = {name: _merged(rows[name, _PLANNED], rows[name, _CHECKED]) for name in names}
    found[LASTING] = [row for (section, _), part in rows.items() if section == LASTING for row in part]
    hung = sorted(patience.hung) or [f"{name}, {claim}" for (name, claim), part in proven.items() if part is None]
    for name in names if images else ():
        if name in _SPLIT:
            found[name] += [_skipped(hung)] if hung else _tried(_IMAGES, name, _SPLIT[name][1], parameters)
    return _without_repeats(found)


def _run_in_parallel(
    parts: Mapping[_Key, Callable[[], list[Result]]], patience: Patience
) -> dict[_Key, list[Result] | None]:
    """Run all parts in parallel and return their rows; None for a part that has not ended in time.

    Nothing waits for such a part, not even the exit of this process.
    """
    found: dict[_Key, list[Result]] = {}

    def run(key: _Key) -> None:
        found[key] = parts[key]()

    threads = [threading.Thread(target=run, args=(key,), daemon=True) for key in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(patience.left, 0))
    return {key: found.get(key) for key in parts}


def _timed_out(claim: str) -> Result:
    return works(claim, expected="an end in time", found="none: something hangs", remedy=_HANGS)


def _skipped(hung: Sequence[str]) -> Result:
    return works(
        _IMAGES, expected="to be tried", found=f"not tried, since this hangs: {', '.join(hung)}", remedy=_HANGS
    )


def _without_repeats(found: Mapping[str, Sequence[Result]]) -> dict[str, list[Result]]:
    """Return the rows without those that an earlier section also has: each claim about a registry appears once."""
    seen: set[tuple[str, str, str]] = set()
    kept: dict[str, list[Result]] = {}
    for name, rows in found.items():
        kept[name] = [row for row in rows if row.claim == _PLANNED or (row.claim, row.expected, row.found) not in seen]
        if name != "20-basic-registry":  # another registry than in the later sections
            seen |= {(row.claim, row.expected, row.found) for row in rows}
    return kept


def _merged(planned: list[Result], checked: list[Result]) -> list[Result]:
    """Return the rows of a section; an error that both plan and check raise appears once."""
    known = [(row.expected, row.found) for row in planned]
    return [*planned, *(row for row in checked if row.passed or (row.expected, row.found) not in known)]


def _plan_again(name: str, parameters: Parameters) -> list[Result]:
    """Return the row on whether a new plan of a section is empty."""
    section = overview.section(name)

    def planned(parameters: Parameters) -> list[Result]:
        changes = section.plan(parameters, section.gather(parameters))
        found = tables.counted(len(changes), "change") + "".join(f"; {change}" for change in changes)
        return [works(_PLANNED, expected="0 changes", found=found, remedy=_AGAIN.format(name))]

    return _tried(_PLANNED, name, planned, parameters)


def _check_again(name: str, parameters: Parameters) -> list[Result]:
    """Return the rows of a section's check, or of its part that needs neither a container nor an image."""
    check = _SPLIT[name][0] if name in _SPLIT else overview.section(name).check
    return _tried(_CHECKED, name, check, parameters)


def _tried(claim: str, name: str, check: Callable[..., list[Result]], *arguments: Parameters) -> list[Result]:
    """Return the rows of a check or, if it raises an error, one row with the claim that fails."""
    try:
        return check(*arguments)
    except RunbookError as error:
        return [works(claim, expected=error.expected, found=error.found, remedy=error.remedy)]
    except Exception as error:  # noqa: BLE001 (any error fails the proof)
        of_engine = isinstance(error, DockerException | OSError)
        text = engine.error_text(error) if of_engine else f"{type(error).__name__}: {error}"
        return [works(claim, expected="an answer", found=text, remedy=_AGAIN.format(name))]


def _lasting(parameters: Parameters) -> dict[str, Callable[[], list[Result]]]:
    """Return the checks of what changes over time or by other people, keyed by claim."""
    parts: Mapping[str, tuple[str, Check]] = {
        "the dates of the certificates": ("30-certificates", _check_days),
        "the authority's key": ("30-certificates", _check_key),
        "the engine's trust": ("30-certificates", _check_trust),
        "what can be uploaded": ("50-compose", _check_uploads),
        **{claim.claim: ("50-compose", partial(_check_around, claim)) for claim in surroundings.CLAIMS},
    }
    return {claim: partial(_tried, claim, name, check, parameters) for claim, (name, check) in parts.items()}


def _check_around(claim: surroundings.Claim, parameters: Parameters) -> list[Result]:
    return [surroundings.check(engine.require(parameters.timeout_seconds), parameters, claim)]


def _check_days(parameters: Parameters) -> list[Result]:
    now = datetime.datetime.now(datetime.UTC)
    server, authority = parameters.certificate_path, parameters.ca_certificate_path
    anew = f"move {authority.parent} and {server} away, run `{COMMAND}`, hand a new kit to clients"
    places = (
        (f"the server certificate in {server}", server, f"run `{COMMAND} renew`"),
        (f"the authority in {authority}", authority, anew),
    )
    return [
        check_days(
            claim,
            tls.describe(tls.require_certificate(path)),
            days=parameters.renew_before_days,
            now=now,
            remedy=remedy,
        )
        for claim, path, remedy in places
    ]


def check_days(claim: str, certificate: tls.Certificate, *, days: int, now: datetime.datetime, remedy: str) -> Result:
    """Return the result of a claim that a certificate is valid now and for `days` more days."""
    days_left = (certificate.not_after - now).days
    dates = f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
    is_valid = certificate.not_before <= now and days_left >= days
    expected = f"valid for at least {days} days more"
    found = f"{days_left} days left, {dates}"
    return Result(
        claim=f"{claim}: its dates", expected=expected, found=found, passed=is_valid, refusal=False, remedy=remedy
    )


def _check_key(parameters: Parameters) -> list[Result]:
    """Return the row of the key for the next renewal, as far as it is readable without its passphrase."""
    if parameters.certificate_source == "own":
        return []
    return [check_key(certificates.gather(parameters).authority_key, f"in {parameters.ca_key_path}")]


def check_key(state: str, where: str) -> Result:
    """Return the result of the claim that the authority's key matches its certificate; `state` is from the facts.

    A key whose passphrase is not given passes, since it cannot be checked.
    """
    return Result(
        claim=f"the authority's key {where}, for the next renewal",
        expected="that of its certificate",
        found=state,
        passed=state not in ("absent", certificates.KEY_OF_ANOTHER),
        refusal=False,
        remedy="bring the right one back, from a backup",
    )


def _check_trust(parameters: Parameters) -> list[Result]:
    folder = parameters.trust_path.parent
    listed = reload.registries(engine.require(parameters.timeout_seconds)).insecure
    found = reload.names_insecure(parameters, network.address_of(parameters.address), listed)
    return [
        works(
            f"nothing but the authority lies in {folder}",
            expected=parameters.trust_path.name,
            found=", ".join(files.names_in(folder)) or "nothing",
            remedy="move all else away: a key there, or a certificate named .cert, keeps the engine from the registry",
        ),
        refused(
            f"{parameters.registry_host}, as a registry that the engine need not verify",
            expected="not listed",
            found=", ".join(found) or "not listed",
            remedy="take it out of daemon.json and of the engine's flags, and reload the engine, or"
            " restart it where it still lists it then",
        ),
    ]


def _check_uploads(parameters: Parameters) -> list[Result]:
    """Return the rows of uploads: refused without a login, accepted with it; nothing is stored."""
    client = engine.require(parameters.timeout_seconds)
    stored = storage.Storage(client=client, container=baseline.registry_container(client, parameters).name)
    docker_client.refuse_occupied(stored, parameters.test_reference, "test_reference")
    repository, _ = split_reference(parameters.test_reference)
    remedy = "run the notebooks 40-configuration and 50-compose"
    try:
        return check_uploads(push_pull.registry_of(parameters), repository, size=_UPLOAD_BYTES, remedy=remedy)
    finally:
        with suppress(HostError):  # a container that is not running has received no upload
            stored.remove_repository(repository, ())


def check_uploads(known: api.Registry, repository: str, *, size: int, remedy: str) -> list[Result]:
    """Return the rows: no catalogue and no upload without a login; with it, an upload that is cancelled."""
    anonymous = replace(known, login=None)
    catalogue = anonymous.ask("/v2/_catalog")
    return [
        refused("the catalogue, without a login", expected="401", found=str(catalogue), remedy=remedy),
        refused("a push, without a login", expected="401", found=anonymous.try_upload(repository, 1), remedy=remedy),
        works(
            f"an upload of {size / 2**20:g} MB, cancelled before it is stored",
            expected="cancelled",
            found=known.try_upload(repository, size),
            remedy="see whether the storage is full or read-only, and whether a proxy limits the size of a body",
        ),
    ]


def compare(
    path: Path, gather_state: Callable[[], State], *, patience: Patience | None = None
) -> dict[str, list[Result]]:
    """Return the rows of the comparison with the baseline in a file; no section if there is no baseline."""
    patience, claim = patience or Patience(), "the comparison with the accepted state"

    def compared() -> list[Result]:
        text = files.read_text(path)
        return [] if text is None else baseline.compare(baseline.read(text), gather_state())

    with patience.spent():
        rows = _run_in_parallel({claim: partial(_tried, claim, "75-prove", compared)}, patience)[claim]
    rows = [_timed_out(claim)] if rows is None else rows
    return {COMPARED: rows} if rows else {}
