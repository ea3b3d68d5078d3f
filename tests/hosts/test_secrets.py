"""Secrets on a host: nowhere but in their own files."""

import base64

from .lab import Host
from .product import PROJECT, script_run

CANARY = "canary-Zx9-kestrel"
PLACES = "/root/.local /root/.docker /root/.ipython /root/.jupyter /var/log /tmp /etc /var/lib/docker/containers"


def forms(secret: str) -> list[str]:
    """Return what to search for: the secret, and its base64 as a login has it."""
    return [secret, base64.b64encode(secret.encode()).decode(), base64.b64encode(f"admin:{secret}".encode()).decode()]


def found_in_files(host: Host, secret: str) -> list[str]:
    """Return the files of the host that hold the secret in any form."""
    patterns = [argument for form in forms(secret) for argument in ("-e", form)]
    done = host.run("sh", "-c", f'exec grep -rlF "$@" {PLACES} 2>/dev/null', "grep", *patterns, check=False)
    return sorted(done.stdout.split())


def test_run_keeps_generated_secrets_in_their_files(proven_bookworm: Host) -> None:
    """Fails where a password or http.secret stands in a notebook, a log or a configuration that is not its own."""
    folder = "/etc/registry-runbook/secrets"
    password = proven_bookworm.read(f"{folder}/password-admin").strip()
    assert found_in_files(proven_bookworm, password) == [f"{folder}/password-admin"]
    secret = proven_bookworm.read(f"{folder}/http-secret").strip()
    assert found_in_files(proven_bookworm, secret) == ["/etc/docker/registry/config.yml", f"{folder}/http-secret"]
    places = (folder, f"{folder}/password-admin", "/etc/docker/registry/config.yml")
    modes = proven_bookworm.run("stat", "-c", "%a", *places).stdout.split()
    assert modes == ["700", "600", "600"]
    open_notebooks = proven_bookworm.run(
        "find", "/root/.local/state/registry-runbook", "-type", "f", "-perm", "/077"
    ).stdout
    assert open_notebooks == ""


def test_run_keeps_given_password_out_of_files_and_arguments(proven_bookworm: Host) -> None:
    """Fails where a password from the environment gets into any file, an argument list, or what is printed."""
    trace = "/root/trace"
    traced = ("strace", "-f", "-s", "4096", "-e", "trace=execve", "-o", trace)
    done = proven_bookworm.run(
        *traced,
        "./script/run",
        "-p",
        "username",
        "guest",
        directory=PROJECT,
        environment={"RUNBOOK_PASSWORD": CANARY},
        timeout_seconds=900,
        check=False,
    )
    assert done.code == 0, done.stdout
    assert "docker" in proven_bookworm.read(trace)
    assert found_in_files(proven_bookworm, CANARY) == []
    printed = done.stdout + done.stderr + proven_bookworm.read(trace)
    assert [form for form in forms(CANARY) if form in printed] == []
    proven_bookworm.write("/var/log/planted", f"said {CANARY}")
    assert found_in_files(proven_bookworm, CANARY) == ["/var/log/planted"]  # the search sees one that is there
    proven_bookworm.run("rm", "/var/log/planted", trace)
    assert script_run(proven_bookworm).code == 0
