"""The model: what fits together, what a misspelt name means, and the ways in: a file, a word of the command line."""

import os
import re
from pathlib import Path

import papermill.iorw
import pytest
from pydantic import ValidationError

from runbook.model.errors import ParameterError
from runbook.model.parameters import Parameters, file_text, from_text, load_file, read, refusals
from runbook.system.host import files


def domain_of(length: int) -> str:
    """Return a domain of so many characters."""
    return f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * (length - 192)}"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({"domain": "registry"}, "domain: a name with a dot", id="single-label-on-443"),
        pytest.param({"port": 5000}, "basic_port: a port other than", id="one-port-twice"),
        pytest.param({"proxy": "nginx", "backend_port": 443}, "backend_port: a port other than", id="behind-itself"),
        pytest.param({"proxy": "nginx", "basic_port": 5002}, "backend_port: a port other than", id="behind-basic"),
        pytest.param({"registry_image_source": "archive"}, "registry_image_archive: the path", id="no-archive"),
        pytest.param(
            {"registry_image_source": "package", "registry_image_digest": f"sha256:{'0' * 64}"},
            "registry_image_digest: empty, unless",
            id="digest-of-what-is-not-pulled",
        ),
        pytest.param({"renew_before_days": 366}, "renew_before_days: fewer days", id="renewed-at-once"),
        pytest.param({"ca_validity_days": 366}, "validity_days", id="server-made-a-moment-after-its-authority"),
        pytest.param({"ca_validity_days": 365}, "validity_days", id="server-outlives-its-authority"),
        pytest.param({"private_directory": "/etc/docker/registry"}, "private_directory: a folder", id="same-folder"),
        pytest.param({"private_directory": "/etc/docker/registry/x"}, "private_directory: a folder", id="mounted"),
        pytest.param({"configuration_directory": "/etc/registry-runbook/ca"}, "_directory: ", id="mounts-the-ca"),
        pytest.param({"basic_data_directory": "/etc/registry-runbook"}, "_directory: ", id="basic-mounts-secrets"),
        pytest.param({"basic_data_directory": "/etc"}, "_directory: ", id="basic-mounts-all-above"),
        pytest.param({"client_kit_directory": "/etc"}, "client_kit_directory: a folder apart", id="hands-out-all"),
        pytest.param({"client_kit_directory": "/etc/registry-runbook/ca"}, "client_kit_", id="hands-out-the-ca"),
        pytest.param({"client_kit_directory": "/opt/data/registry/kit"}, "client_kit_", id="hands-out-data"),
        pytest.param({"client_test_reference": "runbook/proof:2"}, "client_test_reference: another", id="one-removed"),
        pytest.param({"domain": domain_of(246)}, "domain: at most 245 characters", id="domain-that-names-no-file"),
        pytest.param({"test_reference": f"{'a' * 234}:1"}, "test_reference: a repository of at most 233", id="image"),
        pytest.param(
            {"domain": domain_of(242), "test_reference": "runbook/proof:1"},
            "test_reference: a repository that takes, with domain and port, at most 255",
            id="domain-that-leaves-no-room-for-the-image",
        ),
        pytest.param(
            {"domain": domain_of(236), "port": 8443},
            "client_test_reference: a repository that takes",
            id="domain-that-leaves-no-room-for-the-kit's-image",
        ),
    ],
)
def test_read_refuses_what_does_not_fit_together(values: dict[str, object], expected: str) -> None:
    """Fails if values that are possible only apart pass together."""
    with pytest.raises(ParameterError, match=rf"expected for [a-z_]*{expected}.*\(here\)"):
        read(values, where="here")


