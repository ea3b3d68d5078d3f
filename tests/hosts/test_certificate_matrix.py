"""Odd certificates, asked of each engine, curl and the registry itself: the product's verdict is theirs.

Each row of the table with `script/test --all`, otherwise a sample by the session's seed.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from tests import draws, odd_certificates
from tests.draws import tries_all
from tests.waiting import UNTIL_SO

from .lab import Host
from .product import PROJECT, run, wait_until_engine_knows

SAMPLE = 12  # rows on each host; one takes half a second
FOLDER = "/root/matrix"
FIRST_PORT = 20000
CONFIGURATION = """\
version: 0.1
log: {{level: error}}
storage: {{inmemory: {{}}}}
http:
  addr: ":{port}"
  tls: {{certificate: {folder}/pair, key: {folder}/pair}}
"""
WRITE = """
import json, os, pathlib, sys
os.umask(0o077)
for path, text in json.load(sys.stdin).items():
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(text)
"""
# The registry's own program, out of the container that runs: one process a row, which may end at once.
SERVE = (
    UNTIL_SO
    + r"""
cd "$1"
cp "/proc/$(docker inspect --format '{{.State.Pid}}' "$(docker ps --quiet --filter publish=443)")/exe" registry
decided() { ! kill -0 "$1" 2>/dev/null || ss -Hltn "sport = :$2" | grep -q .; }
for folder in [0-9]*; do
  port=$(cat "$folder/port")
  OTEL_TRACES_EXPORTER=none setsid ./registry serve "$folder/config.yml" >"$folder/log" 2>&1 </dev/null &
  echo $! >"$folder/pid"
done
for folder in [0-9]*; do
  until_so "the registry of row $folder" decided "$(cat "$folder/pid")" "$(cat "$folder/port")"
done
"""
)
ASK = r"""
cd "$1"
for folder in [0-9]*; do
  place=$(cat "$folder/name"):$(cat "$folder/port")
  if kill -0 "$(cat "$folder/pid")" 2>/dev/null; then echo serves; else tail -n 1 "$folder/log"; fi >"$folder/served"
  docker pull "$place/no/such:1" >"$folder/engine" 2>&1 || true
  curl -sS --max-time 10 -o /dev/null --cacert "$folder/authority" "https://$place/v2/" 2>"$folder/curl" || true
done
"""
STOP = 'cd "$1"; for folder in [0-9]*; do kill "$(cat "$folder/pid")" 2>/dev/null; done; true'
# The judge as this host's Python runs it: of files that were brought along, and of a registry by its address.
JUDGE = """
import datetime, json, pathlib, sys, warnings
from runbook.proof import remote as prove_url
from runbook.model.errors import HostError
from runbook.system.certificates import supplied
from runbook.system.certificates import supplied_rules
from runbook.system.registry import api
from runbook.system.certificates import tls

def brought(folder, names):
    try:
        found = supplied.gather(
            key_path=folder / "key", chain_path=folder / "chain", authority_path=folder / "authority",
            name=names[0], text=None,
        )
        supplied_rules.refuse(found, names=names, now=datetime.datetime.now(datetime.UTC))
    except HostError as error:
        return str(error)
    return "accepted"

def proven(folder, name):
    authority = (folder / "authority").read_text()
    url = f"https://{name}:{(folder / 'port').read_text()}"
    known = api.Registry(url=url, tls=tls.client_context(authority), login=("nobody", "nothing"))
    target = prove_url.Target(known=known, authority=authority, days=0, repository="no/such", layer_bytes=1000)
    return prove_url.prove(target)["certificate"][0].found

found = {}
for folder in sorted(pathlib.Path(sys.argv[1]).glob("[0-9]*")):
    names = (folder / "name").read_text().split()
    text = lambda name: (folder / name).read_text().strip()
    found[folder.name] = {
        "registry": text("served"), "engine": text("engine"), "curl": text("curl"),
        "brought": brought(folder, names), "proven": proven(folder, names[0]),
    }
print(json.dumps(found))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What was said of a row: by the registry that is to serve it, by engine, curl, and the product in both ways."""

    registry: str
    engine: str
    curl: str
    brought: str
    proven: str

    @property
    def accepted(self) -> bool:
        """Whether the registry serves it, and engine and curl take it; an engine's answer must be one or the other."""
        refused = re.search("x509|tls|EOF|connection (refused|reset)", self.engine, re.IGNORECASE)
        assert refused or re.search("not found|manifest unknown", self.engine), self.engine
        return (self.registry, bool(refused), self.curl) == ("serves", False, "")


