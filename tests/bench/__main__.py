"""Measure the product beside its peers on one test host, and print, write and draw what came out.

Each peer, and the product, begins on a host that has the images and nothing of a registry; they take turns.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figures import Goal, as_csv, as_svg, as_text, rows, title
from tests.hosts.lab import Host
from tests.hosts.product import PROJECT
from tests.hosts.proven import start_proven

PROGRAM = ".venv/bin/registry-runbook"
PAGE = """# How long it takes

`script/bench` measures the product on a new test host, beside the document's commands as a plain script
(`tests/bench/document.sh`, which proves next to nothing) and a playbook of Ansible (`tests/bench/playbook.yml`). They
take turns, with the same image to push, and each first run begins without anything of a registry. Seconds, where
nothing else is said; bars are medians, lines go from the least to the most.

![{title}](bench.svg)

```
{table}```

*First run* is `registry-runbook run` with all its changes and proofs; *second run* proves all of it again, and changes
nothing. A goal is a ratio of medians, or seconds. The same figures are in `bench.csv`.
"""
IMAGE = ("-p", "test_image", "client:bench")  # the product pushes and pulls what its peers do
PLAYBOOK = ("/root/ansible/bin/ansible-playbook", "tests/bench/playbook.yml")
DOCUMENT, PLAYBOOK_FIRST, PLAYBOOK_SECOND = "the document's commands", "playbook, first run", "playbook, second run"
FIRST, SECOND, PLAN, SET_UP = "first run", "second run", "plan", "script/setup, second time"
MEMORY = "first run, memory at most (MB)"
ONE_USER, MANY_USERS = "second run, 1 user", "second run, 1,000 users"
FEW, MANY = "{}, 10 repositories", "{}, 10,000 repositories"
BARE, OURS, BEHIND = "large push, bare registry", "large push", "large push, behind nginx"
COMMANDS = ("--help", "list", "parameters")
PICTURE = (DOCUMENT, PLAYBOOK_FIRST, PLAYBOOK_SECOND, FIRST, SECOND, PLAN)
GOALS = (
    Goal(figure=FIRST, at_most=1.0, other=DOCUMENT),
    Goal(figure=SECOND, at_most=0.15, other=PLAYBOOK_SECOND),
    Goal(figure=PLAN, at_most=0.1, other=PLAYBOOK_SECOND),
    *(Goal(figure=command, at_most=0.3) for command in (*COMMANDS, SET_UP)),
    Goal(figure=MEMORY, at_most=300),
    Goal(figure=MANY_USERS, at_most=1.2, other=ONE_USER),
    *(Goal(figure=MANY.format(name), at_most=2, other=FEW.format(name)) for name in ("prove", "index")),
    *(Goal(figure=name, other=BARE) for name in (OURS, BEHIND)),
)
PARTS = ("playbook", "memory", "users", "repositories", "large")
# What all begin with: the registry's image under the peers' name, one to push, and htpasswd.
PREPARE = """
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends apache2-utils curl openssl
docker tag "$(docker images --format '{{.Repository}}:{{.Tag}}' registry-runbook/docker-registry)" registry:bench
mkdir /root/client; head -c 20000000 /dev/urandom >/root/client/blob
tar -C /root/client -c blob | docker import - client:bench
"""
ANSIBLE = """
python3 -m venv /root/ansible
install=$(command -v uv || echo .venv/bin/uv)
"$install" pip install -q --python /root/ansible/bin/python --require-hashes -r script/requirements-bench.lock
"""
TIDY = """
docker rm --force --volumes $(docker ps --all --quiet) 2>/dev/null
docker volume rm --force registry_registry-data; docker network rm registry_default
docker image rm 127.0.0.1:5000/client:latest docker.funet8.com/username/client:1
rm -rf /etc/docker/registry /etc/docker/certs.d /etc/docker/daemon.json /etc/registry-authority /opt/data/registry
rm -rf /etc/registry-runbook /etc/sysctl.d/*registry*
sed -i '/registry-runbook\\|registry.test\\|docker.funet8.com\\|MANAGED BLOCK/d' /etc/hosts
systemctl reload docker
sleep 5.1  # for so long, an engine keeps what it has read of /etc/hosts; a question would have it keep that on
"""
MANY_LINES = 'for i in $(seq 999); do echo "user$i:$(cut -d: -f2- $1 | head -n 1)" >>$1; done'
LOGIN = "docker login registry.test -u admin --password-stdin </etc/registry-runbook/secrets/password-admin"
REPOSITORIES = f"""
folder=/var/lib/docker/volumes/registry_registry-data/_data/docker/registry/v2/repositories/many
if ! [ -e $folder ]; then
  {LOGIN}; docker tag client:bench registry.test/many/0:1; docker push -q registry.test/many/0:1
fi
cd $folder; for i in $(seq "$1"); do [ -e $i ] || cp -r 0 $i; done
"""
LARGE_IMAGE = """
head -c "$1"M /dev/urandom >/root/client/large
tar -C /root/client -c large | docker import - large:bench; rm /root/client/large
"""
EMPTY = """
rm -rf /var/lib/docker/volumes/registry_registry-data/_data/docker
docker restart --time 1 "$(docker ps --quiet --filter label=com.docker.compose.project=registry)"
until curl -sk -o /dev/null https://registry.test/v2/; do sleep 0.1; done
"""
START_BARE = """
docker run --detach --name bare --publish 127.0.0.1:5001:5000 registry:bench
until curl -s -o /dev/null http://127.0.0.1:5001/v2/; do sleep 0.1; done
"""


class Bench:
    """A host, and what was measured on it so far."""

    def __init__(self, host: Host, rounds: int) -> None:
        """Take the host, and how often each thing is measured."""
        self.host, self.rounds = host, rounds
        self.figures: defaultdict[str, list[float]] = defaultdict(list)

    def shell(self, commands: str, *arguments: str, check: bool = True) -> str:
        """Run commands that are not measured, and return what they print."""
        script = ("sh", "-ec" if check else "-c", commands, "sh", *arguments)
        return self.host.run(*script, check=check, directory=PROJECT, timeout_seconds=1800).stdout

    def time(self, name: str, *argv: str) -> None:
        """Run a command, which must end well, and keep the seconds that it took on its host."""
        script = 'TIMEFORMAT=%R; time "$@" >/root/bench.txt 2>&1 || { cat /root/bench.txt; exit 1; }'
        done = self.host.run("bash", "-c", script, "bench", *argv, directory=PROJECT, timeout_seconds=1800)
        self.keep(name, float(done.stderr.split()[-1]))

    def keep(self, name: str, value: float) -> None:
        """Keep a figure, and show it."""
        self.figures[name].append(value)
        print(f"{name}: {value:.3f}", flush=True)  # noqa: T201 (it takes long)

    def run(self, name: str, *options: str) -> None:
        """Measure a run of the product."""
        self.time(name, PROGRAM, "run", *options)


def measure_runs(bench: Bench, parts: Sequence[str]) -> None:
    """Let the peers and the product take turns; leave a finished registry."""
    bench.shell(PREPARE)
    if "playbook" in parts:
        bench.shell(ANSIBLE)
    for _ in range(bench.rounds):
        bench.shell(TIDY, check=False)
        bench.time(DOCUMENT, "tests/bench/document.sh")
        if "playbook" in parts:
            bench.shell(TIDY, check=False)
            bench.time(PLAYBOOK_FIRST, *PLAYBOOK)
            bench.time(PLAYBOOK_SECOND, *PLAYBOOK)
        bench.shell(TIDY, check=False)
        bench.run(FIRST, *IMAGE)
        bench.run(SECOND, *IMAGE)
        bench.time(PLAN, PROGRAM, "plan", *IMAGE)
        for command in COMMANDS:
            bench.time(command, PROGRAM, command)
        bench.time(SET_UP, "script/setup")
    if "memory" not in parts:
        return
    bench.shell(TIDY, check=False)
    held = bench.shell(f".venv/bin/python -m tests.bench.memory {PROGRAM} run {' '.join(IMAGE)}")
    bench.keep(MEMORY, float(held.split()[-1]))


def measure_users(bench: Bench) -> None:
    """Measure a run where nothing is to be changed, with one user and with a thousand."""
    users = "/etc/docker/registry/auth/htpasswd"
    for _ in range(bench.rounds):
        bench.run(ONE_USER)
        bench.shell(f"cp -p {users} /root/users; {MANY_LINES}", users)
        bench.run(MANY_USERS)
        bench.shell(f"cat /root/users >{users}")


def measure_repositories(bench: Bench) -> None:
    """Measure the proof and the index with ten repositories in the registry, then with ten thousand."""
    for names, count in ((FEW, 9), (MANY, 9_999)):
        bench.shell(REPOSITORIES, str(count))
        for _ in range(bench.rounds):
            bench.time(names.format("prove"), PROGRAM, "prove", "--no-image")
            bench.run(names.format("index"), "00-index")


def measure_large(bench: Bench, megabytes: int) -> None:
    """Measure the push of one large layer to a bare registry, to ours, and to ours behind nginx."""
    bench.shell(LARGE_IMAGE, str(megabytes))
    bench.shell("docker tag large:bench 127.0.0.1:5001/large:1; docker tag large:bench registry.test/large:1")
    bench.shell(LOGIN)
    for _ in range(bench.rounds):
        bench.shell(START_BARE)
        bench.time(BARE, "docker", "push", "127.0.0.1:5001/large:1")
        bench.shell("docker rm --force --volumes bare")
        bench.shell(EMPTY)
        bench.time(OURS, "docker", "push", "registry.test/large:1")
    front = ("-f", "parameters/nginx.yml", "-p", "proxy_layer_megabytes", "2")
    bench.shell(f"{PROGRAM} run {' '.join(front)}")
    for _ in range(bench.rounds):
        bench.shell(EMPTY)
        bench.time(BEHIND, "docker", "push", "registry.test/large:1")


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each thing is measured; 5")
    parser.add_argument("--large-rounds", type=int, default=3, help="the same for large pushes; 3")
    parser.add_argument("--megabytes", type=int, default=1024, help="size of a large layer; 1024")
    parser.add_argument("--without", choices=PARTS, nargs="*", default=(), help="what not to measure")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="folder of bench.md, .csv and .svg; docs")
    asked = parser.parse_args()
    parts = [part for part in PARTS if part not in asked.without]
    with start_proven("trixie") as host:
        bench = Bench(host, asked.rounds)
        measure_runs(bench, parts)
        if "users" in parts:
            measure_users(bench)
        if "repositories" in parts:
            measure_repositories(bench)
        if "large" in parts:
            bench.rounds = asked.large_rounds
            measure_large(bench, asked.megabytes)
    table = rows(bench.figures, GOALS)
    print(as_text(table))  # noqa: T201 (what it is for)
    asked.output.mkdir(parents=True, exist_ok=True)
    page = PAGE.format(title=title(bench.figures, PICTURE), table=as_text(table))
    (asked.output / "bench.md").write_text(page, encoding="utf-8")
    (asked.output / "bench.csv").write_text(as_csv(table), encoding="utf-8")
    (asked.output / "bench.svg").write_text(as_svg(bench.figures, PICTURE), encoding="utf-8")


if __name__ == "__main__":
    main()
