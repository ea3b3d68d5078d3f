"""30-certificates with what was brought along: judged before anything is changed, then put in its places."""

import dataclasses
import datetime
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)

from runbook.changes.apply import apply
from runbook.changes.base import Change, as_json
from runbook.changes.certificates import InstallCertificate
from runbook.changes.files import CopyFile, MakeDirectory, WriteFile
from runbook.model.errors import ApplyError, ChangedError, HostError, ParameterError
from runbook.model.parameters import Parameters, read
from runbook.sections import certificates
from runbook.system.certificates import supplied, supplied_rules, tls
from tests import chains

NAME, ADDRESS = "registry.example", "192.168.7.9"
NOW = datetime.datetime.now(datetime.UTC)
GOOD = chains.issue(NAME, "*.wild.example", addresses=(ADDRESS,))
OTHER = chains.issue(NAME)  # of authorities that have the same names
RENEWED = chains.issue(NAME)
ORDERED = (GOOD.server, GOOD.intermediate)
KEY = tls.key_text(GOOD.key).decode()
NEW_KEYS: Mapping[str, object] = {
    "ed448": ed448.Ed448PrivateKey.generate(),
    "rsa-1024": rsa.generate_private_key(public_exponent=65537, key_size=1024),  # noqa: S505 (that is what is refused)
    "p224": ec.generate_private_key(ec.SECP224R1()),
}


def self_signed(name: str, key: tls.PrivateKey, *, with_names: bool = True) -> x509.Certificate:
    """Return a certificate that has signed itself and may sign nothing else."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - chains.DAY)
        .not_valid_after(NOW + chains.DAY)
    )
    if with_names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(key, hashes.SHA256())


SELF_MADE_KEY = tls.generate_key("ecdsa-p256")
SELF_MADE_ROOT = tls.issue_authority(SELF_MADE_KEY, (("CN", "Root"),), now=NOW, validity_days=9)


def self_made(usage: x509.ObjectIdentifier) -> x509.Certificate:
    """Return a certificate for the name, signed by the self-made root, that is for another usage than a server's."""
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(SELF_MADE_KEY.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(SELF_MADE_ROOT.subject)
        .public_key(GOOD.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - chains.DAY)
        .not_valid_after(NOW + chains.DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(authority_key, critical=False)
        .sign(SELF_MADE_KEY, hashes.SHA256())
    )


def private_text(key: object) -> str:
    """Return a key of any kind in PEM."""
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key.private_bytes(*form).decode()  # type: ignore[attr-defined,no-any-return] # one of many kinds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Brought:
    """The files that an operator brings, and the parameters beside them; `trusted` is what clients are to trust."""

    chain: str = chains.text(*ORDERED)
    key: str = KEY
    mode: int = 0o600
    authority: str | None = chains.text(GOOD.root)
    trusted: str = ""
    values: Mapping[str, object] = dataclasses.field(default_factory=dict)


@pytest.fixture
def bring(make_parameters: Callable[..., Parameters], tmp_path: Path) -> Callable[[Brought], Parameters]:
    """Return the function that writes what is brought and returns the parameters that name it."""

    def write(brought: Brought) -> Parameters:
        chains.write(tmp_path / "chain.pem", brought.chain)
        chains.write(tmp_path / "key.pem", brought.key, mode=brought.mode)
        values = {
            "domain": NAME,
            "certificate_source": "own",
            "own_certificate_file": f"{tmp_path}/chain.pem",
            "own_key_file": f"{tmp_path}/key.pem",
        }
        if brought.authority is not None:
            chains.write(tmp_path / "root.pem", brought.authority)
            values["own_authority_file"] = f"{tmp_path}/root.pem"
        return make_parameters(**{**values, **brought.values})

    return write


def plan(parameters: Parameters) -> list[Change]:
    """Return the plan for the files as they are."""
    return certificates.plan(parameters, certificates.gather(parameters))


def make(parameters: Parameters) -> list[str]:
    """Plan and make all but the trust, whose place is fixed, and return the kinds of the changes made."""
    changes = [change for change in plan(parameters) if not isinstance(change, CopyFile)]
    apply(changes)
    return [type(change).__name__ for change in changes]


def files_below(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return mode and content of each file below a folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) for path in paths}


