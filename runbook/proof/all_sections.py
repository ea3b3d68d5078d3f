"""The proof of all sections at once, of what time changes, and the comparison with the accepted state.

Notebook: 75-prove. A section's own proof is its plan, which must find nothing to change, and its `check`. Sections are
proven beside each other, since they wait for commands and answers; what pushes images or runs a container comes last,
one after the other, since those proofs take away each other's images. Whatever hangs, a proof ends: what has no answer
in time is a row that fails, and who has hung is not asked again.
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
from runbook.display import overview
from runbook.model.errors import CheckError, HostError, RunbookError
from runbook.model.parameters import Parameters
from runbook.model.results import Result, refused, works
from runbook.model.value_types import split_reference
from runbook.proof import baseline, surroundings
from runbook.proof.baseline import Accepted, State
from runbook.sections import basic_registry, certificates, host, nginx, push_pull
from runbook.system.certificates import tls
from runbook.system.docker import compose, engine, reload
from runbook.system.host import files, network
from runbook.system.host.patience import Patience
from runbook.system.registry import api, docker_client, storage

Check = Callable[[Parameters], list[Result]]
Proof = Mapping[str, Sequence[Result]]  # the rows of each section, in the order of the sections
LASTING, COMPARED = "lasting", "accepted"  # the rows that no section has: what time changes, what was accepted
# The checks of a section that changes the engine for a moment: what needs no image or container, and what does.
_SPLIT: Mapping[str, tuple[Check, Check]] = {
    "10-host": (host.check_settings, host.check_container),
    "20-basic-registry": (basic_registry.check_answers, basic_registry.check),
    "55-nginx": (nginx.check_front, nginx.check_layers),
    "60-push-pull": (push_pull.check_access, push_pull.check_images),
}
_ANSWER_SECONDS = 10  # a registry that runs answers at once; one that was restarted just now is waited for
_UPLOAD_BYTES = 2 << 20  # above the body limit that nginx has by itself
_PLANNED = "planning again finds nothing to change"
_AGAIN = "run the notebook {}"
_CHECKED = "its own checks can be made"
_IMAGES = "its proof with a container or an image"
_HANGS = "see what hangs: `docker logs`, `journalctl -u docker`, `df`, `dmesg`; `registry-runbook diagnose`"
_FOR_COMPARING = 3.0  # seconds that the proof leaves to the comparison after it
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProveFacts:
    """What a proof is compared with, and what would be accepted.

    `kept` is the text of the accepted state, None where none was accepted yet. `state` is what is there now, None where
    nobody asked to accept it; all proofs hold then.
    """

    kept: str | None
    state: State | None
    now: datetime.datetime


def gather(parameters: Parameters) -> ProveFacts:
    """Return the facts; where a state is to be accepted that differs from the kept one, all is proven first.

    Raises CheckError then for what does not hold.
    """
    kept, state = files.read_text(parameters.accepted_path), None
    if parameters.accept_proof:
        state = baseline.gather(parameters)
        if kept is None or baseline.read(kept).state != state:
            require(prove(parameters))
    return ProveFacts(kept=kept, state=state, now=baseline.now())


def plan(parameters: Parameters, facts: ProveFacts) -> list[Change]:
    """Return what keeps the state as the accepted one; empty where nobody asks for it, or it is kept already."""
    if facts.state is None:
        return []
    wanted = Accepted(registry=parameters.registry_host, accepted=facts.now, state=facts.state)
    return baseline.plan(parameters.accepted_path, facts.kept, wanted)


def check(parameters: Parameters) -> list[Result]:
    """Return all rows, each claim with its section before it: the proof, and the comparison where one was accepted."""
    patience = Patience()
    proven = prove(parameters, patience=patience)
    whole = proven | compare(parameters.accepted_path, lambda: baseline.gather(parameters), patience=patience)
    return [replace(row, claim=f"{name}: {row.claim}") for name, rows in whole.items() for row in rows]


def require(proof: Proof) -> None:
    """Raise CheckError with the rows that do not hold, where there are some."""
    if failed := [(name, row) for name, rows in proof.items() for row in rows if not row.passed]:
        raise CheckError(
            "every proof to hold",
            "; ".join(f"{name}, {row.claim}: expected {row.expected}, found {row.found}" for name, row in failed),
            "; ".join(dict.fromkeys(row.remedy for _, row in failed)),
        )


def prove(parameters: Parameters, *, images: bool = True, patience: Patience | None = None) -> dict[str, list[Result]]:
    """Return the rows of each section, and of what time changes; what goes wrong with a proof is a row that fails.

    Without `images` nothing is pushed or pulled, and no container is run: then it ends within the seconds of its
    `patience`. Where somebody has hung, nothing of that is done either.
    """
    names, patience = overview.sections(parameters), patience or Patience()
    hasty = parameters.model_copy(update={"timeout_seconds": min(parameters.timeout_seconds, _ANSWER_SECONDS)})
    parts: dict[tuple[str, str], Callable[[], list[Result]]]
    parts = {(name, _PLANNED): partial(_plan_again, name, hasty) for name in names}
    parts |= {(name, _CHECKED): partial(_check_again, name, hasty) for name in names}
    parts |= {(LASTING, claim): check for claim, check in _lasting(hasty).items()}
    with patience.spent(keep=_FOR_COMPARING):
        proven = _beside(parts, patience)
    rows = {part: [_unended(part[1])] if found is None else found for part, found in proven.items()}
    found = {name: _both(rows[name, _PLANNED], rows[name, _CHECKED]) for name in names}
    found[LASTING] = [row for (section, _), part in rows.items() if section == LASTING for row in part]
    hung = sorted(patience.hung) or [f"{name}, {claim}" for (name, claim), part in proven.items() if part is None]
    for name in names if images else ():
        if name in _SPLIT:
            found[name] += [_untried(hung)] if hung else _tried(_IMAGES, name, _SPLIT[name][1], parameters)
    return _once(found)


def _beside(parts: Mapping[_Key, Callable[[], list[Result]]], patience: Patience) -> dict[_Key, list[Result] | None]:
    """Return what each part gives, all of them made beside each other; None for one that has not ended in time.

    Nothing waits for that one any more, not even the end of this process.
    """
    found: dict[_Key, list[Result]] = {}

    def make(key: _Key) -> None:
        found[key] = parts[key]()

    threads = [threading.Thread(target=make, args=(key,), daemon=True) for key in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(patience.left, 0))
    return {key: found.get(key) for key in parts}


def _unended(claim: str) -> Result:
    return works(claim, expected="an end in time", found="none: something hangs", remedy=_HANGS)


def _untried(hung: Sequence[str]) -> Result:
    return works(
        _IMAGES, expected="to be tried", found=f"not tried, since this hangs: {', '.join(hung)}", remedy=_HANGS
    )


def _once(found: Mapping[str, Sequence[Result]]) -> dict[str, list[Result]]:
    """Return the rows without those that an earlier section has too: what two claim of one registry is shown once."""
    seen: set[tuple[str, str, str]] = set()
    kept: dict[str, list[Result]] = {}
    for name, rows in found.items():
        kept[name] = [row for row in rows if row.claim == _PLANNED or (row.claim, row.expected, row.found) not in seen]
        if name != "20-basic-registry":  # another registry than that of the later sections
            seen |= {(row.claim, row.expected, row.found) for row in rows}
    return kept


def _both(planned: list[Result], checked: list[Result]) -> list[Result]:
    """Return the rows of a section; where plan and check end in the same error, it is told once."""
    known = [(row.expected, row.found) for row in planned]
    return [*planned, *(row for row in checked if row.passed or (row.expected, row.found) not in known)]


def _plan_again(name: str, parameters: Parameters) -> list[Result]:
    """Return the row that says whether planning a section again finds nothing to change."""
    behind = overview.section(name)

    def planned(parameters: Parameters) -> list[Result]:
        left = behind.plan(parameters, behind.gather(parameters))
        found = f"{len(left)} changes" + "".join(f"; {change}" for change in left)
        return [works(_PLANNED, expected="0 changes", found=found, remedy=_AGAIN.format(name))]

    return _tried(_PLANNED, name, planned, parameters)


def _check_again(name: str, parameters: Parameters) -> list[Result]:
    """Return the rows of a section's own check, as far as it needs neither container nor image."""
    check = _SPLIT[name][0] if name in _SPLIT else overview.section(name).check
    return _tried(_CHECKED, name, check, parameters)


