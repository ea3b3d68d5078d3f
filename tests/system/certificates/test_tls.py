"""Certificates: what is in them and which parts are critical, and what a verifying client says of them."""

import datetime
import ssl
import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from runbook.model.errors import HostError
from runbook.system.certificates import tls, validation

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
NAME, ADDRESS = "registry.test", "192.168.1.2"
LONG = f"{'a' * 60}.{'b' * 60}.test"
SUBJECT = (("O", "Ours"), ("CN", "Our CA"))
AUTHORITY_KEY, STRANGER_KEY = tls.generate_key("ecdsa-p256"), tls.generate_key("ecdsa-p256")
AUTHORITY = tls.issue_authority(AUTHORITY_KEY, SUBJECT, now=NOW, validity_days=3650)
STRANGER = tls.issue_authority(STRANGER_KEY, SUBJECT, now=NOW, validity_days=3650)  # of the same name


def issue(
    key_type: str = "ecdsa-p256",
    *,
    names: tuple[str, ...] = (NAME,),
    addresses: tuple[str, ...] = (ADDRESS, "2001:db8::1"),
    subject: tls.Subject = (("CN", NAME),),
    now: datetime.datetime = NOW,
) -> tuple[tls.PrivateKey, x509.Certificate]:
    """Return a server's key and its certificate, signed by the authority."""
    key = tls.generate_key(key_type)
    authority = (AUTHORITY_KEY, AUTHORITY)
    return key, tls.issue_server(
        key, subject, dns_names=names, addresses=addresses, authority=authority, now=now, validity_days=366
    )


def shake_hands(key: tls.PrivateKey, certificate: x509.Certificate, authority: x509.Certificate, name: str) -> str:
    """Return what a client that trusts an authority says of a server with this pair."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as pair:  # a context takes a pair from nowhere but a file
        pair.write(tls.key_text(key) + tls.certificate_text(certificate))
        pair.flush()
        server.load_cert_chain(pair.name)
    return tls.handshake(server, tls.client_context(tls.certificate_text(authority).decode()), name)


def extensions(certificate: x509.Certificate) -> dict[str, bool]:
    """Return the extensions of a certificate, each with whether it is critical."""
    return {type(item.value).__name__: item.critical for item in certificate.extensions}


def usages(certificate: x509.Certificate) -> set[str]:
    """Return what a certificate's key may be used for (RFC 5280 section 4.2.1.3)."""
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return {name for name in (*names, "key_cert_sign", "crl_sign") if getattr(usage, name)}


def test_issue_authority_signs_servers_and_no_further_authority() -> None:
    """Fails if an extension of RFC 5280 section 4.2.1 is missing, or is critical where it must not be."""
    assert extensions(AUTHORITY) == {"SubjectKeyIdentifier": False, "BasicConstraints": True, "KeyUsage": True}
    assert usages(AUTHORITY) == {"key_cert_sign", "crl_sign"}
    constraints = AUTHORITY.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    assert AUTHORITY.issuer == AUTHORITY.subject
    assert tls.subject_text(SUBJECT) == tls.describe(AUTHORITY).subject == "CN=Our CA,O=Ours"
    AUTHORITY.verify_directly_issued_by(AUTHORITY)


