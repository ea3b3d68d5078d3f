"""What others' programs say of what the product makes, and what SECURITY.md says of both.

Each judge is first shown a planted fault. What one may find is declared in SECURITY.md alone, and must be found.
"""

import base64
import datetime
import io
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from runbook.model.parameters import Parameters, load_file
from runbook.sections import compose, configuration
from runbook.system import nginx
from runbook.system.certificates import tls
from runbook.system.docker import images
from runbook.system.host import yaml_text
from runbook.system.registry import client_kit

from .images import PODMAN
from .judges import SECURITY, check_compose, declared, lint, lint_yaml, scan
from .lab import PROJECT, Completed, Host, start_host
from .product import make_files, serve_files

IMAGE = "docker://registry.test/skopeo/proof:1"
NOW = datetime.datetime.now(datetime.UTC)
FILES = {name: load_file(PROJECT / "parameters" / f"{name}.yml") for name in ("document", "lan", "nginx")}
ODD = {
    "domain": f"{'a' * 63}.{'b' * 63}.test",  # its subject has no common name
    "extra_names": ["仓库.example", "b.test"],
    "extra_addresses": ["2001:db8::17", "203.0.113.1"],
    "subject_organization": "",
    "ca_common_name": "仓库 & Co., 'CA' = #1 + <2>",
    "ca_validity_days": 36500,
    "key_type": "ecdsa-p384",
    "port": 22,
    "realm": "no",
    "registry_image": "1_000:0x1f",
    "data_volume": "no",
    "compose_project": "0443",
    "basic_port": 5003,
}
SETS: Mapping[str, Mapping[str, object]] = {
    "defaults": {},
    **FILES,
    "odd": ODD,
    "single-label": {"domain": "registry", "port": 8443},
}


def make(make_parameters: Callable[..., Parameters], values: Mapping[str, object]) -> Parameters:
    """Make the files of a parameter set in the test's own folders, and return its parameters."""
    parameters = make_parameters(**{name: value for name, value in values.items() if not name.endswith("_directory")})
    make_files(parameters)
    return parameters


def write(folder: Path, certificate: x509.Certificate, name: str) -> Path:
    """Write a certificate alone into a folder, and return its path."""
    path = folder / name
    path.write_bytes(tls.certificate_text(certificate))
    return path


@pytest.mark.parametrize("name", ["document", "odd", "single-label"])
def test_pkilint_finds_only_what_is_declared(
    make_parameters: Callable[..., Parameters], tmp_path: Path, name: str
) -> None:
    """Fails if a certificate that the product issues breaks RFC 5280, or its chain does."""
    parameters = make(make_parameters, SETS[name])
    server = write(tmp_path, tls.require_certificate(parameters.certificate_path), "server.crt")
    expected = declared("pkilint") if name == "single-label" else set()
    assert lint(parameters.ca_certificate_path, server) == expected


