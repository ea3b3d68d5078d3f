"""Changes: what a plan shows of each kind, and what a record keeps of it."""

import copy
import dataclasses
import json
import subprocess
from pathlib import Path

import pytest

from runbook.changes.base import Change, as_json, from_json, kinds
from runbook.changes.certificates import InstallCertificate, IssueAuthority, IssueCertificate
from runbook.changes.containers import ComposeUp, ObtainImage, PushClientImage, RemoveLeftOver, RunContainer
from runbook.changes.credentials import ChangeUsers, GenerateSecret, SetPassword
from runbook.changes.engine import ConfigureEngine, EnableEngine, InstallPackages, RestartEngine, SetKernel, StartEngine
from runbook.changes.files import CopyFile, MakeDirectory, RemoveTree, SetMode, WriteFile
from runbook.changes.firewall import OpenPort
from runbook.changes.ledger import Earlier
from runbook.changes.made import Thing
from runbook.changes.manual import LeftToUser
from runbook.changes.nginx import ConfigureNginx, RemoveSite
from runbook.changes.timer import EnableTimer, RemoveTimer
from runbook.changes.undo import EnterEarlier, Undo
from runbook.system.credentials import placeholder
from runbook.system.host.files import backup_path

SUBJECT = (("C", "CN"), ("CN", "Our CA"))
AUTHORITY = IssueAuthority(
    key_path=Path("/p/ca/ca.key"),
    certificate_path=Path("/p/ca/ca.crt"),
    subject=SUBJECT,
    key_type="ecdsa-p256",
    validity_days=3650,
    passphrase_file=None,
)
CERTIFICATE = IssueCertificate(
    path=Path("/c/ssl/r.test.pem"),
    subject=(("CN", "r.test"),),
    dns_names=("r.test",),
    addresses=("192.168.1.2", "127.0.0.1"),
    key_type="rsa-2048",
    validity_days=366,
    authority_key_path=Path("/p/ca/ca.key"),
    authority_certificate_path=Path("/p/ca/ca.crt"),
    passphrase_file=Path("/root/passphrase"),
    reason="there is none",
)
OWN = InstallCertificate(
    key_path=Path("/root/key.pem"),
    chain_path=Path("/root/chain.pem"),
    path=Path("/c/ssl/r.test.pem"),
    fingerprints=("0123456789abcdef0123", "ff"),
)
OWN_CHAIN = "the chain of /root/chain.pem (SHA-256 0123456789abcdef…)"
PASSWORD = SetPassword(
    path=Path("/c/auth/htpasswd"),
    username="admin",
    cost=10,
    password_file=Path("/p/secrets/password-admin"),
    reason="there is none yet",
)
USERS = ChangeUsers(
    path=Path("/c/auth/htpasswd"),
    passwords=tuple((f"u{number}", Path(f"/p/secrets/password-u{number}")) for number in range(8)),
    removed=("web", "old one"),
    cost=5,
)
FILE = Thing(kind="file", name="/f")
VOLUME = Thing(kind="volume", name="v", belongs="data")
IMAGE = ObtainImage(sources=("pull", "package"), reference="registry:3.1.2", digest="", archive="")
ARCHIVE = ObtainImage(sources=("archive",), reference="registry:3.1.2", digest="", archive="/r.tar")
CONTAINER = RunContainer(
    name="registry",
    image="registry:3.1.2",
    publish=("127.0.0.1", 5000, 5000),
    volume=(Path("/opt/data"), "/var/lib/registry"),
    restart_policy="always",
    labels=(("org.registry-runbook.section", "basic_registry"),),
    replaces=None,
)
REPLACED = RunContainer(
    name="registry",
    image="registry:3.1.2",
    publish=("127.0.0.1", 5000, 5000),
    volume=(Path("/opt/data"), "/var/lib/registry"),
    restart_policy="always",
    labels=(),
    replaces="it is not running",
)
WRITTEN = WriteFile(path=Path("/c/new"), before=None, after="a\n", mode=0o600, keep=True)
CHANGED = WriteFile(path=Path("/c/hosts"), before="a\n", after="b\n", mode=0o644)
KEPT = WriteFile(path=Path("/c/hosts"), before="a\n", after="b\n", mode=0o644, keep=True)
ENGINE = ConfigureEngine(
    path=Path("/d.json"),
    before=None,
    after="{...}\n",
    supervisor="systemd",
    insecure_registries=("a:1", "b:1"),
    registry_mirrors=("http://m",),
)
NGINX = ConfigureNginx(
    path=Path("/n/site"),
    before=None,
    after="server {}\n",
    supervisor="systemd",
    domain="r.test",
    served_at="192.168.1.2:443",
    fingerprint="ff",
    reason="the registry's site is not there",
)
READ = "test nginx's configuration, and let nginx read it"
CLIENT_IMAGE = PushClientImage(
    registry="r.test:8443",
    reference="runbook/client-check:1",
    digest=f"sha256:{'ab' * 32}",
    authority_path=Path("/p/ca/ca.crt"),
    username="admin",
    password_file=Path("/p/secrets/password-admin"),
)
PLAIN = "plain HTTP for a:1, b:1"
BUILT = "build it from the distribution's package docker-registry"
WHERE = "127.0.0.1:5000 to 5000, data in /opt/data"

