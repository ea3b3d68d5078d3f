"""Secrets on a host: nowhere but in their own files, whatever way they come in and however a run ends."""

import re
from collections.abc import Iterator

import pytest

from .lab import Completed, Host
from .product import PROJECT, script_run
from .secret_markers import encodings, places_of_hashes, planting, sampling, search, within

FOLDER = "/etc/registry-runbook/secrets"
SITE = f"{PROJECT}/.venv/lib/python3.11/site-packages"
HTPASSWD = "/etc/docker/registry/auth/htpasswd"
APART = (  # an authority of its own
    *("-p", "domain", "canary.test", "-p", "private_directory", "/etc/canary"),
    *("-p", "configuration_directory", "/etc/docker/canary"),
)
# The program, its kernels, and what starts them have the variable because the operator gives it to them: only root and
# the same user may read it there (proc(5)). No other program gets it: no engine, no Compose.
HAVE_VARIABLES = {"registry-runbook", "bash", "env", "nsenter", "run", "setup", "strace", "timeout"}
HAVE_VARIABLES |= {"multiprocessing.forkserver", "multiprocessing.resource_tracker"}  # kernels, and what is beside them
HAVE_VARIABLES |= {"cat", "dirname", "find", "sha256sum", "uname"}  # of script/setup, and of Python's platform
BREAK = """
import bcrypt
def checkpw(password, hashed):
    raise ZeroDivisionError(f"of {len(password)} bytes")
bcrypt.checkpw = checkpw
"""
# A front end that runs a notebook, types a password where it is asked for, and saves what it has shown.
FRONT_END = """
import sys
import nbformat
from jupyter_client.manager import start_new_kernel
typed, asked = sys.stdin.readline().rstrip("\\n"), []
notebook = nbformat.read("notebooks/40-configuration.ipynb", 4)
manager, client = start_new_kernel(kernel_name="python3", cwd="notebooks", extra_arguments=["--log-level=50"])
def answer(message):
    asked.append(message["content"]["prompt"])
    client.input(typed)
def show(message):
    if message["msg_type"] in ("stream", "display_data", "execute_result", "error"):
        cell.outputs.append(nbformat.v4.output_from_msg(message))
for cell in notebook.cells:
    if cell.cell_type == "code":
        cell.outputs, added = [], "username = 'typed'" if "parameters" in cell.metadata.get("tags", ()) else ""
        client.execute_interactive(f"{cell.source}\\n{added}", stdin_hook=answer, output_hook=show, allow_stdin=True)
nbformat.write(notebook, "notebooks/.ipynb_checkpoints/40-configuration-checkpoint.ipynb")
client.stop_channels()
manager.shutdown_kernel(now=True)
print(asked, [output.evalue for cell in notebook.cells for output in cell.get("outputs", ()) if "evalue" in output])
"""


def canary(name: str) -> str:
    """Return a secret that each encoding writes in another way."""
    return f"{name}-kestrel-ä密\"&'+/9x"


GIVEN, WRONG, PASSPHRASE, WRONG_PASSPHRASE = map(canary, ("given", "wrong", "phrase", "other"))
FILED, FILED_PASSPHRASE, TYPED = map(canary, ("filed", "kept", "typed"))
IN_VARIABLES = (GIVEN, WRONG, PASSPHRASE, WRONG_PASSPHRASE)
IN_FILES = {FILED: "/root/given/password", FILED_PASSPHRASE: "/etc/canary/phrase", TYPED: f"{FOLDER}/password-typed"}


DEPLOYMENT = "/var/lib/registry-runbook/deployment.yml"