REFUSALS = [
    pytest.param(
        Brought(key=tls.key_text(OTHER.key).decode()),
        "found a key that belongs to none of the 2 certificates",
        "bring the key",
        id="key-does-not-match",
    ),
    pytest.param(Brought(mode=0o640), "found mode 0640", "run `chmod 600 .*key.pem`", id="key-for-others"),
    pytest.param(
        Brought(key=tls.key_text(GOOD.key, b"passphrase").decode()), "it is encrypted", "openssl pkey", id="encrypted"
    ),
    pytest.param(Brought(key="no key"), "a private key in PEM in .*key.pem", "bring the right file", id="no-key"),
    pytest.param(Brought(chain="nothing"), "certificates in PEM in .*chain.pem", "bring the right", id="no-chain"),
    pytest.param(
        Brought(chain=chains.text(GOOD.intermediate, GOOD.server)),
        "found 1. CN=Company Issuing CA; 2. CN=server",
        "into this order: 1. CN=server; 2. CN=Company Issuing CA",
        id="wrong-order",
    ),
    pytest.param(
        Brought(chain=chains.text(GOOD.root, GOOD.intermediate, GOOD.server), authority=None),
        "found 1. CN=Company Root; 2",
        "order: 1. CN=server; 2. CN=Company Issuing CA; 3. CN=Company Root",
        id="root-first",
    ),
    pytest.param(
        Brought(chain=chains.text(GOOD.server)),
        "CN=server is signed by CN=Company Issuing CA, whose certificate is not there",
        "add the certificate of CN=Company Issuing CA to .*chain.pem",
        id="intermediate-missing",
    ),
    pytest.param(
        Brought(chain=chains.text(GOOD.server, GOOD.root), authority=None),
        "CN=server is signed by CN=Company Issuing CA, whose certificate is not there",
        "add the certificate of CN=Company Issuing CA",
        id="intermediate-missing-before-the-root",
    ),
    pytest.param(
        Brought(authority=None),
        "CN=Company Issuing CA is signed by CN=Company Root, whose certificate is not there",
        "give it as own_authority_file",
        id="authority-not-given",
    ),
    pytest.param(
        Brought(authority=chains.text(OTHER.root)),
        "a chain that leads to another authority, CN=Company Root",
        "give the root that this chain leads to",
        id="another-authority-of-the-same-name",
    ),
    pytest.param(
        Brought(chain=chains.text(*ORDERED, GOOD.root), authority=chains.text(OTHER.root)),
        "a chain that leads to another authority, CN=Company Root",
        "give the root",
        id="root-in-the-chain-is-not-the-authority",
    ),
    pytest.param(
        Brought(values={"domain": "elsewhere.example"}),
        rf"elsewhere.example among .*; found {NAME}, \*\.wild\.example, {ADDRESS}",
        "set domain, extra_names and extra_addresses to those",
        id="another-name",
    ),
    pytest.param(
        Brought(values={"domain": "a.b.wild.example"}), "a.b.wild.example among", "set domain", id="below-wildcard"
    ),
    pytest.param(Brought(values={"extra_names": ["b.test"]}), "b.test among", "ask for a certificate", id="extra-name"),
    pytest.param(
        Brought(values={"extra_addresses": ["10.0.0.1"]}), "10.0.0.1 among", "extra_addresses", id="extra-address"
    ),
]


@pytest.mark.parametrize(("brought", "found", "remedy"), REFUSALS)
def test_plan_refuses_what_would_not_serve(
    bring: Callable[[Brought], Parameters], tmp_path: Path, brought: Brought, found: str, remedy: str
) -> None:
    """Fails if it is found out by the registry or a client, later, or if an error does not say what to do."""
    parameters = bring(brought)
    before = files_below(tmp_path)
    with pytest.raises(HostError, match=f"{found}.*To repair: .*{remedy}"):
        plan(parameters)
    assert before == files_below(tmp_path)


