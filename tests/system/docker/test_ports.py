"""Who holds a port: the process, or the container behind the process of its engine."""

import os
import re
import socket

import pytest

from runbook.system.docker import ports
from runbook.system.host.network import Listener
from tests.conftest import without_engine

OTHER = " (pid 7), for a container or service of its engine,"


@pytest.mark.parametrize(
    ("process", "containers", "who", "how"),
    [
        pytest.param("python3", {}, "python3 (pid 7)", "stop it", id="process"),
        pytest.param("python3", {80: "web"}, "python3 (pid 7)", "stop it", id="container-on-another-port"),
        pytest.param("python3", {443: "web"}, "the container web", "stop it (`docker stop web`)", id="host-network"),
        pytest.param("docker-proxy", {443: "web"}, "the container web", "stop it (`docker stop web`)", id="container"),
        pytest.param("docker-proxy", {}, OTHER, "`docker ps --filter publish=443`), stop it", id="other-engine"),
        pytest.param("dockerd", {}, OTHER, "`docker ps --filter publish=443`), stop it", id="engine-without-proxy"),
    ],
)
def test_holder_is_never_a_process_of_the_engine(process: str, containers: dict[int, str], who: str, how: str) -> None:
    """Fails if somebody is told to stop docker-proxy, or the engine, for a port that one of its containers has."""
    found = ports.holder(Listener(port=443, process=process, pid=7), containers)
    assert found[0].removeprefix(process if who is OTHER else "") == who
    assert found[1].endswith(how)


def test_holder_of_names_the_process_behind_the_engine_s_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if an operator is told that a port is taken, and not by whom; or of a port that nobody spoke of."""
    without_engine(monkeypatch)
    allocated = "Bind for 0.0.0.0:{} failed: port is already allocated"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # so that no other process gets it before it listens
        port = taken.getsockname()[1]
        assert ports.holder_of(allocated.format(port)) == (f"; nobody any more listens on port {port}", "")
        taken.listen()
        for said in (
            f"Error starting userland proxy: listen tcp4 0.0.0.0:{port}: bind: address already in use",
            allocated.format(port),
        ):
            who, how = ports.holder_of(said)
            assert re.fullmatch(rf"; \S+ \(pid {os.getpid()}\) listens on port {port}", who)
            assert how == "stop it; "
    assert ports.holder_of(f"dial tcp 127.0.0.1:{port}: connect: connection refused") == ("", "")