@pytest.fixture(scope="module")
def runs(proven_bookworm: Host) -> Iterator[dict[str, Completed]]:
    """Give what each of several runs printed: secrets given in every way, and runs that fail in every way."""
    host = proven_bookworm
    host.write(IN_FILES[FILED], f"{FILED}\n", mode=0o600)
    host.run("mkdir", "-p", "/etc/canary", f"{PROJECT}/notebooks/.ipynb_checkpoints")
    host.run("cp", "-p", DEPLOYMENT, "/root/deployment")
    given, phrase = {"RUNBOOK_PASSWORD": GIVEN}, {"RUNBOOK_CA_PASSPHRASE": PASSPHRASE}
    wrong, wrong_phrase = {"RUNBOOK_PASSWORD": WRONG}, {"RUNBOOK_CA_PASSPHRASE": WRONG_PASSPHRASE}
    with sampling(host):
        trace = ("strace", "-f", "-xx", "-s", "65535", "-e", "trace=execve", "-o", "/root/trace")
        traced = (*trace, "./script/run", "40-configuration", "50-compose", "60-push-pull", "-p", "username", "guest")
        done = {
            "variable": host.run(*traced, directory=PROJECT, environment=given, timeout_seconds=300, check=False),
            "passphrase in a variable": script_run(host, "30-certificates", *APART, environment=phrase),
            "wrong passphrase": script_run(
                host, "30-certificates", *APART, "-p", "validity_days", "90", environment=wrong_phrase, check=False
            ),
            "engine fails": script_run(
                host, "20-basic-registry", "-p", "basic_container", "canary", environment=given, check=False
            ),
            "proof fails": script_run(host, "60-push-pull", "-p", "username", "guest", environment=wrong, check=False),
            "file": script_run(
                host, "40-configuration", "-p", "username", "filed", "-p", "password_file", IN_FILES[FILED]
            ),
        }
        host.write(f"{SITE}/broken.py", BREAK)
        host.write(f"{SITE}/broken.pth", "import broken\n")  # before all that a process of this Python does
        done["Python fails"] = script_run(host, "40-configuration", environment=given, check=False)
        host.run("rm", f"{SITE}/broken.pth", f"{SITE}/broken.py")
        host.run("rm", "-r", "/etc/canary/ca", "/etc/docker/canary")
        host.write(IN_FILES[FILED_PASSPHRASE], f"{FILED_PASSPHRASE}\n", mode=0o600)
        done["passphrase in a file"] = script_run(
            host, "30-certificates", *APART, "-p", "ca_passphrase_file", IN_FILES[FILED_PASSPHRASE]
        )
        host.run("cp", "-p", "/root/deployment", DEPLOYMENT)  # whose user has no file of its own
        argv = (".venv/bin/python", "-c", FRONT_END)
        done["prompt"] = host.run(*argv, directory=PROJECT, input_text=f"{TYPED}\n")
    yield done
    host.run("docker", "rm", "--force", "canary", check=False)
    host.run("mv", "/root/deployment", DEPLOYMENT)  # other tests of this host are about its own users
    host.run("rm", "-r", "/root/given", "/etc/canary", "/etc/docker/canary", "/root/trace")


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        pytest.param("variable", 0, "", id="variable"),
        pytest.param("passphrase in a variable", 0, "", id="passphrase-variable"),
        pytest.param("file", 0, "", id="file"),
        pytest.param("passphrase in a file", 0, "", id="passphrase-file"),
        pytest.param(
            "prompt", 0, r"^\['Password of the registry's user.*\] \[\]|^\[\"Password of .*\"\] \[\]", id="prompt"
        ),
        pytest.param("wrong passphrase", 1, "could not decrypt key", id="wrong-passphrase"),
        pytest.param("engine fails", 1, "port is already allocated", id="engine-fails"),
        pytest.param("proof fails", 1, "CheckError|401", id="proof-fails"),
        pytest.param("Python fails", 1, "ZeroDivisionError: of [0-9]+ bytes", id="python-fails"),
    ],
)
def test_runs_end_as_they_should(runs: dict[str, Completed], name: str, code: int, expected: str) -> None:
    """Fails if a run that is searched for secrets did not get as far as it should, or not as wrong."""
    done = runs[name]
    assert (code, True) == (done.code, bool(re.search(expected, done.stdout))), str(done)


def test_no_secret_is_anywhere_but_in_its_file(proven_bookworm: Host, runs: dict[str, Completed]) -> None:
    """Fails if a secret is in a notebook, its autosave, a record, log, argument, container or temporary file."""
    found = search(proven_bookworm, *IN_VARIABLES, *IN_FILES)
    variables = {(secret, f"environ of {program}", "literal") for secret in IN_VARIABLES for program in HAVE_VARIABLES}
    own_files = {(secret, path, "literal") for secret, path in IN_FILES.items()}
    assert (set(), set()) == (own_files - found, found - variables - own_files)
    assert {secret for secret, _, _ in found & variables} == {*IN_VARIABLES}  # the sampler saw them there
    said = "".join(done.stdout + done.stderr for done in runs.values())
    traced = bytes.fromhex("".join(re.findall(r"\\x([0-9a-f]{2})", proven_bookworm.read("/root/trace")))).decode()
    assert "docker" in traced
    assert within(said + traced, *IN_VARIABLES, *IN_FILES) == []
    assert places_of_hashes(proven_bookworm) == [HTPASSWD]


def test_search_sees_a_canary_in_every_place(proven_bookworm: Host) -> None:
    """Fails if there is a place, or an encoding, in which the search above would not see a secret."""
    image = proven_bookworm.run("docker", "inspect", "--format={{.Config.Image}}", "registry").stdout.strip()
    secret = canary("planted")
    with sampling(proven_bookworm), planting(proven_bookworm, secret, image) as places:
        found = search(proven_bookworm, secret)
    expected = {(secret, place, name) for place in places for name in encodings(secret)}
    assert len(encodings(secret)) == 8
    assert expected - found == set()
    assert search(proven_bookworm, canary("planted-nowhere")) == set()


def test_run_keeps_generated_secrets_in_their_files(proven_bookworm: Host) -> None:
    """Fails where a password or http.secret stands in a notebook, a log or a configuration that is not its own."""
    password = proven_bookworm.read(f"{FOLDER}/password-admin").strip()
    secret = proven_bookworm.read(f"{FOLDER}/http-secret").strip()
    places = {(text, place) for text, place, _ in search(proven_bookworm, password, secret)}
    configuration = "/etc/docker/registry/config.yml"
    assert {
        (password, f"{FOLDER}/password-admin"),
        (secret, f"{FOLDER}/http-secret"),
        (secret, configuration),
    } == places
    modes = proven_bookworm.run("stat", "-c", "%a", FOLDER, f"{FOLDER}/password-admin", configuration).stdout.split()
    assert modes == ["700", "600", "600"]
    open_notebooks = proven_bookworm.run(
        "find", "/root/.local/state/registry-runbook", "-type", "f", "-perm", "/077"
    ).stdout
    assert open_notebooks == ""
