"""The README's commands, typed as they stand there."""

from pathlib import Path

from .lab import NewHost
from .product import PROJECT, serve_lab

LAB = "./script/run lab"
README = Path(__file__).resolve().parents[2] / "README.md"


def commands() -> list[str]:
    """Return the README's command lines: those that begin with `$ ` in a block of its own."""
    lines = README.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def test_readme_commands_work_as_written(new_host: NewHost) -> None:
    """Fails where a command of the README does not end well, or the README does not name the two that count."""
    typed = [command for command in commands() if not command.startswith(("git ", "cd ", "./script/test"))]
    assert {"./script/run", LAB} <= set(typed)
    assert "./script/test" in commands()
    host = new_host("trixie", set_up="")
    for command in typed:
        if command == LAB:  # it does not end by itself
            with serve_lab(host) as address:
                assert "<title>JupyterLab</title>" in host.run("curl", "-sSf", address).stdout
            continue
        done = host.run("sh", "-ec", command, directory=PROJECT, timeout_seconds=900, check=False)
        assert done.code == 0, str(done)
        assert "unknown parameter" not in done.stderr
