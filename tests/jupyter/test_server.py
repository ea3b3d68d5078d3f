"""JupyterLab as `registry-runbook lab` serves it: on the loopback, with a token that nobody else sees, until Ctrl-C."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from runbook.jupyter import server

# What an operator may have configured for another Jupyter server of theirs.
CONFIGURED = {
    "ServerApp": {
        "base_url": "/elsewhere",
        "certfile": "/nowhere/cert.pem",
        "keyfile": "/nowhere/key.pem",
        "client_ca": "/nowhere/ca.pem",
        "sock": "/nowhere/socket",
        "ip": "0.0.0.0",  # noqa: S104 (to be overridden)
    },
    "PasswordIdentityProvider": {"password_required": True, "hashed_password": "argon2:none"},
    "IdentityProvider": {"token": "theirs"},
}
COMMAND = (sys.executable, "-m", "runbook", "lab", "--no-browser")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Start the program as a user with a home of its own; give it, what it says, and its address."""
    (tmp_path / ".jupyter").mkdir()
    (tmp_path / ".jupyter" / "jupyter_server_config.json").write_text(json.dumps(CONFIGURED), encoding="utf-8")
    home = {"HOME": str(tmp_path), "JUPYTER_CONFIG_PATH": "", "XDG_RUNTIME_DIR": str(tmp_path)}
    with subprocess.Popen(COMMAND, env={**os.environ, **home}, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = ""
            while "Ctrl-C" not in said:
                line = process.stdout.readline()
                assert line, said
                said += line
            yield process, said, re.findall(r"http://\S+", said)[0]
        finally:
            process.send_signal(signal.SIGTERM)


def test_lab_serves_index_to_whoever_has_the_token_until_interrupted(
    served: tuple[subprocess.Popen[str], str, str], tmp_path: Path
) -> None:
    """Fails where it answers without the token or on another address, shows the token, or leaves something running.

    The operator's own configuration of Jupyter, for another server, must neither end it nor make its address wrong.
    """
    process, said, address = served
    url, token = httpx.URL(address), address.partition("token=")[2]
    assert f"ssh -L {url.port}:127.0.0.1:{url.port} " in said
    assert "as root, since the notebooks change this host" in said
    api = f"http://127.0.0.1:{url.port}"
    assert httpx.get(f"{api}/api/kernels").status_code == 403
    with httpx.Client(params={"token": token}, timeout=60) as client:
        assert client.get(address).status_code == 200
        layout = client.get(f"{api}/lab/api/workspaces/runbook").json()["data"]["layout-restorer:data"]
        assert layout["main"]["current"] == "notebook:notebooks/00-index.ipynb"
        assert layout["left"]["current"] == "@jupyterlab/toc:plugin"
        settings = client.get(f"{api}/lab/api/settings/@jupyterlab/apputils-extension:notification").json()
        assert settings["schema"]["properties"]["fetchNews"]["default"] == "false"
        started = client.post(
            f"{api}/api/kernels", json={"name": "python3"}, headers={"Authorization": f"token {token}"}
        )
        assert started.status_code == 201
    lab_run = psutil.Process(process.pid)
    [kernel] = [
        child for child in lab_run.children(recursive=True) if "ipykernel_launcher" in " ".join(child.cmdline())
    ]
    assert [part for part in (lab_run, kernel) if token in f"{part.cmdline()}{part.environ()}"] == []
    listening = [item.laddr.ip for item in lab_run.net_connections() if item.status == "LISTEN"]
    assert listening == ["127.0.0.1"]
    folder = Path(kernel.environ()["JUPYTER_RUNTIME_DIR"])
    assert folder.stat().st_mode & 0o777 == 0o700
    connection = json.loads((folder / f"kernel-{started.json()['id']}.json").read_text(encoding="utf-8"))
    assert (connection["transport"], Path(connection["ip"]).parent) == ("ipc", folder)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and token.encode() in path.read_bytes()] == []
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert not kernel.is_running()
    assert not folder.exists()


def test_lab_refuses_a_port_that_is_taken() -> None:
    """Fails where another port than the one asked for is taken without a word."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run((*COMMAND, "--port", port), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"expected port {port} of 127.0.0.1 to be free; found Address already in use" in done.stderr


@pytest.mark.parametrize(("variable", "expected"), [("DISPLAY", True), ("WAYLAND_DISPLAY", True), (None, False)])
def test_has_display_is_told_by_the_session(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, *, expected: bool
) -> None:
    """Fails where a browser is started that nobody would see, or none where somebody would."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, ":0")
    assert server.has_display() is expected
