"""Faults on a host with a proven registry, the words that the real clients have for them, and their diagnoses."""

import json
import random
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.draws import tries_all
from tests.waiting import UNTIL_SO

from .lab import Host
from .product import PROJECT

SHORT = "/root/short.sh"
# What the scripts below use: short names, because a fault should read as one line.
_SHORT = (
    UNTIL_SO
    + r"""
set +e; cd /root/registry-runbook
container() { docker ps --all --quiet --filter label=com.docker.compose.service=registry; }
is_open() { : <"/dev/tcp/127.0.0.1/$1"; }
up() { until_so "$1 to answer" answers "$1"; }
# A Go server with TLS answers plain HTTP too; one that cannot start is started again, and again, by its engine.
settled() {
    answers "http://$ADDRESS:443/" && return
    docker inspect --format '{{.State.Status}} {{.RestartCount}}' $(container) | grep -vqx 'running 0'
}
restart() { docker restart --time 1 $(container) >/dev/null; until_so "the registry to answer or to end" settled; }
pull_plain() {
    docker run -d --rm --name plain -p 5055:5000 $IMAGE >/dev/null; up http://127.0.0.1:5055/
    docker pull "$ADDRESS:5055/a:1"
}
pair() { .venv/bin/python -m tests.hosts.pair "$@"; }
logged() { docker logs --tail 60 $(container) 2>&1 | grep -vE 'level=info' | grep "$1"; }
log() { until_so "$1 in the registry's log" logged "$1"; logged ''; }
says() { words=$1; shift; "$@" >/root/said 2>&1; grep -q "$words" /root/said; }
until_says() { until_so "$1" says "$@"; cat /root/said; }
login() { docker login registry.test -u admin --password-stdin <$PASSWORD 2>&1; }
engine_log() {
    journalctl -u docker.service -o cat --no-pager --since "@$BEGUN" | grep -E '^unable|^failed|^Status|repeated'
}
# systemd starts no unit more than three times in a minute, unless it forgets that it has.
restart_engine() { systemctl reset-failed docker.service docker.socket; systemctl restart docker.service; }
# The journal may get the engine's last line only after systemd has told that it failed.
engine_fails() { BEGUN=$(date +%s); restart_engine 2>&1; until_so "the engine to log why" engine_log; engine_log; }
bring_up() {
    docker-compose --project-name registry --file ${1:-$FILE} up -d --force-recreate
    up https://registry.test/
}
another_password() { mv $PASSWORD $PASSWORD.old; (umask 077; echo another >$PASSWORD); }
push_until() {
    docker tag $IMAGE registry.test/full/a:1; docker push registry.test/full/a:1 &
    log "$1"; kill %%
}
with() {
    python3 /root/registry-runbook/tests/hosts/answering.py "$@" & SERVER=$!
    until_so "port 5060 to be open" is_open 5060
}
keep() {
    rm -rf /root/good; mkdir /root/good
    cp -a --parents /etc/docker /etc/default/docker /etc/hosts /etc/resolv.conf /root/good/
    docker images --format '{{.Repository}}:{{.Tag}}' registry-runbook/docker-registry | head -n 1 >/root/good/image
}
mend() {
    rm -rf /etc/docker/certs.d /etc/docker/daemon.json
    find /etc/docker/registry -mindepth 1 -delete
    cp -a /root/good/etc /
}
PASSWORD=/etc/registry-runbook/secrets/password-admin
CA=/etc/registry-runbook/ca/ca.crt
FILE=/etc/docker/registry/docker-compose.yml
CONFIG=/etc/docker/registry/config.yml USERS=/etc/docker/registry/auth/htpasswd SSL=/etc/docker/registry/ssl
TRUST=/etc/docker/certs.d/registry.test VOLUME=/var/lib/docker/volumes/registry_registry-data/_data
ADDRESS=$(awk '$2 == "registry.test" {print $1}' /root/good/etc/hosts 2>/dev/null)
IMAGE=$(cat /root/good/image 2>/dev/null)
"""
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A fault: `say` brings it about and prints the client's words; `repair` takes away what the files' copy does not.

    `messages` are names of the catalogue. `cause` must be confirmed while the fault is there, and not afterwards,
    unless it `lasts`: the client is at fault, and not the host. It is empty where the message alone tells it. A fault
    that `only` one of the engines has names it; the diagnosis is made as `user`, in `folder`, with `environment`.
    """

    messages: tuple[str, ...]
    cause: str
    say: str
    repair: str = ""
    only: str = ""
    lasts: bool = False
    user: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = PROJECT
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultyHost:
    """A host with a registry that was whole, and a process on it that diagnoses."""

    host: Host
    diagnosing: "subprocess.Popen[str]"

    def shell(self, script: str) -> str:
        """Run a script with the short names, and return all that it prints."""
        done = self.host.run("bash", "-c", f". {SHORT}\n{script}", check=False, timeout_seconds=300)
        return done.stdout + done.stderr

    def diagnose(self, message: str, fault: Fault | None = None) -> Mapping[str, Any]:
        """Return the answer to a message, there and now."""
        asked = {
            "message": message,
            "environment": dict(fault.environment) if fault else {},
            "folder": fault.folder if fault else PROJECT,
            "parameters": dict(fault.parameters) if fault else {},
            "user": fault.user if fault else 0,
        }
        assert self.diagnosing.stdin
        assert self.diagnosing.stdout
        self.diagnosing.stdin.write(json.dumps(asked) + "\n")
        self.diagnosing.stdin.flush()
        answer: Mapping[str, Any] = json.loads(self.diagnosing.stdout.readline() or '{"error": "the helper has ended"}')
        assert "error" not in answer, answer["error"]
        return answer

    def reproduce(self, fault: Fault) -> None:
        """Bring a fault about, and prove what a diagnosis of its words says while it is there, and afterwards."""
        words = self.shell(fault.say)
        try:
            answer = self.diagnose(words, fault)
        finally:
            self.shell(f"{fault.repair}\nmend\n" + ("" if fault.repair else "restart"))
        assert set(fault.messages) <= set(answer["messages"]), words
        assert [fault.cause] * bool(fault.cause) == [name for name in confirmed(answer) if name == fault.cause], words
        if fault.cause and not fault.lasts:
            assert fault.cause not in confirmed(self.diagnose(words, fault)), words


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultyHosts:
    """One host with each engine, by its host's recipe."""

    by_recipe: Mapping[str, FaultyHost]

    def reproduce(self, fault: Fault, seeded: random.Random) -> None:
        """Reproduce a fault on a host that the seed chooses; with `--all`, on each that can have it."""
        able = [found for recipe, found in self.by_recipe.items() if fault.only in ("", recipe)]
        for found in able if tries_all() else [seeded.choice(able)]:
            found.reproduce(fault)


def confirmed(answer: Mapping[str, Any]) -> list[str]:
    """Return the names of the causes that an answer confirms, in its order."""
    return [item["name"] for item in answer["causes"] if item["confirmed"]]


@contextmanager
def faulty_host(host: Host) -> Iterator[FaultyHost]:
    """Give a host with a proven registry for faults; its files are restored at the end."""
    argv = ("docker", "exec", "--interactive", f"--workdir={PROJECT}", host.name)
    command = (*argv, ".venv/bin/python", "-m", "tests.hosts.diagnosing")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as diagnosing:
        found = FaultyHost(host=host, diagnosing=diagnosing)
        host.write(SHORT, _SHORT)
        found.shell("keep")
        try:
            yield found
        finally:
            found.shell(f"mend; restart; rm -r /root/good {SHORT}")
            if diagnosing.stdin:
                diagnosing.stdin.close()