def test_read_takes_the_longest_names(tmp_path: Path) -> None:
    """Fails if a domain or a repository is refused that files and clients can still name, or the file cannot be."""
    parameters = read(
        {
            "domain": domain_of(245),
            "configuration_directory": str(tmp_path),
            "test_reference": f"{'a' * 8}:1",
            "client_test_reference": "b:1",
            "basic_test_reference": f"{'a' * 233}:{'t' * 128}",
        },
        where="here",
    )
    files.write(parameters.certificate_path, b"", 0o600)
    assert (tmp_path / "ssl" / f"{domain_of(245)}.pem").exists()


@pytest.mark.parametrize(
    ("values", "found", "remedy"),
    [
        pytest.param({"domian": "x.test"}, "domian = 'x.test'", "write domain, which is probably meant", id="near"),
        pytest.param(
            {"validity": 1}, "validity = 1", "write validity_days, which is probably meant", id="unit-missing"
        ),
        pytest.param({"dom\udcff": 1}, "'dom\\udcff' = 1", "write domain, which is probably meant", id="no-utf-8"),
        pytest.param({"": 1}, "'' = 1", "see `./script/run parameters` for the names", id="empty"),
        pytest.param({"zz": 1}, "zz = 1", "see `./script/run parameters` for the names", id="nothing-near"),
        pytest.param({"port": "x", "prot": 1}, "prot = 1", "write port, which is probably meant", id="before-a-value"),
    ],
)
def test_read_names_what_an_unknown_name_probably_means(values: dict[str, object], found: str, remedy: str) -> None:
    """Fails if a misspelt name passes, or if its message does not say which name is meant."""
    with pytest.raises(ParameterError, match="a parameter that the runbook knows") as caught:
        read(values, where="here")
    assert (f"{found} (here)", remedy) == (caught.value.found, caught.value.remedy)


@pytest.mark.parametrize(
    "name", ["password", "ca_passphrase", "http_secret", "TOKEN", "password_admin", "my-password", "password_file"]
)
def test_read_does_not_repeat_a_secret(name: str) -> None:
    """Fails if a password that somebody took for a parameter is repeated in the error, and so in a notebook or log."""
    with pytest.raises(ParameterError, match=rf"{name}.*\(not shown\)") as caught:
        read({name: "c4n4ry"}, where="here")
    assert "c4n4ry" not in str(caught.value)


def test_read_keeps_the_message_short(tmp_path: Path) -> None:
    """Fails if a message repeats a whole value or name, or what would make a terminal do something."""
    path = tmp_path / "long.yml"
    path.write_text(f"domain: [{'x, ' * 1500}]\n", encoding="utf-8")
    with pytest.raises(ParameterError, match="for domain: input should be a valid string") as caught:
        read(load_file(path), where="here")
    assert len(str(caught.value)) < 1_000
    with pytest.raises(ParameterError, match="a parameter that the runbook knows") as caught:
        read({"x\x1b[2J\n" * 1000: 1}, where="here")
    assert (len(str(caught.value)) < 1_000, str(caught.value).isprintable()) == (True, True)


def test_read_shows_how_a_name_of_look_alikes_differs() -> None:
    """Fails if somebody is told to write domain in place of what looks the same."""
    with pytest.raises(ParameterError, match=r"'d\\u043emain' = 1 \(here\)\. To repair: write domain"):
        read({"d\u043emain": 1}, where="here")


