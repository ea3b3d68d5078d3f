"""The certificates: a private authority, a server certificate, and the engine's trust in the authority.

With `certificate_source: own`, a supplied key and chain, and the trust in their authority. Both variants produce the
same files and the same proof, so they share one module, which is longer than others.

Notebook: 30-certificates. Source: RFC 5280; Docker Engine documentation, "Verify repository client with certificates".
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from runbook.changes.base import Change
from runbook.changes.certificates import InstallCertificate, IssueAuthority, IssueCertificate
from runbook.changes.files import CopyFile, MakeDirectory, SetMode, WriteFile
from runbook.changes.manual import LeftToUser
from runbook.model.errors import HostError
from runbook.model.parameters import Parameters
from runbook.model.results import Result, refused, works
from runbook.system import credentials
from runbook.system.certificates import supplied, supplied_rules, tls, validation
from runbook.system.docker import certs_d, engine
from runbook.system.host import file_state, files, network

_FOLDER, _FILE = 0o700, 0o600
_COMMON_NAME_LENGTH = 64  # RFC 5280 appendix A.1, ub-common-name
KEY_OF_ANOTHER = "it is not the key of the authority's certificate"


@dataclass(frozen=True, kw_only=True, slots=True)
class CertificateFacts:
    """The current state of keys and certificates; `modes` are the permission bits of each path, None if it is absent.

    `authority_key` is `absent`, `fits`, or what is wrong with it. `server_fits` is whether both the server's key and
    the authority's signature match its certificate. `states` are the fingerprints that show a later change of a file
    that may be overwritten. `brought` is what the user supplied, None if the certificate is issued here.
    `intermediates` are those of the chain, the one that the authority signed first. `others` are the other names in the
    private folder. `overruling` is what the engine reads in place of its trust, None for nothing.
    """

    now: datetime.datetime
    address: str
    authority: tls.Certificate | None
    authority_text: str | None
    authority_key: str
    server: tls.Certificate | None
    server_fits: bool
    trusted: str | None
    modes: tuple[tuple[Path, int | None], ...]
    brought: supplied.SuppliedCertificate | None = None
    is_desktop: bool = False
    intermediates: tuple[tls.Certificate, ...] = ()
    states: tuple[tuple[Path, str | None], ...] = ()
    others: tuple[str, ...] = ()
    overruling: Path | None = None

    def state(self, path: Path) -> str | None:
        """Return the fingerprint of a path, None if there was nothing."""
        return dict(self.states).get(path)

    def mode(self, path: Path) -> int | None:
        """Return the permission bits of a gathered path."""
        return dict(self.modes)[path]


def _load(text: str | None, path: Path) -> x509.Certificate | None:
    if text is None:
        return None
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError as error:
        raise HostError(
            f"a certificate in {path}", str(error), "move the file away, or bring the right one back"
        ) from error


def gather(parameters: Parameters) -> CertificateFacts:
    """Return the facts; raises HostError for a file that holds no certificate, SecretError for no passphrase file."""
    text = files.read_text(parameters.ca_certificate_path)
    authority = _load(text, parameters.ca_certificate_path)
    server_text = files.read_text(parameters.certificate_path)
    server = _load(server_text, parameters.certificate_path)
    own = parameters.certificate_source == "own"
    client = engine.connect(parameters.timeout_seconds)
    is_desktop = client is not None and engine.is_desktop(client)
    return CertificateFacts(
        now=datetime.datetime.now(datetime.UTC),
        address=network.address_of(parameters.address),
        authority=tls.describe(authority) if authority else None,
        authority_text=text,
        authority_key="absent" if own else _state_of_key(parameters, authority),
        server=tls.describe(server) if server else None,
        server_fits=bool(server_text and server and authority and _fits(server_text, server, authority)),
        trusted=files.read_text(_trust_path(parameters, is_desktop=is_desktop)),
        is_desktop=is_desktop,
        modes=tuple((path, files.mode_of(path)) for path in _wanted_modes(parameters)),
        brought=_gather_brought(parameters, server_text) if own else None,
        intermediates=_intermediates(server_text, authority),
        states=tuple(
            (path, file_state.fingerprint(path)) for path in (parameters.certificate_path, parameters.trust_path)
        ),
        others=_others(Path(parameters.private_directory)),
        overruling=certs_d.overruling(client, parameters.trust_path, text),
    )


def _others(private: Path) -> tuple[str, ...]:
    """Return the names in a private folder that are not the runbook's, nor a private folder of another deployment."""
    own = {"ca", "secrets", "accepted.json"}
    names = [name for name in files.names_in(private) if files.final_name(name) not in own]
    return tuple(name for name in names if not own.issuperset(files.names_in(private / name) or ("none",)))


