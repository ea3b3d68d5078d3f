"""The rules for a supplied certificate, checked before it is used.

Source: Go, crypto/tls (X509KeyPair: the certificate of the key first), RFC 6125 section 6.4 (names); the others are in
validation.py.
"""

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from runbook.model.errors import HostError
from runbook.system.certificates import tls, validation
from runbook.system.certificates.supplied import SuppliedCertificate
from runbook.system.certificates.validation import is_issued, subject


def refuse(brought: SuppliedCertificate, *, names: Sequence[str], now: datetime.datetime) -> x509.Certificate:
    """Return the authority that clients must trust; raises HostError for the first violated rule.

    `names` are the names and addresses that clients will use.
    """
    _refuse_key(brought)
    paths = validation.paths(brought.server, brought.chain[1:], brought.authorities)
    if not paths:
        raise _incomplete_chain(brought)
    if fault := validation.first_fault(paths, now):
        raise fault.error()
    _refuse_names(brought, names)
    path = next(path for path in paths if validation.first_fault([path], now) is None)
    if brought.handshake != "accepted":
        raise _refused_by_client(brought, path)
    return path[-1]


def _refuse_key(brought: SuppliedCertificate) -> None:
    """Raise HostError unless the first certificate, which the registry serves, is for the key."""
    if brought.key_place is None:
        raise HostError(
            f"the key of {subject(brought.server)} ({brought.chain_path}) in {brought.key_path}",
            f"a key that belongs to none of the {len(brought.chain)} certificates",
            "bring the key that this certificate was asked for with",
        )
    if brought.key_place:
        raise HostError(
            f"the certificate of the key first in {brought.chain_path}, then those that signed it",
            _list(brought.chain),
            f"bring them into this order: {_list(_ordered(brought.chain, brought.key_place))}",
        )


def _ordered(chain: tuple[x509.Certificate, ...], place: int) -> tuple[x509.Certificate, ...]:
    """Return the part of the chain that starts at `place`, each certificate followed by its issuer."""
    ordered = [chain[place]]
    while issuers := [other for other in chain if other not in ordered and is_issued(ordered[-1], other)]:
        ordered.append(issuers[0])
    return tuple(ordered)


def _list(chain: Sequence[x509.Certificate]) -> str:
    return "; ".join(f"{place}. {subject(certificate)}" for place, certificate in enumerate(chain, start=1))


def _incomplete_chain(brought: SuppliedCertificate) -> HostError:
    """Return the error for a chain whose last certificate has an unknown issuer."""
    last = _ordered(brought.chain, 0)[-1]
    issuer = last.issuer.rfc4514_string()
    found = f"{subject(last)} is signed by {issuer}, whose certificate is not there"
    if not brought.authorities:
        return HostError(
            f"in {brought.chain_path} a chain that ends with its authority, or the authority in own_authority_file",
            found,
            f"add the certificate of {issuer} at the end of {brought.chain_path} where it is an intermediate, or give "
            "it as own_authority_file where it is the root that clients trust",
        )
    if last.issuer in (last.subject, *(authority.subject for authority in brought.authorities)):
        found = f"a chain that leads to another authority, {issuer}"
    return HostError(
        f"a chain in {brought.chain_path} that the authority {subject(brought.authorities[0])} "
        f"({brought.authority_path}) has signed",
        found,
        f"add the certificate of {issuer} to {brought.chain_path} after it where it is an intermediate; or give the "
        "root that this chain leads to as own_authority_file",
    )


def _refuse_names(brought: SuppliedCertificate, names: Sequence[str]) -> None:
    facts = tls.describe(brought.server)
    missing = [name for name in names if not tls.covers(facts, name)]
    if missing:
        raise HostError(
            f"{', '.join(missing)} among the subject alternative names of {brought.chain_path}",
            ", ".join(facts.names) or "a certificate without any, which no client accepts now",
            "set domain, extra_names and extra_addresses to those, or ask for a certificate with all of them",
        )


def _refused_by_client(brought: SuppliedCertificate, path: validation.Path) -> HostError:
    """Return the error for what only a real handshake finds, such as names that an authority must not sign."""
    limited = [
        signer for signer in path[1:] if any(item.oid == ExtensionOID.NAME_CONSTRAINTS for item in signer.extensions)
    ]
    if "subtree" in brought.handshake and limited:
        return HostError(
            f"names in {brought.chain_path} that {subject(limited[-1])} may sign for (nameConstraints)",
            brought.handshake,
            "have it issued anew for other names, or by an authority without such limits",
        )
    return HostError(
        f"a client that trusts {subject(path[-1])} to accept {brought.chain_path}",
        brought.handshake,
        "have a certificate issued that follows RFC 5280",
    )
