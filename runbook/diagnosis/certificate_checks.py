"""Checks of the certificates: on disk, as served, and as the engine trusts them."""

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from runbook.changes.files import SetMode
from runbook.sections import certificates, configuration
from runbook.system import credentials
from runbook.system.certificates import tls, validation
from runbook.system.docker import certs_d
from runbook.system.host import files

from .situation import Finding, Situation, UndecidedError, no, yes

_CERTS_D = Path("/etc/docker/certs.d")


def _server_certificates(situation: Situation) -> Iterator[tuple[str, x509.Certificate]]:
    """Yield the server certificate on disk, and the served one if it differs, each after its place."""
    on_disk = situation.chain[0]
    yield "on disk", on_disk
    if situation.served is not None and situation.served != on_disk:
        yield "as served", situation.served


def _missing(path: Path) -> Finding:
    return yes(f"there is no {path}") if files.read_text(path) is None else no(f"{path} is there")


def missing(situation: Situation) -> Finding:
    """Look for the file with the server's key and certificate."""
    return _missing(situation.parameters.certificate_path)


def unreadable(situation: Situation) -> Finding:
    """Parse the file with the server's key and certificate."""
    path = situation.parameters.certificate_path
    text = situation.text(path)
    try:
        serialization.load_pem_private_key(text.encode(), None)
        x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        reason, _, _ = str(error).partition("\n")
        return yes(f"{path}: {reason}")
    return no(f"{path} holds a key and a certificate")


def key_of_another(situation: Situation) -> Finding:
    """Compare the server's key with its certificate."""
    path = situation.parameters.certificate_path
    key = serialization.load_pem_private_key(situation.text(path).encode(), None)
    fits = key.public_key() == situation.chain[0].public_key()
    return no("key and certificate match") if fits else yes(f"the key in {path} does not match its certificate")


def expired(situation: Situation) -> Finding:
    """Compare the expiry date of the server certificate, on disk and as served, with this host's clock."""
    for where, found in _server_certificates(situation):
        if found.not_valid_after_utc < situation.now:
            expiry = f"expired on {found.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
            return yes(f"the server certificate {where} {expiry}; it is now {situation.now:%Y-%m-%d %H:%M}")
    return no(f"it is valid until {situation.chain[0].not_valid_after_utc:%Y-%m-%d}")


def not_yet_valid(situation: Situation) -> Finding:
    """Compare the start date of the server certificate, on disk and as served, with this host's clock."""
    for where, found in _server_certificates(situation):
        if found.not_valid_before_utc > situation.now:
            start = f"is valid from {found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
            return yes(f"the server certificate {where} {start}; it is now {situation.now:%Y-%m-%d %H:%M}")
    return no(f"it is valid from {situation.chain[0].not_valid_before_utc:%Y-%m-%d}")


def expires_soon(situation: Situation) -> Finding:
    """Compare the expiry date of the server certificate with `renew_before_days`."""
    left = situation.chain[0].not_valid_after_utc - situation.now
    soon = datetime.timedelta(0) <= left < datetime.timedelta(situation.parameters.renew_before_days)
    return yes(f"it expires in {left.days} days") if soon else no(f"{left.days} days are left")


def no_names(situation: Situation) -> Finding:
    """Look for a subject alternative name in the server certificate."""
    for where, found in _server_certificates(situation):
        described = tls.describe(found)
        if not described.dns_names and not described.addresses:
            return yes(f"the server certificate {where} has none; its subject is {described.subject}")
    return no(f"it has {len(tls.describe(situation.chain[0]).dns_names)} names")


def name_missing(situation: Situation) -> Finding:
    """Look for the registry's names in the server certificate."""
    parameters = situation.parameters
    wanted = (parameters.domain, *parameters.extra_names)
    for where, found in _server_certificates(situation):
        described = tls.describe(found)
        absent = [name for name in wanted if not tls.covers(described, name)]
        if absent:
            names = ", ".join(described.dns_names) or "no host name"
            return yes(f"the server certificate {where} is for {names}, not for {', '.join(absent)}")
    return no(f"it is for {', '.join(wanted)}")


def address_missing(situation: Situation) -> Finding:
    """Look for the registry's addresses in the server certificate."""
    parameters = situation.parameters
    own = () if parameters.certificate_source == "own" else (situation.address,)
    wanted = (*own, *parameters.extra_addresses)
    for where, found in _server_certificates(situation):
        addresses = tls.describe(found).addresses
        absent = [item for item in wanted if str(ipaddress.ip_address(item)) not in addresses]
        if absent:
            names = ", ".join(addresses) or "no address"
            return yes(f"the server certificate {where} is for {names}, not for {', '.join(absent)}")
    return no("it has the required addresses")


def of_another_authority(situation: Situation) -> Finding:
    """Verify the server certificate, on disk and as served, with the CA's key."""
    authority = situation.authority
    for where, found in _server_certificates(situation):
        if validation.paths(found, situation.chain[1:], [authority]):
            continue
        issuer = found.issuer.rfc4514_string() or "an unnamed issuer"
        if found.issuer == authority.subject:
            issuer = "another CA of the same name"
        return yes(f"the server certificate {where} is signed by {issuer}")
    return no("the CA on disk signed it")


def intermediate_missing(situation: Situation) -> Finding:
    """Check whether the file contains the intermediate between the server certificate and the CA."""
    server, *rest = situation.chain
    if server == situation.authority or server.issuer == situation.authority.subject:
        return no("the CA itself signed it")
    if server.issuer in {certificate.subject for certificate in rest}:
        return no("the intermediate is in the file")
    return yes(f"{server.issuer.rfc4514_string()} is neither in the file nor the CA")


