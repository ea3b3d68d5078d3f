"""The product on a test host: run as an operator runs it, and looked at from outside."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .lab import Completed, Host

PROJECT = "/root/registry-runbook"

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
    """Run notebooks by `./script/run … --json`, and return the report."""
    done = script_run(host, *arguments, "--json", check=check, environment=environment)
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
def serve_lab(host: Host) -> Iterator[str]:
    """Give the address, with its token, that `./script/run lab` prints; end it as Ctrl-C does, which must be clean."""
    start = "setsid env --default-signal=INT ./script/run lab >/root/lab.txt 2>&1 </dev/null & echo $!"
    process = host.run("sh", "-ec", start, directory=PROJECT).stdout.strip()
    host.run("timeout", "60", "sh", "-c", "until grep -q Ctrl-C /root/lab.txt; do sleep 0.2; done")
    try:
        yield re.findall(r"http://127\.0\.0\.1:\S+", host.read("/root/lab.txt"))[0]
    finally:
        host.run("sh", "-c", f"kill -INT {process}; while kill -0 {process} 2>/dev/null; do sleep 0.2; done")
    assert "has ended" in host.read("/root/lab.txt")


def snapshot(host: Host) -> str:
    """Return what a run that changes nothing leaves as it was."""
    return host.run("sh", "-ec", _SNAPSHOT).stdout
