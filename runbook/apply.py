"""The executor: the only module that changes the host.

`python -m runbook.apply` is the same for root: it makes the changes that are handed to it, one JSON object a line.
"""

import datetime
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import bcrypt
from cryptography import x509

from runbook import secrets, undo
from runbook.changes import (
    Change,
    ComposeUp,
    ConfigureEngine,
    ConfigureNginx,
    CopyFile,
    EnableEngine,
    EnableTimer,
    EnterEarlier,
    GenerateSecret,
    InstallCertificate,
    InstallPackages,
    IssueAuthority,
    IssueCertificate,
    LeftToUser,
    MakeDirectory,
    ObtainImage,
    PushClientImage,
    RemoveSite,
    RemoveTimer,
    RemoveTree,
    RestartEngine,
    RunContainer,
    SetKernel,
    SetMode,
    SetPassword,
    StartEngine,
    Thing,
    Undo,
    WriteFile,
    from_json,
    things,
)
from runbook.errors import ApplyError, ChangedError, InterruptError, RunbookError
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
    ledger,
    lock,
    nginx,
    own_certificate,
    packages,
    ports,
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
    entering: bool = True,
) -> list[Outcome]:
    """Make the changes in order and return what became of each; `timeout_seconds` bounds each wait for an engine.

    `before` is called with each change and its number, from 1, before it is made; `after` with what became of it.
    What is made is entered in the ledger first, unless `entering` is False: it is not this host's registry then.

    A user who is not root makes those that need no root; the others are handed over to one call of sudo.
    Before the first one is made, all are looked at: a place that cannot be written, or a sudo that asks for a password,
    is found while nothing has changed. Stops at the first failure, or interrupt, with an ApplyError that says what was
    done and what was not; the cause is chained.
    """
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        root: sudo.Root | None = None

        def hand_over(change: Change) -> sudo.Root | None:
            """Return the process of root's, where this user needs it for a change or for its entry in the ledger."""
            nonlocal root
            if os.geteuid() != 0 and (
                needs_root(change) or (entering and things(change) and _has_ledger(timeout_seconds))
            ):
                root = root or stack.enter_context(sudo.root("runbook.apply", timeout_seconds))
                return root
            return None

        for change in changes:
            with _telling(change, outcomes, len(changes)):
                helper = hand_over(change)
                (helper.look_at if helper and needs_root(change) else look_at)(change)
        for number, change in enumerate(changes, start=1):
            started = time.monotonic()
            with _telling(change, outcomes, len(changes)):
                if before:
                    before(number, change)
                helper = hand_over(change)
                with _entered(change, entering=entering, helper=helper, timeout_seconds=timeout_seconds):
                    by_root = helper and needs_root(change)
                    note = helper.make(change) if helper and by_root else _make(change, timeout_seconds)
            state: State = "left to you" if isinstance(change, LeftToUser) else "done"
            outcomes.append(Outcome(change=change, state=state, seconds=time.monotonic() - started, note=note))
            if after:
                after(outcomes[-1])
    return outcomes


def _has_ledger(timeout_seconds: float) -> bool:
    """Return whether what is made here is entered: not on Docker Desktop, whose engine is in a virtual machine."""
    client = engine.connect(timeout_seconds)
    return client is None or not engine.is_desktop(client)


@contextmanager
def _telling(change: Change, outcomes: Sequence[Outcome], planned: int) -> Iterator[None]:
    """Raise ApplyError for what goes wrong with a change."""
    try:
        yield
    except (RunbookError, OSError, KeyboardInterrupt) as error:
        raise _failure(change, error, outcomes, planned) from error


