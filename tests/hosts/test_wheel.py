"""The installed package: the program outside a clone, with the notebooks and parameter files that its wheel holds."""

import subprocess
import sys
from pathlib import Path

import pytest

from .lab import PROJECT, NewHost
from .machine import execute
from .product import serve_lab

PLACE = "/opt/registry-runbook"
TOOLS = "/root/tools"  # where uv is, which script/setup has installed; it has the packages already
UV = f"{TOOLS}/bin/python -m uv"
INSTALL = f"{UV} venv -q {PLACE}; {UV} pip install -q --python {PLACE} /root/wheel/*.whl"
PROGRAM = f"{PLACE}/bin/registry-runbook"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this project's files."""
    folder = tmp_path_factory.mktemp("wheel")
    argv = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", f"--wheel-dir={folder}", str(PROJECT))
    subprocess.run(argv, check=True, capture_output=True, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.mark.one_of("ways to a run")
def test_installed_program_proves_registry_and_serves_the_notebooks(new_host: NewHost, wheel: Path) -> None:
    """Fails where the wheel lacks what a run reads, or a command that is printed works in a clone alone."""
    host = new_host("bookworm")
    host.run("mv", "/root/registry-runbook/.venv", TOOLS)
    host.run("rm", "-r", "/root/registry-runbook")
    host.run("mkdir", "/root/wheel")
    execute("docker", "cp", str(wheel), f"{host.name}:/root/wheel")
    host.run("sh", "-ec", INSTALL, timeout_seconds=600)

    assert "60-push-pull" in host.run(PROGRAM, "list", directory="/").stdout
    planned = host.run(PROGRAM, "plan", directory="/").stdout
    assert "10-host: to do" in planned
    first = host.run(PROGRAM, "run", directory="/", timeout_seconds=900).stdout
    assert "65 of 65 proofs passed" in first
    assert "registry-runbook 70-clients makes the kit" in first
    assert "0 changes made, 65 of 65 proofs passed" in host.run(PROGRAM, "run", directory="/").stdout

    with serve_lab(host, PROGRAM) as address:
        assert "<title>JupyterLab</title>" in host.run("curl", "-sSf", address).stdout
    copies = host.run("sh", "-c", "cat /root/.local/share/registry-runbook/notebooks/00-index.ipynb").stdout
    assert ("`registry-runbook --dry-run`" in copies, "script/run" in copies) == (True, False)
    links = host.run("sh", "-c", "cd /root/.local/share/registry-runbook; ls docs/ parameters/local.yml").stdout
    assert "messages.md" in links

    refused = host.run(PROGRAM, "-p", "domian", "a.test", directory="/", check=False)
    assert (refused.code, "domain, which is probably meant" in refused.stderr) == (2, True)
    host.run(PROGRAM, "90-tear-down", "-p", "also_remove", "[data, authority, secrets, image]", directory="/")
    assert host.run("docker", "ps", "--all", "--quiet").stdout == ""
