"""A proof again on finished registries: healthy, drifted, opened, seen from elsewhere, and by a timer."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests import draws
from tests.waiting import UNTIL_SO, wait_for

from .lab import Completed, Host
from .product import PROJECT, run, snapshot
from .sabotages import UNTIL_READ

REGISTRY = "/etc/docker/registry"
PRIVATE = "/etc/registry-runbook"
ACCEPTED = f"{PRIVATE}/accepted.json"
PASSWORD = f"{PRIVATE}/secrets/password-admin"
STATE = "/root/.local/state/registry-runbook/accepted"
CONTAINER = "registry-registry-1"  # as Compose 2 names it
STORED = "/var/lib/docker/volumes/registry_registry-data/_data/docker/registry/v2/repositories"
UNIT = "registry-runbook-prove"
BY_URL = ("--url", "https://registry.test", "--ca", f"{PRIVATE}/ca/ca.crt", "--username", "admin")
LOGIN = ("--password-file", PASSWORD)
BOTH = ("proven_trixie", "proven_bookworm")


def prove(host: Host, *arguments: str) -> Completed:
    """Run `registry-runbook prove`, and return how it ended."""
    argv = (".venv/bin/registry-runbook", "prove", *arguments)
    return host.run(*argv, directory=PROJECT, check=False, timeout_seconds=300)


def failed(done: Completed) -> dict[str, list[str]]:
    """Return the claims that fail, by section, of what `--json` printed; the exit code must say the same."""
    told: dict[str, Any] = json.loads(done.stdout)
    rows = {name: [row["claim"] for row in found if not row["passed"]] for name, found in told["sections"].items()}
    found = {name: claims for name, claims in rows.items() if claims}
    assert (done.code, told["passed"]) == ((1, False) if found else (0, True))
    return found


@pytest.fixture(scope="module")
def accepted(proven_trixie: Host) -> Iterator[Host]:
    """Give the host with its state accepted; all drifts must be undone at the end, and it is forgotten then."""
    assert prove(proven_trixie, "--accept", "--no-image").code == 0
    yield proven_trixie
    assert failed(prove(proven_trixie, "--no-image", "--json")) == {}
    proven_trixie.run("rm", "-f", ACCEPTED)


@contextmanager
def broken(host: Host, how: str, repair: str) -> Iterator[None]:
    """Break a host by a shell's command, and repair it by another."""
    host.run("sh", "-ec", how)
    try:
        yield
    finally:
        host.run("sh", "-ec", repair)


@pytest.mark.parametrize("fixture", draws.one_of(BOTH, "healthy"))
def test_prove_holds_on_a_healthy_registry_and_changes_nothing(fixture: str, request: pytest.FixtureRequest) -> None:
    """Fails if a proof gives a false alarm, leaves something behind, or accepts by itself."""
    host: Host = request.getfixturevalue(fixture)
    before = snapshot(host)
    first = prove(host, "--json", "--junit", "/root/proof.xml")
    assert failed(first) == {}
    told = json.loads(first.stdout)
    assert "docker push" in [row["claim"] for row in told["sections"]["60-push-pull"]]
    assert told["accepted"] is None
    assert host.read("/root/proof.xml").count("<testcase") == sum(map(len, told["sections"].values()))
    second = prove(host, "--no-image")
    assert second.code == 0
    assert "No state was accepted yet" in second.stdout
    assert "docker push" not in second.stdout
    assert before == snapshot(host)


def test_prove_accepts_once_and_the_notebook_and_the_program_agree(accepted: Host) -> None:
    """Fails if accepting again writes the file, the notebook cannot read it, or says another thing."""
    text = accepted.read(ACCEPTED)
    assert accepted.run("stat", "-c", "%a %U", ACCEPTED).stdout == "600 root\n"
    again = prove(accepted, "--accept", "--no-image", "--json")
    assert (failed(again), json.loads(again.stdout)["changes"]) == ({}, [])
    report = run(accepted, "75-prove", "-p", "accept_proof", "true")
    assert (report.error, report.changes, report.failed) == (None, [], [])
    claims = [result["claim"] for result in report.results]
    assert "60-push-pull: docker push" in claims
    assert any(claim.startswith("accepted: as accepted on ") for claim in claims)
    assert text == accepted.read(ACCEPTED)