def _tried(claim: str, name: str, check: Callable[..., list[Result]], *arguments: Parameters) -> list[Result]:
    """Return the rows of a check, or one that fails with the claim, where the check itself does."""
    try:
        return check(*arguments)
    except RunbookError as error:
        return [works(claim, expected=error.expected, found=error.found, remedy=error.remedy)]
    except Exception as error:  # noqa: BLE001 (whatever breaks a proof, it does not hold)
        said = (
            engine.words(error) if isinstance(error, DockerException | OSError) else f"{type(error).__name__}: {error}"
        )
        return [works(claim, expected="an answer", found=said, remedy=_AGAIN.format(name))]


def _lasting(parameters: Parameters) -> dict[str, Callable[[], list[Result]]]:
    """Return the checks of what only time, or somebody else, changes, each by its claim."""
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
    places = {"server certificate": parameters.certificate_path, "authority": parameters.ca_certificate_path}
    return [
        check_days(
            f"the {name} in {path}",
            tls.describe(tls.require_certificate(path)),
            days=parameters.renew_before_days,
            now=now,
            remedy="run the notebooks 30-certificates and 50-compose",
        )
        for name, path in places.items()
    ]


def check_days(claim: str, certificate: tls.Certificate, *, days: int, now: datetime.datetime, remedy: str) -> Result:
    """Return the result of a claim that a certificate is valid now, and will be for so many days."""
    left = (certificate.not_after - now).days
    dates = f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
    is_valid = certificate.not_before <= now and left >= days
    expected = f"valid for at least {days} days more"
    found = f"{left} days left, {dates}"
    return Result(
        claim=f"{claim}, dates", expected=expected, found=found, passed=is_valid, refusal=False, remedy=remedy
    )


