"""60-push-pull: a proof, which changes nothing."""

import datetime

import pytest

from runbook.model.parameters import Parameters
from runbook.sections import push_pull
from runbook.sections.push_pull import PushPullFacts
from runbook.system.certificates import tls
from runbook.system.registry.api import Answer
from tests import chains


@pytest.mark.parametrize("delete_enabled", [True, False])
def test_plan_changes_nothing(*, delete_enabled: bool) -> None:
    """Fails if the proof would leave the host or the registry other than it found them."""
    assert push_pull.plan(Parameters(delete_enabled=delete_enabled), PushPullFacts(container="registry-1")) == []


def test_is_made_looks_at_the_container() -> None:
    """Fails if what does not run counts as proven."""
    found = [push_pull.is_made(PushPullFacts(container=name)) for name in ("registry-1", "")]
    assert found == [True, False]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        pytest.param(b"ours", "Hostname mismatch", id="the-registry-s-certificate"),
        pytest.param(b"theirs", "certificate verify failed", id="another-site-s-certificate"),
    ],
)
def test_refusal_of_another_name_follows_the_certificate_served_there(other: bytes, expected: str) -> None:
    """Fails if the proof fails beside another site of nginx, or takes any refusal where only the registry answers."""
    named, asked = (Answer(status=401, server_certificate=certificate) for certificate in (b"ours", other))
    assert expected == push_pull.refusal_of_another_name(named, asked)


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        pytest.param(("192.168.1.2",), "certificate signed by unknown authority", id="address-in-it"),
        pytest.param(("127.0.0.1",), "not 192.168.1.2", id="another-address-in-it"),
        pytest.param((), "doesn't contain any IP SANs", id="no-address-in-it"),
    ],
)
def test_refusal_at_is_what_the_engine_says(addresses: tuple[str, ...], expected: str) -> None:
    """Fails if a certificate that is not for this host's address makes the proof fail, though it is refused there."""
    served = tls.describe(chains.issue("registry.test", addresses=addresses).server)
    assert expected == push_pull.refusal_at("192.168.1.2", served, served.not_before)
    late = served.not_after + datetime.timedelta(seconds=1)
    assert push_pull.refusal_at("192.168.1.2", served, late) == "certificate has expired or is not yet valid"
