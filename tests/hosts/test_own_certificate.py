"""A certificate of one's own on a host: a chain with an intermediate, proven, kept, refused where it is wrong."""

import pytest

from runbook.system.certificates import tls
from tests import chains

from .lab import Host
from .product import Report, papermill, run, snapshot

FOLDER = "/etc/ssl/registry"
OWN = ("-f", "parameters/own-certificate.yml")


def bring(host: Host, chain: chains.Chain) -> None:
    """Put a chain's files on the host, as an operator would."""
    host.write(f"{FOLDER}/chain.pem", chains.text(chain.server, chain.intermediate))
    host.write(f"{FOLDER}/key.pem", tls.key_text(chain.key).decode(), mode=0o600)
    host.write(f"{FOLDER}/root.pem", chains.text(chain.root))


def run_own(host: Host, *notebooks: str, check: bool = True) -> Report:
    """Run with the files that were brought."""
    return run(host, *notebooks, *OWN, check=check)


@pytest.mark.one_of("set-ups")
def test_run_proves_own_certificate_then_changes_nothing(proven_bookworm: Host) -> None:
    """Fails where a chain that was brought is not served whole, or a wrong one changes anything; then goes back."""
    host = proven_bookworm
    chain = chains.issue("registry.test")
    bring(host, chain)
    host.run("chmod", "644", f"{FOLDER}/key.pem")
    as_it_was = snapshot(host)
    refused = run_own(host, "30-certificates", check=False)
    assert f"run `chmod 600 {FOLDER}/key.pem`" in str(refused.error)
    assert snapshot(host) == as_it_was

    host.run("chmod", "600", f"{FOLDER}/key.pem")
    proven = run_own(host)
    assert (proven.error, proven.failed) == (None, [])
    assert any(change.startswith(f"put the key of {FOLDER}/key.pem") for change in proven.changes)
    assert any(change.startswith("bring up") for change in proven.changes)
    assert tls.fingerprint(chain.server)[:16] in [result["found"] for result in proven.results]

    as_it_was = snapshot(host)
    second = run_own(host)
    assert (second.error, second.changes, second.failed) == (None, [], [])
    assert papermill(host, "30-certificates", *OWN) == []
    assert snapshot(host) == as_it_was

    host.run("mv", *(f"/etc/registry-runbook/ca/ca.crt{end}" for end in (".before-registry-runbook", "")))
    assert run(host, "30-certificates", "50-compose").failed == []
    host.run("rm", "-r", FOLDER)