def chain_with(key: object) -> supplied.SuppliedCertificate:
    """Return the facts of a self-made root and a server certificate with a key that no client of today takes."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "weak")])
    root_key = tls.generate_key("ecdsa-p256")
    root = tls.issue_authority(root_key, subject, now=NOW, validity_days=9)
    server = tls.issue_server(
        key,  # type: ignore[arg-type] # another kind than the runbook makes
        (("CN", NAME),),
        dns_names=(NAME,),
        addresses=(),
        authority=(root_key, root),
        now=NOW,
        validity_days=2,
    )
    return facts_of(server, root)


def facts_of(
    server: x509.Certificate, root: x509.Certificate, *, handshake: str = "accepted"
) -> supplied.SuppliedCertificate:
    """Return the facts of a server certificate that a root has signed."""
    return supplied.SuppliedCertificate(
        key_path=Path("/k"),
        chain_path=Path("/c"),
        authority_path=Path("/a"),
        key_place=0,
        chain=(server,),
        authorities=(root,),
        handshake=handshake,
        text_fits=False,
    )


@pytest.mark.parametrize("kind", ["rsa-1024", "p224"])
def test_plan_refuses_a_key_that_is_too_weak(bring: Callable[[Brought], Parameters], kind: str) -> None:
    """Fails if a key passes that a client, or the registry's TLS, will not take."""
    key = NEW_KEYS[kind]
    facts = chain_with(key)
    parameters = bring(
        Brought(chain=chains.text(facts.server), key=private_text(key), authority=chains.text(*facts.authorities))
    )
    with pytest.raises(HostError, match=f"RSA of 2048 bits or more; found .*{kind}.*such a key"):
        plan(parameters)


def test_load_key_refuses_a_kind_that_is_not_served(tmp_path: Path) -> None:
    """Fails if the kind is found out only by the registry that does not start, or by an old client."""
    chains.write(tmp_path / "key.pem", private_text(NEW_KEYS["ed448"]))
    with pytest.raises(HostError, match=r"ecdsa-p256, .*key.pem; found Ed448PrivateKey"):
        supplied.load_key(tmp_path / "key.pem")


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        pytest.param(datetime.timedelta(days=91), r"it expired on .*\. To repair: have it renewed", id="expired"),
        pytest.param(
            datetime.timedelta(days=-2), r"it is valid from .*\. To repair: set this host's clock right", id="not-yet"
        ),
    ],
)
def test_refuse_gives_both_times_of_a_wrong_date(
    bring: Callable[[Brought], Parameters], moved: datetime.timedelta, expected: str
) -> None:
    """Fails if an expired certificate is installed, or one that is not valid yet does not lead to the clock."""
    parameters = bring(Brought())
    facts = certificates.gather(parameters)
    now = NOW + moved
    with pytest.raises(HostError, match=f"to be valid now, {now:%Y-%m-%d %H:%M} UTC; found {expected}"):
        certificates.plan(parameters, dataclasses.replace(facts, now=now))


LASTING = chains.issue(NAME, validity_days=9000)  # longer than its authorities
BELOW_ROOT = tls.issue_server(
    GOOD.key,
    (("CN", NAME),),
    dns_names=(NAME,),
    addresses=(),
    authority=(SELF_MADE_KEY, SELF_MADE_ROOT),
    now=NOW,
    validity_days=9000,
)


@pytest.mark.parametrize(
    ("brought", "expected"),
    [
        pytest.param(
            dataclasses.replace(facts_of(LASTING.server, LASTING.root), chain=(LASTING.server, LASTING.intermediate)),
            "CN=Company Issuing CA",
            id="intermediate",
        ),
        pytest.param(facts_of(BELOW_ROOT, SELF_MADE_ROOT), "CN=Root", id="root"),
    ],
)
def test_refuse_judges_the_date_of_each_certificate(brought: supplied.SuppliedCertificate, expected: str) -> None:
    """Fails if only the server certificate is looked at: an authority's end is the end of all below it."""
    with pytest.raises(HostError, match=f"{expected} to be valid now, .*; found it expired on"):
        supplied_rules.refuse(brought, names=(NAME,), now=NOW + 3651 * chains.DAY)


def test_refuse_says_what_a_client_says(bring: Callable[[Brought], Parameters]) -> None:
    """Fails if a chain passes that a real handshake or the path validation refuses."""
    brought = certificates.gather(bring(Brought())).brought
    assert brought is not None
    assert brought.handshake == "accepted"
    with pytest.raises(HostError, match=r"a client that trusts CN=Company Root to accept .*; found ca md too weak"):
        supplied_rules.refuse(dataclasses.replace(brought, handshake="ca md too weak"), names=(NAME,), now=NOW)
    for_mail = facts_of(self_made(x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION), SELF_MADE_ROOT)
    with pytest.raises(HostError, match=r"to be for servers .*; found extendedKeyUsage emailProtection"):
        supplied_rules.refuse(for_mail, names=(NAME,), now=NOW)


