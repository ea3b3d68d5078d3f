"""The kit for another host: its script as plain shell, and an image whose digest is known before it is pushed."""

import datetime
import gzip
import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from cryptography import x509

from runbook.system.certificates import tls
from runbook.system.registry import client_kit

SCRIPT = client_kit.script(
    registry="registry.test:8443", name="registry.test", address="192.168.1.2", reference="a/b:1"
)


def test_image_is_always_the_same() -> None:
    """Fails if a kit that was handed out is refused its image after the runbook was run again, on whatever host."""
    assert client_kit.image() == client_kit.image()
    assert client_kit.image().digest == "sha256:3495d67ea929c24ae2f9695851ab57aaf5aa6d16ad160a7c2b088d17b650ad73"


def test_image_is_one_that_an_engine_takes() -> None:
    """Fails if a digest or size in the manifest is not that of its blob, or the layer is not what the image says."""
    image = client_kit.image()
    layer, configuration = image.blobs
    manifest = json.loads(image.manifest)
    described = [(item["digest"], item["size"]) for item in (*manifest["layers"], manifest["config"])]
    assert described == [(f"sha256:{hashlib.sha256(blob).hexdigest()}", len(blob)) for blob in (layer, configuration)]
    unpacked = gzip.decompress(layer)
    assert json.loads(configuration)["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(unpacked).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
        assert [(entry.name, entry.mtime, entry.uid) for entry in archive] == [("client-check", 0, 0)]


def test_script_says_which_registry_and_image() -> None:
    """Fails if a value is left out of the script, or stands in another place."""
    lines = ("registry=registry.test:8443", "name=registry.test", "address=192.168.1.2", "image=a/b:1")
    assert set() == {*lines, f"digest={client_kit.image().digest}"} - set(SCRIPT.splitlines())
    assert re.findall("@[a-z]+@", SCRIPT) == []
    assert client_kit.digest_in(SCRIPT) == client_kit.image().digest
    assert client_kit.digest_in("#!/bin/sh\n") == ""


SHELLS = [
    pytest.param(shell, marks=pytest.mark.skipif(shutil.which(shell[0]) is None, reason=f"no {shell[0]} here"))
    for shell in (("dash",), ("bash",), ("busybox", "sh"))
]


@pytest.mark.parametrize("shell", SHELLS)
def test_script_is_plain_shell_and_nothing_without_its_end(shell: tuple[str, ...], seeded: random.Random) -> None:
    """Fails if a shell that is /bin/sh somewhere cannot read the script, or takes one that was cut for a whole one."""
    done = subprocess.run([*shell, "-n"], input=SCRIPT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    begin, end = SCRIPT.index("{") + 1, SCRIPT.rindex("}")
    line_ends = [found.end() for found in re.finditer("\n", SCRIPT) if begin < found.end() <= end]
    places = {begin, end, *seeded.sample(line_ends, 40), *(seeded.randint(begin, end) for _ in range(40))}
    ended = {
        at: subprocess.run([*shell, "-n"], input=SCRIPT[:at], capture_output=True, text=True, check=False)
        for at in places
    }
    assert [at for at, done in ended.items() if done.returncode == 0] == []


class Client:
    """A host of the kit's in a folder: its hosts file, its folders of trust, and an engine that does not answer."""

    def __init__(self, root: Path, shell: tuple[str, ...], name: str = "reg.test.lan") -> None:
        """Take where it is, the shell that runs the script, and the registry's name."""
        self.root, self.shell = root, shell
        text = client_kit.script(registry=name, name=name, address="198.51.100.7", reference="a/b:1")
        for path in ("/etc/hosts", "/etc/docker/", "/etc/containers/"):
            text = text.replace(path, f"{root}{path}")
        for folder in ("kit", "bin", "etc"):
            (root / folder).mkdir(exist_ok=True)
        (root / "kit" / client_kit.SCRIPT).write_text(text, encoding="ascii")
        (root / "bin" / "docker").write_text("#!/bin/sh\necho x509: no engine >&2; exit 1\n", encoding="ascii")
        (root / "bin" / "docker").chmod(0o755)
        self.hosts = root / "etc" / "hosts"
        self.trust = root / "etc" / "docker" / "certs.d" / name / "ca.crt"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the script as root, and return how it ended."""
        environment = {**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}", "CDPATH": "/"}
        argv = (*self.shell, str(self.root / "kit" / client_kit.SCRIPT), *arguments)
        return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(params=SHELLS)
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Client:
    """Return a host of the kit's for each shell."""
    if os.geteuid() != 0:
        pytest.skip("the script wants root")
    return Client(tmp_path, request.param)


OTHERS = """127.0.0.1 localhost # caf\xe9, a byte that is no UTF-8
198.51.100.8 reg-test.lan # registry-runbook client of reg-test.lan
198.51.100.9 x # registry-runbook client of reg.test.lan.example
198.51.100.9 y # registry-runbook client of reg.test.lan and more
"""


def test_script_takes_away_its_own_line_alone(client: Client) -> None:
    """Fails if a name's dots stand for any letter: the kit of one registry would take the line of another."""
    own = "198.51.100.7 reg.test.lan # registry-runbook client of reg.test.lan\n"
    client.hosts.write_text(OTHERS + own, encoding="latin-1")
    done = client.run("--remove")
    assert (done.returncode, done.stderr) == (0, "")
    assert client.hosts.read_text(encoding="latin-1") == OTHERS
    untouched = OTHERS.rstrip("\n")
    client.hosts.write_text(untouched, encoding="latin-1")
    assert client.run("--remove").returncode == 0
    assert client.hosts.read_text(encoding="latin-1") == untouched


def certificates(count: int) -> list[bytes]:
    """Return certificates of authorities in PEM, each another."""
    now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    keys = (tls.generate_key("ecdsa-p256") for _ in range(count))
    made = (tls.issue_authority(key, (("CN", "x"),), now=now, validity_days=9) for key in keys)
    return [tls.certificate_text(certificate) for certificate in made]


def test_script_writes_the_certificate_that_was_confirmed_and_nothing_else(client: Client) -> None:
    """Fails if what stands around the certificate, which nobody has looked at, is trusted with it."""
    [pem, other] = certificates(2)
    path = client.root / "kit" / client_kit.CERTIFICATE
    fingerprint = tls.fingerprint(x509.load_pem_x509_certificate(pem))
    client.hosts.write_text(OTHERS, encoding="latin-1")
    hidden = other.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE")
    for refused in (pem + other, pem + hidden, other):
        path.write_bytes(refused)
        assert client.run("--fingerprint", fingerprint).returncode == 1
        assert not client.trust.parent.parent.exists()
    path.write_bytes(b"Certificate:\n  words of others\n" + pem.replace(b"\n", b"\r\n") + b"more words\n")
    done = client.run("--fingerprint", fingerprint)
    assert "no engine" in done.stderr
    mark = b"# registry-runbook client of reg.test.lan\n"
    assert client.trust.read_bytes() == mark + pem
    text = client.hosts.read_text(encoding="latin-1")
    assert text == f"{OTHERS}198.51.100.7 reg.test.lan {mark.decode()}"
    assert client.run("--remove").returncode == 0
    assert client.hosts.read_text(encoding="latin-1") == OTHERS
    assert not client.trust.exists()


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        ("127.0.0.1 localhost reg.test.lan\n", "127.0.0.1"),
        ("::1 REG.test.lan # 198.51.100.7\n", "::1"),
        ("198.51.100.7 reg.test.lan\n127.0.1.1 reg.test.lan\n", "127.0.1.1 198.51.100.7"),
        ("198.51.100.7 reg.test.lan\n198.51.100.8 reg.test.lan\n", "198.51.100.7 198.51.100.8"),
        ("198.51.100.7 reg.test.lan\n198.51.100.7 reg.test.lan x\n", ""),
        ("198.51.100.8 reg.test.lan\n127.0.0.1 reg-test.lan # reg.test.lan\n", ""),
    ],
)
def test_script_wants_one_address_that_is_not_loopback(client: Client, theirs: str, found: str) -> None:
    """Fails if an engine that would not verify is told to trust, or anything changes before that is said."""
    [pem] = certificates(1)
    (client.root / "kit" / client_kit.CERTIFICATE).write_bytes(pem)
    client.hosts.write_text(theirs, encoding="ascii")
    done = client.run("--fingerprint", tls.fingerprint(x509.load_pem_x509_certificate(pem)))
    words = f"expected reg.test.lan to stand for one address that is not loopback; found {found}."
    assert (words in done.stderr, client.trust.exists()) == (bool(found), not found)
    assert client.hosts.read_text(encoding="ascii") == theirs


