"""The client from outside, made for real where this user and this kernel can have one."""

import hashlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from runbook.system.certificates import tls
from runbook.system.host import network, outsider
from tests import chains
from tests.conftest import somebody_else
from tests.waiting import wait_for

ASK = (
    "import sys; from runbook.system.host import outsider; print(outsider.ask(sys.argv[1], int(sys.argv[2]), 'x.test'))"
)


@pytest.fixture
def address() -> str:
    """Give an address of this host; skip where this user or this kernel can have no client from outside."""
    found = network.default_address()
    try:
        outsider.ask(found, 9, "x.test")
    except outsider.UnaskedError as error:
        pytest.skip(str(error))
    return found


def cards() -> set[str]:
    """Return the network cards of this host that a client from outside may have."""
    return {name for name in psutil.net_if_addrs() if name.startswith("runbook")}


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, str]]:
    """Serve TLS at all addresses; give port and SHA-256 of the certificate."""
    chain = chains.issue("x.test")
    chains.write(folder / "pair.pem", tls.key_text(chain.key).decode() + chains.text(chain.server))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, suppress(OSError), context.wrap_socket(connection, server_side=True):
                    pass

    with socket.create_server(("", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        der = ssl.PEM_cert_to_DER_cert(chains.text(chain.server))
        yield listening.getsockname()[1], hashlib.sha256(der).hexdigest()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_ask_tells_which_certificate_is_served_and_leaves_no_trace(address: str, tmp_path: Path) -> None:
    """Fails if a server of this host is not reached from a namespace, or a network card stays."""
    passing = ("runbook", "veth", "br-")  # test hosts beside this test come and go
    before = {name for name in psutil.net_if_addrs() if not name.startswith(passing)}
    with serving(tmp_path) as (port, expected):
        assert outsider.ask(address, port, "x.test") == expected
    assert "refused" in outsider.ask(address, port, "x.test")
    assert f"runbook{os.getpid()}" not in cards()
    assert before <= {*psutil.net_if_addrs()}


def test_nothing_is_left_where_the_run_is_killed(address: str) -> None:
    """Fails if network card or client outlive a run that is killed while the client waits for an answer."""
    with socket.create_server(("", 0)) as silent:
        argv = (sys.executable, "-c", ASK, address, str(silent.getsockname()[1]))
        with subprocess.Popen(argv) as run:
            name = f"runbook{run.pid}"
            wait_for("the client's network card", lambda: name in cards())
            run.send_signal(signal.SIGKILL)
        wait_for("the client's network card to be gone", lambda: name not in cards())


def test_ask_says_why_nobody_can_be_asked(address: str) -> None:
    """Fails if a user who may make no network namespace is told that nobody answers."""
    with somebody_else(), pytest.raises(outsider.UnaskedError, match="only root"):
        outsider.ask(address, 9, "x.test")


def test_card_that_passes_nothing_on_is_named(address: str) -> None:
    """Fails if the setting of an interface that is off is not seen, or one that is on is."""
    found = [name for name, items in psutil.net_if_addrs().items() if address in [item.address for item in items]]
    is_off = outsider.forwarding_path(found[0]).read_text(encoding="ascii").strip() == "0"
    assert outsider.not_forwarding(address) == (found[0] if is_off else "")
    assert outsider.not_forwarding("203.0.113.77") == ""
