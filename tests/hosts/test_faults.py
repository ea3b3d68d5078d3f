"""What goes wrong in the middle of a run: killed, interrupted, beside another, on a host that changes or hangs.

docs/faults.md lists all faults with their tests.
"""

import json
import time

import pytest

from .lab import Completed, Host
from .product import PROJECT, Report, run

DAEMON_JSON = "/etc/docker/daemon.json"
COMPOSE_FILE = "/etc/docker/registry/docker-compose.yml"
PAIR = "/etc/docker/registry/ssl/registry.test.pem"
TRUST = "/etc/docker/certs.d/registry.test/ca.crt"
REGISTRY = "docker ps --quiet --filter label=com.docker.compose.service=registry"
# A run in the background, as a terminal has it: `pid` is its process, which holds the lock when `until_locked` ends.
BEGIN = """
begin() {
    setsid env --default-signal=INT ./script/run "$@" --json >/root/out.json 2>/root/err.txt </dev/null &
    pid=$!
}
until_seen() { timeout 60 sh -c "until pgrep -f '$1' >/root/seen; do sleep 0.02; done"; }
until_locked() { timeout 60 sh -c "until grep -q 'FLOCK .* $pid ' /proc/locks; do sleep 0.02; done"; }
"""
UP = "[d]ocker.compose .*up --detach"
KERNEL = "[m]ultiprocessing.forkserver"  # what kernels are forked from
# What the executor is handed, by hand: with something in between.
DRIVER = """
import os, signal, subprocess, sys, time
from pathlib import Path
from runbook.changes.apply import apply
from runbook.changes.containers import ComposeUp, RunContainer
from runbook.model.errors import RunbookError
from runbook.model.parameters import read
from runbook.sections import basic_registry, certificates, compose, configuration, host, push_pull

def planned(section, **values):
    parameters = read(values, where="a test")
    return section.plan(parameters, section.gather(parameters))

def checked(section):
    return section.check(read({}, where="a test"))

def tell(act, *values, **named):
    started = time.monotonic()
    try:
        return act(*values, **named)
    except RunbookError as error:
        print(f"{type(error).__name__} after {time.monotonic() - started:.0f} s: {error}")
"""


def drive(host: Host, text: str, *, check: bool = True) -> Completed:
    """Run a program in the project's environment on the host."""
    return host.run(".venv/bin/python", "-c", DRIVER + text, directory=PROJECT, check=check)


def shell(host: Host, text: str) -> str:
    """Run a script in the project's folder on the host, and return what it says."""
    return host.run("bash", "-euc", BEGIN + text, directory=PROJECT, timeout_seconds=200).stdout


def report(host: Host) -> Report:
    """Return what the run in the background printed, which was no traceback."""
    assert "Traceback" not in host.read("/root/out.json") + host.read("/root/err.txt")
    return Report(data=json.loads(host.read("/root/out.json")))


def test_kill_between_daemon_json_and_reload_is_seen_by_the_next_run(proven_trixie: Host) -> None:
    """Fails where the next run compares files, and leaves an engine that has never read the one there."""
    host = proven_trixie
    listed = ("-p", "insecure_registries", '["later.test:5000"]')
    killed = drive(
        host,
        """
from runbook.system.docker import reload
reload.reload = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
apply(planned(basic_registry, insecure_registries=["later.test:5000"]))
""",
        check=False,
    )
    assert killed.code == 128 + 9
    assert "later.test:5000" in host.read(DAEMON_JSON)
    assert "later.test" not in host.run("docker", "info").stdout
    [change] = run(host, "20-basic-registry", *listed).changes
    assert change.startswith("reload the engine, which does not know yet")
    assert "later.test:5000" in host.run("docker", "info").stdout
    host.run("sh", "-c", f"rm {DAEMON_JSON}*; systemctl reload docker")