HASH = "$2y$05$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZabcde"
BREAKS = {  # how it is broken, how it is repaired, and a section with a part of the claim that fails
    "user": (
        f"cp -a {REGISTRY}/auth/htpasswd /root/kept; echo 'eve:{HASH}' >>{REGISTRY}/auth/htpasswd",
        f"cp -a /root/kept {REGISTRY}/auth/htpasswd",
        ("accepted", "the registry's users"),
    ),
    "malformed-line": (
        f"cp -a {REGISTRY}/auth/htpasswd /root/kept; echo eve >>{REGISTRY}/auth/htpasswd",
        f"cp -a /root/kept {REGISTRY}/auth/htpasswd",
        ("40-configuration", "planning again"),
    ),
    "key-in-trust": (
        f"cp {PRIVATE}/ca/ca.key /etc/docker/certs.d/registry.test/client.key",
        "rm /etc/docker/certs.d/registry.test/client.key",
        ("lasting", "nothing but the authority"),
    ),
    "insecure": (
        f"""{UNTIL_READ}echo '{{"insecure-registries":["registry.test"]}}' >/etc/docker/daemon.json
        systemctl reload docker; until_listed registry.test""",
        f"""{UNTIL_READ}echo '{{"insecure-registries":[]}}' >/etc/docker/daemon.json
        systemctl reload docker; until_unlisted registry.test; rm /etc/docker/daemon.json""",
        ("lasting", "need not verify"),
    ),
    "storage": (f"echo a file in the way >{STORED}/runbook", f"rm {STORED}/runbook", ("lasting", "upload")),
    "restart-policy": (
        f"docker update --restart=no {CONTAINER}",
        f"docker update --restart=unless-stopped {CONTAINER}",
        ("accepted", "restart policy"),
    ),
    "file-in-container": (
        f"docker cp /etc/hostname {CONTAINER}:/evil",
        f"docker exec {CONTAINER} rm /evil",
        ("accepted", "files changed in the container"),
    ),
    "owner": (f"chown 1234 {PRIVATE}/ca/ca.key", f"chown 0 {PRIVATE}/ca/ca.key", ("accepted", "private files")),
    "mode": (f"chmod 644 {PRIVATE}/ca/ca.key", f"chmod 600 {PRIVATE}/ca/ca.key", ("30-certificates", "planning again")),
    "firewall": (
        "iptables -I DOCKER-USER -s 198.51.100.9 -j DROP",
        "iptables -D DOCKER-USER -s 198.51.100.9 -j DROP",
        ("accepted", "firewall"),
    ),
    "loopback": (
        "cp /etc/hosts /root/kept; sed -i 's/^[0-9.]* registry.test/127.0.0.1 registry.test/' /etc/hosts",
        "cp /root/kept /etc/hosts",
        ("60-push-pull", "not loopback"),
    ),
    "stopped": (
        f"docker stop {CONTAINER}",
        f"""docker start {CONTAINER}
        curl -sk --retry 30 --retry-delay 1 --retry-all-errors https://registry.test/""",
        ("50-compose", "planning again"),
    ),
}


APART = ("malformed-line", "loopback", "storage", "stopped")  # what hides others


@pytest.mark.parametrize(
    "names", [[name for name in BREAKS if name not in APART], *([name] for name in APART)], ids=" ".join
)
def test_prove_finds_each_drift(accepted: Host, names: list[str]) -> None:
    """Fails if a way to break a registry goes unnoticed; `accepted` fails if one is still told once it is undone."""
    with ExitStack() as stack:
        for how, repair, _ in map(BREAKS.__getitem__, names):
            stack.enter_context(broken(accepted, how, repair))
        found = failed(prove(accepted, "--no-image", "--json"))
    wanted = [BREAKS[name][2] for name in names]
    unseen = [(section, part) for section, part in wanted if not any(part in claim for claim in found.get(section, ()))]
    assert unseen == []


def test_prove_refuses_to_accept_what_does_not_hold(accepted: Host) -> None:
    """Fails if a registry that somebody has opened becomes the accepted one."""
    text = accepted.read(ACCEPTED)
    how, repair, _ = BREAKS["key-in-trust"]
    with broken(accepted, how, repair):
        done = prove(accepted, "--no-image", "--accept")
        notebook = run(accepted, "75-prove", "-p", "accept_proof", "true", check=False)
    assert (done.code, "Nothing was accepted" in done.stdout) == (1, True)
    assert "To repair: move all else away" in done.stdout
    assert text == accepted.read(ACCEPTED)
    assert "nothing but the authority lies in" in str(notebook.error)


