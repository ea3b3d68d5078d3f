"""The certificates: an authority of one's own, a server certificate, and the engine's trust in the authority.

Or, with `certificate_source: own`, key and chain that were brought along, and the trust in their authority. Both ways
end in the same files and the same proof, so they stand in one module, longer than others.

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
from runbook.system.docker import engine
from runbook.system.host import file_state, files, network

_FOLDER, _FILE = 0o700, 0o600
_COMMON_NAME_LENGTH = 64  # RFC 5280 appendix A.1, ub-common-name
KEY_OF_ANOTHER = "it is not the key of the authority's certificate"


@dataclass(frozen=True, kw_only=True, slots=True)
class CertificateFacts:
    """How keys and certificates are now; `modes` holds the permission bits of each place, None where it is not there.

    `authority_key` is `absent`, `fits`, or what is wrong with it; `server_fits` says whether the server's key and the
    authority's signature both fit its certificate. `states` tells of what may be overwritten whether it changes
    later. `brought` is what was brought along, None where it is issued here;
    `intermediates` stand between the two, the one that the authority signed first. `others` is what else lies in the
    private folder.
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
    brought: supplied.BroughtCertificate | None = None
    is_desktop: bool = False
    intermediates: tuple[tls.Certificate, ...] = ()
    states: tuple[tuple[Path, str | None], ...] = ()
    others: tuple[str, ...] = ()

    def state(self, path: Path) -> str | None:
        """Return what tells whether a place has changed since, None where there was nothing."""
        return dict(self.states).get(path)

    def mode(self, path: Path) -> int | None:
        """Return the permission bits of a place that was looked at."""
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
    key_path, certificate_path = parameters.ca_key_path, parameters.ca_certificate_path
    text = files.read_text(certificate_path)
    authority = _load(text, certificate_path)
    server_text = files.read_text(parameters.certificate_path)
    server = _load(server_text, parameters.certificate_path)
    own = parameters.certificate_source == "own"
    is_desktop = _is_desktop(parameters)
    return CertificateFacts(
        now=datetime.datetime.now(datetime.UTC),
        address=network.address_of(parameters.address),
        authority=tls.describe(authority) if authority else None,
        authority_text=text,
        authority_key="absent" if own else _state_of_key(key_path, authority, parameters),
        server=tls.describe(server) if server else None,
        server_fits=bool(server_text and server and authority and _fits(server_text, server, authority)),
        trusted=files.read_text(_trust_path(parameters, is_desktop=is_desktop)),
        is_desktop=is_desktop,
        modes=tuple((path, files.mode_of(path)) for path in _wanted_modes(parameters)),
        brought=_gather_brought(parameters, server_text) if own else None,
        intermediates=_intermediates(server_text, authority),
        states=tuple((path, file_state.state(path)) for path in (parameters.certificate_path, parameters.trust_path)),
        others=_others(Path(parameters.private_directory)),
    )


def _others(private: Path) -> tuple[str, ...]:
    """Return what in a private folder is neither the runbook's nor such a folder of another deployment."""
    own = {"ca", "secrets", "accepted.json"}
    names = [name for name in files.names_in(private) if files.whole_of(name) not in own]
    return tuple(name for name in names if not own.issuperset(files.names_in(private / name) or ("none",)))


def _intermediates(text: str | None, authority: x509.Certificate | None) -> tuple[tls.Certificate, ...]:
    """Return what the server's file holds beside its own certificate and the authority's; none where it cannot."""
    try:
        _, *others = x509.load_pem_x509_certificates((text or "").encode())
    except ValueError:
        return ()
    return tuple(tls.describe(certificate) for certificate in reversed(others) if certificate != authority)


def _is_desktop(parameters: Parameters) -> bool:
    client = engine.connect(parameters.timeout_seconds)
    return client is not None and engine.is_desktop(client)


def _trust_path(parameters: Parameters, *, is_desktop: bool) -> Path:
    """Return where this engine looks for the authority; that of Docker Desktop takes it from the user's own folder."""
    folder = Path.home() / ".docker" / "certs.d"
    return folder / parameters.registry_host / "ca.crt" if is_desktop else parameters.trust_path


