"""Other hosts with the kit, without this project: one with Docker, one with Podman and no Docker at all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from runbook.system.registry import client_kit
from tests import draws
from tests.waiting import wait_for

from .images import BOOKWORM, PODMAN
from .lab import Completed, Host, start_host
from .product import PROJECT, run, snapshot

KIT = "/opt/registry-client-kit"
SCRIPT = "/root/registry-client-kit/trust-registry.sh"
PASSWORD = "/etc/registry-runbook/secrets/password-admin"  # noqa: S105 (a path)
IMAGE = "registry.test/runbook/client-check:1"
REPOSITORIES = "/var/lib/docker/volumes/registry_registry-data/_data/docker/registry/v2/repositories/runbook"
UNCHANGED = "<p>0 changes made.</p>"
UNTRUSTED = "x509: certificate signed by unknown authority"
# Without overlay in the container that the host is; on a real host Podman chooses for itself.
STORAGE = '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n'
# What the script may touch, its temporary folder, and where a login would be kept.
TOUCHED = """
find /etc/docker /etc/containers /etc/hosts* /tmp /root/.docker /run/containers/0/auth.json 2>/dev/null |
  grep -v systemd-private | LC_ALL=C sort | while read -r path; do
    stat -c '%n %a %F' "$path"
    if [ -f "$path" ]; then sha256sum <"$path"; fi
  done
"""

# A person at a terminal: answers each prompt once it is there, and prints all that the terminal showed.
TYPE = """
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("sh", ["sh", *sys.argv[1:]])
shown = b""
for prompt, answer in zip((b"[yes/no] ", b"Password of admin at registry.test: "), sys.stdin.read().splitlines()):
    while not shown.endswith(prompt):
        shown += os.read(terminal, 1000)
    os.write(terminal, answer.encode() + b"\\n")
while True:
    try:
        shown += os.read(terminal, 1000)
    except OSError:
        break
