"""Certificates are judged as engine, curl and the registry judge them, on each Python alike, and refused by name."""

import datetime
import re
from pathlib import Path

import pytest
from cryptography import x509

from runbook.model.errors import HostError
from runbook.system.certificates import supplied, supplied_rules, tls, validation
from tests import odd_certificates
from tests.odd_certificates import LEAF, MIDDLE, NAME, NOW, ROOT, ROWS, Row

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")


def bring(row: Row, folder: Path) -> supplied.SuppliedCertificate:
    """Return the facts of what an operator would bring; raises HostError for a key that is none to serve."""
    for name, text in zip(("key", "chain", "authority"), row.files(), strict=True):
        (folder / name).write_text(text, encoding="ascii")
        (folder / name).chmod(0o600)
    return supplied.gather(
        key_path=folder / "key",
        chain_path=folder / "chain",
        authority_path=folder / "authority",
        name=row.wanted[0],
        text=None,
    )


def judge(row: Row, folder: Path) -> str:
    """Return `accepted`, or the error."""
    try:
        supplied_rules.refuse(bring(row, folder), names=row.wanted, now=datetime.datetime.now(datetime.UTC))
    except HostError as error:
        return str(error)
    return "accepted"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_refuse_judges_as_clients_do(row: Row, tmp_path: Path) -> None:
    """Fails if what they all accept is refused, or a refusal does not name what is wrong with which certificate."""
    found = judge(row, tmp_path)
    assert re.search(row.says or "^accepted$", found), found
    assert "RFC 5280" not in found
    assert row.accepted or "To repair: " in found


@pytest.mark.parametrize("row", [row for row in ROWS if row.accepted], ids=lambda row: row.title)
def test_stricter_says_which_clients_refuse_it_and_why(row: Row, tmp_path: Path) -> None:
    """Fails if a certificate that some client refuses is taken without a word, or one without a fault gets a note."""
    brought = bring(row, tmp_path)
    (tmp_path / "pair").write_bytes(supplied.pair_text(supplied.load_key(brought.key_path), brought.chain))
    trusting = tls.client_context((tmp_path / "authority").read_text(encoding="ascii"), strict=True)
    strict = tls.handshake(tls.server_context(tmp_path / "pair"), trusting, row.wanted[0])
    notes = [f"{who}: {why}" for who, why in validation.stricter(brought.server, strict)]
    assert len(notes) == bool(row.stricter), notes
    assert row.stricter in "".join(notes)


@pytest.mark.parametrize("name", [f"other.{NAME}", "127.0.0.1"])
def test_refuse_judges_the_names_too(name: str, tmp_path: Path) -> None:
    """Fails if the table above is all accepted for a name that no certificate has."""
    assert f"{name} among" in judge(Row(title="", wanted=(name,)), tmp_path)


def test_why_refused_judges_dates_at_the_time_that_is_given() -> None:
    """Fails if a proof that a certificate ends would be judged by today's date."""
    server, root = (x509.load_der_x509_certificate(one.issue(ROOT)) for one in (LEAF, ROOT))
    days = odd_certificates.DAY
    found = [validation.why_refused(server, root, NAME, NOW + shift * days) for shift in (-2, 0, 89, 91)]
    assert [reason and reason.rpartition(" on ")[0] for reason in found[1:]] == [None, None, f"CN={NAME}: it expired"]
    assert "it is valid from" in str(found[0])


def test_paths_are_tried_until_one_holds() -> None:
    """Fails if an authority that was renewed for the same key counts no more, because the old one is there too."""
    old, new = odd_certificates.but(ROOT, until=-1, since=-9), ROOT
    server, middle = (x509.load_der_x509_certificate(one.issue(by)) for one, by in ((LEAF, MIDDLE), (MIDDLE, ROOT)))
    expired, good = (x509.load_der_x509_certificate(one.issue(one)) for one in (old, new))
    both = validation.paths(server, [expired, middle], [expired, good])
    assert both == [(server, middle, expired), (server, middle, good)]
    assert validation.first_fault(both, NOW) is None
    assert "it expired on" in str(validation.first_fault(both[:1], NOW))