@pytest.fixture(scope="module")
def on_host(proven_trixie: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the two certificates of the proven host."""
    folder = tmp_path_factory.mktemp("host")
    for name, path in (
        ("ca.crt", "/etc/registry-runbook/ca/ca.crt"),
        ("server.crt", "/etc/docker/registry/ssl/registry.test.pem"),
    ):
        text = proven_trixie.read(path)
        (folder / name).write_text(text[text.index("-----BEGIN CERTIFICATE") :], encoding="ascii")
    return folder


def test_pkilint_accepts_what_is_on_the_host(on_host: Path) -> None:
    """Fails if the certificates of a run on a host break RFC 5280."""
    assert lint(on_host / "ca.crt", on_host / "server.crt") == set()


def test_pkilint_finds_planted_faults(tmp_path: Path) -> None:
    """Fails if pkilint would pass a loopback's name, or a chain whose key identifiers do not meet."""
    key, other = tls.generate_key("ecdsa-p256"), tls.generate_key("ecdsa-p256")
    ours, theirs = (tls.issue_authority(signer, (("CN", "CA"),), now=NOW, validity_days=9) for signer in (key, other))
    server = tls.issue_server(
        key, (), dns_names=("localhost",), addresses=(), authority=(key, ours), now=NOW, validity_days=1
    )
    at_fault = write(tmp_path, server, "server.crt")
    assert lint(write(tmp_path, ours, "ours.crt"), at_fault) == {"pkix.invalid_domain_name_syntax"}
    assert lint(write(tmp_path, theirs, "theirs.crt"), at_fault) == {
        "pkix.invalid_domain_name_syntax",
        "pkix.issuer_and_subject_key_identifier_not_equal",
        "pkix.signature_verification_failed",
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Skopeo:
    """Another host with skopeo, which has its own TLS and its own trust."""

    host: Host
    digest: str
    password: str

    def __call__(self, *arguments: str, stdin: str = "") -> Completed:
        """Run skopeo, whatever it says."""
        return self.host.run("skopeo", *arguments, check=False, input_text=stdin)


@pytest.fixture(scope="module")
def skopeo(proven_trixie: Host) -> Iterator[Skopeo]:
    """Give skopeo on a host that knows the registry's name, with two authorities to trust, and an image to push."""
    image = client_kit.image()
    stranger = tls.issue_authority(tls.generate_key("ecdsa-p256"), (("CN", "stranger"),), now=NOW, validity_days=9)
    parts = {client_kit.digest(blob).removeprefix("sha256:"): blob for blob in image.blobs}
    parts |= {"manifest.json": image.manifest, "version": b"Directory Transport Version: 1.1\n"}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as files:
        for name, content in parts.items():
            entry = tarfile.TarInfo(f"image/{name}")
            entry.size = len(content)
            files.addfile(entry, io.BytesIO(content))
    with start_host(PODMAN) as host:
        host.lead_to(proven_trixie)
        host.run("sh", "-ec", "base64 -d | tar -x", input_text=base64.b64encode(archive.getvalue()).decode())
        host.write("/root/ours/ca.crt", proven_trixie.read("/etc/registry-runbook/ca/ca.crt"))
        host.write("/root/theirs/ca.crt", tls.certificate_text(stranger).decode())
        names = f"{proven_trixie.address} registry.test other.registry.test\n"
        host.write("/etc/hosts", host.read("/etc/hosts") + names)
        password = proven_trixie.read("/etc/registry-runbook/secrets/password-admin").strip()
        yield Skopeo(host=host, digest=image.digest, password=password)


def test_sslyze_finds_only_what_is_declared(proven_trixie: Host, on_host: Path) -> None:
    """Fails if TLS is worse than Mozilla's intermediate profile, or a declared deviation is there no more."""
    found = scan(proven_trixie.reached_at, 443, domain="registry.test", authority=on_host / "ca.crt")
    assert found == declared("sslyze")


def test_sslyze_finds_planted_fault(proven_trixie: Host, make_parameters: Callable[..., Parameters]) -> None:
    """Fails if sslyze would pass TLS 1.0; an RSA key, as the document has it, adds no deviation."""
    parameters = make(make_parameters, {"domain": "rsa.test", "key_type": "rsa-2048", "port": 8410})
    text = parameters.configuration_path.read_text(encoding="utf-8")
    found = []
    for minimum in ("tls1.2", "tls1.0\n    ciphersuites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]"):
        parameters.configuration_path.write_text(text.replace("tls1.2", minimum), encoding="utf-8")
        with serve_files(proven_trixie, parameters):
            authority = parameters.ca_certificate_path
            found.append(scan(proven_trixie.reached_at, 8410, domain="rsa.test", authority=authority))
    assert found[0] == declared("sslyze")
    assert sorted(finding.partition(":")[0] for finding in found[1] - found[0]) == ["ciphers", "tls_versions"]


def test_sslyze_finds_nothing_in_nginx(skopeo: Skopeo, make_parameters: Callable[..., Parameters]) -> None:
    """Fails if the site of nginx leaves ciphers or curves to OpenSSL, which takes more than the profile does."""
    host, parameters = skopeo.host, make(make_parameters, {"domain": "front.test"})
    host.write("/root/front.pem", parameters.certificate_path.read_text(encoding="ascii"))
    site = nginx.site(("front.test",), ("443",), certificate=Path("/root/front.pem"), backend_port=5002)
    places = ("/etc/nginx/sites-enabled/zz-registry-runbook", "/root/planted")
    for place, text in zip(places, (site, re.sub(r" *ssl_(protocols|ciphers|ecdh).*\n", "", site)), strict=True):
        host.write(place, text)
    host.run("nginx")
    assert scan(host.reached_at, 443, domain="front.test", authority=parameters.ca_certificate_path) == set()
    host.run("cp", *reversed(places))
    host.run("nginx", "-s", "reload")
    found = scan(host.reached_at, 443, domain="front.test", authority=parameters.ca_certificate_path)
    assert sorted(finding.partition(":")[0] for finding in found) == ["ciphers", "tls_curves"]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """Return the files config.yml, and the Compose files, of all parameter sets."""
    folder = tmp_path_factory.mktemp("rendered")
    configurations: list[Path] = []
    compose_files: list[Path] = []
    for name, values in SETS.items():
        parameters = Parameters.model_validate(values)
        facts = compose.ComposeFacts(
            address="192.168.1.2",
            image=images.RegistryImage(reference=parameters.registry_image, image_id="sha256:1", environment=()),
            configuration="",
            certificate="",
            changed=NOW,
            text=None,
            hosts="",
            containers=(),
            nginx_site=None,
        )
        texts = (configuration.content(parameters), compose.content(parameters, facts))
        for data, paths in zip(texts, (configurations, compose_files), strict=True):
            paths.append(folder / f"{name}-{len(paths)}-{len(data)}.yml")
            paths[-1].write_text(yaml_text.render(data), encoding="utf-8")
    return configurations, compose_files


def test_yamllint_finds_only_what_is_declared(rendered: tuple[list[Path], list[Path]]) -> None:
    """Fails if a file that the product renders has a value that YAML 1.1 reads otherwise, or is not well-formed."""
    configurations, compose_files = rendered
    assert lint_yaml(*configurations, *compose_files) == declared("yamllint")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param("mode: 0443\n", "octal-values", id="octal"),
        pytest.param("enabled: no\n", "truthy", id="truth"),
        pytest.param("a: 1\na: 2\n", "key-duplicates", id="twice"),
    ],
)
def test_yamllint_finds_planted_fault(tmp_path: Path, text: str, rule: str) -> None:
    """Fails if yamllint would pass a value that two parsers read differently."""
    (tmp_path / "file.yml").write_text(f"---\n{text}", encoding="utf-8")
    assert lint_yaml(tmp_path / "file.yml") == {rule}


