"""The product on a test host: run as an operator runs it, and looked at from outside."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook.changes.apply import apply
from runbook.changes.files import CopyFile
from runbook.model.parameters import Parameters
from runbook.sections import certificates, configuration
from runbook.system.certificates import tls
from runbook.system.registry import api
from tests.waiting import SECONDS, UNTIL_SO

from .lab import ON_HOST, Completed, Host

PROJECT = ON_HOST

# What a second run must leave as it was: content, mode and times of files, containers, images, the engine's process.
_SNAPSHOT = r"""
cd /
find etc/docker etc/registry-runbook etc/hosts etc/sysctl.d opt/data \
  var/lib/docker/volumes/registry_registry-data -type f -printf '%p %m %T@ %s\n' | LC_ALL=C sort
docker ps --all --no-trunc --format '{{.ID}} {{.Names}} {{.Image}}' | LC_ALL=C sort
docker images --all --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}' | LC_ALL=C sort
pgrep -x dockerd
cat /proc/sys/net/ipv4/ip_forward
"""


# What a tear-down with everything named must give back: names, modes, owners and content; a file's time of change too.
_EVERYTHING = r"""
cd /
not='^etc/(mtab|resolv[.]conf|[.]pwd[.]lock|group-|gshadow-) '
places='etc opt srv usr/local var/lib/registry-runbook var/lib/systemd/timers'
find $places -printf '%p %y %m %U:%G %l\n' 2>/dev/null | grep -Ev "$not" | LC_ALL=C sort
find $places -type f -printf '%p %T@ ' -exec sha256sum {} \; 2>/dev/null | grep -Ev "$not" | LC_ALL=C sort
ls -d var/lib/docker var/lib/containerd var/log/registry-runbook-engine.log 2>/dev/null
dpkg-query --show -f '${Package} ${db:Status-Status}\n'
cat /proc/sys/net/ipv4/ip_forward
if command -v docker >/dev/null && docker version >/dev/null 2>&1; then
  docker ps --all --no-trunc --format '{{.ID}} {{.Names}} {{.State}}' | LC_ALL=C sort
  docker images --all --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}' | LC_ALL=C sort
  docker volume ls --quiet | LC_ALL=C sort
  docker network ls --no-trunc --format '{{.ID}} {{.Name}}' | LC_ALL=C sort
  docker info --format '{{json .RegistryConfig}}'
fi
"""
NAMED = ("-p", "also_remove", "[data, basic-data, authority, secrets, image, packages]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a run printed with `--json`."""

    data: Mapping[str, Any]

    @property
    def changes(self) -> list[str]:
        """The changes made, in one line each."""
        return [outcome["change"]["summary"] for notebook in self.data["notebooks"] for outcome in notebook["outcomes"]]

    @property
    def failed(self) -> list[str]:
        """The claims that do not hold."""
        return [result["claim"] for result in self.results if not result["passed"]]

    @property
    def results(self) -> list[Mapping[str, Any]]:
        """All claims."""
        return [result for notebook in self.data["notebooks"] for result in notebook["results"]]

    @property
    def error(self) -> str | None:
        """The error of the notebook that failed, None where none did."""
        return next((notebook["error"] for notebook in self.data["notebooks"] if notebook["error"]), None)


def script_run(
    host: Host, *arguments: str, check: bool = True, environment: Mapping[str, str] | None = None
) -> Completed:
    """Run `./script/run` with the README's command, and return how it ended."""
    return host.run(
        "./script/run", *arguments, directory=PROJECT, check=check, environment=environment, timeout_seconds=900
    )


def run(host: Host, *arguments: str, check: bool = True, environment: Mapping[str, str] | None = None) -> Report:
    """Run notebooks by `./script/run … --json`, and return the report.

    Without a file, with that of a new host: what an earlier test of the same host has set up must not count.
    """
    file = () if "-f" in arguments else ("-f", "parameters/local.yml")
    done = script_run(host, *arguments, *file, "--json", check=check, environment=environment)
    return Report(data=json.loads(done.stdout))


def papermill(host: Host, notebook: str, *arguments: str) -> list[str]:
    """Run a notebook by papermill's own command, which must end well, and return the changes that it made."""
    argv = (".venv/bin/papermill", f"notebooks/{notebook}.ipynb", "/root/out.ipynb", *arguments)
    host.run(*argv, directory=PROJECT, timeout_seconds=300)
    outputs = [
        output for cell in json.loads(host.read("/root/out.ipynb"))["cells"] for output in cell.get("outputs", ())
    ]
    records = [output.get("metadata", {}).get("registry-runbook", {}) for output in outputs]
    assert "checks" in [record.get("kind") for record in records]
    return [outcome["change"]["summary"] for record in records for outcome in record.get("outcomes", ())]


