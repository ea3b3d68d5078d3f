"""What the parameters accept logs in, pushes and pulls at a real registry; what cannot is refused, nothing changed.

The number that an id begins with is the row of docs/faults.md. The files are made here, by the product's own plans and
its executor; the registries that read them, and the Docker client, are those of a host.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import bcrypt
import pytest

from runbook.model.errors import ParameterError, RunbookError
from runbook.model.parameters import Parameters, read
from runbook.system.registry import api
from tests import chains

from .lab import Host
from .product import PROJECT, make_files, run, serve_files, snapshot

REALM = "it's $HOME ${PATH} 仓库"
ADDRESS = "2001:db8::17"
LONG = f"{'a' * 63}.{'b' * 63}.test"
LONGEST = f"{LONG}.{'c' * 63}.{'d' * 32}"  # with port and repository the 255 characters of an image's name
DOMAINS = {
    "22-over-64-characters": LONG,
    "22-longest": LONGEST,
    "23-international": "仓库.example",
    "25-single-label": "registry",
}
LOGINS = {
    "27-accent-and-space": ("josé maría", "p"),
    "27-hash-inside": ("a#b", "p"),
    "27-domain-user": ("DOMAIN\\user@example.org", "p"),
    "27-hyphen-first": ("-u", "p"),
    "27-dollar-and-quotes": ("$HOME'\"`id`", "p"),
    "27-dots": ("..", "p"),
    "27-longest": ("ü" * 120, "p"),
    "30-72-bytes": ("bytes", "0" * 71 + "9"),
    "30-72-bytes-in-24-characters": ("characters", "密" * 23 + "码"),
    "30-spaces-at-both-ends": ("spaces", "  p a  "),
    "30-one-space": ("one-space", " "),
    "30-colons": ("colons", ":p:a:"),
    "31-latin": ("latin", "pä"),
    "31-chinese": ("chinese", "密码"),
    "32-home-and-quotes": ("home", "$HOME ${PATH} \"double\" 'single' `id` \\n $(id) %41"),
}
HASH = bcrypt.hashpw(b"p", bcrypt.gensalt(4)).decode()
OTHER = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()
LONGER = bcrypt.hashpw(b"0" * 72, bcrypt.gensalt(4)).decode()
HTPASSWD = "/root/other-8403/auth/htpasswd"

# An image that nobody has had before; its digest as pushed, then as pulled; then a wrong password after the right one.
PROOF = """
export DOCKER_CONFIG=$(mktemp -d)
docker login --username "$2" --password-stdin "${1%%/*}" >&2
head -c 2048 /dev/urandom >"$DOCKER_CONFIG/proof"
tar -c -C "$DOCKER_CONFIG" proof | docker import - "$1" >&2
docker push "$1" | grep -o 'sha256:[0-9a-f]*' | tail -n 1
docker image rm "$1" >&2
docker pull "$1" | grep -o 'sha256:[0-9a-f]*' | tail -n 1
docker image rm "$1" >&2
if printf not-this | docker login --username "$2" --password-stdin "${1%%/*}" >&2; then echo in; else echo refused; fi
rm -r "$DOCKER_CONFIG"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A registry that runs on the host with the files of these parameters."""

    host: Host
    parameters: Parameters
    registry: api.Registry

    def ask(self, login: tuple[str, str] | None, name: str | None = None) -> api.Answer:
        """Ask for `/v2/` over the network, verified under the registry's name or another one."""
        return replace(self.registry, login=login, server_name=name or self.parameters.domain).ask("/v2/")

    def prove(self, username: str, password: str) -> list[str]:
        """Log in, push and pull with the Docker client; return what PROOF prints."""
        reference = f"{self.parameters.registry_host}/runbook/client-check:1"
        return self.host.run("sh", "-ec", PROOF, "prove", reference, username, input_text=password).stdout.split()


def add_user(parameters: Parameters, folder: Path, login: tuple[str, str]) -> None:
    """Add a user to a registry's files, with a password from a file in a folder."""
    password_file = folder / f"password-{len(list(folder.iterdir()))}"
    chains.write(password_file, f"{login[1]}\n")
    values = parameters.model_dump() | {"username": login[0], "password_file": str(password_file)}
    make_files(read(values, where="a test"))


@pytest.fixture(scope="module")
def registries(proven_trixie: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Served]]:
    """Give a registry for each domain, by its id; all users are those of the one with an international name."""
    folder, secrets = tmp_path_factory.mktemp("accepted"), tmp_path_factory.mktemp("secrets")
    with ExitStack() as stack:
        found: dict[str, Served] = {}
        for port, (row, domain) in enumerate(DOMAINS.items(), start=8401):
            values = {
                "domain": domain,
                "port": port,
                "extra_addresses": [ADDRESS],
                "private_directory": f"{folder}/private",
                "configuration_directory": f"{folder}/{row}",
                "realm": REALM,
                "bcrypt_cost": 4,
            }
            parameters = read(values, where="a test")
            for login in (("admin", "p"), *(LOGINS.values() if row.startswith("23") else ())):
                add_user(parameters, secrets, login)
            registry = stack.enter_context(serve_files(proven_trixie, parameters))
            found[row] = Served(host=proven_trixie, parameters=parameters, registry=registry)
        yield found


