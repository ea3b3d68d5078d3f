"""Messages about certificates and trust: each brought about for real, recognised, and its cause confirmed."""

import random

import pytest

from .faults import Fault, FaultyHosts
from .product import run, script_run

UNKNOWN = "x509: certificate signed by unknown authority"
CANDIDATE = f"{UNKNOWN} (possibly because of … while trying to verify candidate authority certificate …)"
DATES = "x509: certificate has expired or is not yet valid"
REFUSED = "dial tcp …: connect: connection refused"
LOGIN = "login >/dev/null 2>&1;"
AT = f'{LOGIN} mkdir -p $TRUST/../$ADDRESS:443; cp $CA $TRUST/../$ADDRESS:443/; docker pull "$ADDRESS:443/a:1"'
FAULTS = {
    "no-trust": Fault(messages=(UNKNOWN,), cause="trust-missing", say="rm -r $TRUST; login", repair=":"),
    "trust-of-another-port": Fault(
        messages=(UNKNOWN,), cause="trust-folder-misnamed", say="mv $TRUST $TRUST:5000; login", repair=":"
    ),
    "trust-in-a-stranger": Fault(
        messages=(UNKNOWN,),
        cause="trust-in-another",
        say="openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=x -out $TRUST/ca.crt 2>&1; login",
        repair=":",
    ),
    "authority-of-the-same-name": Fault(
        messages=(CANDIDATE,), cause="certificate-of-another-authority", say="pair --other-authority; restart; login"
    ),
    "expired": Fault(messages=(DATES,), cause="certificate-expired", say="pair --begins=-40 --days=10; restart; login"),
    "not-yet-valid": Fault(messages=(DATES,), cause="certificate-not-yet-valid", say="pair --begins=5; restart; login"),
    "another-name": Fault(
        messages=("x509: certificate is valid for …, not …",),
        cause="certificate-name-missing",
        say="pair --names other.test; restart; login",
    ),
    "another-name-to-curl": Fault(
        messages=("certificate is not valid for the host's name (curl, Python)",),
        cause="certificate-name-missing",
        say="pair --names other.test; restart; curl -sS --cacert $CA https://registry.test/v2/",
    ),
    "old-tls": Fault(
        messages=("remote error: tls: handshake failure (or protocol version not supported)",),
        cause="",
        say="openssl s_client -connect registry.test:443 -tls1_1 -cipher DEFAULT@SECLEVEL=0 </dev/null 2>&1",
        repair=":",
    ),
    "another-address": Fault(
        messages=("x509: certificate is valid for …, not …",),
        cause="certificate-address-missing",
        say=f"pair --addresses 203.0.113.9; restart; {AT}",
    ),
    "no-address": Fault(
        messages=("x509: cannot validate certificate for … because it doesn't contain any IP SANs",),
        cause="certificate-address-missing",
        say=f"pair --addresses; restart; {AT}",
    ),
    "no-names": Fault(
        messages=("x509: certificate relies on legacy Common Name field, use SANs instead",),
        cause="certificate-no-names",
        say="pair --no-san; restart; login",
    ),
    "key-in-certs.d": Fault(
        messages=("missing client certificate ….cert for key ….key",),
        cause="trust-folder-has-key",
        say="touch $TRUST/x.key; login",
        repair=":",
    ),
    "certificate-in-certs.d": Fault(
        messages=("missing key ….key for client certificate ….cert",),
        cause="trust-folder-has-key",
        say="touch $TRUST/x.cert; login",
        repair=":",
    ),
    "another-key": Fault(
        messages=("tls: private key does not match public key",),
        cause="key-of-another",
        say="pair --other-key; restart; log 'does not match'",
    ),
    "another-key-to-a-client": Fault(
        messages=(REFUSED,), cause="key-of-another", say="pair --other-key; restart; login; curl https://registry.test"
    ),
    "no-certificate-in-the-file": Fault(
        messages=("tls: failed to find any PEM data in certificate input",),
        cause="certificate-unreadable",
        say="echo x >$SSL/registry.test.pem; restart; log 'failed to find any PEM'",
    ),
    "no-certificate": Fault(
        messages=("level=fatal … open ….pem: no such file or directory",),
        cause="certificate-missing",
        say="rm $SSL/registry.test.pem; restart; log 'no such file'",
    ),
    "client-refuses": Fault(
        messages=("http: TLS handshake error … remote error: tls: bad certificate",),
        cause="trust-missing",
        say="rm -r $TRUST; login; log 'bad certificate'",
        repair=":",
    ),
    "curl-without-the-authority": Fault(
        messages=("SSL certificate problem: unable to get local issuer certificate",),
        cause="certificate-of-another-authority",
        say="pair --other-authority; restart; curl -sS https://registry.test/ 2>&1",
    ),
    "no-tls": Fault(
        messages=("http: server gave HTTP response to HTTPS client",),
        cause="configuration-no-tls",
        say="sed -i /tls:/,+3d $CONFIG; restart; login",
    ),
    "plain-registry": Fault(
        messages=("http: server gave HTTP response to HTTPS client",),
        cause="not-listed-insecure",
        say="pull_plain",
        repair="docker rm -f plain",
        lasts=True,  # the engine lists it no more than before
    ),
    "tls-to-a-plain-port": Fault(
        messages=("tls: first record does not look like a TLS handshake",),
        cause="configuration-no-tls",
        say="sed -i /tls:/,+3d $CONFIG; restart; curl -sS https://registry.test/ 2>&1",
    ),
    "http-to-tls": Fault(
        messages=("Client sent an HTTP request to an HTTPS server",),
        cause="http-to-tls",
        say="curl -sS http://registry.test:443/",
        repair=":",
        lasts=True,  # it is the client's own doing
    ),
    "paused": Fault(
        messages=("net/http: TLS handshake timeout",),
        cause="container-paused",
        say="docker pause $(container) >/dev/null; login",
        repair="docker unpause $(container)",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_recognised_and_confirmed(faulty_hosts: FaultyHosts, name: str, seeded: random.Random) -> None:
    """Fails where the client's words are not known, their cause not confirmed, or still confirmed once it is gone."""
    faulty_hosts.reproduce(FAULTS[name], seeded)


def test_failed_notebook_ends_with_its_diagnosis_and_is_mended_by_it(faulty_hosts: FaultyHosts) -> None:
    """Fails where a failed run does not name the confirmed cause, or the notebook that it names does not remove it."""
    for found in faulty_hosts.by_recipe.values():
        found.shell("rm -r $TRUST")
        failed = run(found.host, "60-push-pull", check=False)
        [diagnosis, *_] = failed.data["notebooks"][0]["diagnosis"]
        assert (diagnosis["name"], diagnosis["command"]) == ("trust-missing", "./script/run 30-certificates")
        assert "CheckError" in str(failed.error)
        told = script_run(found.host, "60-push-pull", check=False).stdout
        assert "Diagnosis: The engine does not trust the CA for this registry." in told
        assert run(found.host, "30-certificates", "60-push-pull").error is None