def test_prove_takes_the_new_state_where_it_is_accepted(accepted: Host) -> None:
    """Fails if a drift that somebody wants stays red, or is accepted without being shown."""
    how, repair, _ = BREAKS["firewall"]
    with broken(accepted, how, repair):
        done = prove(accepted, "--no-image", "--accept")
        assert done.code == 0
        assert 'rules for containers": "none' in done.stdout
        assert 'rules for containers": "-A DOCKER-USER -s 198.51.100.9/32 -j DROP' in done.stdout
        assert failed(prove(accepted, "--no-image", "--json")) == {}
    assert list(failed(prove(accepted, "--no-image", "--json"))) == ["accepted"]
    assert prove(accepted, "--no-image", "--accept").code == 0


def test_prove_by_url_needs_authority_and_login_alone(proven_trixie: Host, proven_bookworm: Host) -> None:
    """Fails if a registry cannot be proven from another host, without its files, or leaves something in it.

    The other host has its own registry of the same name and another authority, which must be refused.
    """
    names, tags = proven_bookworm.read("/etc/hosts"), "/v2/runbook/proof/tags/list"
    proven_bookworm.lead_to(proven_trixie)
    proven_bookworm.write("/root/ca.crt", proven_trixie.read(f"{PRIVATE}/ca/ca.crt"))
    proven_bookworm.write("/root/password", proven_trixie.read(PASSWORD), mode=0o600)
    proven_bookworm.write(
        "/etc/hosts", f"{proven_trixie.address} registry.test\n" + names.replace("registry.test", "x.test")
    )
    known = ("--url", "https://registry.test", "--username", "admin", "--password-file", "/root/password")
    try:
        done = prove(proven_bookworm, *known, "--ca", "/root/ca.crt", "--json")
        stranger = failed(prove(proven_bookworm, *known, "--ca", f"{PRIVATE}/ca/ca.crt", "--json"))
        assert prove(proven_bookworm, *known, "--ca", "/root/ca.crt", "--accept").code == 0
        again = json.loads(prove(proven_bookworm, *known, "--ca", "/root/ca.crt", "--json").stdout)
        assert again["sections"]["accepted"]
    finally:
        proven_bookworm.write("/etc/hosts", names)
        proven_bookworm.run("rm", "-rf", "/root/ca.crt", "/root/password", STATE)
    assert failed(done) == {}
    assert [
        row["found"] for row in json.loads(done.stdout)["sections"]["images"] if row["claim"] == "deleting, which is on"
    ] == ["202"]
    assert "a client that verifies reaches registry.test" in stranger["certificate"]
    assert "images" not in stranger
    password = proven_trixie.read(PASSWORD).strip()
    left = proven_trixie.run(
        "curl", "-sk", "-K", "-", f"https://registry.test{tags}", input_text=f'user = "admin:{password}"'
    )
    assert "proof-" not in left.stdout


def test_prove_by_url_finds_an_open_registry(proven_trixie: Host) -> None:
    """Fails if a registry that lets everybody in, or speaks plain HTTP, passes for a proven one."""
    host = proven_trixie
    image = host.run("docker", "images", "--format={{.Repository}}:{{.Tag}}").stdout.split()[0]
    options = ("--name=open", "--publish=5443:5000", f"--volume={REGISTRY}/ssl:/ssl:ro")
    pair = ("REGISTRY_HTTP_TLS_CERTIFICATE=/ssl/registry.test.pem", "REGISTRY_HTTP_TLS_KEY=/ssl/registry.test.pem")
    url = ("--url", "https://registry.test:5443", *BY_URL[2:], *LOGIN, "--json")
    try:
        host.run("docker", "run", "--detach", *options, *(f"--env={item}" for item in pair), image)
        host.run(
            "curl", "-sk", "--retry", "30", "--retry-delay", "1", "--retry-all-errors", "https://registry.test:5443/"
        )
        opened = failed(prove(host, *url))
        host.run("docker", "rm", "--force", "open")
        host.run("docker", "run", "--detach", *options, image)
        host.run(
            "curl", "-s", "--retry", "30", "--retry-delay", "1", "--retry-all-errors", "http://registry.test:5443/"
        )
        plain = failed(prove(host, *url))
    finally:
        host.run("docker", "rm", "--force", "--volumes", "open")
    expected = {
        "login": ["no login", "a wrong password for admin"],
        "images": ["the catalogue, without a login", "a push, without a login"],
    }
    assert expected == opened
    assert "plain HTTP on the TLS port" in plain["login"]
    assert "a client that verifies reaches registry.test:5443" in plain["certificate"]