@pytest.mark.parametrize(
    ("key_type", "expected"),
    [
        pytest.param("ecdsa-p256", {"digital_signature"}, id="ecdsa"),
        pytest.param("rsa-2048", {"digital_signature", "key_encipherment"}, id="rsa"),
    ],
)
def test_issue_server_is_for_a_server_alone(key_type: str, expected: set[str]) -> None:
    """Fails if a server certificate may sign others, or its extensions are not those of RFC 5280 section 4.2.1."""
    key, certificate = issue(key_type)
    assert extensions(certificate) == {
        "SubjectKeyIdentifier": False,
        "BasicConstraints": True,
        "KeyUsage": True,
        "ExtendedKeyUsage": False,
        "SubjectAlternativeName": False,
        "AuthorityKeyIdentifier": False,
    }
    assert expected == usages(certificate)
    found = certificate.extensions
    assert not found.get_extension_for_class(x509.BasicConstraints).value.ca
    extended = list(found.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert extended == [ExtendedKeyUsageOID.SERVER_AUTH]
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    assert own == found.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer = AUTHORITY.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert issuer == found.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    certificate.verify_directly_issued_by(AUTHORITY)


def test_issue_server_without_a_subject_makes_its_names_critical() -> None:
    """Fails if a domain over 64 characters does not work: a common name takes 64 (RFC 5280 section 4.2.1.6)."""
    key, certificate = issue(names=(LONG,), subject=())
    assert extensions(certificate)["SubjectAlternativeName"] is True
    assert (tls.describe(certificate).subject, tls.describe(certificate).dns_names) == ("", (LONG,))
    assert validation.why_refused(certificate, AUTHORITY, LONG, NOW) is None
    assert shake_hands(key, certificate, AUTHORITY, LONG) == "accepted"


def test_describe_gives_the_facts() -> None:
    """Fails if a plan would judge a certificate by something else than what is in it."""
    _, certificate = issue("ecdsa-p384", names=(NAME, "b.test"))
    found = tls.describe(certificate)
    assert (found.subject, found.key_type, found.lifetime_days) == (f"CN={NAME}", "ecdsa-p384", 366)
    assert (found.dns_names, found.addresses) == ((NAME, "b.test"), (ADDRESS, "2001:db8::1"))
    assert found.not_before <= NOW - datetime.timedelta(hours=1) < found.not_after
    assert tls.fingerprint(certificate) == found.fingerprint
    assert len(bytes.fromhex(found.fingerprint)) == 32
    nothing = tls.describe(AUTHORITY)
    assert (nothing.dns_names, nothing.addresses) == ((), ())


@pytest.mark.parametrize("key_type", ["ecdsa-p256", "ecdsa-p384", "rsa-2048"])
def test_generate_key_makes_the_type_that_was_asked_for(key_type: str) -> None:
    """Fails if a key's type is not spelt as the parameter spells it: each run would then issue anew."""
    key = tls.generate_key(key_type)
    assert [key_type] * 2 == [tls.key_type_of(key), tls.key_type_of(key.public_key())]


@pytest.mark.parametrize(
    ("kept", "given", "expected"),
    [
        pytest.param(b"right", b"wrong", "Incorrect password", id="wrong"),
        pytest.param(b"right", None, "Password was not given", id="missing"),
        pytest.param(None, b"right", "Password was given but private key is not encrypted", id="needless"),
    ],
)
def test_load_key_refuses_another_passphrase(
    tmp_path: Path, kept: bytes | None, given: bytes | None, expected: str
) -> None:
    """Fails if a key opens without its passphrase, or a passphrase that protects nothing goes unnoticed."""
    path = tmp_path / "ca.key"
    path.write_bytes(tls.key_text(AUTHORITY_KEY, kept))
    assert AUTHORITY_KEY.public_key() == tls.load_key(path, kept).public_key()
    with pytest.raises(HostError, match=rf"the passphrase of {path} \(RUNBOOK_CA_PASSPHRASE.*found {expected}"):
        tls.load_key(path, given)


def test_load_key_calls_every_wrong_passphrase_wrong(tmp_path: Path) -> None:
    """Fails if one of some 256 that end in a padding that looks right is told as a file that holds no key."""
    path = tmp_path / "ca.key"
    path.write_bytes(tls.key_text(AUTHORITY_KEY, b"right"))
    for number in range(2000):
        with pytest.raises(HostError) as raised:
            tls.load_key(path, str(number).encode())
        assert raised.value.found == "Incorrect password, could not decrypt key"


def test_load_key_refuses_a_key_of_another_kind(tmp_path: Path) -> None:
    """Fails if a key is used that the parameter key_type has no name for."""
    path = tmp_path / "ca.key"
    other = ed25519.Ed25519PrivateKey.generate()
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(HostError, match=f"an RSA or ECDSA key in {path}; found ed25519"):
        tls.load_key(path, None)


SERVER_KEY, SERVER = issue()


@pytest.mark.parametrize(
    ("server", "authority", "name", "at", "expected"),
    [
        pytest.param(SERVER, AUTHORITY, NAME, NOW, None, id="name"),
        pytest.param(SERVER, AUTHORITY, ADDRESS, NOW, None, id="address"),
        pytest.param(SERVER, AUTHORITY, "2001:db8::1", NOW, None, id="ipv6-address"),
        pytest.param(SERVER, AUTHORITY, NAME, NOW - DAY / 48, None, id="clock-behind-by-half-an-hour"),
        pytest.param(SERVER, AUTHORITY, f"other.{NAME}", NOW, "is not among its names: registry.test", id="name-below"),
        pytest.param(SERVER, AUTHORITY, "127.0.0.1", NOW, "is not among its names", id="other-address"),
        pytest.param(SERVER, STRANGER, NAME, NOW, "signature", id="stranger-of-the-same-name"),
        pytest.param(SERVER, AUTHORITY, NAME, NOW - DAY, "it is valid from", id="clock-a-day-behind"),
        pytest.param(SERVER, AUTHORITY, NAME, NOW + 366 * DAY, "it expired on", id="expired"),
        pytest.param(
            issue(names=())[1], AUTHORITY, NAME, NOW, "is not among its names: 192.168.1.2", id="common-name-alone"
        ),
    ],
)
def test_why_refused_is_what_a_verifying_client_says(
    server: x509.Certificate, authority: x509.Certificate, name: str, at: datetime.datetime, expected: str | None
) -> None:
    """Fails if a client that must refuse accepts, or one that must accept refuses (RFC 5280 section 6.1)."""
    found = validation.why_refused(server, authority, name, at)
    assert (expected is None) == (found is None)
    assert expected is None or expected in str(found)


@pytest.mark.parametrize(
    ("authority", "name", "expected"),
    [
        pytest.param(AUTHORITY, NAME, "accepted", id="name"),
        pytest.param(AUTHORITY, ADDRESS, "accepted", id="address"),
        pytest.param(AUTHORITY, f"other.{NAME}", "Hostname mismatch", id="other-name"),
        pytest.param(AUTHORITY, "127.0.0.1", "IP address mismatch", id="other-address"),
        pytest.param(STRANGER, NAME, "unable to get local issuer certificate", id="stranger-of-the-same-name"),
    ],
)
def test_handshake_is_one_of_a_verifying_client(authority: x509.Certificate, name: str, expected: str) -> None:
    """Fails if a real TLS client and server agree on a pair that must be refused, or on none that must not."""
    assert expected in shake_hands(SERVER_KEY, SERVER, authority, name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("registry.test", True, id="name"),
        pytest.param("a.wild.test", True, id="one-label-for-the-asterisk"),
        pytest.param("a.b.wild.test", False, id="two-labels"),
        pytest.param("wild.test", False, id="no-label"),
        pytest.param("other.test", False, id="label-below-the-top-alone"),
        pytest.param(ADDRESS, True, id="address"),
        pytest.param("192.168.1.3", False, id="another-address"),
    ],
)
def test_covers_takes_a_name_as_clients_do(name: str, *, expected: bool) -> None:
    """Fails if a certificate is taken for a name that a client refuses it for (RFC 6125 section 6.4.3)."""
    _, certificate = issue(names=("Registry.test", "*.wild.test", "*.test"))
    assert expected == tls.covers(tls.describe(certificate), name)