SELF_SIGNED = chains.text(self_signed(NAME, GOOD.key))
ACCEPTED = [
    pytest.param(Brought(), id="root-apart"),
    pytest.param(Brought(chain=chains.text(*ORDERED, GOOD.root), authority=None), id="root-in-the-chain"),
    pytest.param(Brought(chain=chains.text(*ORDERED, GOOD.root)), id="root-in-both"),
    pytest.param(Brought(chain=chains.text(*ORDERED, OTHER.intermediate)), id="foreign-certificate"),
    pytest.param(Brought(chain=chains.text(*ORDERED, GOOD.intermediate)), id="certificate-twice"),
    pytest.param(Brought(chain=chains.text(GOOD.server, GOOD.root, GOOD.intermediate)), id="root-between"),
    pytest.param(Brought(authority=chains.text(OTHER.root, GOOD.root), trusted=chains.text(GOOD.root)), id="bundle"),
    pytest.param(
        Brought(chain=chains.text(GOOD.server), authority=chains.text(GOOD.intermediate)), id="authority-is-no-root"
    ),
    pytest.param(Brought(chain=SELF_SIGNED, authority=None, trusted=SELF_SIGNED), id="self-signed"),
    pytest.param(Brought(values={"domain": "a.wild.example"}), id="wildcard"),
    pytest.param(Brought(values={"extra_addresses": [ADDRESS]}), id="address"),
]


@pytest.mark.parametrize("brought", ACCEPTED)
def test_second_run_changes_nothing(bring: Callable[[Brought], Parameters], brought: Brought) -> None:
    """Fails if a right chain is refused or put elsewhere, an authority is made beside it, or it is put there again."""
    parameters = bring(brought)
    assert make(parameters) == [*["MakeDirectory"] * 3, "WriteFile", "InstallCertificate"]
    assert parameters.certificate_path.read_text(encoding="ascii") == KEY + brought.chain
    trusted = brought.trusted or brought.authority or chains.text(GOOD.root)
    assert parameters.ca_certificate_path.read_text(encoding="ascii") == trusted
    assert not parameters.ca_key_path.exists()
    assert stat.S_IMODE(parameters.certificate_path.stat().st_mode) == 0o600
    [trust] = plan(parameters)
    assert trust == CopyFile(source=parameters.ca_certificate_path, path=parameters.trust_path, mode=0o444)
    assert make(parameters) == []


@pytest.mark.parametrize(
    ("brought", "expected"),
    [
        pytest.param(Brought(), ["CN=Company Issuing CA"], id="intermediate"),
        pytest.param(
            Brought(chain=chains.text(*ORDERED, GOOD.root), authority=None), ["CN=Company Issuing CA"], id="with-root"
        ),
    ],
)
def test_gather_tells_what_stands_between_authority_and_server(
    bring: Callable[[Brought], Parameters], brought: Brought, expected: list[str]
) -> None:
    """Fails if the picture of a chain lacks a link or has its authority twice, or a broken file ends the notebook."""
    parameters = bring(brought)
    assert certificates.gather(parameters).intermediates == ()
    make(parameters)
    assert expected == [link.subject for link in certificates.gather(parameters).intermediates]
    served = parameters.certificate_path.read_text(encoding="ascii")
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    parameters.certificate_path.write_text(served + broken, encoding="ascii")
    assert certificates.gather(parameters).intermediates == ()


def test_plan_holds_no_key(bring: Callable[[Brought], Parameters]) -> None:
    """Fails if the key stands in a plan, a diff or a record."""
    parameters = bring(Brought())
    changes = plan(parameters)
    kinds = [MakeDirectory, MakeDirectory, MakeDirectory, WriteFile, InstallCertificate, CopyFile]
    assert kinds == [type(change) for change in changes]
    shown = f"{changes}{[as_json(change) for change in changes]}{certificates.gather(parameters)}"
    shown += "".join(change.detail() for change in changes if isinstance(change, WriteFile))
    assert [line for line in KEY.splitlines()[1:-1] if line in shown] == []
    assert "PRIVATE KEY" not in shown