LINES: list[tuple[Change, str]] = [
    (OWN, f"put the key of /root/key.pem and {OWN_CHAIN} into /c/ssl/r.test.pem (0600)"),
    (InstallPackages(names=("docker.io", "docker-cli")), "install the packages docker.io, docker-cli"),
    (StartEngine(supervisor="systemd"), "start the engine (systemctl start docker)"),
    (
        StartEngine(supervisor="none"),
        "start the engine by its init script or, where that fails, as a process; it will not come back at boot",
    ),
    (EnableEngine(), "enable the engine at boot (systemctl enable docker)"),
    (
        RestartEngine(supervisor="systemd", reason="its chain is gone", stops=("db", "web")),
        "restart the engine: its chain is gone (stops db, web)",
    ),
    (
        RestartEngine(supervisor="none", reason="its chain is gone", stops=()),
        "restart the engine: its chain is gone (no container is running)",
    ),
    (SetKernel(name="a.b", before=0, after=1), "set a.b from 0 to 1 in the running kernel"),
    (SetKernel(name="a.b", before=None, after=1), "set a.b from None to 1 in the running kernel"),
    (MakeDirectory(path=Path("/p"), mode=0o700), "make the folder /p (0700)"),
    (SetMode(path=Path("/p/k"), before=0o644, after=0o600), "set the mode of /p/k from 0644 to 0600"),
    (WRITTEN, "write /c/new (0600)"),
    (CHANGED, "change /c/hosts (0644)"),
    (KEPT, "change /c/hosts (0644, the earlier version is kept beside it)"),
    (ENGINE, f"write /d.json and reload the engine: {PLAIN}; mirrors http://m (no container stops)"),
    (
        dataclasses.replace(ENGINE, before="{}", registry_mirrors=()),
        f"change /d.json (the earlier version is kept beside it) and reload the engine: {PLAIN} (no container stops)",
    ),
    (
        dataclasses.replace(ENGINE, before="{...}\n", insecure_registries=()),
        "reload the engine, which does not know yet what is in /d.json: mirrors http://m (no container stops)",
    ),
    (NGINX, f"write /n/site, {READ} (the registry's site is not there; its other sites stay)"),
    (
        dataclasses.replace(NGINX, before="a\n", reason="the registry's site changes"),
        f"change /n/site, {READ} (the registry's site changes; its other sites stay)",
    ),
    (
        dataclasses.replace(NGINX, before="server {}\n", reason="nginx does not run"),
        f"{READ} (nginx does not run; its other sites stay)",
    ),
    (
        RemoveSite(path=Path("/n/site"), before="server {}\n", frees_port=443),
        "remove /n/site and reload nginx, which must leave port 443 (its other sites stay)",
    ),
    (
        RemoveSite(path=Path("/n/site"), before="server {}\n", frees_port=None),
        "remove /n/site and reload nginx (its other sites stay)",
    ),
    (CopyFile(source=Path("/a"), path=Path("/b"), mode=0o444), "copy /a to /b (0444)"),
    (GenerateSecret(path=Path("/p/s"), purpose="http.secret"), "generate http.secret and keep it in /p/s (0600)"),
    (AUTHORITY, "make the certificate authority C=CN, CN=Our CA in /p/ca"),
    (CERTIFICATE, "issue a server certificate for r.test, 192.168.1.2, 127.0.0.1 (there is none)"),
    (
        USERS,
        (
            "change the users in /c/auth/htpasswd: "
            "set the password of u0, u1, u2, u3, u4 and 3 more (bcrypt, cost 5); remove web, old one"
        ),
    ),
    (PASSWORD, "set the password of admin in /c/auth/htpasswd (bcrypt, cost 10; there is none yet)"),
    (IMAGE, f"get the registry's image: pull registry:3.1.2; or else {BUILT}"),
    (ARCHIVE, "get the registry's image: load registry:3.1.2 from /r.tar"),
    (CONTAINER, f"run the container registry from registry:3.1.2, {WHERE}"),
    (REPLACED, f"replace (it is not running) the container registry from registry:3.1.2, {WHERE}"),
    (
        RemoveLeftOver(containers=("quirky_name",), images=("0a1b2c",)),
        "remove what a proof left that was killed: the container quirky_name, the image 0a1b2c",
    ),
    (
        ComposeUp(path=Path("/c/docker-compose.yml"), project="registry", volume="v", reason="it is not there"),
        "bring up /c/docker-compose.yml as project registry (it is not there)",
    ),
    (LeftToUser(task="paste this", text="{}"), "left to you: paste this"),
    (OpenPort(zone="public", port=443), "open port 443 in firewalld's zone public, for clients on other hosts"),
    (CLIENT_IMAGE, "push r.test:8443/runbook/client-check:1 (sha256:abababababab…) as admin"),
    (EnableTimer(name="p.timer"), "start p.timer now and at boot (systemctl enable, restart)"),
    (
        RemoveTimer(name="p.timer", paths=(Path("/u/p.service"), Path("/u/p.timer")), before=("ab", "cd")),
        "stop p.timer, and remove /u/p.service, /u/p.timer",
    ),
    (RemoveTree(path=Path("/p"), before="ab"), "remove /p"),
    (
        EnterEarlier(found=(Earlier(thing=FILE, kept=Path("/f.before")),)),
        "enter 1 things in the ledger that carry the runbook's mark: an earlier version made them",
    ),
    (Undo(number=1, thing=VOLUME, action="remove"), "remove the volume v"),
    (
        Undo(number=1, thing=Thing(kind="firewall port", name="public 443"), action="remove"),
        "remove the open port public 443",
    ),
    (Undo(number=1, thing=FILE, action="put back", found="ab"), "put back /f as it was before the first run"),
    (Undo(number=1, thing=FILE, action="take out"), "take the runbook's block out of /f"),
    (Undo(number=1, thing=FILE, action="forget"), "forget /f, which is as it was before the first run"),
    (Undo(number=1, thing=FILE, action="leave", reason="it was changed"), "leave /f to you: it was changed"),
    (
        Undo(number=1, thing=Thing(kind="mode", name="/d"), action="set back", reason="0755"),
        "set the mode of /d back to 0755",
    ),
]
TABLE = [pytest.param(change, line, id=f"{type(change).__name__}-{n}") for n, (change, line) in enumerate(LINES)]