@pytest.mark.parametrize("ended", ["run interrupted", "kernel killed"])
def test_run_that_is_ended_in_the_middle_of_apply_goes_on_the_next_time(proven_trixie: Host, ended: str) -> None:
    """Fails where Ctrl-C, or a kernel that dies, ends in a traceback, or what was done before it is not told."""
    host = proven_trixie
    signal = "kill -INT -- -$pid" if ended == "run interrupted" else f"pkill -KILL -P $(pgrep -P $pid -f '{KERNEL}')"
    script = f"rm {COMPOSE_FILE}; begin 50-compose; until_seen '{UP}'; {signal}; wait $pid || echo $?"
    code, ends = int(shell(host, script)), report(host)
    if ended == "run interrupted":
        assert (code, ends.data["result"]) == (130, "interrupted")
        told = f"(failed: bring up {COMPOSE_FILE} as project registry (its Compose file changes); done before it: "
        assert f"found an interrupt {told}write {COMPOSE_FILE} (0644); not reached: 0)" in str(ends.error)
    else:
        assert (code, ends.data["result"]) == (1, "failed")
        assert "expected the kernel to live" in str(ends.error)
    assert ends.data["go_on"] == "./script/run 50-compose"
    again = run(host, "50-compose")
    assert (again.error, again.failed) == (None, [])


def test_second_run_is_told_of_the_first_and_goes_once_that_is_killed(proven_trixie: Host) -> None:
    """Fails where two runs change a host at once, papermill's own among them, or a dead one keeps the others out."""
    host = proven_trixie
    said = shell(
        host,
        """
begin 60-push-pull; until_locked; kill -STOP $pid
./script/run 40-configuration 2>&1 || echo "exit code $?"
.venv/bin/papermill --no-progress-bar notebooks/40-configuration.ipynb /root/o.ipynb 2>&1 | grep -o '^LockError: .*'
kill -CONT $pid; wait $pid; echo "the first: $?; it was $pid"
begin 60-push-pull; until_locked; kill -KILL $pid
./script/run 40-configuration 2>&1 || echo "exit code $?"
""",
    )
    pid = said.partition("it was ")[2].split()[0]
    lines = said.splitlines()
    told = f"expected no other run on this host; found the process {pid} ("
    assert lines[0].startswith(f"registry-runbook: {told}")
    assert "which holds /run/registry-runbook.lock" in lines[0]
    assert lines[1] == "exit code 1"
    assert f"LockError: {told}" in lines[2]
    assert f"the first: 0; it was {pid}" in lines
    assert "0 changes made, 7 of 7 proofs passed" in said.partition("the first: 0")[2]


def test_image_that_was_pushed_since_the_plan_stays(proven_trixie: Host) -> None:
    """Fails where the image of somebody else loses its tag to that of the kit."""
    said = drive(
        proven_trixie,
        """
from runbook.system import credentials
from runbook.system.registry import client_kit
from runbook.system.registry import api
from runbook.system.certificates import tls
from runbook.operations import clients
parameters = read({}, where="a test")
changes = [item for item in planned(clients) if type(item).__name__ == "PushClientImage"]
registry = api.Registry(
    url="https://registry.test",
    login=("admin", credentials.require_password(parameters.password_path)),
    tls=tls.client_context(parameters.ca_certificate_path.read_text()),
)
image, path = client_kit.image(), client_kit.manifest_path(parameters.client_test_reference)
theirs = image.manifest + b" "
api.push(
    registry, parameters.client_test_reference, blobs=image.blobs, manifest=theirs, media_type=client_kit.MANIFEST_TYPE
)
digest = registry.ask(path, method="HEAD").headers["docker-content-digest"]
tell(apply, changes)
assert digest == registry.ask(path, method="HEAD").headers["docker-content-digest"] != image.digest
print(registry.ask(f"{path.rpartition('/')[0]}/{digest}", method="DELETE"))
""",
    ).stdout
    assert "ApplyError" in said
    assert "as planned; found sha256:" in said
    assert said.endswith("202\n")


