"""The executor: the only module that changes the host.

`python -m runbook.apply` is the same for root: it makes the changes that are handed to it, one JSON object a line.
"""

import datetime
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import bcrypt
from cryptography import x509

from runbook import secrets
from runbook.changes import (
    Change,
    ComposeUp,
    ConfigureEngine,
    ConfigureNginx,
    CopyFile,
    EnableEngine,
    EnableTimer,
    GenerateSecret,
    InstallCertificate,
    InstallPackages,
    IssueAuthority,
    IssueCertificate,
    LeftToUser,
    MakeDirectory,
    ObtainImage,
    PushClientImage,
    RemoveObject,
    RemoveSite,
    RemoveTimer,
    RemoveTree,
    RestartEngine,
    RestoreEngineFile,
    RestoreFile,
    RunContainer,
    SetKernel,
    SetMode,
    SetPassword,
    StartEngine,
    WriteFile,
    from_json,
)
from runbook.errors import ApplyError, ChangedError, HostError, InterruptError, RunbookError
from runbook.outside import (
    client_kit,
    compose,
    daemon_json,
    drift,
    engine,
    engine_configuration,
    files,
    images,
    kernel,
    nginx,
    own_certificate,
    packages,
    proof_timer,
    registry_api,
    sudo,
    tls,
)
from runbook.outside.engine_configuration import Registries