print(shown.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """Another host, the engine on it, and what that engine says to a pull without a login."""

    host: Host
    engine: str
    certificates: str
    no_login: str

    def script(self, *arguments: str, stdin: str = "") -> Completed:
        """Run the kit's script."""
        return self.host.run("sh", SCRIPT, *arguments, check=False, input_text=stdin)

    def pull(self, expected: str) -> str:
        """Pull as the host's operator does until the engine says what is expected, and return what it says.

        A running engine knows a changed /etc/hosts after five seconds at the latest (Go, net: cacheMaxAge).
        """

        def pull() -> str:
            done = self.host.run(self.engine, "pull", IMAGE, check=False)
            return said if expected in (said := done.stdout + done.stderr) else ""

        return wait_for(f"{expected!r} from {self.engine}", pull)

    def touched(self) -> str:
        """Return all that the script may touch."""
        return self.host.run("sh", "-c", TOUCHED).stdout

    def images(self) -> str:
        """Return the engine's images."""
        return self.host.run(self.engine, "images", "--quiet").stdout


@pytest.fixture(scope="module", params=draws.one_of(("trixie", "newest"), "server"))
def server(request: pytest.FixtureRequest) -> Host:
    """Return the host with the registry: that of its distribution, or the newest release."""
    found: Host = request.getfixturevalue(f"proven_{request.param}")
    return found


@pytest.fixture(scope="module")
def kit(server: Host) -> Iterator[Mapping[str, str]]:
    """Give the kit that papermill makes with a parameter file, which changes nothing the second time; by file name."""
    before = snapshot(server)
    made = papermill(server)
    assert "push registry.test/runbook/client-check:1" in made
    assert UNCHANGED not in made
    files = {name: server.read(f"{KIT}/{name}") for name in client_kit.FILES}
    as_it_was = look(server)
    assert UNCHANGED in papermill(server)
    assert look(server) == as_it_was
    yield files
    server.run("rm", "-r", KIT, f"{REPOSITORIES}/client-check")
    assert without_data(snapshot(server)) == without_data(before)


def papermill(host: Host) -> str:
    """Run the notebook by papermill's own command, and return it as it was executed."""
    with_file = ("notebooks/70-clients.ipynb", "/root/out.ipynb", "-f", "parameters/clients.yml")
    done = host.run(".venv/bin/papermill", *with_file, directory=PROJECT, check=False, timeout_seconds=300)
    assert done.code == 0, done.stderr
    return host.read("/root/out.ipynb")


def look(host: Host) -> str:
    """Return all that a second run must leave as it was."""
    return snapshot(host) + host.run("find", KIT, "-printf", "%p %m %T@\n").stdout


def without_data(text: str) -> str:
    """Return a snapshot without the registry's storage."""
    return "\n".join(line for line in text.splitlines() if "registry_registry-data" not in line)


@pytest.fixture(scope="module", params=["docker", "podman"])
def client(server: Host, kit: Mapping[str, str], request: pytest.FixtureRequest) -> Iterator[Client]:
    """Give a host with one of the two engines, to which the kit was copied."""
    docker = request.param == "docker"
    with start_host(BOOKWORM if docker else PODMAN) as host:
        host.lead_to(server)
        if not docker:
            host.write("/etc/containers/storage.conf", STORAGE)
        for name, text in kit.items():
            host.write(f"/root/registry-client-kit/{name}", text)
        yield Client(
            host=host,
            engine=request.param,
            certificates=f"/etc/{'docker' if docker else 'containers'}/certs.d/registry.test",
            no_login="no basic auth credentials" if docker else "unauthorized: authentication required",
        )


def test_kit_has_no_secret_and_a_true_fingerprint(server: Host, kit: Mapping[str, str]) -> None:
    """Fails if password or key are handed out, or openssl gives the certificate another fingerprint."""
    password = server.read(PASSWORD).strip()
    assert [name for name, text in kit.items() if password in text or "PRIVATE" in text] == []
    assert kit["ca.crt"] == server.read("/etc/registry-runbook/ca/ca.crt")
    printed = server.run("openssl", "x509", "-noout", "-fingerprint", "-sha256", input_text=kit["ca.crt"])
    assert kit["ca.crt.fingerprint"] == printed.stdout


def test_client_gets_in_with_kit_and_login_alone(server: Host, kit: Mapping[str, str], client: Client) -> None:
    """Fails if a client gets in without trust or login, is kept out with both, or has something left after --remove."""
    host, fingerprint = client.host, kit["ca.crt.fingerprint"].strip()
    password, digest = server.read(PASSWORD), client_kit.digest_in(kit["trust-registry.sh"])
    named = host.read("/etc/hosts") + f"{server.address} registry.test\n"
    own = host.read("/etc/hosts").rstrip("\n")  # a last line without an end
    host.write("/etc/hosts", named)
    assert UNTRUSTED in client.pull(UNTRUSTED)
    host.write("/etc/hosts", own)

    before = client.touched()
    for wrong in ((), ("--fingerprint", "00:" * 31 + "00"), ("--fingerprint", fingerprint, "--misspelt")):
        refused = client.script(*wrong)
        assert (refused.code, refused.stderr[:9], "To repair: " in refused.stderr) == (1, "expected ", True)
        assert client.touched() == before

    anonymous = client.script("--fingerprint", fingerprint)
    assert anonymous.code == 1
    assert f"{client.no_login}. To repair: give --user" in anonymous.stderr
    wrong_password = client.script("--fingerprint", fingerprint, "--user", "admin", stdin="wrong\n")
    assert wrong_password.code == 1
    assert "log in as admin" in wrong_password.stderr
    assert "give --user NAME and the right password" in wrong_password.stderr
    with_trust = client.touched()
    proven = client.script("--fingerprint", fingerprint, "--user", "admin", stdin=password)
    assert (proven.code, proven.stderr) == (0, "")
    assert f"{client.engine} pulled runbook/client-check:1, and it is {digest}" in proven.stdout
    assert client.touched() == with_trust
    assert client.images() == ""
    assert host.read("/etc/hosts").startswith(f"{own}\n{server.address} registry.test # ")

    host.run(client.engine, "login", "registry.test", "-u", "admin", "--password-stdin", input_text=password)
    host.run(client.engine, "pull", IMAGE)
    described = host.run(client.engine, "image", "inspect", "--format={{.RepoDigests}}", IMAGE).stdout
    assert f"@{digest}" in described
    theirs = IMAGE.replace(":1", f":{client.engine}")
    host.run(client.engine, "tag", IMAGE, theirs)
    host.run(client.engine, "push", theirs)
    assert client.engine in server.run("ls", f"{REPOSITORIES}/client-check/_manifests/tags").stdout.split()
    host.run(client.engine, "image", "rm", IMAGE, theirs)
    host.run(client.engine, "logout", "registry.test")
    host.run("rm", "-rf", "/root/.docker", "/run/containers/0/auth.json")

    removed = client.script("--remove")
    assert (removed.code, removed.stderr) == (0, "")
    assert client.touched() == before
    assert client.script("--remove").stdout == "registry.test: nothing of this script is left here\n"
    host.write("/etc/hosts", named)
    assert UNTRUSTED in client.pull(UNTRUSTED)
    host.write("/etc/hosts", own)


@pytest.mark.parametrize("client", ["docker"], indirect=True)
def test_script_leaves_what_others_have_decided(server: Host, kit: Mapping[str, str], client: Client) -> None:
    """Fails if another authority or a name of theirs is written over, or the script's own earlier one is not."""
    host, fingerprint = client.host, kit["ca.crt.fingerprint"].strip()
    own, place = host.read("/etc/hosts"), f"{client.certificates}/ca.crt"
    other = host.run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=x")
    ).stdout
    host.write(place, other)
    before = client.touched()
    refused = client.script("--fingerprint", fingerprint)
    assert (refused.code, "find out whose it is" in refused.stderr) == (1, True)
    client.script("--remove")
    assert client.touched() == before

    mark = "# registry-runbook client of registry.test"
    host.write(place, f"{mark}\n{other}")
    for theirs in ("127.0.0.9 Registry.test\n", f"::1 registry.test\n{server.address} registry.test\n"):
        host.write("/etc/hosts", f"{own}\n{theirs}")
        before = client.touched()
        refused = client.script("--fingerprint", fingerprint)
        assert "expected registry.test to stand for one address that is not loopback" in refused.stderr
        assert (refused.code, client.touched()) == (1, before)
    host.write("/etc/hosts", f"{own}\n192.168.1.98 Registry.test\n")
    assert "192.168.1.98" in client.pull("192.168.1.98")
    client.script("--fingerprint", fingerprint)
    assert host.read(place) == f"{mark}\n{kit['ca.crt']}"
    assert host.read("/etc/hosts") == f"{own}\n192.168.1.98 Registry.test\n"
    host.write("/etc/hosts", f"{own}\n192.168.1.99 registry.test {mark}\n")
    rewritten = client.script("--fingerprint", fingerprint)
    assert client.no_login in rewritten.stderr  # the engine, which has just met the other address, knows the new one
    assert host.read("/etc/hosts") == f"{own}\n{server.address} registry.test {mark}\n"
    client.script("--remove")
    assert host.read("/etc/hosts") == f"{own}\n"
    host.write("/etc/hosts", own)

    host.write("/root/registry-client-kit/ca.crt", kit["ca.crt"] + other)
    twice = client.script("--fingerprint", fingerprint)
    assert (twice.code, "expected one certificate in ca.crt" in twice.stderr) == (1, True)
    assert client.touched().count("registry.test") == 0
    host.write("/root/registry-client-kit/ca.crt", kit["ca.crt"])