def test_engine_that_was_stopped_after_the_plan_is_named(proven_trixie: Host) -> None:
    """Fails where an engine that is gone ends in a traceback, or the next run does not bring it back."""
    host = proven_trixie
    host.run("sh", "-c", f"docker rm --force registry; rm {COMPOSE_FILE}")
    said = drive(
        host,
        """
plans = planned(basic_registry), planned(compose)
subprocess.run(["systemctl", "stop", "docker.socket", "docker.service"], check=True)
for changes in plans:
    tell(apply, changes)
""",
    ).stdout.splitlines()
    assert "expected a Docker Engine that answers; found none (failed: run the container registry" in said[0]
    assert f"expected a Docker Engine that answers; found none (failed: bring up {COMPOSE_FILE}" in said[1]
    started = run(host, "10-host", "20-basic-registry").changes
    assert started[0] == "start the engine (systemctl start docker)"
    assert [change.partition(" ")[0] for change in started[1:]] == [
        "get",
        "run",
    ]  # the service came back with the engine


def test_engine_that_hangs_ends_a_run_in_time(proven_trixie: Host) -> None:
    """Fails where a frozen engine is waited for longer than timeout_seconds, or is taken for one that is gone."""
    host = proven_trixie
    engine = "$(cat /var/run/docker.pid)"
    hangs = "expected the engine to answer within 3 s; found it takes the connection, and says nothing"
    started = time.monotonic()
    shell(host, f"kill -STOP {engine}; begin 10-host -p timeout_seconds 3; wait $pid || true")
    assert hangs in str(report(host).error)
    assert time.monotonic() - started < 60
    host.run("sh", "-c", f"kill -CONT {engine}; docker rm --force registry")
    said = drive(
        host,
        f"""
changes = planned(basic_registry)
os.system("kill -STOP {engine}")
tell(apply, changes, timeout_seconds=3)
""",
    )
    assert hangs in said.stdout
    assert "after 3 s" in said.stdout
    shell(
        host,
        f"kill -CONT {engine}; begin 60-push-pull -p timeout_seconds 3\n"
        f"until_seen '[d]ocker push'; kill -STOP {engine}; wait $pid || true; kill -CONT {engine}",
    )
    assert "found the engine takes the connection, and says nothing" in str(report(host).error)
    drive(host, "apply(planned(basic_registry))")


def test_registry_that_is_killed_in_a_push_is_pushed_to_again(proven_trixie: Host) -> None:
    """Fails where a registry that dies in the middle of a large layer, and comes back, fails the proof."""
    host = proven_trixie
    uploads = "/var/lib/docker/volumes/registry_registry-data/_data/docker/registry/v2/repositories/*/*/_uploads/*/data"
    shell(
        host,
        f"""
head -c 40000000 /dev/urandom >/root/blob
tar -C /root -c blob | docker import - large:1
container=$({REGISTRY}); before=$(docker inspect -f '{{{{.RestartCount}}}}' $container)
begin 60-push-pull -p test_image large:1
timeout 60 sh -c 'until find {uploads} -size +1M 2>/dev/null | grep -q .; do sleep 0.02; done'
kill -KILL $(docker inspect -f '{{{{.State.Pid}}}}' $container)
wait $pid || true
test $(docker inspect -f '{{{{.RestartCount}}}}' $container) = $((before + 1))
docker image rm large:1; rm /root/blob
""",
    )
    proven = report(host)
    assert (proven.error, proven.failed) == (None, [])
    found = {result["claim"]: (result["expected"], result["found"]) for result in proven.results}
    for claim in (
        "the registry gives the digest that was pushed",
        "docker pull, after the image was removed, gives it too",
    ):
        assert found[claim][0].startswith("sha256:")
        assert found[claim][0] == found[claim][1]