def _check_key(parameters: Parameters) -> list[Result]:
    """Return the row of the key that the next renewal needs, as far as it can be read without its passphrase."""
    if parameters.certificate_source == "own":
        return []
    return [check_key(certificates.gather(parameters).authority_key, f"in {parameters.ca_key_path}")]


def check_key(state: str, where: str) -> Result:
    """Return the result of the claim that the authority's key, in a state that facts tell, is that of its certificate.

    One that is locked by a passphrase which nobody gives passes: nobody can tell.
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
    """Return the rows of what strangers must not, and a user must be able to send; nothing of it is stored."""
    client = engine.require(parameters.timeout_seconds)
    found = compose.registry_containers(client, parameters.compose_project)
    if not found:
        raise HostError("a container of the registry", "none", "run the notebook 50-compose")
    stored = storage.Storage(client=client, container=found[0].name)
    docker_client.refuse_occupied(stored, parameters.test_reference, "test_reference")
    repository, _ = split_reference(parameters.test_reference)
    remedy = "run the notebooks 40-configuration and 50-compose"
    try:
        return check_uploads(push_pull.registry_of(parameters), repository, size=_UPLOAD_BYTES, remedy=remedy)
    finally:
        with suppress(HostError):  # a container that does not run has taken no upload either
            stored.remove_repository(repository, ())


def check_uploads(known: api.Registry, repository: str, *, size: int, remedy: str) -> list[Result]:
    """Return the rows: no catalogue and no upload without a login; with it, an upload that is sent and cancelled."""
    stranger = replace(known, login=None)
    catalogue = stranger.ask("/v2/_catalog")
    return [
        refused("the catalogue, without a login", expected="401", found=str(catalogue), remedy=remedy),
        refused("a push, without a login", expected="401", found=stranger.try_upload(repository, 1), remedy=remedy),
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
    """Return the rows of the comparison with the state in a file; no section where none was accepted yet."""
    patience, claim = patience or Patience(), "the comparison with the accepted state"

    def compared() -> list[Result]:
        kept = files.read_text(path)
        return [] if kept is None else baseline.compare(baseline.read(kept), gather_state())

    with patience.spent():
        rows = _beside({claim: partial(_tried, claim, "75-prove", compared)}, patience)[claim]
    rows = [_unended(claim)] if rows is None else rows
    return {COMPARED: rows} if rows else {}