def test_parameters_are_frozen() -> None:
    """Fails if a section could change what the operator set."""
    with pytest.raises(ValidationError, match="Instance is frozen"):
        Parameters().port = 1  # type: ignore[misc] # that is what is tried


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"", {}, id="empty"),
        pytest.param(b"# nothing\n", {}, id="only-a-comment"),
        pytest.param(b"\xef\xbb\xbfport: 8443\n", {"port": 8443}, id="byte-order-mark"),
        pytest.param("realm: 仓库\n".encode(), {"realm": "仓库"}, id="utf-8"),
        pytest.param(b"subject_state: NO\n", {"subject_state": "NO"}, id="no-is-text-in-yaml-1.2"),
        pytest.param(b"realm: 22:22\n", {"realm": "22:22"}, id="no-sexagesimals"),
        pytest.param(b"extra_names: [a.test]\n", {"extra_names": ["a.test"]}, id="list"),
    ],
)
def test_load_file_reads_yaml_1_2(tmp_path: Path, text: bytes, expected: dict[str, object]) -> None:
    """Fails if a file is read by the rules of YAML 1.1, or not as UTF-8."""
    path = tmp_path / "some.yml"
    path.write_bytes(text)
    assert expected == load_file(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"port: 1\nport: 2\n", r'line 2 .*duplicate key "port"\.', id="name-twice"),
        pytest.param(b"port: 0443\n", "line 1", id="leading-zero"),  # 291 for papermill's own parser of YAML 1.1
        pytest.param(b"port: 1_000\n", "line 1", id="underscore"),
        pytest.param(b"- port\n", "a mapping of names to values; found .*: list", id="list"),
        pytest.param(b"443: port\n", "a mapping of names to values", id="name-is-a-number"),
        pytest.param(b"a: !!python/object:os.system x\n", r"line 1: a tag \(!\)", id="python-tag"),
        pytest.param(b"a: [\n", "line 2", id="unfinished"),
        pytest.param(b"a: 1\n---\nb: 2\n", "expected a single document", id="two-documents"),
        pytest.param(b"a: \xff\n", "line 1: .*byte 0xff is not UTF-8", id="not-utf-8"),
        pytest.param(b"a: \x00\n", "unacceptable character", id="nul"),
        pytest.param(b"a: 1\n\nb: \x00\n", r"line 3: the unacceptable character U\+0000", id="line-of-the-nul"),
        pytest.param(b"a: 1\nb: \xff\n", "line 2: .*byte 0xff", id="line-of-what-is-not-utf-8"),
        pytest.param(b"? [a]\n: 1\n", r"\('a',\) as a name", id="name-is-a-list"),
        pytest.param(b": 1\n", "None as a name", id="no-name"),
        pytest.param(b"a: " + b"[" * 5000 + b"]" * 5000, "line 1: one more level", id="5000-levels"),
    ],
)
def test_load_file_refuses_what_is_no_flat_mapping(tmp_path: Path, text: bytes, expected: str) -> None:
    """Fails if a file with two meanings passes, or if its error does not name the file."""
    path = tmp_path / "some.yml"
    path.write_bytes(text)
    with pytest.raises(ParameterError, match=rf"(?s){re.escape(str(path))}") as caught:
        load_file(path)
    assert re.search(f"(?s){expected}", str(caught.value))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("absent.yml", "No such file or directory", id="absent"),
        pytest.param("", "Is a directory", id="folder"),
    ],
)
def test_load_file_names_a_file_that_is_none(tmp_path: Path, name: str, expected: str) -> None:
    """Fails if a wrong path ends in a traceback."""
    with pytest.raises(ParameterError, match=rf"expected a parameter file; found .*{expected}"):
        load_file(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        pytest.param("domain", "443", "443", id="text-stays-text"),
        pytest.param("mode", "plan", "plan", id="choice-stays-text"),
        pytest.param("password_file", "", "", id="empty-text"),
        pytest.param("port", "443", 443, id="number"),
        pytest.param("delete_enabled", "false", False, id="boolean"),
        pytest.param("delete_enabled", "no", "no", id="no-is-no-boolean"),
        pytest.param("extra_names", "[a.test, b.test]", ["a.test", "b.test"], id="list"),
        pytest.param("extra_names", "[a.test", "[a.test", id="no-yaml"),
        pytest.param("extra_names", "[" * 5000, "[" * 5000, id="5000-levels"),
        pytest.param("domian", "443", "443", id="unknown-name"),
    ],
)
def test_from_text_reads_what_the_model_wants(name: str, text: str, expected: object) -> None:
    """Fails if a word of the command line gets a type that the model then refuses, or ends in a traceback."""
    assert expected == from_text(name, text)