def test_modes_are_the_same_whatever_the_umask(proven_trixie: Host) -> None:
    """Fails where the operator's umask decides who may read a key, or whether the container can read its files."""
    host = proven_trixie
    drop_in = "/etc/sysctl.d/99-registry-runbook.conf"
    seen = []
    for umask in ("000", "022", "077"):
        host.run("rm", drop_in)
        drive(
            host,
            f"""
os.umask(0o{umask})
values = {{
    "domain": "umask.test",
    "private_directory": "/root/umask/private",
    "configuration_directory": "/root/umask/registry",
    "basic_data_directory": "/root/umask/data",
    "basic_container": "umask",
    "compose_project": "umask",
}}
for section in (host, basic_registry, certificates, configuration, compose):
    changes = planned(section, **values)
    files_only = [item for item in changes if not isinstance(item, ComposeUp | RunContainer)]
    apply([item for item in files_only if getattr(item, "path", None) != Path("/etc/hosts")])
""",
        )
        trust = "/etc/docker/certs.d/umask.test"
        seen.append(host.run("find", "/root/umask", drop_in, trust, "-printf", "%m %p\n").stdout.splitlines())
        host.run("rm", "-r", "/root/umask", trust)
    assert len(seen[1]) == 19
    assert sorted(seen[0]) == sorted(seen[1]) == sorted(seen[2])
    assert {line for line in seen[1] if line[2] != "0"} >= {f"644 {drop_in}", f"444 {trust}/ca.crt", "755 /root/umask"}


def test_certificate_of_another_time_leads_to_the_clock(proven_trixie: Host) -> None:
    """Fails where a clock that was set back ends in an answer that never comes, or in a certificate made anew."""
    host = proven_trixie
    drive(
        host,
        f"""
import datetime
from cryptography import x509
from runbook.system.host import files
from runbook.system.certificates import tls
folder, now = Path("/etc/registry-runbook/ca"), datetime.datetime.now(datetime.UTC)
authority = tls.load_key(folder / "ca.key", None), x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
key, old = tls.generate_key("ecdsa-p256"), tls.describe(tls.require_certificate(Path("{PAIR}")))
early = tls.issue_server(
    key, (), dns_names=old.dns_names, addresses=old.addresses, authority=authority,
    now=now + datetime.timedelta(days=3), validity_days=366,
)
Path("{PAIR}").rename("{PAIR}.of-today")
files.write(Path("{PAIR}"), tls.key_text(key) + tls.certificate_text(early), 0o600)
""",
    )
    early, restart = host.read(PAIR), f"docker restart $({REGISTRY})"
    host.run("sh", "-c", restart)
    said = drive(host, "tell(checked, push_pull)\ntell(planned, certificates)").stdout.splitlines()
    assert len(said) == 2
    for told in said:
        assert "UTC by this host's clock; found" in told
        assert "it is valid from 20" in told
        assert "set the clock right" in told
    assert host.read(PAIR) == early
    host.run("sh", "-c", f"mv {PAIR}.of-today {PAIR}; {restart}")


def test_authority_of_the_same_name_does_not_let_the_engine_in(proven_trixie: Host) -> None:
    """Fails where an engine that trusts another authority of the same subject gets in, or the proof does not say so."""
    found = drive(
        proven_trixie,
        f"""
import datetime
from cryptography import x509
from runbook.system.certificates import tls
trust = Path("{TRUST}")
ours = x509.load_pem_x509_certificate(trust.read_bytes())
other = tls.issue_authority(
    tls.generate_key("ecdsa-p256"), ours.subject, now=datetime.datetime.now(datetime.UTC), validity_days=9
)
trust.write_bytes(tls.certificate_text(other))
for result in checked(push_pull):
    if not result.passed:
        print(f"{{result.claim}}: {{result.found}}")
for change in planned(certificates):
    apply([change])
    print(change)
""",
    ).stdout.splitlines()
    said = dict(line.split(": ", 1) for line in found if ": " in line)
    assert "x509: certificate signed by unknown authority" in said["docker login"]
    assert "certificate signed by unknown authority" in said["docker push"]
    assert found[-1].startswith(f"copy /etc/registry-runbook/ca/ca.crt to {TRUST} (0444), in place of the file there")