def test_renewed_certificate_is_taken_over(bring: Callable[[Brought], Parameters]) -> None:
    """Fails if the registry goes on with the old one, or a new root is not taken with its earlier one kept."""
    make(bring(Brought()))
    chain = chains.text(RENEWED.server, RENEWED.intermediate)
    key = tls.key_text(RENEWED.key).decode()
    parameters = bring(Brought(chain=chain, key=key, authority=chains.text(RENEWED.root)))
    assert make(parameters) == ["WriteFile", "InstallCertificate"]
    assert parameters.certificate_path.read_text(encoding="ascii") == key + chain
    kept = parameters.ca_certificate_path.with_name("ca.crt.before-registry-runbook")
    assert kept.read_text(encoding="ascii") == chains.text(GOOD.root)
    assert make(parameters) == []


def test_apply_refuses_what_came_after_the_plan(bring: Callable[[Brought], Parameters], tmp_path: Path) -> None:
    """Fails if another chain or key than the one that was judged is installed."""
    parameters = bring(Brought())
    [install] = [change for change in plan(parameters) if isinstance(change, InstallCertificate)]
    for name, content in (
        ("key.pem", tls.key_text(OTHER.key).decode()),
        ("chain.pem", chains.text(*ORDERED, OTHER.root)),
    ):
        bring(Brought())
        chains.write(tmp_path / name, content)
        with pytest.raises(ApplyError, match="as planned; found another key or chain") as caught:
            apply([install])
        assert isinstance(caught.value.__cause__, ChangedError)
    assert not parameters.certificate_path.exists()


def test_links_are_followed(bring: Callable[[Brought], Parameters], tmp_path: Path) -> None:
    """Fails if files that certbot keeps behind links are refused, or the mode is that of the link."""
    parameters = bring(Brought())
    for name in ("key.pem", "chain.pem"):
        (tmp_path / name).rename(tmp_path / f"{name}.1")
        (tmp_path / name).symlink_to(f"{name}.1")
    assert "InstallCertificate" in make(parameters)
    (tmp_path / "key.pem.1").chmod(0o644)
    with pytest.raises(HostError, match="found mode 0644"):
        plan(parameters)
    (tmp_path / "key.pem").unlink()
    with pytest.raises(HostError, match=r"a file at .*key\.pem; found no such file"):
        plan(parameters)


def test_authority_of_the_runbook_is_kept_and_comes_back_by_hand(
    bring: Callable[[Brought], Parameters], make_parameters: Callable[..., Parameters]
) -> None:
    """Fails if going over to one's own certificate loses the authority, or going back overwrites anything unasked."""
    issued = make_parameters(domain=NAME)
    make(issued)
    before = (issued.ca_key_path.read_bytes(), issued.ca_certificate_path.read_bytes())
    own = bring(Brought())
    assert make(own) == ["WriteFile", "InstallCertificate"]
    installed = files_below(Path(own.private_directory).parent)
    with pytest.raises(HostError, match=re.escape("set certificate_source to own")):
        make(issued)
    assert installed == files_below(Path(own.private_directory).parent)
    kept = own.ca_certificate_path.with_name("ca.crt.before-registry-runbook")
    kept.rename(own.ca_certificate_path)
    assert make(issued) == ["IssueCertificate"]
    assert before == (issued.ca_key_path.read_bytes(), issued.ca_certificate_path.read_bytes())


@pytest.mark.parametrize("missing", ["own_certificate_file", "own_key_file"])
def test_read_refuses_own_without_its_files(missing: str) -> None:
    """Fails if a source that cannot work is found out later than by the model."""
    values = {"own_certificate_file": "/c", "own_key_file": "/k", "certificate_source": "own"}
    with pytest.raises(ParameterError, match=f"for {missing}: the path of a file in PEM, since certificate_source"):
        read({name: value for name, value in values.items() if name != missing}, where="a test")