@pytest.mark.parametrize("up", [0, 1, 2, "part"])
def test_script_follows_no_link_of_certs_d(client: Client, up: int | str) -> None:
    """Fails if a link in the way leads what is written, or taken away, somewhere else."""
    [pem] = certificates(1)
    (client.root / "kit" / client_kit.CERTIFICATE).write_bytes(pem)
    client.hosts.write_text(OTHERS, encoding="latin-1")
    elsewhere = client.root / "elsewhere"
    elsewhere.mkdir()
    part = client.trust.with_name("ca.crt.part")
    place = part if isinstance(up, str) else (client.trust, *client.trust.parents)[up]
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere if up in {1, 2} else elsewhere / "f")
    fingerprint = tls.fingerprint(x509.load_pem_x509_certificate(pem))
    for arguments in (("--fingerprint", fingerprint), ("--remove",)):
        done = client.run(*arguments)
        assert (done.returncode, f"expected no link at {place}; found one to {elsewhere}" in done.stderr) == (1, True)
    assert (list(elsewhere.iterdir()), place.is_symlink()) == ([], True)
    assert client.hosts.read_text(encoding="latin-1") == OTHERS


def test_fingerprint_is_written_as_openssl_does() -> None:
    """Fails if what the operator reads out cannot be compared with what openssl prints."""
    assert client_kit.fingerprint_text("00ff1a") == "sha256 Fingerprint=00:FF:1A\n"


def test_manifest_path_is_the_api_s() -> None:
    """Fails if another tag or repository is asked for."""
    assert client_kit.manifest_path("a/b:1.2") == "/v2/a/b/manifests/1.2"
