"""Messages about the engine: each brought about for real, recognised, and its cause confirmed."""

import random

import pytest

from .faults import Fault, FaultyHosts

DOWN = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
JOB = "Job for docker.service failed because the control process exited with error code"
NO_ONE_THERE = "expected the engine to answer within …; found it takes the connection, and says nothing"
STOPPED = "systemctl stop docker.socket docker.service;"
COMPOSE = "docker-compose --file /etc/docker/registry/docker-compose.yml ps 2>&1 | tail -n 3"
# After each: its files are put back before, so that the engine starts.
START = (
    "mend; systemctl reset-failed docker.socket docker.service; systemctl start docker.service; up https://$ADDRESS/"
)
NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp"
FAULTS = {
    "stopped": Fault(messages=(DOWN,), cause="engine-stopped", say=f"{STOPPED} docker ps", repair=START),
    "stopped-to-compose": Fault(messages=(DOWN,), cause="engine-stopped", say=f"{STOPPED} {COMPOSE}", repair=START),
    "not-allowed": Fault(
        messages=("permission denied while trying to connect to the Docker daemon socket",),
        cause="engine-not-allowed",
        say=f"{NOBODY} docker ps; {NOBODY} {COMPOSE}",
        repair=":",
        user=65534,
        lasts=True,
    ),
    "hangs": Fault(
        messages=(NO_ONE_THERE,),
        cause="engine-hangs",
        say="kill -STOP $(cat /var/run/docker.pid)\n"
        ".venv/bin/python -c 'from runbook.system.docker import engine; engine.connect(2)' 2>&1",
        repair="kill -CONT $(cat /var/run/docker.pid)",
    ),
    "no-json": Fault(
        messages=(JOB, "unable to configure the Docker daemon with file … invalid character … looking for …"),
        cause="daemon-json-no-json",
        say="""echo '{"debug": false,}' >/etc/docker/daemon.json; engine_fails""",
        repair=START,
    ),
    "unknown-key": Fault(
        messages=("the following directives don't match any configuration option",),
        cause="daemon-json-unknown-key",
        say="""echo '{"registry-mirrorz": ["https://a.test"]}' >/etc/docker/daemon.json; dockerd""",
        repair=":",
    ),
    "no-list": Fault(
        messages=("json: cannot unmarshal string into Go struct field Config…",),
        cause="daemon-json-wrong-value",
        say="""echo '{"insecure-registries": "a.test:5000"}' >/etc/docker/daemon.json; dockerd""",
        repair=":",
    ),
    "mirror-without-scheme": Fault(
        messages=("failed to start daemon: invalid mirror: unsupported scheme",),
        cause="daemon-json-wrong-value",
        say="""echo '{"registry-mirrors": ["a.test"]}' >/etc/docker/daemon.json; engine_fails""",
        repair=START,
    ),
    "flag-and-key": Fault(
        messages=("the following directives are specified both as a flag and in the configuration file",),
        cause="flag-and-daemon-json",
        say="""echo '{"log-driver": "json-file"}' >/etc/docker/daemon.json
echo 'DOCKER_OPTS="--log-driver=json-file"' >/etc/default/docker; engine_fails""",
        repair=START,
    ),
    "unknown-flag": Fault(
        messages=("unknown flag: --insecure-registries", "docker.service: Start request repeated too quickly"),
        cause="engine-unknown-flag",
        say="""echo 'DOCKER_OPTS="--insecure-registries=a.test:5000"' >/etc/default/docker
starts_no_more() { systemctl restart docker.service; engine_log | grep 'repeated too quickly'; }
engine_fails; until_so 'systemd to start it no more' starts_no_more; engine_log""",
        repair=START,
    ),
    "no-such-runtime": Fault(
        messages=("unknown or invalid runtime name: …",),
        cause="engine-runtime-missing",
        say="docker run --rm --runtime nvidia $IMAGE help",
        repair=":",
        lasts=True,
    ),
    "interface-too-new": Fault(
        messages=("client version … is too new (or too old)",),
        cause="api-version",
        say="DOCKER_API_VERSION=1.99 docker ps",
        repair=":",
        environment={"DOCKER_API_VERSION": "1.99"},
        lasts=True,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_recognised_and_confirmed(faulty_hosts: FaultyHosts, name: str, seeded: random.Random) -> None:
    """Fails where the client's words are not known, their cause not confirmed, or still confirmed once it is gone."""
    faulty_hosts.reproduce(FAULTS[name], seeded)
