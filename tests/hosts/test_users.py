"""A team's registry: users who come and go without a restart, and those who only pull."""

import json

import pytest

from .lab import Host, NewHost
from .product import PROJECT, run, script_run

STARTED = ("docker", "inspect", "--format={{.State.StartedAt}}", "registry-registry-1")
HTPASSWD = "/etc/docker/registry/auth/htpasswd"
PUSHED = "registry.test/team/app"


def password(host: Host, name: str) -> str:
    """Return the password that is kept of a user."""
    return host.read(f"/etc/registry-runbook/secrets/password-{name}").strip()


def status(host: Host, name: str, secret: str) -> str:
    """Return the status of a request with a login, which stands in no process list."""
    argv = ("curl", "-s", "-o/dev/null", "-w", "%{http_code}", "--cacert", "/etc/registry-runbook/ca/ca.crt", "-K-")
    return host.run(*argv, "https://registry.test/v2/", input_text=f'user = "{name}:{secret}"\n').stdout


def log_in(host: Host, name: str) -> None:
    """Log Docker in as a user."""
    host.run("docker", "login", "registry.test", "-u", name, "--password-stdin", input_text=password(host, name))


@pytest.mark.one_of("set-ups")
def test_users_of_a_team_come_and_go_without_a_restart(new_host: NewHost) -> None:
    """Fails where somebody who has left still gets in, a newcomer does not, or a user who only pulls can push."""
    host = new_host("trixie")
    team = ("-f", "parameters/team.yml", "-p", "proxy_layer_megabytes", "2")
    assert run(host, *team).failed == []
    again = run(host, *team)
    assert (again.error, again.changes) == (None, [])
    started = host.run(*STARTED).stdout
    names = ("admin", "ci", "deploy", "backup", "staging", "production")
    kept = {name: password(host, name) for name in names}
    assert {status(host, name, secret) for name, secret in kept.items()} == {"200"}

    image = host.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()[0]
    host.run("docker", "tag", image, f"{PUSHED}:1")
    log_in(host, "ci")
    pushed = host.run("docker", "push", f"{PUSHED}:1", timeout_seconds=300).stdout
    digest = pushed.split("digest: ")[1].split()[0]
    log_in(host, "staging")
    refused = host.run("docker", "push", f"{PUSHED}:1", check=False)
    assert (refused.code, "denied" in f"{refused.stdout}{refused.stderr}".lower()) == (1, True), refused
    assert digest in host.run("docker", "pull", f"{PUSHED}@{digest}", timeout_seconds=300).stdout
    host.run("docker", "logout", "registry.test")

    script_run(host, "users", "add", "robot")
    script_run(host, "users", "rotate", "ci")
    script_run(host, "users", "disable", "deploy")
    script_run(host, "users", "remove", "backup")
    assert status(host, "robot", password(host, "robot")) == "200"
    assert (status(host, "ci", kept["ci"]), status(host, "ci", password(host, "ci"))) == ("401", "200")
    assert (status(host, "deploy", kept["deploy"]), status(host, "backup", kept["backup"])) == ("401", "401")
    assert status(host, "production", kept["production"]) == "200"
    listed = {row["user"]: row["state"] for row in json.loads(script_run(host, "users", "list", "--json").stdout)}
    assert listed == {
        **dict.fromkeys(("admin", "ci", "staging", "production", "robot"), "may log in"),
        "deploy": "disabled",
    }
    assert host.run(*STARTED).stdout == started
    planned = json.loads(script_run(host, "plan", "--json").stdout)
    assert [item["notebook"] for item in planned if item["changes"] or item["reason"]] == []

    host.write(HTPASSWD, host.read(HTPASSWD) + "broken\n", mode=0o600)
    before = host.read(HTPASSWD)
    broken = host.run("./script/run", "users", "add", "late", directory=PROJECT, check=False)
    assert (broken.code, "not USER:BCRYPT-HASH" in broken.stdout) == (1, True), broken
    assert host.read(HTPASSWD) == before
