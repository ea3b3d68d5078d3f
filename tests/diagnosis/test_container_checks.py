"""Checks of what the engine says of the container."""

import pytest

from runbook.diagnosis import container_checks
from runbook.diagnosis.situation import look

from .situations import situation


@pytest.mark.parametrize(
    ("user", "confirmed"), [("", False), ("root", False), ("0:0", False), ("1000", True), ("registry", True)]
)
def test_mounts_may_be_closed_to_the_container_s_user(user: str, *, confirmed: bool) -> None:
    """Fails if a container that does not run as root is not named, or one that does is."""
    found = look(container_checks.mount_not_readable, situation(inspected={"Config": {"User": user}}))
    assert found.confirmed is confirmed