def test_check_jsonschema_accepts_compose_files(rendered: tuple[list[Path], list[Path]]) -> None:
    """Fails if a Compose file that the product renders is not one by the Compose specification."""
    _, compose_files = rendered
    assert check_compose(*compose_files).code == 0


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        pytest.param("restart:", "restrat:", "'restrat'", id="unknown-key"),
        pytest.param("- serve", "- 1", "1 is not of type 'string'", id="wrong-type"),
    ],
)
def test_check_jsonschema_finds_planted_fault(
    rendered: tuple[list[Path], list[Path]], tmp_path: Path, right: str, wrong: str, words: str
) -> None:
    """Fails if check-jsonschema would pass a key that Compose does not know, or a value of another type."""
    text = rendered[1][0].read_text(encoding="utf-8")
    (tmp_path / "docker-compose.yml").write_text(text.replace(right, wrong), encoding="utf-8")
    found = check_compose(tmp_path / "docker-compose.yml")
    assert (found.code, words in found.stdout) == (1, True), str(found)


@pytest.fixture(scope="module")
def plain_registry(proven_trixie: Host) -> Iterator[str]:
    """Give an image's reference at a registry of the same host that speaks plain HTTP."""
    image = proven_trixie.run("docker", "images", "--format={{.Repository}}:{{.Tag}}").stdout.split()[0]
    proven_trixie.run("docker", "run", "--detach", "--name=plain", "--publish=5001:5000", image)
    proven_trixie.run("curl", "-s", "--retry", "30", "--retry-all-errors", "http://127.0.0.1:5001/v2/")
    yield "docker://registry.test:5001/skopeo/proof:1"
    proven_trixie.run("docker", "rm", "--force", "--volumes", "plain")