@contextmanager
def serve_lab(host: Host, program: str = "./script/run", *, language: str = "en") -> Iterator[str]:
    """Give the address, with its token, that `PROGRAM lab` prints; end it as Ctrl-C does, which must be clean."""
    start = (
        f"setsid env --default-signal=INT {program} lab --language {language} >/root/lab.txt 2>&1 </dev/null & echo $!"
    )
    directory = PROJECT if program.startswith(".") else "/"
    process = host.run("sh", "-ec", start, directory=directory).stdout.strip()
    host.run("sh", "-c", f"{UNTIL_SO} until_so 'the address of JupyterLab' grep -q Ctrl-C /root/lab.txt")
    try:
        yield re.findall(r"http://127\.0\.0\.1:\S+", host.read("/root/lab.txt"))[0]
    finally:
        host.run(
            "sh", "-c", f"{UNTIL_SO} gone() {{ ! kill -0 {process}; }}; kill -INT {process}; until_so 'its end' gone"
        )
    assert {"en": "has ended", "zh": "已结束"}[language] in host.read("/root/lab.txt")


def snapshot(host: Host) -> str:
    """Return what a run that changes nothing leaves as it was."""
    return host.run("sh", "-ec", _SNAPSHOT).stdout


def everything(host: Host) -> list[str]:
    """Return what a tear-down with everything named gives back, line by line."""
    return host.run("sh", "-c", _EVERYTHING, timeout_seconds=120).stdout.splitlines()


def differences(before: list[str], after: list[str]) -> list[str]:
    """Return what was there and is not, and what is there and was not."""
    gone, come = set(before) - set(after), set(after) - set(before)
    return [f"- {line}" for line in sorted(gone)] + [f"+ {line}" for line in sorted(come)]


def without_times(lines: list[str]) -> list[str]:
    """Return what is on a host, without when a file was changed: an earlier version did not keep that."""
    return [re.sub(r" [0-9.]+ (?=[0-9a-f]{64} )", " ", line) for line in lines]


def make_files(parameters: Parameters) -> None:
    """Make a registry's files on this machine, as the notebooks 30 and 40 do; the engine's trust is not among them."""
    for section in (certificates, configuration):
        changes = section.plan(parameters, section.gather(parameters))
        apply([change for change in changes if not isinstance(change, CopyFile)], entering=False)


def wait_until_engine_knows(host: Host, registry: str) -> None:
    """Wait until the host's engine finds the address of a registry: it keeps /etc/hosts for five seconds.

    Source: Go, package net, hosts.go, cacheMaxAge.
    """
    known = f"known() {{ docker pull {registry}/no/such:1 2>&1 | grep -vqE 'no such host|server misbehaving'; }}"
    host.run("sh", "-c", f"{UNTIL_SO}{known}; until_so 'the engine to know {registry}' known")


@contextmanager
def serve_files(host: Host, parameters: Parameters) -> Iterator[api.Registry]:
    """Run one more registry on the host, with files made here, and give it; the host's engine trusts and knows it."""
    name, folder = f"other-{parameters.port}", Path(parameters.configuration_directory)
    place, names = f"/root/{name}", host.read("/etc/hosts")
    authority = parameters.ca_certificate_path.read_text(encoding="ascii")
    image = host.run("docker", "images", "--format={{.Repository}}:{{.Tag}}").stdout.split()[0]
    for path in folder.rglob("*"):
        if path.is_file():
            host.write(f"{place}/{path.relative_to(folder)}", path.read_text(encoding="utf-8"), mode=0o600)
    host.write(str(parameters.trust_path), authority)
    host.write("/etc/hosts", f"{names}{host.address} {parameters.domain}\n")
    options = (f"--name={name}", f"--publish={parameters.port}:443", f"--volume={place}:/etc/docker/registry:ro")
    served = api.Registry(
        url=f"https://{host.reached_at}:{parameters.port}",
        tls=tls.client_context(authority),
        server_name=parameters.domain,
    )
    try:
        host.run("docker", "run", "--detach", *options, image, "serve", "/etc/docker/registry/config.yml")
        api.wait_until_ready(served, timeout_seconds=SECONDS)
        wait_until_engine_knows(host, f"{parameters.domain}:{parameters.port}")
        yield served
    finally:
        host.run("docker", "rm", "--force", "--volumes", name)
        host.run("rm", "-r", place, str(parameters.trust_path.parent))
        host.write("/etc/hosts", names)