def test_check_accepts_the_chain_and_nothing_else(
    bring: Callable[[Brought], Parameters], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fails if the proof does not take the intermediates, or passes for a chain that lacks one."""
    monkeypatch.setattr(Parameters, "trust_path", property(lambda _: tmp_path / "trusted.crt"))
    parameters = bring(Brought(values={"extra_addresses": [ADDRESS]}))
    apply(plan(parameters))
    assert plan(parameters) == []
    results = certificates.check(parameters)
    assert [result.claim for result in results if not result.passed] == []
    assert len(results) == 8
    chains.write(parameters.certificate_path, KEY + chains.text(GOOD.server))
    failed = [result.claim for result in certificates.check(parameters) if not result.passed]
    assert f"a client that verifies accepts it for {NAME}" in failed
    assert "a TLS handshake with the file on disk" in failed


def test_check_notes_which_clients_are_stricter(
    bring: Callable[[Brought], Parameters], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fails if what engine and curl take, and others refuse, fails the proof or passes it without a word."""
    monkeypatch.setattr(Parameters, "trust_path", property(lambda _: tmp_path / "trusted.crt"))
    lasting = Brought(
        chain=chains.text(LASTING.server, LASTING.intermediate),
        key=tls.key_text(LASTING.key).decode(),
        authority=chains.text(LASTING.root),
    )
    notes = {}
    for name, brought in (("good", Brought()), ("lasting", lasting)):
        parameters = bring(brought)
        apply(plan(parameters))
        results = certificates.check(parameters)
        assert [result.claim for result in results if not result.passed] == []
        notes[name] = [f"{result.claim}: {result.found}" for result in results if "stricter" in result.claim]
    expected = "the certificate by stricter clients: Apple's systems: it is valid for 9000 days, more than 825"
    assert notes == {"good": [], "lasting": [expected]}


def forms_of(chain: chains.Chain) -> dict[str, bytes]:
    """Return a server's certificate, or its key, in each form that people have and the registry does not read."""
    certificates, key = [chain.server, chain.intermediate], chain.key
    private = (PrivateFormat.PKCS8, NoEncryption())
    return {
        "a certificate in DER": chain.server.public_bytes(Encoding.DER),
        "PKCS #7": pkcs7.serialize_certificates(certificates, Encoding.DER),
        "PEM of a PKCS7": pkcs7.serialize_certificates(certificates, Encoding.PEM),
        "a private key in DER": key.private_bytes(Encoding.DER, *private),
        "PKCS #12": pkcs12.serialize_key_and_certificates(
            b"n", key, chain.server, None, BestAvailableEncryption(b"word")
        ),
        "no PEM": b"\xff\xfe" * 40,
    }


@pytest.mark.parametrize("form", forms_of(GOOD))
def test_load_names_another_form_and_the_command_for_it(tmp_path: Path, form: str) -> None:
    """Fails if a file that a Windows host or an authority gives is refused in the words of a codec."""
    path = tmp_path / "brought"
    path.write_bytes(forms_of(GOOD)[form])
    path.chmod(0o600)
    remedy = "bring the right file there" if form == "no PEM" else rf"convert it: `.*openssl .*{path}"
    for load in (supplied.load_chain, supplied.load_key):
        with pytest.raises(HostError, match=rf"in PEM in {path}; found (certificates in )?{form}.*{remedy}"):
            load(path)


@pytest.mark.parametrize(
    "around",
    [
        pytest.param(lambda one, two: b"Bag Attributes\n    friendlyName: B\xfcro\n" + one + two, id="latin-1-before"),
        pytest.param(lambda one, two: one.rstrip() + two, id="joined-without-a-line"),
        pytest.param(lambda one, two: (one + two).replace(b"\n", b"\r\n"), id="windows-line-ends"),
        pytest.param(lambda one, two: b"\xef\xbb\xbf" + one + b"\n\n text \n" + two, id="mark-and-text-between"),
    ],
)
def test_load_takes_the_blocks_alone(tmp_path: Path, around: Callable[[bytes, bytes], bytes]) -> None:
    """Fails if what stands outside the blocks decides whether they are read."""
    path = tmp_path / "brought"
    texts = [tls.certificate_text(item) for item in (GOOD.server, GOOD.intermediate)]
    path.write_bytes(around(*texts))
    assert supplied.load_chain(path) == (GOOD.server, GOOD.intermediate)
    path.write_bytes(around(texts[0], tls.key_text(GOOD.key)))
    path.chmod(0o600)
    assert supplied.load_key(path).public_key() == GOOD.key.public_key()