@pytest.mark.parametrize(
    ("domain", "port", "expected"),
    [
        pytest.param("registry.test", 443, "registry.test", id="port-of-https"),
        pytest.param("registry.test", 8443, "registry.test:8443", id="other-port"),
        pytest.param("registry", 8443, "registry:8443", id="single-label"),
    ],
)
def test_registry_host_is_what_clients_write(domain: str, port: int, expected: str) -> None:
    """Fails if login, certs.d and references would not name the registry in the same way (A6, A16)."""
    parameters = Parameters(domain=domain, port=port)
    assert expected == parameters.registry_host
    assert Path("/etc/docker/certs.d", expected, "ca.crt") == parameters.trust_path


def test_paths_keep_the_authority_apart() -> None:
    """Fails if the authority or a secret lies in the folder that the container mounts (A9)."""
    parameters = Parameters(private_directory="/p", configuration_directory="/c", username="admin")
    private = (parameters.ca_key_path, parameters.ca_certificate_path, parameters.password_path)
    assert (Path("/p/ca/ca.key"), Path("/p/ca/ca.crt"), Path("/p/secrets/password-admin")) == private
    assert Path("/p/secrets/http-secret") == parameters.http_secret_path
    mounted = (parameters.certificate_path, parameters.configuration_path, parameters.htpasswd_path)
    assert (Path("/c/ssl/registry.test.pem"), Path("/c/config.yml"), Path("/c/auth/htpasswd")) == mounted
    assert Path("/c/docker-compose.yml") == parameters.compose_path
    assert Path("/x") == Parameters(password_file="/x").password_path  # noqa: S106 (a path)


@pytest.mark.parametrize("name", Parameters.model_fields)
def test_parameters_fit_papermill(name: str) -> None:
    """Fails if a parameter has no default, no help, or a default with `=`, which papermill's help cannot read."""
    field = Parameters.model_fields[name]
    assert not field.is_required()
    assert field.description
    assert "=" not in str(field.default)
    assert getattr(read({}, where="here"), name) == field.default


def test_refusals_name_all_that_is_refused() -> None:
    """Fails if one wrong value hides another, or is explained otherwise than where a run stops at it."""
    values: dict[str, object] = {"port": 0, "bcrypt_cost": 99, "prt": 1}
    found = refusals(values, where="here")
    assert list(found) == ["prt", "port", "bcrypt_cost"]
    with pytest.raises(ParameterError) as stopped:
        read({"port": 0}, where="here")
    assert str(found["port"]) == str(stopped.value)
    assert refusals({"port": 5443}, where="here") == {}


def test_refusals_name_the_one_that_does_not_fit_another() -> None:
    """Fails if values that are impossible only together are laid to no parameter."""
    assert list(refusals({"port": 5000}, where="here")) == ["basic_port"]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"subject_country": "NO", "subject_state": "1_000", "realm": "on: # ' \u00e9"}, id="texts"),
        pytest.param({"port": 5443, "delete_enabled": False, "extra_names": ["a.test", "b.test"]}, id="others"),
    ],
)
def test_file_text_is_read_back_alike_by_both_parsers(tmp_path: Path, values: dict[str, object]) -> None:
    """Fails if a value is another one in YAML 1.1, which papermill reads, or a default is written too."""
    path = tmp_path / "file.yml"
    path.write_text(file_text(read(values, where="a test")), encoding="utf-8")
    assert load_file(path) == values
    assert (papermill.iorw.read_yaml_file(str(path)) or {}) == values


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "/dev/full"])
def test_load_file_refuses_what_never_ends(tmp_path: Path, name: str) -> None:
    """Fails if a pipe that nobody writes to is waited for, or a device is read."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ParameterError, match=rf"a parameter file; found .*{name}: no regular file"):
        load_file(tmp_path / name)