State = Literal["done", "left to you"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one change, how long it took, and what it says of itself."""

    change: Change
    state: State
    seconds: float = 0.0
    note: str = ""


def apply(
    changes: Sequence[Change],
    *,
    timeout_seconds: float = 60,
    before: Callable[[int, Change], None] | None = None,
    after: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Make the changes in order and return what became of each; `timeout_seconds` bounds each wait for an engine.

    `before` is called with each change and its number, from 1, before it is made; `after` with what became of it.

    A user who is not root makes those that need no root; the others are handed over to one call of sudo.
    Before the first one is made, all are looked at: a place that cannot be written, or a sudo that asks for a password,
    is found while nothing has changed. Stops at the first failure, or interrupt, with an ApplyError that says what was
    done and what was not; the cause is chained.
    """
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        root: sudo.Root | None = None

        def hand_over(change: Change) -> sudo.Root | None:
            """Return the process of root's, where this user needs it for a change."""
            nonlocal root
            if os.geteuid() != 0 and needs_root(change):
                root = root or stack.enter_context(sudo.root("runbook.apply", timeout_seconds))
                return root
            return None

        for change in changes:
            with _telling(change, outcomes, len(changes)):
                helper = hand_over(change)
                (helper.look_at if helper else look_at)(change)
        for number, change in enumerate(changes, start=1):
            started = time.monotonic()
            with _telling(change, outcomes, len(changes)):
                if before:
                    before(number, change)
                helper = hand_over(change)
                note = helper.make(change) if helper else _make(change, timeout_seconds)
            state: State = "left to you" if isinstance(change, LeftToUser) else "done"
            outcomes.append(Outcome(change=change, state=state, seconds=time.monotonic() - started, note=note))
            if after:
                after(outcomes[-1])
    return outcomes


@contextmanager
def _telling(change: Change, outcomes: Sequence[Outcome], planned: int) -> Iterator[None]:
    """Raise ApplyError for what goes wrong with a change."""
    try:
        yield
    except (RunbookError, OSError, KeyboardInterrupt) as error:
        raise _failure(change, error, outcomes, planned) from error


def look_at(change: Change) -> None:
    """Raise HostError where a change cannot be made, as far as its places tell; nothing is changed."""
    match change:
        case InstallPackages():
            for place in _PLACES_OF_PACKAGES:
                files.require_writable(place)
        case IssueAuthority():
            files.require_place_for_file(change.key_path)
            files.require_place_for_file(change.certificate_path)
        case MakeDirectory():
            files.require_place_for_folder(change.path)
        case RunContainer() | ComposeUp() | ObtainImage() | LeftToUser() | PushClientImage() | RemoveObject():
            pass
        case StartEngine() | EnableEngine() | RestartEngine() | SetKernel():
            pass
        case EnableTimer() | RemoveTimer():
            files.require_writable(proof_timer.FOLDER)
        case SetMode() | RemoveTree() | RemoveSite():
            files.require_writable(change.path)
        case _:
            files.require_place_for_file(change.path)


_PLACES_OF_PACKAGES = (Path("/etc"), Path("/usr"), Path("/var/lib/dpkg"))


_SYSTEM = (
    *(InstallPackages, StartEngine, EnableEngine, RestartEngine, ConfigureEngine, RestoreEngineFile, SetKernel),
    *(ConfigureNginx, RemoveSite, EnableTimer, RemoveTimer),
)


def needs_root(change: Change) -> bool:
    """Return whether this user, who may speak to the engine, cannot make a change without root."""
    match change:
        case RunContainer() | ComposeUp() | RemoveObject() | PushClientImage() | LeftToUser():
            return False
        case ObtainImage():
            return "package" in change.sources
        case SetMode():
            return not files.is_own(change.path)
        case IssueAuthority():
            return not files.may_change(change.key_path)
    return isinstance(change, _SYSTEM) or not files.may_change(change.path)


def _failure(change: Change, error: BaseException, outcomes: Sequence[Outcome], planned: int) -> ApplyError:
    kind, expected, found, remedy = ApplyError, f"to {change}", engine.words(error), "remove the cause; then "
    if isinstance(error, RunbookError):
        expected, found, remedy = error.expected, error.found, f"{error.remedy}; then "
    elif isinstance(error, KeyboardInterrupt):
        kind, found, remedy = InterruptError, "an interrupt", ""
    found += kernel.who_holds(found)
    done = "; ".join(str(outcome.change) for outcome in outcomes) or "nothing"
    return kind(
        expected,
        f"{found} (failed: {change}; done before it: {done}; not reached: {planned - len(outcomes) - 1})",
        f"{remedy}run this notebook again, it goes on from here",
    )


def _make(change: Change, timeout_seconds: float) -> str:  # noqa: C901, PLR0912, PLR0915 (one case a kind of change)
    _refuse_drift(change)
    match change:
        case InstallPackages():
            packages.install(change.names)
        case StartEngine():
            engine.start(change.supervisor, timeout_seconds)
        case EnableEngine():
            engine.enable()
        case RestartEngine():
            engine.restart(change.supervisor, timeout_seconds)
        case SetKernel():
            kernel.write_setting(change.name, change.after)
        case MakeDirectory():
            files.make_directory(change.path, change.mode)
        case SetMode():
            change.path.chmod(change.after)
        case WriteFile():
            return _write(change)
        case ConfigureEngine():
            return _configure_engine(change, timeout_seconds)
        case ConfigureNginx():
            _configure_nginx(change, timeout_seconds)
        case RemoveSite():
            _remove_site(change, timeout_seconds)
        case CopyFile():
            files.write(change.path, change.source.read_bytes(), change.mode)
        case GenerateSecret():
            files.write(change.path, f"{secrets.ask_or_generate(change.purpose)}\n".encode(), 0o600)
        case IssueAuthority():
            _issue_authority(change)
        case IssueCertificate():
            _issue_certificate(change)
        case InstallCertificate():
            _install_certificate(change)
        case SetPassword():
            _set_password(change)
        case ObtainImage():
            return images.obtain(engine.require(timeout_seconds), change)
        case RunContainer():
            engine.run_container(engine.require(timeout_seconds), change)
        case ComposeUp():
            compose.up(change.path, change.project, timeout_seconds)
        case LeftToUser():
            return change.text.strip()
        case PushClientImage():
            _push_client_image(change)
        case EnableTimer():
            proof_timer.enable(change)
        case RemoveTimer():
            proof_timer.remove(change)
        case RestoreFile():
            files.restore(change.path)
        case RestoreEngineFile():
            _restore_engine_file(change, timeout_seconds)
        case RemoveObject():
            engine.remove(engine.require(timeout_seconds), change)
        case RemoveTree():
            files.remove_tree(change.path)
    return ""


def _refuse_changed(path: Path, found: object, before: object) -> None:
    if found != before:
        what = (
            "nothing there" if found is None else "something there" if before is None else "it changed since the plan"
        )
        raise ChangedError(f"{path} as it was when the plan was made", what, "plan again")


def _refuse_drift(change: Change) -> None:
    """Raise ChangedError where a change would overwrite or remove what nobody had seen when the plan was made."""
    match change:
        case (
            CopyFile() | IssueCertificate() | InstallCertificate() | SetPassword() | RestoreFile() | RestoreEngineFile()
        ):
            _refuse_changed(change.path, drift.state(change.path), change.before)
        case RemoveTree() if (found := drift.state(change.path)) is not None:
            _refuse_changed(change.path, found, change.before)
        case RemoveTimer():
            for path, before in zip(change.paths, change.before, strict=True):
                _refuse_changed(path, drift.state(path), before)
        case SetMode() if (mode := files.mode_of(change.path)) != change.after:
            _refuse_changed(change.path, mode, change.before)
        case IssueAuthority():
            _refuse_changed(change.certificate_path, drift.state(change.certificate_path), None)
        case GenerateSecret():
            _refuse_changed(change.path, files.read_text(change.path) or None, None)


def _write(change: WriteFile) -> str:
    found = files.read_text(change.path)
    if found is not None:
        found = secrets.conceal(found, change.secrets)
    _refuse_changed(change.path, found, change.before)
    kept = f"the earlier version is {files.keep(change.path)}" if change.keep and change.before is not None else ""
    files.write(change.path, secrets.reveal(change.after, change.secrets).encode(), change.mode)
    return kept


def _configure_engine(change: ConfigureEngine, timeout_seconds: float) -> str:
    found = files.read_text(change.path)
    _refuse_changed(change.path, found if found is None else daemon_json.conceal(found), change.before)
    if change.after == change.before:
        _reload_engine(change, timeout_seconds)
        return ""
    merged = daemon_json.merge(
        found, insecure_registries=change.insecure_registries, registry_mirrors=change.registry_mirrors
    )
    engine_configuration.validate(merged)
    beside = (files.kept_path(change.path), files.made_path(change.path))
    is_first = not any(path.exists() for path in beside)
    kept = files.keep_or_mark(change.path)
    with _put_back(change, found, timeout_seconds, and_remove=beside if is_first else ()):
        files.write(change.path, merged.encode(), files.mode_of(change.path) or 0o644)
        _reload_engine(change, timeout_seconds)
    return "" if kept is None else f"the earlier version is {kept}"


def _restore_engine_file(change: RestoreEngineFile, timeout_seconds: float) -> None:
    found = files.read_text(change.path)
    before = files.read_text(change.kept) if change.kept else None
    insecure, mirrors = daemon_json.lists(before)
    with _put_back(change, found, timeout_seconds):
        files.write(change.path, daemon_json.without_registries(before).encode(), files.mode_of(change.path) or 0o644)
        engine_configuration.reload(
            change.supervisor,
            wanted=Registries(insecure=insecure, mirrors=mirrors),
            unwanted=Registries(
                insecure=tuple(entry for entry in change.insecure_registries if entry not in insecure),
                mirrors=tuple(entry for entry in change.registry_mirrors if entry not in mirrors),
            ),
            timeout_seconds=timeout_seconds,
        )
    if change.kept:
        files.restore(change.path)
    else:
        files.remove_tree(change.path)
    files.remove_tree(files.made_path(change.path))


@contextmanager
def _put_back(
    change: ConfigureEngine | RestoreEngineFile,
    text: str | None,
    timeout_seconds: float,
    and_remove: Sequence[Path] = (),
) -> Iterator[None]:
    """Where the engine refuses, put daemon.json back as it was, `text`, and the engine with it."""
    mode = files.mode_of(change.path) or 0o644
    try:
        yield
    except RunbookError as error:
        _write_or_remove(change.path, text, mode)
        for path in and_remove:
            files.remove_tree(path)
        engine_configuration.recover(change.supervisor, timeout_seconds)
        told = f"{error.found} (so {change.path} is as it was before, and the engine answers)"
        raise HostError(error.expected, told, error.remedy) from error


def _configure_nginx(change: ConfigureNginx, timeout_seconds: float) -> None:
    _refuse_changed(change.path, files.read_text(change.path), change.before)
    try:
        if change.after != change.before:  # marked until nginx has read it: a run that was cut off is then seen
            files.write(change.path, f"{change.after}{nginx.UNREAD}".encode(), 0o644)
        nginx.load(change, timeout_seconds)
    except RunbookError as error:
        raise _put_site_back(change, error) from error
    if change.after != change.before:
        files.write(change.path, change.after.encode(), 0o644)


def _remove_site(change: RemoveSite, timeout_seconds: float) -> None:
    _refuse_changed(change.path, files.read_text(change.path), change.before)
    files.write(change.path, nginx.HEADER.encode(), 0o644)  # no site; the file goes once nginx has read that
    try:
        nginx.leave(change, timeout_seconds)
    except RunbookError as error:
        raise _put_site_back(change, error) from error
    files.remove_tree(change.path)


def _put_site_back(change: ConfigureNginx | RemoveSite, error: RunbookError) -> HostError:
    _write_or_remove(change.path, change.before, 0o644)
    nginx.recover()
    return HostError(error.expected, f"{error.found} (so {change.path} is as it was before)", error.remedy)


def _write_or_remove(path: Path, text: str | None, mode: int) -> None:
    if text is None:
        files.remove_tree(path)
    else:
        files.write(path, text.encode(), mode)


def _reload_engine(change: ConfigureEngine, timeout_seconds: float) -> None:
    engine_configuration.reload(
        change.supervisor,
        wanted=Registries(insecure=change.insecure_registries, mirrors=change.registry_mirrors),
        timeout_seconds=timeout_seconds,
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _issue_authority(change: IssueAuthority) -> None:
    passphrase = secrets.find_passphrase(change.passphrase_file)
    if change.key_path.exists():  # an earlier run was cut off between key and certificate, or the certificate was lost
        key = tls.load_key(change.key_path, passphrase)
    else:
        key = tls.generate_key(change.key_type)
        files.write(change.key_path, tls.key_text(key, passphrase), 0o600)
    certificate = tls.issue_authority(key, change.subject, now=_now(), validity_days=change.validity_days)
    files.write(change.certificate_path, tls.certificate_text(certificate), 0o644)


def _issue_certificate(change: IssueCertificate) -> None:
    authority = (
        tls.load_key(change.authority_key_path, secrets.find_passphrase(change.passphrase_file)),
        x509.load_pem_x509_certificate(change.authority_certificate_path.read_bytes()),
    )
    key = tls.generate_key(change.key_type)
    certificate = tls.issue_server(
        key,
        change.subject,
        dns_names=change.dns_names,
        addresses=change.addresses,
        authority=authority,
        now=_now(),
        validity_days=change.validity_days,
    )
    files.write(change.path, tls.key_text(key) + tls.certificate_text(certificate), 0o600)


def _install_certificate(change: InstallCertificate) -> None:
    key, chain = own_certificate.load_key(change.key_path), own_certificate.load_chain(change.chain_path)
    found = tuple(tls.fingerprint(certificate) for certificate in chain)
    if found != change.fingerprints or key.public_key() != chain[0].public_key():
        raise ChangedError(
            f"{change.key_path} and {change.chain_path} as planned", "another key or chain", "plan again"
        )
    files.write(change.path, own_certificate.pair_text(key, chain), 0o600)


def _set_password(change: SetPassword) -> None:
    password = secrets.require_password(change.password_file)
    line = f"{change.username}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(change.cost)).decode()}"
    others = [text for text in files.lines(change.path) if not text.strip().startswith(f"{change.username}:")]
    files.write(change.path, "".join(f"{text}\n" for text in (*others, line)).encode(), 0o600)


def _push_client_image(change: PushClientImage) -> None:
    image = client_kit.image()
    registry = registry_api.Registry(
        url=f"https://{change.registry}",
        login=(change.username, secrets.require_password(change.password_file)),
        tls=tls.trusting(change.authority_path.read_text(encoding="ascii")),
    )
    there = registry.ask(client_kit.manifest_path(change.reference), method="HEAD").headers.get("docker-content-digest")
    if there not in (None, change.digest):
        raise ChangedError(f"no image at {change.registry}/{change.reference}, as planned", there, "plan again")
    registry_api.push(
        registry, change.reference, blobs=image.blobs, manifest=image.manifest, media_type=client_kit.MANIFEST_TYPE
    )


def _give(change: Change, owner: tuple[int, int]) -> None:
    """Give what a change has made, and nobody else may read, to the user that it was made for."""
    places = (change.key_path,) if isinstance(change, IssueAuthority) else (getattr(change, "path", None),)
    for path in places:
        if path is not None and (mode := files.mode_of(path)) is not None and not mode & 0o077:
            os.chown(path, *owner, follow_symlinks=False)


def main() -> None:
    """Look at or make each change that comes in as JSON, one a line, and answer with its note or its error, one a line.

    The first line says for whom: `owner`, the user's and group's number, and `timeout_seconds`.
    """
    header = json.loads(sys.stdin.readline())
    for line in sys.stdin:
        asked, data = json.loads(line)
        change = from_json(data)
        try:
            if asked == "look at":
                look_at(change)
                answer = {"note": ""}
            else:
                answer = {"note": _make(change, header["timeout_seconds"])}
                _give(change, tuple(header["owner"]))
        except RunbookError as error:
            answer = {"expected": error.expected, "found": error.found, "remedy": error.remedy}
        except OSError as error:
            answer = {"expected": f"to {change}", "found": str(error), "remedy": "remove the cause"}
        print(json.dumps(answer), flush=True)  # noqa: T201 (the answer)


if __name__ == "__main__":
    main()