def served_is_another(situation: Situation) -> Finding:
    """Compare the served certificate with the one on disk."""
    if situation.served is None:
        raise UndecidedError(f"nothing is served over TLS: {situation.anonymous}")
    if situation.served == situation.chain[0]:
        return no("the certificate on disk is served")
    served, on_disk = tls.fingerprint(situation.served), tls.fingerprint(situation.chain[0])
    return yes(f"served: {served[:16]}…, on disk: {on_disk[:16]}…")


def authority_missing(situation: Situation) -> Finding:
    """Look for the CA certificate."""
    return _missing(situation.parameters.ca_certificate_path)


def authority_key_missing(situation: Situation) -> Finding:
    """Look for the CA's key."""
    if situation.parameters.certificate_source == "own":
        return no("the certificate was supplied")
    path = situation.parameters.ca_key_path
    return yes(f"there is no {path}") if files.mode_of(path) is None else no(f"{path} is there")


def authority_key_of_another(situation: Situation) -> Finding:
    """Compare the CA's key with its certificate."""
    parameters = situation.parameters
    path, authority = parameters.ca_key_path, situation.authority
    if parameters.certificate_source == "own" or files.mode_of(path) is None:
        return no("there is no CA key to compare")
    key = tls.load_key(path, credentials.find_passphrase(certificates.passphrase_file(parameters)))
    fits = key.public_key() == authority.public_key()
    return no("they match") if fits else yes(f"the key in {path} does not match {parameters.ca_certificate_path}")


def authority_expired(situation: Situation) -> Finding:
    """Compare the CA's expiry date with this host's clock."""
    last = situation.authority.not_valid_after_utc
    return yes(f"it expired on {last:%Y-%m-%d}") if last < situation.now else no(f"it is valid until {last:%Y-%m-%d}")


def trust_missing(situation: Situation) -> Finding:
    """Look for the CA certificate in the engine's folder for exactly this host and port."""
    return _missing(situation.parameters.trust_path)


def trust_in_another(situation: Situation) -> Finding:
    """Compare the certificate that the engine trusts for this registry with the CA's."""
    path = situation.parameters.trust_path
    try:
        trusted = x509.load_pem_x509_certificates(situation.text(path).encode())
    except ValueError:
        return yes(f"{path} holds no certificate")
    if situation.authority in trusted:
        return no(f"{path} contains the CA certificate")
    same_name = trusted[0].subject == situation.authority.subject
    return yes(f"{path} contains another certificate{' of the same name' if same_name else ''}, not the CA's")


def trust_folder_misnamed(situation: Situation) -> Finding:
    """Look for folders in certs.d with the registry's name but another port, or none."""
    parameters = situation.parameters
    folders = [name for name in files.names_in(_CERTS_D) if name.partition(":")[0] == parameters.domain]
    if not folders:
        return no("there is no such folder")
    if parameters.registry_host in folders:
        return no(f"there is {_CERTS_D}/{parameters.registry_host}")
    return yes(f"there is {', '.join(folders)}, not {parameters.registry_host}")


def trust_overruled(situation: Situation) -> Finding:
    """Look for what containerd's image store reads in certs.d instead of the CA certificate."""
    client, path = situation.require_engine(), situation.parameters.trust_path
    found = certs_d.overruling(client, path, situation.text(situation.parameters.ca_certificate_path))
    return yes(f"it reads {found}, which does not name the CA") if found else no(f"it reads {path}")


def trust_folder_has_key(situation: Situation) -> Finding:
    """Look for keys and client certificates in the registry's folder in certs.d."""
    folder = situation.parameters.trust_path.parent
    found = ", ".join(name for name in files.names_in(folder) if name.endswith((".key", ".cert")))
    return yes(f"{folder} holds {found}") if found else no(f"{folder} holds no key and no client certificate")


def modes(situation: Situation) -> Finding:
    """Compare the permissions of keys, secrets and their parent folders with the required ones."""
    wrong = [
        f"{change.path} has {change.before:04o}, expected {change.after:04o}"
        for section in (certificates, configuration)
        for change in situation.planned(section)
        if isinstance(change, SetMode)
    ]
    return yes("; ".join(wrong)) if wrong else no("they are as required")


def weak(situation: Situation) -> Finding:
    """Read digest and key of the server certificate and of the CA certificate."""
    for where, found in (*_server_certificates(situation), ("of the CA", situation.authority)):
        digest, key = found.signature_hash_algorithm, found.public_key()
        if isinstance(digest, hashes.SHA1 | hashes.MD5) and found.issuer != found.subject:
            return yes(f"the certificate {where} is signed with {digest.name}")
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < _MINIMUM_RSA_BITS:
            return yes(f"the certificate {where} has {key.key_size} bits")
    return no("digests and keys are strong enough")


_MINIMUM_RSA_BITS = 2048


def not_for_servers(situation: Situation) -> Finding:
    """Read the extended key usage of the server certificate."""
    for where, found in _server_certificates(situation):
        try:
            usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except x509.ExtensionNotFound:
            continue
        if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & {*usage}:
            return yes(f"the server certificate {where} has an extended key usage without serverAuth")
    return no("it allows use by a server")


def authority_may_not_sign(situation: Situation) -> Finding:
    """Read the basic constraints of the certificates that the engine trusts for this registry."""
    path = situation.parameters.trust_path
    trusted = x509.load_pem_x509_certificates(situation.text(path).encode())
    for found in trusted:
        try:
            may_sign = found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            may_sign = found.version == x509.Version.v1
        if may_sign:
            return no(f"{path} holds a certificate that may sign")
    return yes(f"{path} holds no certificate that may sign")