def look_at(change: Change) -> None:  # noqa: C901, PLR0912 (one case a kind of change)
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
        case RunContainer() | ComposeUp() | ObtainImage() | LeftToUser() | PushClientImage():
            pass
        case EnterEarlier():
            files.require_writable(ledger.FOLDER)
        case Undo(
            thing=Thing(kind="file" | "hosts file" | "engine file" | "site" | "folder" | "mode" as kind, name=name)
        ):
            if change.action not in ("forget", "leave"):
                (files.require_place_for_folder if kind == "folder" else files.require_writable)(Path(name))
        case Undo():
            pass
        case StartEngine() | EnableEngine() | RestartEngine() | SetKernel():
            pass
        case EnableTimer() | RemoveTimer():
            files.require_writable(proof_timer.FOLDER)
        case SetMode() | RemoveTree() | RemoveSite():
            files.require_own_way(change.path)
            files.require_writable(change.path)
        case _:
            files.require_place_for_file(change.path)


_PLACES_OF_PACKAGES = (Path("/etc"), Path("/usr"), Path("/var/lib/dpkg"))


_SYSTEM = (
    *(InstallPackages, StartEngine, EnableEngine, RestartEngine, ConfigureEngine, SetKernel),
    *(ConfigureNginx, RemoveSite, EnableTimer, RemoveTimer, EnterEarlier, Undo),
)


def needs_root(change: Change) -> bool:
    """Return whether this user, who may speak to the engine, cannot make a change without root."""
    match change:
        case RunContainer() | ComposeUp() | PushClientImage() | LeftToUser():
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
    who, how = ports.holder_of(found)
    found, remedy = f"{found}{who}", f"{how}{remedy}"
    done = "; ".join(str(outcome.change) for outcome in outcomes) or "nothing"
    return kind(
        expected,
        f"{found} (failed: {change}; done before it: {done}; not reached: {planned - len(outcomes) - 1})",
        f"{remedy}run this notebook again, it goes on from here",
    )


@contextmanager
def _entered(change: Change, *, entering: bool, helper: sudo.Root | None, timeout_seconds: float) -> Iterator[None]:
    """Enter in the ledger what a change makes, before it is made, and afterwards how it is; only root may do it."""
    if not entering or (helper is None and os.geteuid() != 0):
        yield
        return
    begun = helper.enter(change) if helper else bool(entries := enter(change, timeout_seconds))

    def settle() -> None:
        if begun and helper:
            helper.settle(change)
        elif begun:
            ledger.settle(entries, timeout_seconds)

    try:
        yield
    except BaseException:
        with suppress(Exception):  # the entry then says that the thing is being made; why the change failed counts
            settle()
        raise
    settle()


def enter(change: Change, timeout_seconds: float) -> tuple[ledger.Entry, ...]:
    """Enter in the ledger what a change makes, and return the entries; raises ChangedError where it would lose an edit.

    What apt adds is known only once its lists are up to date.
    """
    _refuse_drift(change)
    wanted = things(change)
    if isinstance(change, InstallPackages):
        packages.update()
        new = packages.would_install(change.names)
        of_engine = _made_by_engine() if "docker.io" in new else ()
        wanted = (*of_engine, Thing(kind="packages", name=" ".join(new), belongs="packages")) if new else ()
    return ledger.enter(wanted, timeout_seconds) if wanted else ()


def _made_by_engine() -> tuple[Thing, ...]:
    """Return what an engine makes beside its package's files: it is left when the package goes."""
    folders = [Thing(kind="folder", name=str(folder), belongs="packages") for folder in engine.FOLDERS]
    key = Thing(kind="file", name=str(engine.KEY_FILE), belongs="packages")
    log = Thing(kind="file", name=str(engine.PROCESS_LOG), belongs="packages")
    return (*folders, key, log, Thing(kind="group", name=engine.GROUP, belongs="packages"))


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
            nginx.remove(change, timeout_seconds)
            ledger.drop_paths(change.path)
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
            ledger.drop_paths(*change.paths, Path(change.name))
        case RemoveTree():
            files.remove_tree(change.path)
            ledger.drop_paths(change.path)
        case EnterEarlier():
            ledger.begin(change.found)
        case Undo():
            return undo.undo(change, timeout_seconds)
    return ""