def _intermediates(text: str | None, authority: x509.Certificate | None) -> tuple[tls.Certificate, ...]:
    """Return the certificates in the server's file except its own and the authority's; none if it is unreadable."""
    try:
        _, *others = x509.load_pem_x509_certificates((text or "").encode())
    except ValueError:
        return ()
    return tuple(tls.describe(certificate) for certificate in reversed(others) if certificate != authority)


def _is_desktop(parameters: Parameters) -> bool:
    client = engine.connect(parameters.timeout_seconds)
    return client is not None and engine.is_desktop(client)


def _trust_path(parameters: Parameters, *, is_desktop: bool) -> Path:
    """Return where this engine reads the authority from; Docker Desktop reads it from the user's home folder."""
    folder = Path.home() / ".docker" / "certs.d"
    return folder / parameters.registry_host / "ca.crt" if is_desktop else parameters.trust_path


def _gather_brought(parameters: Parameters, text: str | None) -> supplied.SuppliedCertificate:
    return supplied.gather(
        key_path=Path(parameters.own_key_file),
        chain_path=Path(parameters.own_certificate_file),
        authority_path=Path(parameters.own_authority_file) if parameters.own_authority_file else None,
        name=parameters.domain,
        text=text,
    )


def passphrase_file(parameters: Parameters) -> Path | None:
    """Return the operator's file with the authority key's passphrase, None if there is none."""
    return Path(parameters.ca_passphrase_file) if parameters.ca_passphrase_file else None


def _state_of_key(parameters: Parameters, authority: x509.Certificate | None) -> str:
    passphrase = credentials.find_passphrase(passphrase_file(parameters))
    if not parameters.ca_key_path.exists():
        return "absent"
    try:
        key = tls.load_key(parameters.ca_key_path, passphrase)
    except HostError as error:
        return error.found
    if authority is not None and key.public_key() != authority.public_key():
        return KEY_OF_ANOTHER
    return "fits"