@pytest.mark.parametrize(("change", "expected"), TABLE)
def test_change_says_in_one_line_what_happens(change: Change, expected: str) -> None:
    """Fails if a plan's row hides what a change touches, or a mode is not shown as chmod takes it."""
    assert expected == str(change)


@pytest.mark.parametrize(("change", "line"), TABLE)
def test_as_json_keeps_every_field(change: Change, line: str) -> None:
    """Fails if a record lacks a field, or holds what JSON cannot."""
    found = json.loads(json.dumps(as_json(change)))
    assert (type(change).__name__, line) == (found["change"], found["summary"])
    assert {"change", "summary", *(item.name for item in dataclasses.fields(change))} == set(found)


def test_as_json_writes_paths_and_nested_tuples_plainly() -> None:
    """Fails if a path or a subject comes back in another form than it was written in."""
    found = as_json(CERTIFICATE)
    assert (found["path"], found["passphrase_file"]) == ("/c/ssl/r.test.pem", "/root/passphrase")
    assert (found["subject"], found["dns_names"], found["validity_days"]) == ([["CN", "r.test"]], ["r.test"], 366)
    assert as_json(CONTAINER)["volume"] == ["/opt/data", "/var/lib/registry"]


@pytest.mark.parametrize(("change", "line"), TABLE)
def test_from_json_gives_back_what_was_written(change: Change, line: str) -> None:
    """Fails if a change that is handed over as JSON is applied as another one."""
    found = from_json(json.loads(json.dumps(as_json(change))))
    assert (found, str(found)) == (change, line)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"change": "Path", "path": "/"}, id="no-kind"),
        pytest.param({"change": "RemoveTree", "path": "/", "more": 1}, id="a-field-too-many"),
        pytest.param({"change": "RemoveTree"}, id="a-field-missing"),
    ],
)
def test_from_json_refuses_what_is_no_change(data: dict[str, object]) -> None:
    """Fails if anything but a change as it was written would be made."""
    with pytest.raises(ValueError, match=r"no change|validation error"):
        from_json(data)