def _gather_brought(parameters: Parameters, text: str | None) -> supplied.BroughtCertificate:
    return supplied.gather(
        key_path=Path(parameters.own_key_file),
        chain_path=Path(parameters.own_certificate_file),
        authority_path=Path(parameters.own_authority_file) if parameters.own_authority_file else None,
        name=parameters.domain,
        text=text,
    )


def passphrase_file(parameters: Parameters) -> Path | None:
    """Return the operator's file with the passphrase of the authority's key, None where there is none."""
    return Path(parameters.ca_passphrase_file) if parameters.ca_passphrase_file else None


def _state_of_key(path: Path, authority: x509.Certificate | None, parameters: Parameters) -> str:
    passphrase = credentials.find_passphrase(passphrase_file(parameters))
    if not path.exists():
        return "absent"
    try:
        key = tls.load_key(path, passphrase)
    except HostError as error:
        return error.found
    if authority is not None and key.public_key() != authority.public_key():
        return KEY_OF_ANOTHER
    return "fits"


def _fits(text: str, server: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
        server.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 (whatever is wrong with the pair, it is issued anew)
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
    """Return the host names and addresses that the server certificate is for, each once.

    One that was brought along need not have this host's own addresses, since clients come by the name, and many an
    authority signs no private address; an address by which they do come is one of extra_addresses.
    """
    addresses = (address, "127.0.0.1", *parameters.extra_addresses)
    if parameters.certificate_source == "own":
        addresses = tuple(parameters.extra_addresses)
    return tuple(dict.fromkeys((parameters.domain, *parameters.extra_names))), tuple(dict.fromkeys(addresses))


def _why_issue(parameters: Parameters, facts: CertificateFacts) -> str | None:  # noqa: PLR0911 (one return a reason)
    """Return why the server certificate is to be issued, None where it is as it should be."""
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
    """Raise HostError where the time of this host is before a certificate's, or after the authority's.

    A server certificate that has expired is issued anew; one that is not valid yet tells that the clock was set back.
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
    """Raise HostError where the authority that is there cannot sign; it is never made anew by itself."""
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
    """Return whether this section was carried out before."""
    return facts.server is not None


def _refuse_other_subject(parameters: Parameters, facts: CertificateFacts) -> None:
    """Raise HostError where the authority that is there has another name than the parameters say."""
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
    """Return what makes authority, server certificate and trust as the parameters want them; empty where they are.

    Raises HostError where the authority cannot sign what is to be issued, or what was brought along is not right.
    """
    if facts.brought is not None:
        return _plan_own(parameters, facts, facts.brought)
    key_path, certificate_path = parameters.ca_key_path, parameters.ca_certificate_path
    reason = _why_issue(parameters, facts)
    _refuse_other_subject(parameters, facts)
    _refuse_dates(parameters, facts)
    if reason or facts.authority is None:
        _refuse_authority(parameters, facts)
    changes = _plan_places(parameters, facts)
    if facts.authority is None:
        changes.append(
            IssueAuthority(
                key_path=key_path,
                certificate_path=certificate_path,
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
    """Return what lets the engine trust the authority: a copy of its certificate, on Docker Desktop the user's own."""
    source = parameters.ca_certificate_path
    if facts.is_desktop:
        folder = f"~/.docker/certs.d/{parameters.registry_host}"
        task = "in a terminal of your own user: copy the authority's certificate, then restart Docker Desktop"
        return LeftToUser(task=task, text=f"mkdir -p {folder}\ncp {source} {folder}/ca.crt\n")
    return CopyFile(source=source, path=parameters.trust_path, mode=0o444, before=facts.state(parameters.trust_path))


def _plan_own(parameters: Parameters, facts: CertificateFacts, brought: supplied.BroughtCertificate) -> list[Change]:
    """Return what puts what was brought along in its places; an authority that was there before is kept beside it."""
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
    key_path, certificate_path = parameters.ca_key_path, parameters.ca_certificate_path
    dns_names, addresses = _names(parameters, facts.address)
    common_name = parameters.domain if len(parameters.domain) <= _COMMON_NAME_LENGTH else ""
    return IssueCertificate(
        path=parameters.certificate_path,
        subject=_subject(parameters, common_name),
        dns_names=dns_names,
        addresses=addresses,
        key_type=parameters.key_type,
        validity_days=parameters.validity_days,
        authority_key_path=key_path,
        authority_certificate_path=certificate_path,
        passphrase_file=passphrase_file(parameters),
        reason=reason,
        before=facts.state(parameters.certificate_path),
    )


def _plan_places(parameters: Parameters, facts: CertificateFacts) -> list[Change]:
    """Return the folders to make, and the modes to repair of what is there.

    Raises HostError where others have something in the private folder: its mode would shut them out.
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
    """Return the permission bits of each private place, a folder before what is in it."""
    return {
        Path(parameters.private_directory): _FOLDER,
        parameters.ca_key_path.parent: _FOLDER,
        parameters.ca_key_path: _FILE,
        parameters.certificate_path.parent: _FOLDER,
        parameters.certificate_path: _FILE,
    }


def check(parameters: Parameters) -> list[Result]:
    """Return the proof that a verifying client accepts this certificate, and nothing else in its place.

    Chain, name and dates are judged for each name; a real handshake is made in memory with the file on disk.
    """
    authority = x509.load_pem_x509_certificate(parameters.ca_certificate_path.read_bytes())
    trusted = _trust_path(parameters, is_desktop=_is_desktop(parameters))
    chain = x509.load_pem_x509_certificates(parameters.certificate_path.read_bytes())
    now = datetime.datetime.now(datetime.UTC)
    stranger = tls.issue_authority(tls.generate_key("ecdsa-p256"), authority.subject, now=now, validity_days=1)
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
        *_check_refusals(parameters.domain, chain, authority, stranger),
        *_check_handshakes(parameters, authority, stranger),
        *note_stricter(chain[0], _handshake(parameters, authority, strict=True)),
        works(
            f"the engine trusts the authority for {parameters.registry_host}",
            expected=f"SHA-256 {tls.fingerprint(authority)}",
            found=f"SHA-256 {tls.fingerprint(x509.load_pem_x509_certificate(trusted.read_bytes()))}",
            remedy=reissue,
        ),
    ]


def _check_refusals(
    domain: str, chain: Sequence[x509.Certificate], authority: x509.Certificate, stranger: x509.Certificate
) -> list[Result]:
    now = datetime.datetime.now(datetime.UTC)
    server, rest = chain[0], chain[1:]
    expired = server.not_valid_after_utc + datetime.timedelta(days=1)
    tries = (
        ("for another name", validation.why_refused(server, authority, f"other.{domain}", now, chain=rest)),
        (
            "by a client that trusts another authority of the same name",
            validation.why_refused(server, stranger, domain, now, chain=rest),
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
        for claim, reason in tries
    ]


def _check_handshakes(parameters: Parameters, authority: x509.Certificate, stranger: x509.Certificate) -> list[Result]:
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
            found="accepted" if _handshake(parameters, stranger) == "accepted" else "refused",
            remedy="do not use this certificate; report this",
        ),
    ]


def _handshake(parameters: Parameters, authority: x509.Certificate, *, strict: bool = False) -> str:
    trusting = tls.trusting(tls.certificate_text(authority).decode(), strict=strict)
    return tls.handshake(tls.answering(parameters.certificate_path), trusting, parameters.domain)


def note_stricter(server: x509.Certificate, strict: str) -> list[Result]:
    """Return a row for each kind of client that refuses what engine and curl accept; it passes, and tells of it."""
    return [
        refused(f"the certificate by stricter clients: {who}", expected=why, found=why, remedy="have it issued anew")
        for who, why in validation.stricter(server, strict)
    ]