def _fits(text: str, server: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
        server.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 (any invalid pair is reissued)
        return False
    return key.public_key() == server.public_key()


def _subject(parameters: Parameters, common_name: str) -> tls.Subject:
    pairs = (
        ("C", parameters.subject_country),
        ("ST", parameters.subject_state),
        ("L", parameters.subject_locality),
        ("O", parameters.subject_organization),
        ("CN", common_name),
    )
    return tuple((name, value) for name, value in pairs if value)


def _names(parameters: Parameters, address: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the host names and addresses of the server certificate, without duplicates.

    A supplied certificate need not have this host's addresses: clients use the name, and many authorities sign no
    private addresses. An address that clients do use belongs in extra_addresses.
    """
    addresses = (address, "127.0.0.1", *parameters.extra_addresses)
    if parameters.certificate_source == "own":
        addresses = tuple(parameters.extra_addresses)
    return tuple(dict.fromkeys((parameters.domain, *parameters.extra_names))), tuple(dict.fromkeys(addresses))


def _why_issue(parameters: Parameters, facts: CertificateFacts) -> str | None:  # noqa: PLR0911 (one return a reason)
    """Return why to issue the server certificate, None if it is as wanted."""
    server = facts.server
    if server is None:
        return "there is none"
    if facts.authority is None or not facts.server_fits:
        return "its key or its issuer does not fit"
    dns_names, addresses = _names(parameters, facts.address)
    if (set(dns_names), set(addresses)) != (set(server.dns_names), set(server.addresses)):
        return "its names differ"
    if server.key_type != parameters.key_type:
        return f"its key is {server.key_type}"
    if server.lifetime_days != parameters.validity_days:
        return f"it is valid for {server.lifetime_days} days"
    if server.not_after - facts.now < datetime.timedelta(days=parameters.renew_before_days):
        return f"it expires on {server.not_after:%Y-%m-%d}"
    return None


def _by_hand(parameters: Parameters) -> str:
    places = f"{parameters.ca_key_path.parent} and {parameters.certificate_path}"
    return f"bring the right one back; or, to begin a new authority, move {places} away"


def _refuse_dates(parameters: Parameters, facts: CertificateFacts) -> None:
    """Raise HostError if a certificate is not valid yet, or the authority has expired, by this host's clock.

    An expired server certificate is reissued. One that is not valid yet means that the clock was set back.
    """
    now = f"{facts.now:%Y-%m-%d %H:%M} UTC by this host's clock"
    places = ((facts.authority, parameters.ca_certificate_path), (facts.server, parameters.certificate_path))
    for certificate, path in places:
        if certificate is not None and certificate.not_before > facts.now:
            found = f"it is valid from {certificate.not_before:%Y-%m-%d %H:%M} UTC"
            remedy = f"set the clock right; or, if it is right, move {path} away"
            raise HostError(f"a certificate in {path} that is valid now, {now}", found, remedy)
    if facts.authority is not None and facts.authority.not_after <= facts.now:
        raise HostError(
            f"an authority that is valid now, {now}",
            f"it expired on {facts.authority.not_after:%Y-%m-%d %H:%M} UTC",
            f"set the clock right where it is wrong; else {_by_hand(parameters)}",
        )


def _refuse_authority(parameters: Parameters, facts: CertificateFacts) -> None:
    """Raise HostError if the existing authority cannot sign: the runbook never replaces it on its own."""
    key_path, authority, by_hand = parameters.ca_key_path, facts.authority, _by_hand(parameters)
    if facts.authority_key == tls.WRONG_PASSPHRASE:
        remedy = "give the right one in RUNBOOK_CA_PASSPHRASE, or in the file that ca_passphrase_file names"
        raise HostError(f"the passphrase of {key_path}", facts.authority_key, remedy)
    if facts.authority_key not in ("fits", "absent"):
        raise HostError(f"the authority's key in {key_path}", facts.authority_key, by_hand)
    if facts.authority_key == "absent" and (authority is not None or facts.server is not None):
        raise HostError(f"the authority's key in {key_path}", "no such file, though it has signed already", by_hand)
    if authority is None:
        return
    if authority.not_after < facts.now + datetime.timedelta(days=parameters.validity_days):
        raise HostError(
            f"an authority that outlives the server certificate of {parameters.validity_days} days",
            f"it expires on {authority.not_after:%Y-%m-%d}",
            f"set validity_days lower, or {by_hand}",
        )


def is_made(facts: CertificateFacts) -> bool:
    """Return whether this section has been applied before."""
    return facts.server is not None


def _refuse_other_subject(parameters: Parameters, facts: CertificateFacts) -> None:
    """Raise HostError if the existing authority's name is not the one in the parameters."""
    wanted = tls.subject_text(_subject(parameters, parameters.ca_common_name))
    if facts.authority is not None and facts.authority.subject != wanted:
        raise HostError(
            f"the authority {wanted} in {parameters.ca_certificate_path}",
            facts.authority.subject,
            "set certificate_source to own where it was brought along (the way back: move "
            f"{parameters.ca_certificate_path}{files.KEPT}, where there is one, back to its name); else set "
            "ca_common_name and subject_… to that, or private_directory to a folder for a new authority",
        )


def plan(parameters: Parameters, facts: CertificateFacts) -> list[Change]:
    """Return the changes that bring authority, server certificate and trust to the wanted state; empty if none.

    Raises HostError if the authority cannot sign a needed certificate, a supplied certificate is not valid, or the
    engine would not read its trust.
    """
    certs_d.refuse(facts.overruling, parameters.trust_path)
    if facts.brought is not None:
        return _plan_own(parameters, facts, facts.brought)
    reason = _why_issue(parameters, facts)
    _refuse_other_subject(parameters, facts)
    _refuse_dates(parameters, facts)
    if reason or facts.authority is None:
        _refuse_authority(parameters, facts)
    changes = _plan_places(parameters, facts)
    if facts.authority is None:
        changes.append(
            IssueAuthority(
                key_path=parameters.ca_key_path,
                certificate_path=parameters.ca_certificate_path,
                subject=_subject(parameters, parameters.ca_common_name),
                key_type=parameters.key_type,
                validity_days=parameters.ca_validity_days,
                passphrase_file=passphrase_file(parameters),
            )
        )
    if reason:
        changes.append(_issue(parameters, facts, reason))
    if facts.authority_text is None or facts.trusted != facts.authority_text:
        changes.append(_trust(parameters, facts))
    return changes


def _trust(parameters: Parameters, facts: CertificateFacts) -> Change:
    """Return the change that makes the engine trust the authority: a copy of its certificate or, on Desktop, a task."""
    source = parameters.ca_certificate_path
    if facts.is_desktop:
        folder = f"~/.docker/certs.d/{parameters.registry_host}"
        task = "in a terminal of your own user: copy the authority's certificate, then restart Docker Desktop"
        return LeftToUser(task=task, text=f"mkdir -p {folder}\ncp {source} {folder}/ca.crt\n")
    return CopyFile(source=source, path=parameters.trust_path, mode=0o444, before=facts.state(parameters.trust_path))


def _plan_own(parameters: Parameters, facts: CertificateFacts, brought: supplied.SuppliedCertificate) -> list[Change]:
    """Return the changes that install the supplied files, and back up an authority that was there before."""
    dns_names, addresses = _names(parameters, facts.address)
    authority = supplied_rules.refuse(brought, names=(*dns_names, *addresses), now=facts.now)
    changes = _plan_places(parameters, facts)
    path, before, after = parameters.ca_certificate_path, facts.authority_text, tls.certificate_text(authority).decode()
    if before != after:
        changes.append(WriteFile(path=path, before=before, after=after, mode=0o644, keep=True, belongs="authority"))
    if not brought.text_fits:
        changes.append(
            InstallCertificate(
                key_path=brought.key_path,
                chain_path=brought.chain_path,
                path=parameters.certificate_path,
                fingerprints=brought.fingerprints,
                before=facts.state(parameters.certificate_path),
            )
        )
    if facts.trusted != after:
        changes.append(_trust(parameters, facts))
    return changes


def _issue(parameters: Parameters, facts: CertificateFacts, reason: str) -> IssueCertificate:
    dns_names, addresses = _names(parameters, facts.address)
    common_name = parameters.domain if len(parameters.domain) <= _COMMON_NAME_LENGTH else ""
    return IssueCertificate(
        path=parameters.certificate_path,
        subject=_subject(parameters, common_name),
        dns_names=dns_names,
        addresses=addresses,
        key_type=parameters.key_type,
        validity_days=parameters.validity_days,
        authority_key_path=parameters.ca_key_path,
        authority_certificate_path=parameters.ca_certificate_path,
        passphrase_file=passphrase_file(parameters),
        reason=reason,
        before=facts.state(parameters.certificate_path),
    )


def _plan_places(parameters: Parameters, facts: CertificateFacts) -> list[Change]:
    """Return the changes that make missing folders and correct modes.

    Raises HostError if the private folder holds foreign files: its mode would lock out their users.
    """
    changes: list[Change] = []
    for path, mode in _wanted_modes(parameters).items():
        found = facts.mode(path)
        if found is None and mode == _FOLDER:
            changes.append(MakeDirectory(path=path, mode=mode))
        elif found not in (None, mode):
            if facts.others and path == Path(parameters.private_directory):
                raise HostError(
                    f"a folder {path} for the authority and the secrets alone, mode {mode:04o}",
                    f"mode {found:04o}, and in it {', '.join(facts.others[:5])}",
                    "set private_directory to a folder of its own",
                )
            changes.append(SetMode(path=path, before=found, after=mode))
    return changes


def _wanted_modes(parameters: Parameters) -> dict[Path, int]:
    """Return the permission bits of each private path, a folder before its content."""
    return {
        Path(parameters.private_directory): _FOLDER,
        parameters.ca_key_path.parent: _FOLDER,
        parameters.ca_key_path: _FILE,
        parameters.certificate_path.parent: _FOLDER,
        parameters.certificate_path: _FILE,
    }


def check(parameters: Parameters) -> list[Result]:
    """Return the proof that a verifying client accepts this certificate, and refuses any other.

    It validates chain, name and dates for each name, and makes a real in-memory handshake with the file on disk.
    """
    authority = x509.load_pem_x509_certificate(parameters.ca_certificate_path.read_bytes())
    trusted = _trust_path(parameters, is_desktop=_is_desktop(parameters))
    chain = x509.load_pem_x509_certificates(parameters.certificate_path.read_bytes())
    now = datetime.datetime.now(datetime.UTC)
    untrusted = tls.untrusted_authority(authority.subject)
    dns_names, addresses = _names(parameters, network.address_of(parameters.address))
    reissue = "run the notebook 30-certificates again; if it stays, move the server certificate away and run it again"
    accepted = [
        works(
            f"a client that verifies accepts it for {name}",
            expected="accepted",
            found=validation.why_refused(chain[0], authority, name, now, chain=chain[1:]) or "accepted",
            remedy=reissue,
        )
        for name in (*dns_names, *addresses)
    ]
    return [
        *accepted,
        *_check_refusals(parameters.domain, chain, authority, untrusted),
        *_check_handshakes(parameters, authority, untrusted),
        *note_stricter(chain[0], _handshake(parameters, authority, strict=True)),
        works(
            f"the engine trusts the authority for {parameters.registry_host}",
            expected=f"SHA-256 {tls.fingerprint(authority)}",
            found=f"SHA-256 {tls.fingerprint(x509.load_pem_x509_certificate(trusted.read_bytes()))}",
            remedy=reissue,
        ),
    ]


def _check_refusals(
    domain: str, chain: Sequence[x509.Certificate], authority: x509.Certificate, untrusted: x509.Certificate
) -> list[Result]:
    now = datetime.datetime.now(datetime.UTC)
    server, rest = chain[0], chain[1:]
    expired = server.not_valid_after_utc + datetime.timedelta(days=1)
    attempts = (
        ("for another name", validation.why_refused(server, authority, f"other.{domain}", now, chain=rest)),
        (
            "by a client that trusts another authority of the same name",
            validation.why_refused(server, untrusted, domain, now, chain=rest),
        ),
        ("on the day after it expires", validation.why_refused(server, authority, domain, expired, chain=rest)),
    )
    return [
        refused(
            f"the certificate {claim}",
            expected="refused",
            found="accepted" if reason is None else "refused",
            remedy="do not use this certificate; report this",
        )
        for claim, reason in attempts
    ]


def _check_handshakes(parameters: Parameters, authority: x509.Certificate, untrusted: x509.Certificate) -> list[Result]:
    return [
        works(
            "a TLS handshake with the file on disk",
            expected="accepted",
            found=_handshake(parameters, authority),
            remedy="run the notebook 30-certificates again",
        ),
        refused(
            "a TLS handshake with a client that trusts another authority",
            expected="refused",
            found="accepted" if _handshake(parameters, untrusted) == "accepted" else "refused",
            remedy="do not use this certificate; report this",
        ),
    ]


def _handshake(parameters: Parameters, authority: x509.Certificate, *, strict: bool = False) -> str:
    client = tls.client_context(tls.certificate_text(authority).decode(), strict=strict)
    return tls.handshake(tls.server_context(parameters.certificate_path), client, parameters.domain)


def note_stricter(server: x509.Certificate, strict: str) -> list[Result]:
    """Return a row for each kind of client that is stricter than the engine and curl; it passes as a note."""
    return [
        refused(
            f"the certificate by stricter clients: {client}",
            expected=reason,
            found=reason,
            remedy="have it issued anew",
        )
        for client, reason in validation.stricter(server, strict)
    ]
