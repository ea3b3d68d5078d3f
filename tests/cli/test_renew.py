"""The command `renew`: when a certificate is due, and the gap. On a host: tests/hosts/test_renew.py."""

import datetime
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from runbook.cli import renew
from runbook.model.errors import HostError, MissingError
from runbook.model.parameters import Parameters, read
from runbook.system.certificates import tls
from tests import chains
from tests.conftest import without_engine
from tests.servers import running
from tests.waiting import wait_for


@pytest.fixture
def serving(make_parameters: Callable[..., Parameters]) -> Parameters:
    """Give parameters whose certificate lasts for 89 days more; nobody serves it."""
    parameters = make_parameters()
    chain = chains.issue("registry.test")
    parameters.certificate_path.parent.mkdir(parents=True)
    parameters.certificate_path.write_text(chains.text(chain.server), encoding="ascii")
    return parameters


def changed(parameters: Parameters, **values: object) -> Parameters:
    """Return the parameters with other values, checked."""
    return read({**parameters.model_dump(exclude_defaults=True), **values}, where="a test")


def test_certificate_is_due_within_renew_before_days(serving: Parameters, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a certificate is renewed too early, or one that is due is said to be good."""
    without_engine(monkeypatch)
    told = renew.not_due(changed(serving, renew_before_days=88), "none")
    tomorrow = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1) + datetime.timedelta(days=2)
    assert told == f"Nothing to renew: the certificate is valid for 89 more days, and due on {tomorrow:%Y-%m-%d}."
    with pytest.raises(HostError, match="nothing to change in 50-compose but the certificate"):
        renew.not_due(changed(serving, renew_before_days=90), "none")
    with pytest.raises(HostError, match="nothing to change in 55-nginx but the certificate"):
        renew.not_due(changed(serving, renew_before_days=90, proxy="nginx"), "none")


def test_renewal_that_was_cut_off_goes_on(serving: Parameters) -> None:
    """Fails if a certificate that was issued and never served stays so."""
    assert renew.not_due(serving, "SHA-256 00") == ""
    on_disk = tls.fingerprint(tls.require_certificate(serving.certificate_path))
    assert renew.not_due(serving, f"SHA-256 {on_disk}").startswith("Nothing to renew")


def test_certificate_of_ones_own_is_asked_for_days_before(
    serving: Parameters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if the operator hears of it on the day after, or of another file."""
    without_engine(monkeypatch)
    own = changed(
        serving,
        certificate_source="own",
        own_certificate_file=f"{tmp_path}/chain.pem",
        own_key_file=f"{tmp_path}/key.pem",
        renew_before_days=90,
    )
    with pytest.raises(HostError, match=f"a new certificate in {tmp_path}/chain.pem, since .* expires in 89 days"):
        renew.not_due(own, "none")
    assert renew.not_due(changed(own, renew_before_days=30), "none").startswith("Nothing to renew")


def test_renewal_before_a_certificate_is_refused(make_parameters: Callable[..., Parameters]) -> None:
    """Fails if it ends in a traceback, or without the notebook that issues one."""
    with pytest.raises(MissingError, match="run the notebook 30-certificates"):
        renew.not_due(make_parameters(), "none")


def test_restart_waits_for_a_moment_in_which_nobody_is_connected(
    make_parameters: Callable[..., Parameters], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if a pause within a push is taken for its end, a renewal waits for ever, or one behind nginx waits."""
    monkeypatch.setattr(renew, "_LOOK_SECONDS", 0)
    left = [2, 0, 0, 1, 0, 0, 0, 0, 0]
    assert renew.wait_until_quiet(make_parameters(), lambda _: left.pop(0)) == ""
    assert left == []
    told = renew.wait_until_quiet(make_parameters(), lambda _: 3, 0)
    assert told == "Somebody was connected for all of 0 s (3 connections): the registry restarts now."
    assert renew.wait_until_quiet(make_parameters(proxy="nginx"), lambda _: 3, 0) == ""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Ask for a login, as a registry does."""
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_gap_is_the_time_without_an_answer(tmp_path: Path) -> None:
    """Fails if a registry that goes away for a while is said to have answered, or one that stays to have a gap."""
    chain = chains.issue("localhost")
    pair = tmp_path / "pair.pem"
    pair.write_bytes(tls.key_text(chain.key) + tls.certificate_text(chain.server))

    def server(port: int = 0) -> HTTPServer:
        made = HTTPServer(("127.0.0.1", port), _Handler)
        made.socket = tls.server_context(pair).wrap_socket(made.socket, server_side=True)
        return made

    with running(server()) as port:
        parameters = Parameters.model_construct(domain="localhost", port=port)  # refused elsewhere: it is loopback
        assert renew.served(parameters) == f"SHA-256 {tls.fingerprint(chain.server)}"
        with renew.measured(parameters) as steady:
            wait_for("some answers", lambda: steady.probes > 2)
        assert (steady.seconds, str(steady)) == (0, f"The registry answered all the time ({steady.probes} requests).")
    with renew.measured(parameters) as gap:
        wait_for("a request without an answer", lambda: gap.probes > 1)
        with running(server(port)):
            before = gap.probes
            wait_for("answers again", lambda: gap.probes > before + 2)
    assert gap.seconds > 0
    assert str(gap).startswith(f"The registry did not answer for {gap.seconds:.1f} s;")