OURS, LOGIN = "--cert-dir=/root/ours", ("login", "--username=admin", "--password-stdin", "registry.test")


def test_skopeo_logs_in_pushes_pulls_and_deletes(skopeo: Skopeo) -> None:
    """Fails if a client that is not Docker's cannot do it, or gets another image than it pushed."""
    logged_in = skopeo(*LOGIN, OURS, stdin=skopeo.password)
    assert (logged_in.code, logged_in.stdout) == (0, "Login Succeeded!\n")
    copy = ("copy", "--preserve-digests")
    assert skopeo(*copy, "--dest-cert-dir=/root/ours", "dir:/root/image", IMAGE).code == 0
    assert skopeo("inspect", OURS, "--format={{.Digest}}", IMAGE).stdout.strip() == skopeo.digest
    assert skopeo(*copy, "--src-cert-dir=/root/ours", IMAGE, "dir:/root/pulled").code == 0
    assert skopeo.host.run("sh", "-c", "cd /root/image; sha256sum *").stdout == (
        skopeo.host.run("sh", "-c", "cd /root/pulled; sha256sum *").stdout
    )
    assert skopeo("delete", OURS, IMAGE).code == 0
    assert "manifest unknown" in skopeo("inspect", OURS, IMAGE).stderr
    assert skopeo("logout", "registry.test").code == 0


ANONYMOUS = "unauthorized: authentication required"
UNTRUSTED = "x509: certificate signed by unknown authority"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("inspect", OURS, IMAGE), ANONYMOUS, id="pull-without-login"),
        pytest.param(
            ("copy", "--dest-cert-dir=/root/ours", "dir:/root/image", IMAGE), ANONYMOUS, id="push-without-login"
        ),
        pytest.param((*LOGIN, OURS), "invalid username/password", id="login-with-a-wrong-password"),
        pytest.param((*LOGIN, "--cert-dir=/root/theirs"), UNTRUSTED, id="login-with-another-authority"),
        pytest.param(("inspect", "--cert-dir=/root/theirs", IMAGE), UNTRUSTED, id="another-authority"),
        pytest.param(("inspect", IMAGE), UNTRUSTED, id="no-authority"),
        pytest.param(
            ("inspect", OURS, IMAGE.replace("registry.test", "other.registry.test")),
            "x509: certificate is valid for registry.test, not other.registry.test",
            id="another-name",
        ),
    ],
)
def test_skopeo_is_refused(skopeo: Skopeo, arguments: tuple[str, ...], words: str) -> None:
    """Fails if a client gets in that has no login, or goes on where it must not trust the registry."""
    refused = skopeo(*arguments, stdin="not-this")
    assert (refused.code, words in refused.stderr) == (1, True), str(refused)


def test_skopeo_refuses_plain_http(skopeo: Skopeo, plain_registry: str) -> None:
    """Fails if the client would speak plain HTTP unasked, or the registry answers it on its TLS port."""
    refused = skopeo("inspect", OURS, plain_registry)
    assert (refused.code, "server gave HTTP response to HTTPS client" in refused.stderr) == (1, True)
    assert "manifest unknown" in skopeo("inspect", "--tls-verify=false", plain_registry).stderr
    status = ("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}")
    assert skopeo.host.run(*status, "http://registry.test:443/v2/").stdout == "400"


def test_security_names_each_secret_with_its_mode(proven_trixie: Host) -> None:
    """Fails if SECURITY.md gives a place or a mode that is not so, or is silent about a file of its owner's alone."""
    stated = dict(re.findall(r"^\| `(/[^`]+)` \| (0\d{3}) \|", SECURITY, re.MULTILINE))
    places = {path.replace("USER", "admin").replace("DOMAIN", "registry.test"): mode for path, mode in stated.items()}
    found = {path: f"0{proven_trixie.run('stat', '-c', '%a', path).stdout.strip()}" for path in places}
    assert found == places
    private = proven_trixie.run(
        "find", "/etc/registry-runbook", "/etc/docker/registry", "-type", "f", "-not", "-perm", "/077"
    )
    assert sorted(private.stdout.split()) == sorted(path for path, mode in places.items() if mode == "0600")