def _refuse_drift(change: Change) -> None:
    """Raise ChangedError where a change would overwrite or remove what nobody had seen when the plan was made."""
    match change:
        case CopyFile() | IssueCertificate() | InstallCertificate() | SetPassword():
            drift.refuse_changed(change.path, drift.state(change.path), change.before)
        case RemoveTree() if (found := drift.state(change.path)) is not None:
            drift.refuse_changed(change.path, found, change.before)
        case RemoveTimer():
            for path, before in zip(change.paths, change.before, strict=True):
                drift.refuse_changed(path, drift.state(path), before)
        case SetMode() if (mode := files.mode_of(change.path)) != change.after:
            drift.refuse_changed(change.path, mode, change.before)
        case IssueAuthority():
            drift.refuse_changed(change.certificate_path, drift.state(change.certificate_path), None)
        case GenerateSecret():
            drift.refuse_changed(change.path, files.read_text(change.path) or None, None)


def _write(change: WriteFile) -> str:
    found = files.read_text(change.path)
    if found is not None:
        found = secrets.conceal(found, change.secrets)
    drift.refuse_changed(change.path, found, change.before)
    kept = f"the earlier version is {files.keep(change.path)}" if change.keep and change.before is not None else ""
    files.write(change.path, secrets.reveal(change.after, change.secrets).encode(), change.mode)
    return kept


def _configure_engine(change: ConfigureEngine, timeout_seconds: float) -> str:
    found = files.read_text(change.path)
    drift.refuse_changed(change.path, found if found is None else daemon_json.conceal(found), change.before)
    if change.after == change.before:
        _reload_engine(change, timeout_seconds)
        return ""
    merged = daemon_json.merge(
        found, insecure_registries=change.insecure_registries, registry_mirrors=change.registry_mirrors
    )
    engine_configuration.validate(merged)
    kept = files.kept_path(change.path)
    is_first = found is not None and not kept.exists()
    if is_first:
        files.keep(change.path)
    beside = (kept,) if is_first else ()
    with engine_configuration.put_back(change.path, change.supervisor, timeout_seconds, and_remove=beside):
        files.write(change.path, merged.encode(), files.mode_of(change.path) or 0o644)
        _reload_engine(change, timeout_seconds)
    return "" if found is None else f"the earlier version is {kept}"


def _configure_nginx(change: ConfigureNginx, timeout_seconds: float) -> None:
    drift.refuse_changed(change.path, files.read_text(change.path), change.before)
    try:
        if change.after != change.before:  # marked until nginx has read it: a run that was cut off is then seen
            files.write(change.path, f"{change.after}{nginx.UNREAD}".encode(), 0o644)
        nginx.load(change, timeout_seconds)
    except RunbookError as error:
        raise nginx.put_back(change, error) from error
    if change.after != change.before:
        files.write(change.path, change.after.encode(), 0o644)


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
    """Look at, enter, make or settle each change that comes in as JSON, one a line; answer with a note or error each.

    The first line says for whom: `owner`, the user's and group's number, and `timeout_seconds`. The note of an entry
    says how many things were entered; they are settled before the next change.
    """
    with ExitStack() as stack:
        _serve(json.loads(sys.stdin.readline()), stack)


def _serve(header: Mapping[str, Any], stack: ExitStack) -> None:
    begun: tuple[ledger.Entry, ...] = ()
    keep_others_out = functools.cache(lambda: stack.enter_context(lock.hold()))
    for line in sys.stdin:
        asked, data = json.loads(line)
        change, note = from_json(data), ""
        try:
            keep_others_out()
            match asked:
                case "look at":
                    look_at(change)
                case "enter":
                    begun = enter(change, header["timeout_seconds"])
                    note = str(len(begun))
                case "settle":
                    ledger.settle(begun, header["timeout_seconds"])
                case _:
                    note = _make(change, header["timeout_seconds"])
                    _give(change, tuple(header["owner"]))
            answer = {"note": note}
        except RunbookError as error:
            answer = {"expected": error.expected, "found": error.found, "remedy": error.remedy}
        except OSError as error:
            answer = {"expected": f"to {change}", "found": str(error), "remedy": "remove the cause"}
        print(json.dumps(answer), flush=True)  # noqa: T201 (the answer)


if __name__ == "__main__":
    main()
