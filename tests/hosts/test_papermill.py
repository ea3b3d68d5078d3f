"""The notebooks by papermill's own command, without the program around them."""

from .lab import Completed, Host
from .product import PROJECT


def papermill(host: Host, *arguments: str) -> Completed:
    """Run papermill in the project's environment."""
    return host.run(".venv/bin/papermill", *arguments, directory=PROJECT, check=False, timeout_seconds=300)


def test_papermill_takes_parameter_file(proven_bookworm: Host) -> None:
    """Fails where a notebook alone does not take a file that holds names of other notebooks too."""
    done = papermill(
        proven_bookworm, "notebooks/30-certificates.ipynb", "/root/out.ipynb", "-f", "parameters/document.yml"
    )
    assert done.code == 0, done.stderr


def test_papermill_refuses_misspelt_parameter(proven_bookworm: Host) -> None:
    """Fails where a misspelt name goes by as papermill's warning, or changes anything."""
    before = proven_bookworm.run("find", "/etc/registry-runbook", "-printf", "%p %T@\n", check=False).stdout
    done = papermill(proven_bookworm, "notebooks/30-certificates.ipynb", "/root/out.ipynb", "-p", "domian", "x")
    assert done.code == 1
    assert "domian" in done.stderr
    assert "write domain" in done.stderr
    assert proven_bookworm.run("find", "/etc/registry-runbook", "-printf", "%p %T@\n", check=False).stdout == before