@pytest.mark.parametrize("client", ["docker"], indirect=True)
def test_script_asks_at_a_terminal(server: Host, kit: Mapping[str, str], client: Client) -> None:
    """Fails if a person is not shown the fingerprint, a no is taken for a yes, or the password is shown."""
    host, password = client.host, server.read(PASSWORD)
    before = client.touched()
    shown = kit["ca.crt.fingerprint"].strip().partition("=")[2]
    typed = ("python3", "-c", TYPE, SCRIPT, "--user", "admin")
    refused = host.run(*typed, input_text="no\n", check=False)
    assert (refused.code, shown in refused.stdout) == (1, True)
    assert client.touched() == before
    proven = host.run(*typed, input_text=f"yes\n{password}", check=False)
    assert (proven.code, "docker pulled runbook/client-check:1" in proven.stdout) == (0, True), proven.stdout
    assert password.strip() not in proven.stdout
    client.script("--remove")
    assert client.touched() == before


def test_notebook_refuses_a_folder_that_holds_something_else(server: Host, kit: Mapping[str, str]) -> None:
    """Fails if a file that lies in the folder would be handed out with the kit."""
    assert kit
    server.write(f"{KIT}/id_rsa", "theirs\n")
    before = look(server)
    refused = run(server, "70-clients", check=False)
    assert "found id_rsa. To repair: move it away" in str(refused.error)
    assert look(server) == before
    server.run("rm", f"{KIT}/id_rsa")
