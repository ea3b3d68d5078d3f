"""JupyterLab for this host: on the loopback only, with a token, opening the index with its table of contents."""

import contextlib
import getpass
import importlib.util
import json
import logging
import os
import platform
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from jupyterlab.labapp import LabApp
from jupyterlab_server.workspaces_handler import WorkspacesManager

from runbook.jupyter import copies
from runbook.model import words
from runbook.model.errors import HostError
from runbook.system.host import temporary

LOOPBACK = "127.0.0.1"
PORT = 8888  # JupyterLab's own
_WORKSPACE = "runbook"
_SHORT = Path("/tmp")  # noqa: S108 (a private folder in it; a kernel's socket path is at most 107 bytes, unix(7))
_SHIPPED = Path(__file__).with_name("jupyterlab")
_CHINESE_MENUS = "jupyterlab-language-pack-zh-CN"


def has_display() -> bool:
    """Return whether this session has a display for a browser."""
    return any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def serve(*, port: int | None, browser: bool, language: words.Language, say: Callable[[str], None]) -> None:
    """Serve JupyterLab on the user's own copies of the notebooks until an interrupt; `say` prints its address first.

    Without a port, this takes 8888 or the next free one. Raises HostError if the given port is not free, or if the
    copies cannot be made.
    """
    if port is not None:
        _refuse_taken(port)
    place = copies.folder(language)
    made = copies.update(place, language)
    token = secrets.token_urlsafe(24)
    with _own_folders(in_chinese=language == "zh") as workspaces:
        server = LabApp.initialize_server(argv=_arguments(port, token, workspaces, place, browser=browser))
        for copy in made:  # part of this program: JupyterLab trusts what it has signed
            notebook = nbformat.read(copy, as_version=4)  # type: ignore[no-untyped-call] # nbformat leaves it untyped
            server.contents_manager.notary.sign(notebook)
        for number in (signal.SIGINT, signal.SIGTERM):  # Jupyter's handlers would prompt, or leave kernels running
            signal.signal(number, lambda *_: server.stop(from_signal=True))
        say(_greeting(server.port, token, place, in_chinese=language == "zh"))
        server.start()
    say(words.say("JupyterLab has ended, and its kernels with it."))


def _arguments(port: int | None, token: str, workspaces: Path, place: Path, *, browser: bool) -> list[str]:
    """Return the server's arguments, which override the operator's Jupyter configuration: a password, a certificate.

    They stay inside this process: a process list would show the token. Kernels use sockets in a folder of this user:
    on TCP ports, any user of this host could connect to them.
    """
    return [
        f"--ServerApp.ip={LOOPBACK}",
        f"--ServerApp.port={port or PORT}",
        f"--ServerApp.root_dir={place}",
        "--ServerApp.base_url=/",
        "--ServerApp.allow_root=True",  # the notebooks change this host
        f"--ServerApp.open_browser={browser}",
        f"--Application.log_level={logging.ERROR}",
        "--ServerApp.identity_provider_class=jupyter_server.auth.identity.PasswordIdentityProvider",
        "--PasswordIdentityProvider.hashed_password=",
        "--PasswordIdentityProvider.password_required=False",
        f"--IdentityProvider.token={token}",
        *(f"--ServerApp.{name}=" for name in ("certfile", "keyfile", "client_ca", "sock")),
        f"--LabApp.default_url=/lab/workspaces/{_WORKSPACE}",
        f"--LabApp.workspaces_dir={workspaces}",
        "--KernelManager.transport=ipc",
    ]


def _greeting(port: int, token: str, place: Path, *, in_chinese: bool) -> str:
    lines = [
        f"Your notebooks: {place / 'notebooks'}, copies that are yours to change",
        f"JupyterLab: http://{LOOPBACK}:{port}/lab/workspaces/{_WORKSPACE}?token={token}",
        f"From another machine: ssh -L {port}:{LOOPBACK}:{port} {getpass.getuser()}@{platform.node()}",
        "and then open the same address there.",
    ]
    if os.geteuid() == 0:
        lines.append(
            "It runs as root, since the notebooks change this host; so it listens on the loopback alone, "
            "and whoever has the address above is root here: give it to nobody."
        )
    if in_chinese and not _has_chinese_menus():
        lines.append(f"JupyterLab's own menus are Chinese too once {_CHINESE_MENUS} is installed beside it.")
    return "\n".join(map(words.say, (*lines, "Ctrl-C ends it.")))


def _has_chinese_menus() -> bool:
    return importlib.util.find_spec(_CHINESE_MENUS.lower().replace("-", "_")) is not None


@contextlib.contextmanager
def _own_folders(*, in_chinese: bool) -> Iterator[Path]:
    """Yield a folder with the workspace that opens the index; the operator's own workspaces stay unchanged.

    The server's runtime files, which hold the token, are in a temporary folder that only this user can read.
    Sets JUPYTER_RUNTIME_DIR and JUPYTER_CONFIG_PATH for this process and its children.
    """
    with temporary.folder(_SHORT) as folder:
        workspaces = folder / "workspaces"
        workspaces.mkdir()
        text = (_SHIPPED / "index.jupyterlab-workspace").read_text(encoding="utf-8")
        WorkspacesManager(str(workspaces)).save(_WORKSPACE, text)  # as `jupyter lab workspaces import` does
        os.environ["JUPYTER_RUNTIME_DIR"] = str(folder)
        if in_chinese and _has_chinese_menus():
            settings = {"@jupyterlab/translation-extension:plugin": {"locale": "zh_CN"}}
            (folder / "labconfig").mkdir()
            (folder / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(settings), encoding="ascii")
        # The operator's own settings come first.
        paths = (os.environ.get("JUPYTER_CONFIG_PATH"), str(_SHIPPED), str(folder))
        os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
        yield workspaces


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise HostError(
                f"port {port} of {LOOPBACK} to be free", error.strerror or str(error), "give --port another one"
            ) from error
