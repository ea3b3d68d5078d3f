"""The renewal of a certificate on a host: with a push in flight, at the right time, by the timer of the proof."""

import re
from collections.abc import Iterator

import pytest

from tests import draws
from tests.draws import tries_all
from tests.waiting import UNTIL_SO

from .conftest import start_with_project
from .lab import Host
from .product import run, script_run
from .proven import start_proven
from .test_prove import UNIT, prove

FRONTS = ("none", "nginx")
TIMES = 20 if tries_all() else 1
MEGABYTES = 300 if tries_all() else 60
UPLOADS = "/var/lib/docker/volumes/registry_registry-data/_data/docker/registry/v2/repositories/*/*/_uploads/*/data"
IMAGE = "registry.test/theirs/large"
SERVED = "openssl s_client -connect registry.test:443 -servername registry.test </dev/null 2>/dev/null | openssl x509"
# A push that is on its way when `begin_push` ends: the registry has begun to store its layer.
BEGIN_PUSH = f"""
{UNTIL_SO}
head -c {MEGABYTES}000000 /dev/urandom >/root/blob
tar -C /root -c blob | docker import - {IMAGE}:1 >/dev/null; rm /root/blob
setsid docker push {IMAGE}:1 >/root/pushed 2>&1 </dev/null &
stored() {{ find {UPLOADS} -size +1M 2>/dev/null | grep -q .; }}
until_so 'the upload' stored
"""
END_PUSH = f"""
{UNTIL_SO}
until_so 'the end of the push' sh -c '! pgrep -f "[d]ocker push {IMAGE}" >/dev/null'
cat /root/pushed; docker image rm {IMAGE}:1 >/dev/null
docker pull {IMAGE}:1; docker image rm {IMAGE}:1 >/dev/null
"""


@pytest.fixture(scope="module", params=draws.one_of(FRONTS, "renewed"))
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """Give a host with a proven registry, and a login of its own; alone, or behind nginx."""
    with start_proven("trixie") if request.param == "none" else start_with_project("trixie-nginx") as ready:
        if request.param == "nginx":
            made = run(ready, "-f", "parameters/nginx.yml", "-p", "proxy_layer_megabytes", "2")
            assert (made.error, made.failed) == (None, [])
        password = ready.read("/etc/registry-runbook/secrets/password-admin")
        ready.run("docker", "login", "registry.test", "-u", "admin", "--password-stdin", input_text=password)
        yield ready


def served(host: Host) -> str:
    """Return the certificate that is served."""
    return host.run("sh", "-c", SERVED).stdout


@pytest.mark.one_of("renewals")
def test_push_that_goes_on_while_the_certificate_is_renewed_ends_well(host: Host) -> None:
    """Fails if an upload in flight is lost, the old certificate stays in force, or nginx leaves a gap.

    Each renewal is made due by a certificate that is to last some days longer than the one there.
    """
    behind_nginx = host.run("test", "-e", "/etc/nginx/sites-enabled/zz-registry-runbook", check=False).code == 0
    gaps = []
    for number in range(TIMES):
        before = served(host)
        assert script_run(host, "renew").stdout.startswith("Nothing to renew: the certificate is valid for")
        days = 370 + 2 * number
        host.run("bash", "-ec", BEGIN_PUSH, timeout_seconds=300)
        lasting = ("-p", "validity_days", str(days), "-p", "renew_before_days", str(days - 1))
        told = script_run(host, "renew", *lasting).stdout
        pushed = host.run("bash", "-ec", END_PUSH, timeout_seconds=600).stdout
        first, *_, last = re.findall(r"sha256:[0-9a-f]{64}", pushed)
        assert first == last, pushed
        assert served(host) != before
        gap = re.search(r"did not answer for ([0-9.]+) s", told)
        gaps.append(float(gap[1]) if gap else 0.0)
        assert (gap is None) is behind_nginx, told
        assert ("The registry answered all the time" in told) is behind_nginx, told
    print(f"{TIMES} renewals, {'nginx' if behind_nginx else 'no nginx'}; gaps in seconds: {gaps}")  # noqa: T201


@pytest.mark.one_of("renewals")
def test_timer_renews_a_certificate_that_has_one_day_left(host: Host) -> None:
    """Fails if it runs out although the timer is there, the proof after it fails, or the journal does not tell."""
    notebooks = ("30-certificates", "50-compose", "55-nginx")
    short = ("-p", "validity_days", "1", "-p", "renew_before_days", "0")
    kept = ("-f", "/var/lib/registry-runbook/deployment.yml")
    assert run(host, *notebooks, *kept, *short).failed == []
    assert prove(host, "--no-image", "--accept", *short).code == 0
    before = served(host)
    try:
        lasting = ("-p", "validity_days", "366", "-p", "renew_before_days", "30")
        assert prove(host, "--no-image", "--install-timer", *lasting).code == 0
        host.run("systemctl", "start", UNIT, timeout_seconds=300)
        journal = host.run("journalctl", "-u", UNIT, "-o", "cat", "--no-pager").stdout
        assert re.search(
            r"The accepted state has the new certificate\.\nThe registry (answered|did not answer)", journal
        )
        assert served(host) != before
        host.run("systemctl", "start", UNIT)
        again = host.run("journalctl", "-u", UNIT, "-o", "cat", "--no-pager").stdout.removeprefix(journal)
        assert "Nothing to renew: the certificate is valid for 365 more days" in again
    finally:
        assert prove(host, "--remove-timer").code == 0
