"""Checks of certificates that a test has made."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from runbook.changes.files import SetMode
from runbook.diagnosis import certificate_checks as checks
from runbook.diagnosis.catalogue import Check
from runbook.diagnosis.situation import look
from runbook.model.errors import HostError
from runbook.model.parameters import Parameters
from runbook.sections import certificates, configuration
from runbook.system.certificates import tls
from runbook.system.registry import api
from tests.odd_certificates import CLIENT, LEAF, MIDDLE, RSA_ROOT, SHA1, Row, but, names

from .situations import ADDRESS, NO, NOBODY, NOW, OPEN, YES, Case, case, situation

DAY = datetime.timedelta(days=1)
KEY, OTHER_KEY = tls.generate_key("ecdsa-p256"), tls.generate_key("ecdsa-p256")
AUTHORITY, NAMESAKE = (
    tls.issue_authority(key, (("CN", "Example CA"),), now=NOW, validity_days=3650) for key in (KEY, OTHER_KEY)
)
STRANGER = tls.issue_authority(OTHER_KEY, (("CN", "Other CA"),), now=NOW, validity_days=3650)


def issue(
    *hosts: str,
    addresses: tuple[str, ...] = (ADDRESS,),
    now: datetime.datetime = NOW,
    authority: x509.Certificate = AUTHORITY,
) -> x509.Certificate:
    """Return a server certificate for 90 days."""
    subject = (("CN", "registry.test"),)
    signer = (KEY if authority == AUTHORITY else OTHER_KEY, authority)
    return tls.issue_server(
        OTHER_KEY,
        subject,
        dns_names=hosts or ("registry.test",),
        addresses=addresses,
        authority=signer,
        now=now,
        validity_days=90,
    )


def serves(certificate: x509.Certificate) -> api.Answer:
    """Return the answer of a server with a certificate."""
    return api.Answer(status=401, server_certificate=certificate.public_bytes(serialization.Encoding.DER))


SERVER = issue()
PEM, AUTHORITY_PEM = tls.certificate_text(SERVER), tls.certificate_text(AUTHORITY)
OLD, LATER = issue(now=NOW - 100 * DAY), issue(now=NOW + 9 * DAY)
PAIR, AUTHORITY_FILE, AUTHORITY_KEY = "registry/ssl/registry.test.pem", "private/ca/ca.crt", "private/ca/ca.key"
OWN: dict[str, object] = {
    "certificate_source": "own",
    "own_certificate_file": "/nowhere/c",
    "own_key_file": "/nowhere/k",
}
GIVEN: dict[str, Any] = {"chain": [SERVER], "authority": AUTHORITY}
ABSENT = "there is no "


def odd(row: Row) -> list[x509.Certificate]:
    """Return the chain that a row serves."""
    return x509.load_pem_x509_certificates(row.files()[1].encode())


LEAF_MIDDLE = Row(title="intermediate", chain=(LEAF, MIDDLE))
WITHOUT_MIDDLE = Row(title="intermediate missing", chain=(LEAF, MIDDLE), served=(0,))
ADDRESS_ALONE = odd(Row(title="address alone", chain=(but(LEAF, (names(ADDRESS), False)),)))
NO_NAMES = odd(Row(title="no names", chain=(but(LEAF, without=(x509.SubjectAlternativeName,)),)))

FILES = [
    case(checks.missing, "none", YES, ABSENT),
    case(checks.missing, "there", NO, "is there", files={PAIR: PEM}),
    case(checks.missing, "folder", OPEN, "a folder", files={PAIR: None}),
    case(checks.unreadable, "no-key", YES, "registry.test.pem: ", files={PAIR: PEM}),
    case(checks.unreadable, "no-certificate", YES, "PEM", files={PAIR: tls.key_text(OTHER_KEY)}),
    case(checks.unreadable, "pair", NO, "holds a key", files={PAIR: tls.key_text(OTHER_KEY) + PEM}),
    case(checks.unreadable, "none", OPEN, ABSENT),
    case(checks.key_of_another, "other", YES, "does not match its", files={PAIR: tls.key_text(KEY) + PEM}),
    case(checks.key_of_another, "own", NO, "key and certificate match", files={PAIR: tls.key_text(OTHER_KEY) + PEM}),
    case(checks.key_of_another, "none", OPEN, ABSENT),
    case(checks.authority_missing, "none", YES, ABSENT),
    case(checks.authority_missing, "there", NO, "is there", files={AUTHORITY_FILE: AUTHORITY_PEM}),
    case(checks.authority_missing, "folder", OPEN, "a folder", files={AUTHORITY_FILE: None}),
    case(checks.authority_key_missing, "none", YES, ABSENT),
    case(checks.authority_key_missing, "there", NO, "is there", files={AUTHORITY_KEY: ""}),
    case(checks.authority_key_missing, "own", NO, "was supplied", values=OWN),
    *(
        case(checks.authority_key_of_another, name, confirmed, words, files={AUTHORITY_KEY: text}, **GIVEN)
        for name, text, confirmed, words in (
            ("other", tls.key_text(OTHER_KEY), YES, "does not match"),
            ("same", tls.key_text(KEY), NO, "they match"),
            ("encrypted", tls.key_text(KEY, b"x"), OPEN, "the passphrase of"),
        )
    ),
    case(checks.authority_key_of_another, "none", NO, "no CA key to compare", **GIVEN),
    case(checks.authority_key_of_another, "own", NO, "no CA key to compare", values=OWN, **GIVEN),
]


@pytest.mark.parametrize("row", FILES)
def test_files_of_keys_and_certificates_are_read(tmp_path: Path, row: Case) -> None:
    """Fails if a file that is missing, broken or of another is not named, or one that is right is."""
    assert row.found(tmp_path) == row.expected


DATES = [
    case(checks.expired, "on-disk", YES, "on disk expired on", chain=[OLD]),
    case(checks.expired, "served", YES, "as served expired", chain=[SERVER], anonymous=serves(OLD)),
    case(checks.expired, "valid", NO, "it is valid until", chain=[SERVER], anonymous=serves(SERVER)),
    case(checks.expired, "none", OPEN, ABSENT),
    case(checks.not_yet_valid, "on-disk", YES, "on disk is valid from", chain=[LATER]),
    case(checks.not_yet_valid, "served", YES, "as served is valid", chain=[SERVER], anonymous=serves(LATER)),
    case(checks.not_yet_valid, "valid", NO, "it is valid from", chain=[SERVER]),
    case(checks.not_yet_valid, "none", OPEN, ABSENT),
    case(checks.expires_soon, "soon", YES, "in 19 days", chain=[SERVER], now=NOW + 70 * DAY),
    case(checks.expires_soon, "new", NO, "89 days are left", chain=[SERVER], now=NOW),
    case(checks.expires_soon, "expired", NO, "-", chain=[OLD]),
    case(checks.expires_soon, "none", OPEN, ABSENT),
    case(checks.authority_expired, "past", YES, "it exp", authority=AUTHORITY, now=NOW + 3650 * DAY),
    case(checks.authority_expired, "valid", NO, "valid until", authority=AUTHORITY),
    case(checks.authority_expired, "none", OPEN, ABSENT),
    case(checks.authority_expired, "no-pem", OPEN, "holds no certificate", files={AUTHORITY_FILE: "x"}),
]


@pytest.mark.parametrize("row", DATES)
def test_dates_of_certificates_are_compared_with_the_clock(tmp_path: Path, row: Case) -> None:
    """Fails if a certificate outside its dates, on disk or as served, is not named, or one within them is."""
    assert row.found(tmp_path) == row.expected


IPV6: dict[str, object] = {"extra_addresses": ["2001:db8::1"]}
NAMES = [
    case(checks.no_names, "none", YES, "on disk has none", chain=NO_NAMES),
    case(checks.no_names, "served", YES, "as served", chain=[SERVER], anonymous=serves(NO_NAMES[0])),
    case(checks.no_names, "address", NO, "it has 0 names", chain=ADDRESS_ALONE),
    case(checks.no_names, "named", NO, "it has 1 names", chain=[SERVER]),
    case(checks.no_names, "no-file", OPEN, ABSENT),
    case(checks.name_missing, "other", YES, "is for a.test, not for registry", chain=[issue("a.test")]),
    case(checks.name_missing, "extra", YES, "not for a.test", chain=[SERVER], values={"extra_names": ["a.test"]}),
    case(checks.name_missing, "named", NO, "it is for registry.test", chain=[SERVER]),
    case(checks.name_missing, "no-file", OPEN, ABSENT),
    case(checks.address_missing, "none", YES, "for no address, not for", chain=[issue(addresses=())]),
    case(checks.address_missing, "there", NO, "it has the required", chain=[SERVER]),
    case(checks.address_missing, "own", NO, "it has", chain=[issue(addresses=())], values=OWN),
    case(checks.address_missing, "extra", YES, "not for 2001:db8::1", chain=[SERVER], values=IPV6),
    case(checks.address_missing, "no-file", OPEN, ABSENT),
]


@pytest.mark.parametrize("row", NAMES)
def test_names_in_the_certificate_are_those_that_are_asked_for(tmp_path: Path, row: Case) -> None:
    """Fails if a name or an address that clients ask for, and that is in no certificate, is not named."""
    assert row.found(tmp_path) == row.expected


SIGNERS = [
    case(checks.of_another_authority, "same-name", YES, "of the same name", chain=[SERVER], authority=NAMESAKE),
    case(checks.of_another_authority, "other", YES, "by CN=Example CA", chain=[SERVER], authority=STRANGER),
    case(checks.of_another_authority, "ours", NO, "the CA on disk signed it", **GIVEN),
    case(checks.of_another_authority, "served", YES, "as served", **GIVEN, anonymous=serves(issue(authority=STRANGER))),
    case(checks.of_another_authority, "none", OPEN, ABSENT, chain=[SERVER]),
    case(checks.intermediate_missing, "none", YES, "Issuing CA", chain=odd(WITHOUT_MIDDLE), authority=AUTHORITY),
    case(checks.intermediate_missing, "there", NO, "in the file", chain=odd(LEAF_MIDDLE), authority=STRANGER),
    case(checks.intermediate_missing, "no-need", NO, "the CA itself signed it", **GIVEN),
    case(checks.intermediate_missing, "no-file", OPEN, ABSENT),
    case(checks.served_is_another, "other", YES, "served: ", chain=[SERVER], anonymous=serves(OLD)),
    case(checks.served_is_another, "same", NO, "on disk is", chain=[SERVER], anonymous=serves(SERVER)),
    case(checks.served_is_another, "nobody", OPEN, "over TLS: Connection refused", chain=[SERVER]),
]


@pytest.mark.parametrize("row", SIGNERS)
def test_who_signed_the_certificate_and_which_one_is_served_is_seen(tmp_path: Path, row: Case) -> None:
    """Fails if a certificate of another authority, a gap in the chain or an old one that is served is not named."""
    assert row.found(tmp_path) == row.expected


TRUST, FOLDER = "certs.d/registry.test/ca.crt", "certs.d/registry.test"
TRUSTED = [
    case(checks.trust_missing, "none", YES, ABSENT),
    case(checks.trust_missing, "there", NO, "is there", files={TRUST: AUTHORITY_PEM}),
    case(checks.trust_missing, "folder", OPEN, "a folder", files={TRUST: None}),
    *(
        case(checks.trust_in_another, name, confirmed, words, files={TRUST: text}, authority=AUTHORITY)
        for name, text, confirmed, words in (
            ("no-pem", b"x", YES, "holds no certificate"),
            ("other", tls.certificate_text(STRANGER), YES, "another certificate, not the CA's"),
            ("namesake", tls.certificate_text(NAMESAKE), YES, "another certificate of the same name"),
            ("second", tls.certificate_text(STRANGER) + AUTHORITY_PEM, NO, "contains the CA certificate"),
        )
    ),
    case(checks.trust_in_another, "none", OPEN, ABSENT, authority=AUTHORITY),
    case(checks.trust_folder_misnamed, "port", YES, "registry.test:5443, not", files={f"{FOLDER}:5443": None}),
    case(checks.trust_folder_misnamed, "both", NO, "there is", files={f"{FOLDER}:5443": None, FOLDER: None}),
    case(checks.trust_folder_misnamed, "none", NO, "no such folder", files={"certs.d/a.test": None}),
    case(checks.trust_folder_has_key, "key", YES, "holds a.key", files={f"{FOLDER}/a.key": "", TRUST: ""}),
    case(checks.trust_folder_has_key, "client", YES, "a.cert", files={f"{FOLDER}/a.cert": ""}),
    case(checks.trust_folder_has_key, "none", NO, "holds no key", files={TRUST: ""}),
]


@pytest.mark.parametrize("row", TRUSTED)
def test_folder_that_the_engine_trusts_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Case) -> None:
    """Fails if what the engine trusts under exactly this name is not compared with the authority."""
    monkeypatch.setattr(Parameters, "trust_path", property(lambda _: tmp_path / TRUST))
    monkeypatch.setattr(checks, "_CERTS_D", tmp_path / "certs.d")
    assert row.found(tmp_path) == row.expected


WRONG_MODE = SetMode(path=Path("/private/ca.key"), before=0o644, after=0o600)


@pytest.mark.parametrize(
    "row",
    [
        case(checks.modes, "open", YES, "/private/ca.key has 0644, expected 0600", given=[WRONG_MODE]),
        case(checks.modes, "closed", NO, "as required", given=[]),
        case(checks.modes, "unknown", OPEN, "an expired one", given=HostError("a", "an expired one", "b")),
    ],
)
def test_modes_are_those_of_the_plans(tmp_path: Path, row: Case) -> None:
    """Fails if permissions that a notebook would mend are not named, or a plan that refuses decides of them."""
    plans = {certificates.__name__: [], configuration.__name__: row.given}
    assert row.found(tmp_path, _plans=plans) == row.expected


ROWS = {
    "plain": (Row(title="plain"), ()),
    "signed with SHA-1": (Row(title="sha1", chain=(but(LEAF, signature=SHA1),), above=(RSA_ROOT,)), (checks.weak,)),
    "a short key": (Row(title="short", chain=(but(LEAF, kind="rsa-1024"),)), (checks.weak,)),
    "for clients": (Row(title="clients", chain=(but(LEAF, (CLIENT, False)),)), (checks.not_for_servers,)),
    "the server's own trusted": (Row(title="leaf", trusted=0), (checks.authority_may_not_sign,)),
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("check", [checks.weak, checks.not_for_servers, checks.authority_may_not_sign])
def test_certificates_that_clients_refuse_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, check: Check
) -> None:
    """Fails if a certificate's fault is not confirmed, or one that it does not have is."""
    row, wrong = ROWS[name]
    _, _, authority = row.files()
    trusted = tmp_path / "ca.crt"
    trusted.write_text(authority, encoding="ascii")
    monkeypatch.setattr(Parameters, "trust_path", property(lambda _: trusted))
    given = situation(chain=odd(row), anonymous=NOBODY, authority=x509.load_pem_x509_certificate(authority.encode()))
    assert look(check, given).confirmed is (check in wrong)