@pytest.fixture(params=["bookworm", "trixie"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each of the two hosts: engine 20.10 and Python 3.11, engine 26.1 and Python 3.13."""
    return str(request.param)


@pytest.fixture
def host(kind: str, request: pytest.FixtureRequest) -> Iterator[Host]:
    """Give the host with its proven registry; its names and what its engine trusts are as before at the end."""
    found: Host = request.getfixturevalue(f"proven_{kind}")
    names = found.read("/etc/hosts")
    yield found
    found.run("sh", "-c", STOP, "stop", FOLDER)
    found.write("/etc/hosts", names)
    found.run("sh", "-c", f"rm -r {FOLDER} /etc/docker/certs.d/*:2[0-9][0-9][0-9][0-9]")


def ask(host: Host, rows: Sequence[odd_certificates.Row]) -> Mapping[str, Asked]:
    """Return what is said of each row, by its title."""
    texts: dict[str, str] = {}
    for number, row in enumerate(rows):
        folder, port = f"{FOLDER}/{number}", FIRST_PORT + number
        key, chain, authority = row.files()
        texts |= {
            f"{folder}/key": key,
            f"{folder}/chain": chain,
            f"{folder}/pair": key + chain,
            f"{folder}/authority": authority,
            f"{folder}/name": row.wanted[0],
            f"{folder}/port": str(port),
            f"{folder}/config.yml": CONFIGURATION.format(port=port, folder=folder),
            f"/etc/docker/certs.d/{row.wanted[0]}:{port}/ca.crt": authority,
        }
    host.run("python3", "-c", WRITE, input_text=json.dumps(texts))
    names = sorted({row.wanted[0] for row in rows} - {odd_certificates.NAME})
    host.write("/etc/hosts", host.read("/etc/hosts") + "".join(f"{host.address} {name}\n" for name in names))
    host.run("bash", "-ec", SERVE, "serve", FOLDER)
    for name in names:
        wait_until_engine_knows(host, f"{name}:{FIRST_PORT}")
    host.run("bash", "-ec", ASK, "ask", FOLDER, timeout_seconds=300)
    python = (".venv/bin/python", "-W", "ignore", "-c", JUDGE, FOLDER)
    told = json.loads(host.run(*python, directory=PROJECT, timeout_seconds=300).stdout)
    return {row.title: Asked(**told[str(number)]) for number, row in enumerate(rows)}


def test_verdict_is_that_of_engine_curl_and_registry(host: Host, kind: str, subtests: pytest.Subtests) -> None:
    """Fails where one of them refuses what the product takes, or all take what it refuses, here or by its address."""
    every = odd_certificates.ROWS
    rows = every if tries_all() else draws.source("certificates", kind).sample(every, SAMPLE)
    asked = ask(host, rows)
    for row in rows:
        with subtests.test(certificate=row.title, host=kind):
            found = asked[row.title]
            assert row.varies or found.accepted == row.accepted, found
            assert (found.brought == "accepted", found.proven == "an answer") == (row.accepted, row.accepted), found
            assert re.search(row.says or "accepted", found.brought), found


PLAIN = """
umask 077; mkdir -p /root/plain; cd /root/plain
openssl req -x509 -new -nodes -newkey rsa:2048 -keyout ca.key -days 3650 -subj "/O=Example/CN=Example CA" -out ca.crt
openssl req -new -nodes -newkey rsa:2048 -keyout srv.key -subj /CN=registry.test -out srv.csr
echo subjectAltName=DNS:registry.test >names
openssl x509 -req -in srv.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -sha256 -extfile names -out srv.crt
openssl req -newkey rsa:2048 -nodes -keyout self.key -x509 -days 365 -subj /CN=registry.test \
  -addext subjectAltName=DNS:registry.test -out self.crt
"""


def test_plain_certificates_are_served_and_proven(proven_trixie: Host) -> None:
    """Fails where the way most people make an authority, or Docker's own pages a certificate, is refused."""
    host = proven_trixie
    host.run("sh", "-ec", PLAIN)
    server, authority = draws.source("plain certificates").choice((("srv", "ca"), ("self", "self")))
    values = {
        "certificate_source": "own",
        "own_certificate_file": f"/root/plain/{server}.crt",
        "own_key_file": f"/root/plain/{server}.key",
        "own_authority_file": f"/root/plain/{authority}.crt",
    }
    options = [word for name, value in values.items() for word in ("-p", name, value)]
    made = run(host, "30-certificates", "50-compose", "60-push-pull", *options)
    assert (made.error, made.failed) == (None, [])
    assert any("Python 3.13" in result["claim"] for result in made.results) == (server == "srv")
    assert run(host, "30-certificates", "50-compose", *options).changes == []

    host.run("mv", *(f"/etc/registry-runbook/ca/ca.crt{end}" for end in (".before-registry-runbook", "")))
    back = run(host, "30-certificates", "50-compose")
    assert (back.error, back.failed) == (None, [])
    host.run("rm", "-r", "/root/plain")