def assert_works(served: Served, username: str, password: str) -> None:
    """Log in, push and pull by the Docker client, and log in by the API; a wrong password right after is refused."""
    pushed, pulled, wrong = served.prove(username, password)
    assert pushed.startswith("sha256:")
    assert (pushed, wrong) == (pulled, "refused")
    for _ in range(2):
        assert served.ask((username, password)).status == 200
        assert served.ask((username, f"{password[:-1]}!")).status == 401


@pytest.mark.parametrize("row", DOMAINS)
def test_accepted_domain_works(registries: Mapping[str, Served], row: str) -> None:
    """Fails if a client cannot use a name that the model accepts, or the certificate is for another name too."""
    served = registries[row]
    assert served.parameters.domain.isascii()
    assert_works(served, "admin", "p")
    assert "Hostname mismatch" in served.ask(None, name=f"other.{served.parameters.domain}").error


def test_longest_name_is_that_of_an_image(registries: Mapping[str, Served]) -> None:
    """Fails if the longest domain here is not the longest that the model accepts for its image."""
    parameters = registries["22-longest"].parameters
    assert len(f"{parameters.registry_host}/runbook/client-check") == 255
    with pytest.raises(ParameterError, match="client_test_reference: a repository that takes, with domain and port"):
        read(parameters.model_dump() | {"domain": f"{LONGEST}d"}, where="a test")


def test_23_raw_form_is_for_no_client(registries: Mapping[str, Served]) -> None:
    """Fails if the A-label would not be needed."""
    host = registries["23-international"].host
    refused = host.run("docker", "tag", "any", "仓库.example:8403/a:1", check=False)
    assert (refused.code, "invalid reference format" in refused.stderr) == (1, True)


def test_24_ipv6_address_is_in_the_certificate(registries: Mapping[str, Served]) -> None:
    """Fails if a client that comes by the IPv6 address refuses the certificate, or one by another address does not."""
    served = registries["22-over-64-characters"]
    assert served.ask(("admin", "p"), name=ADDRESS).status == 200
    assert "IP address mismatch" in served.ask(("admin", "p"), name=f"{ADDRESS}8").error


@pytest.mark.parametrize("row", LOGINS)
def test_accepted_login_works(registries: Mapping[str, Served], row: str) -> None:
    """Fails if a user or a password that the model accepts cannot log in, push or pull, or a wrong one can (row 33)."""
    assert_works(registries["23-international"], *LOGINS[row])


def test_32_realm_comes_back_as_it_was_given(registries: Mapping[str, Served]) -> None:
    """Fails if something on its way reads a variable or a quotation mark in a value."""
    assert registries["23-international"].ask(None).headers["www-authenticate"] == f'Basic realm="{REALM}"'


