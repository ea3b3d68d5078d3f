"""60-push-pull: a proof, which changes nothing."""

from pathlib import Path

import pytest

from runbook.parameters import Parameters
from runbook.sections import push_pull
from runbook.sections.push_pull import PushPullFacts


@pytest.mark.parametrize("delete_enabled", [True, False])
def test_plan_changes_nothing(tmp_path: Path, *, delete_enabled: bool) -> None:
    """Fails if the proof would leave the host or the registry other than it found them."""
    assert push_pull.plan(Parameters(delete_enabled=delete_enabled), PushPullFacts(data=tmp_path)) == []


def test_is_made_looks_at_the_storage(tmp_path: Path) -> None:
    """Fails if a registry without its storage counts as one that was proven."""
    found = [push_pull.is_made(PushPullFacts(data=path)) for path in (tmp_path, tmp_path / "absent")]
    assert found == [True, False]
