"""What a certificate that was brought along must be, judged before it is used.

Source: RFC 8446 section 4.4.2 (the server's certificate first, each certified by the next), RFC 5280 section 6.1
(path validation), RFC 6125 section 6.4 (names).
"""

import datetime
from collections.abc import Sequence

from cryptography import x509

from runbook.errors import HostError
from runbook.outside import tls
from runbook.outside.own_certificate import CURVES, KEY_TYPES, RSA_BITS, BroughtCertificate, is_issued


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or f"(no subject, serial {certificate.serial_number:x})"


def refuse(brought: BroughtCertificate, *, names: Sequence[str], now: datetime.datetime) -> x509.Certificate:
    """Return the authority that clients should trust; raises HostError where anything of what was brought is wrong.

    `names` are the names and addresses that clients will use.
    """
    authority = _refuse_chain(brought)
    _refuse_authority(brought, authority)
    _refuse_dates(brought, authority, now)
    _refuse_key_type(brought)
    _refuse_names(brought, names)
    _refuse_as_client(brought, authority, names, now)
    return authority


def _refuse_chain(brought: BroughtCertificate) -> x509.Certificate:
    """Return the authority that the chain leads to: the key's certificate first, each signed by the next."""
    if brought.key_place is None:
        raise HostError(
            f"the key of {_subject(brought.server)} ({brought.chain_path}) in {brought.key_path}",
            f"a key that belongs to none of the {len(brought.chain)} certificates",
            "bring the key that this certificate was asked for with",
        )
    ordered = _ordered(brought.chain, brought.key_place)
    if len(ordered) == len(brought.chain) and ordered != brought.chain:
        raise HostError(
            f"each certificate in {brought.chain_path} signed by the next, the server's first",
            _list(brought.chain),
            f"bring them into this order: {_list(ordered)}",
        )
    authority = brought.authority
    if authority is None or not is_issued(ordered[-1], authority):
        raise _lead_nowhere(brought, ordered[-1])
    if ordered != brought.chain:
        raise _more_than(brought, ordered)
    return authority


def _more_than(brought: BroughtCertificate, ordered: tuple[x509.Certificate, ...]) -> HostError:
    """Return the error of a file that holds certificates beside the chain, or one of them twice."""
    others = [certificate for certificate in brought.chain if certificate not in ordered]
    return HostError(
        f"in {brought.chain_path} only what leads from {_subject(ordered[0])} to its authority, each once",
        _list(others or brought.chain),
        f"leave these, in this order: {_list(ordered)}",
    )


def _ordered(chain: tuple[x509.Certificate, ...], place: int) -> tuple[x509.Certificate, ...]:
    """Return the chain from the certificate at `place` on, each followed by its signer, as far as it goes."""
    ordered = [chain[place]]
    while True:
        rest = [other for other in chain if other not in ordered and is_issued(ordered[-1], other)]
        if not rest:
            return tuple(ordered)
        ordered.append(rest[0])


def _list(chain: Sequence[x509.Certificate]) -> str:
    return "; ".join(f"{place}. {_subject(certificate)}" for place, certificate in enumerate(chain, start=1))


def _lead_nowhere(brought: BroughtCertificate, last: x509.Certificate) -> HostError:
    """Return the error of a chain whose last certificate is signed by nobody that is known."""
    issuer = last.issuer.rfc4514_string()
    found = f"{_subject(last)} is signed by {issuer}, whose certificate is not there"
    if brought.authority is None:
        return HostError(
            f"in {brought.chain_path} a chain that ends with its authority, or the authority in own_authority_file",
            found,
            f"add the certificate of {issuer} at the end of {brought.chain_path} where it is an intermediate, or give "
            "it as own_authority_file where it is the root that clients trust",
        )
    if last.issuer in (last.subject, brought.authority.subject):
        found = f"a chain that leads to another authority, {issuer}"
    return HostError(
        f"a chain in {brought.chain_path} that the authority {_subject(brought.authority)} "
        f"({brought.authority_path}) has signed",
        found,
        f"add the certificate of {issuer} to {brought.chain_path} after it where it is an intermediate; or give the "
        "root that this chain leads to as own_authority_file",
    )


def _refuse_authority(brought: BroughtCertificate, authority: x509.Certificate) -> None:
    """Raise HostError for an authority that not every client takes: one that is no CA, or not a root."""
    found = None
    if not _is_ca(authority):
        found = f"{_subject(authority)}, which may sign no certificate (basicConstraints)"
    elif not is_issued(authority, authority):
        found = f"{_subject(authority)}, an intermediate that {authority.issuer.rfc4514_string()} has signed"
    if found:
        raise HostError(
            f"the root of an authority, self-signed, in {brought.authority_path}",
            found,
            "have an authority sign the server's certificate, and give that authority's root as own_authority_file",
        )


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _refuse_dates(brought: BroughtCertificate, authority: x509.Certificate, now: datetime.datetime) -> None:
    for certificate in (*brought.chain, authority):
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        expected = f"{_subject(certificate)} to be valid now, {now:%Y-%m-%d %H:%M} UTC"
        if end <= now:
            raise HostError(
                expected,
                f"it expired on {end:%Y-%m-%d %H:%M} UTC",
                "have it renewed, then bring it again; or, where it is the clock that is wrong, set it right",
            )
        if begin > now:
            raise HostError(
                expected,
                f"it is valid from {begin:%Y-%m-%d %H:%M} UTC",
                "set this host's clock right; or, if the clock is right, wait until then",
            )


def _refuse_key_type(brought: BroughtCertificate) -> None:
    found = tls.key_type_of(brought.server.public_key())
    family, _, bits = found.partition("-")
    if found not in CURVES and not (family == "rsa" and int(bits) >= RSA_BITS):
        raise HostError(f"{KEY_TYPES} in {brought.key_path}", found, "ask for a certificate with such a key")


def _refuse_names(brought: BroughtCertificate, names: Sequence[str]) -> None:
    known = tls.describe(brought.server)
    missing = [name for name in names if not tls.covers(known, name)]
    if missing:
        raise HostError(
            f"{', '.join(missing)} among the subject alternative names of {brought.chain_path}",
            ", ".join((*known.dns_names, *known.addresses)) or "a certificate without any, which no client accepts now",
            "set domain, extra_names and extra_addresses to those, or ask for a certificate with all of them",
        )


def _refuse_as_client(
    brought: BroughtCertificate, authority: x509.Certificate, names: Sequence[str], now: datetime.datetime
) -> None:
    reasons = [tls.why_refused(brought.server, authority, name, now, chain=brought.chain[1:]) for name in names]
    found = next((reason for reason in reasons if reason), None)
    if found is None and brought.handshake != "accepted":
        found = brought.handshake
    if found:
        raise HostError(
            f"a client that trusts {_subject(authority)} to accept {brought.chain_path}",
            found,
            "have a certificate issued that follows RFC 5280",
        )