@pytest.mark.parametrize(
    ("lines", "login", "status"),
    [
        pytest.param(f"u:{HASH}\n", ("u", "p"), 200, id="as-it-should-be"),
        pytest.param(f"a:b:{HASH}\n", ("a:b", "p"), 401, id="27-colon"),
        pytest.param(f"#a:{HASH}\n", ("#a", "p"), 401, id="27-hash-first"),
        pytest.param(f" a:{HASH}\n", (" a", "p"), 401, id="27-space-first"),
        pytest.param(f"u:{HASH}\nmalformed\n", ("u", "p"), 400, id="28-valid-login-beside-a-malformed-line"),
        pytest.param(f"u:{HASH}\nu:{OTHER}\n", ("u", "p"), 401, id="29-first-of-two"),
        pytest.param(f"u:{HASH}\nu:{OTHER}\n", ("u", "other"), 200, id="29-last-of-two"),
        pytest.param(f"u:{LONGER}\n", ("u", "0" * 72 + "anything"), 200, id="30-more-than-72-bytes"),
    ],
)
def test_what_is_refused_would_not_work(
    registries: Mapping[str, Served], lines: str, login: tuple[str, str], status: int
) -> None:
    """Fails where a registry makes something else of what the model refuses: then the refusal has lost its reason."""
    served = registries["23-international"]
    before = served.host.read(HTPASSWD)
    try:
        served.host.write(HTPASSWD, lines, mode=0o600)
        assert (served.ask(login).status, served.ask(None).status) == (status, 401)
    finally:
        served.host.write(HTPASSWD, before, mode=0o600)


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, time and content of all that is in a folder."""
    return {
        str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


NAME, USER = "a host name", "a user name that htpasswd can hold"
PASSWORD = "a password of 1 to 72 bytes of printable text"  # noqa: S105 (the words of an error)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        pytest.param({"domain": "2001:db8::1"}, ("extra_addresses", "'2001:db8::1'", "set domain"), id="24-ipv6"),
        pytest.param({"domain": "[2001:db8::1]"}, ("extra_addresses", "[2001", "set domain"), id="24-ipv6-in-brackets"),
        pytest.param({"extra_addresses": ["fe80::1%eth0"]}, ("without a zone", "%eth0", "set extra_add"), id="24-zone"),
        pytest.param(
            {"domain": "registry"}, ("a name with a dot, or a port", "'registry'", "set domain"), id="25-on-443"
        ),
        *(
            pytest.param({"domain": domain}, (NAME, repr(domain), "set domain"), id=f"26-{name}")
            for name, domain in {
                "newline": "registry.test\n",
                "newline-inside": "registry\n.test",
                "space": "registry .test",
                "two-dots": "registry..test",
                "underscore": "registry_a.test",
                "wildcard": "*.test",
                "number-as-last-label": "registry.123",
            }.items()
        ),
        *(
            pytest.param({"username": user}, (USER, repr(user), "set username"), id=f"27-{name}")
            for name, user in {
                "colon": "a:b",
                "hash-first": "#a",
                "space-first": " a",
                "space-last": "a ",
                "newline": "a\nb",
            }.items()
        ),
        pytest.param({"username": "ü" * 121}, ("at most 240 bytes", "üü", "set username"), id="27-too-long-for-a-file"),
        pytest.param(
            {"htpasswd": "malformed"}, ("one bcrypt hash a user", "line 2: not USER:BCRYPT-HASH", "line 2"), id="28"
        ),
        pytest.param(
            {"htpasswd": "u:{SHA}x"},
            ("one bcrypt hash a user", "line 2: not USER:BCRYPT-HASH", "line 2"),
            id="28-no-bcrypt",
        ),
        pytest.param(
            {"htpasswd": f"admin:{HASH}"},
            ("one bcrypt hash a user", "line 2: the user admin a second", "line 2"),
            id="29",
        ),
        *(
            pytest.param({"password": password}, (PASSWORD, found, "write the right one"), id=f"30-{name}")
            for name, (password, found) in {
                "empty": ("", "an empty one"),
                "73-bytes": ("0" * 73, "one of 73 bytes"),
                "73-bytes-in-25-characters": ("密" * 24 + "p", "one of 73 bytes"),
                "nul": ("p\x00a", "a control character"),
                "newline-at-its-end": ("p\n", "a control character"),
            }.items()
        ),
        pytest.param(
            {"compose_project": "$HOME"}, ("lower-case letters", "'$HOME'", "set compose_pro"), id="32-project"
        ),
        pytest.param({"data_volume": "a'b"}, ("letters, digits", "a'b", "set data_volume"), id="32-volume"),
        pytest.param(
            {"registry_image": "$HOME:1"}, ("REPOSITORY:TAG", "'$HOME:1'", "set registry_image"), id="32-image"
        ),
    ],
)
def test_refused_value_changes_nothing(
    make_parameters: Callable[..., Parameters], tmp_path: Path, values: dict[str, str], told: tuple[str, str, str]
) -> None:
    """Fails if what cannot work is not refused with its reason, or is after the first change."""
    made = make_parameters(bcrypt_cost=4)
    make_files(made)
    given = values | {"bcrypt_cost": 4}
    if (line := given.pop("htpasswd", None)) is not None:
        made.htpasswd_path.write_text(f"{made.htpasswd_path.read_text(encoding='utf-8')}{line}\n", encoding="utf-8")
    if (password := given.pop("password", None)) is not None:
        given["password_file"] = f"{tmp_path}/password"
        chains.write(tmp_path / "password", f"{password}\n")
    before = tree(tmp_path)
    with pytest.raises(RunbookError) as refused:
        make_files(make_parameters(**given))
    error = refused.value
    assert [part in text for part, text in zip(told, error.args, strict=True)] == [True, True, True], str(error)
    assert tree(tmp_path) == before


def test_refused_run_changes_nothing_on_the_host(proven_trixie: Host) -> None:
    """Fails if the command that an operator types ends well, or with a trace on the host, where a value is refused."""
    host, htpasswd = proven_trixie, "/etc/docker/registry/auth/htpasswd"
    users = host.read(htpasswd)
    host.write(htpasswd, f"{users}malformed\n", mode=0o600)
    before = snapshot(host)
    malformed = run(host, "40-configuration", check=False)
    ipv6 = host.run("./script/run", "-p", "domain", "2001:db8::1", directory=PROJECT, check=False)
    assert snapshot(host) == before
    host.write(htpasswd, users, mode=0o600)
    assert "line 2: not USER:BCRYPT-HASH" in str(malformed.error)
    assert (ipv6.code, "an address goes into extra_addresses" in ipv6.stderr) == (2, True)