@pytest.mark.one_of("timers")
def test_timer_proves_tells_the_journal_and_calls(accepted: Host) -> None:
    """Fails if the timer's proof has too few rights, hides what failed, calls nobody, or leaves something behind."""
    host = accepted
    before = host.run("find", "/etc/systemd/system", "/var/lib/systemd/timers").stdout
    install = (
        "--no-image",
        "--install-timer",
        "--on-calendar",
        "04:30",
        "--on-failure",
        "/usr/bin/touch '/root/it failed'",
    )
    try:
        assert prove(host, *install).code == 0
        assert "Nothing to do" in prove(host, *install).stdout
        verify = host.run(
            "systemd-analyze", "verify", "--man=no", f"/etc/systemd/system/{UNIT}.service", f"{UNIT}.timer"
        )
        assert UNIT not in verify.stdout + verify.stderr
        assert "04:30" in host.run("systemctl", "cat", f"{UNIT}.timer").stdout
        assert host.run("systemctl", "is-active", f"{UNIT}.timer").stdout == "active\n"
        host.run("systemctl", "start", UNIT)
        how, repair, _ = BREAKS["restart-policy"]
        with broken(host, how, repair):
            assert host.run("systemctl", "start", UNIT, check=False).code != 0
        journal = host.run("journalctl", "-u", UNIT, "-o", "cat", "--no-pager").stdout
        assert "  expected unless-stopped\n  found no\n  To repair: " in journal
        host.run("sh", "-c", f"{UNTIL_SO} until_so 'the call' test -e '/root/it failed'")
    finally:
        assert prove(host, "--remove-timer").code == 0
        host.run("rm", "-f", "/root/it failed")
    assert before == host.run("find", "/etc/systemd/system", "/var/lib/systemd/timers").stdout
    assert "Nothing to do" in prove(host, "--remove-timer").stdout


@pytest.mark.one_of("timers")
@pytest.mark.parametrize("fixture", draws.one_of(BOTH, "timer"))
def test_timer_waits_for_a_run_and_its_unit_tells_whether_it_could_look(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    """Fails if a proof of the timer that meets a run alarms, does not wait, or is told as one that fails."""
    host: Host = request.getfixturevalue(fixture)
    unit, lock = f"/etc/systemd/system/{UNIT}.service", "/run/registry-runbook.lock"
    shown = ("systemctl", "show", "--property=ActiveState,SubState,ExecMainStatus", UNIT)
    try:
        assert prove(host, "--no-image", "--install-timer", "--on-failure", "/usr/bin/touch /root/failed").code == 0
        host.run("sh", "-c", f"flock {lock} sleep 3 & systemctl start {UNIT}; wait")
        assert {"ActiveState=inactive", "ExecMainStatus=0"} <= {*host.run(*shown).stdout.split()}
        host.run("sh", "-c", f'sed -i \'s/"900"/"1"/\' {unit}; systemctl daemon-reload')
        host.run("sh", "-c", f"sed -i 's/^RestartSec=.*/RestartSec=20/' {unit}; systemctl daemon-reload")
        host.run("sh", "-c", f"setsid flock {lock} sleep 600 >/dev/null 2>&1 & systemctl start --no-block {UNIT}")
        wait_for("a proof that could not look", lambda: "SubState=auto-restart" in host.run(*shown).stdout)
        assert {"ActiveState=activating", "ExecMainStatus=3"} <= {*host.run(*shown).stdout.split()}
        assert host.run("test", "-e", "/root/failed", check=False).code == 1
        host.run("sh", "-c", f"sed -i 's/^RestartSec=.*/RestartSec=1/' {unit}; systemctl daemon-reload")
        wait_for("the third try", lambda: "ActiveState=failed" in host.run(*shown).stdout)
        host.run("sh", "-c", f"{UNTIL_SO} until_so 'the call' test -e /root/failed")
        assert "no other run on this host within 1 s" in host.run("journalctl", "-u", UNIT, "-o", "cat").stdout
    finally:
        host.run("systemctl", "stop", UNIT, check=False)
        host.run("pkill", "-f", "[s]leep 600", check=False)
        host.run("rm", "-f", "/root/failed")
        assert prove(host, "--remove-timer").code == 0


def test_timer_is_refused_where_it_could_not_prove(proven_trixie: Host) -> None:
    """Fails if units are written that never run, run nothing, or have no password."""
    for arguments, said in (
        (("--on-calendar", "dayly"), "a calendar of systemd.time(7)"),
        (("--on-failure", "no-such-program x"), "a command of this host in --on-failure"),
        (BY_URL, "the password in the file of --password-file"),
    ):
        done = proven_trixie.run(
            *(".venv/bin/registry-runbook", "prove", "--install-timer", *arguments),
            directory=PROJECT,
            check=False,
            environment={"RUNBOOK_PASSWORD": "given"},
        )
        assert (done.code, said in done.stderr) == (1, True), done