@pytest.mark.parametrize(("change", "line"), TABLE)
def test_by_hand_is_a_script(change: Change, line: str) -> None:
    """Fails if a change says no command for it and gives no reason, or a shell would not understand it."""
    script = change.by_hand()
    assert script, line
    done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), script


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a\nEOF\nb\n", id="mark"),
        pytest.param("$HOME `id` \\\\ \\n $(id) 'x' \"y\"\n", id="shell"),
        pytest.param("\n\n", id="empty-lines"),
    ],
)
def test_by_hand_writes_the_same_text(tmp_path: Path, text: str) -> None:
    """Fails if a shell expands what stands in a file, or others could read a private file for a moment."""
    secret, path = tmp_path / "a secret", tmp_path / "new folder" / "it's"
    secret.write_text("p$w`d\\\n", encoding="utf-8")
    for after, secrets, expected in (
        (text, (), text),
        (f"{text}x: {placeholder(secret)}\n", (secret,), f"{text}x: p$w`d\\\n"),
    ):
        script = WriteFile(path=path, before=None, after=after, mode=0o600, secrets=secrets).by_hand()
        assert "p$w" not in script
        done = subprocess.run(["sh", "-eu"], input=script, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert (path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777) == (expected, 0o600)


def test_by_hand_keeps_the_earlier_version(tmp_path: Path) -> None:
    """Fails if the commands lose a file that was there, or keep the runbook's own in place of it at a second time."""
    path = tmp_path / "file"
    path.write_text("theirs\n", encoding="utf-8")
    for before, after in (("theirs\n", "one\n"), ("one\n", "two\n")):
        script = WriteFile(path=path, before=before, after=after, mode=0o644, keep=True).by_hand()
        subprocess.run(["sh", "-eu"], input=script, text=True, check=True)
    assert (path.read_text(encoding="utf-8"), backup_path(path).read_text(encoding="utf-8")) == ("two\n", "theirs\n")


def test_every_kind_of_change_is_in_the_table() -> None:
    """Fails if a new kind of change is shown or recorded by nothing that was tried."""
    assert set(kinds()) == {type(change) for change, _ in LINES}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(WRITTEN, "--- (no file)\n+++ /c/new\n@@ -0,0 +1 @@\n+a", id="new-file"),
        pytest.param(CHANGED, "--- /c/hosts\n+++ /c/hosts\n@@ -1 +1 @@\n-a\n+b", id="changed-file"),
        pytest.param(ENGINE, "--- (no file)\n+++ /d.json\n@@ -0,0 +1 @@\n+{...}", id="engine"),
        pytest.param(NGINX, "--- (no file)\n+++ /n/site\n@@ -0,0 +1 @@\n+server {}", id="nginx"),
        pytest.param(WriteFile(path=Path("/e"), before="", after="", mode=0o600), "", id="same-text"),
    ],
)
def test_diff_shows_what_goes_and_what_comes(
    change: WriteFile | ConfigureEngine | ConfigureNginx, expected: str
) -> None:
    """Fails if a plan shows another text than the one that is written."""
    assert expected == change.detail()


def test_diff_shows_two_lines_around() -> None:
    """Fails if a long file is shown whole, or a change without its place."""
    before = "".join(f"{n}\n" for n in range(10))
    change = WriteFile(path=Path("/f"), before=before, after=before.replace("5", "x"), mode=0o600)
    expected = ["@@ -4,5 +4,5 @@", " 3", " 4", "-5", "+x", " 6", " 7"]
    assert expected == change.detail().splitlines()[2:]


@pytest.mark.parametrize(("change", "line"), TABLE)
def test_change_is_frozen(change: Change, line: str) -> None:
    """Fails if what is applied could be another thing than what was shown: only frozen data has a hash."""
    assert hash(change) == hash(copy.copy(change))
    assert line == str(copy.copy(change))
