"""Checks of config.yml, and of what overrides it."""

import pytest

from runbook.diagnosis import configuration_checks
from runbook.diagnosis.situation import look

from .situations import container, situation


@pytest.mark.parametrize(
    ("variable", "confirmed"),
    [
        ("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=true", True),
        ('REGISTRY_STORAGE_MAINTENANCE_READONLY={"enabled": true}', True),
        ("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=false", False),
        ('REGISTRY_STORAGE_MAINTENANCE_READONLY={"enabled":false}', False),
        ("REGISTRY_HTTP_ADDR=true", False),
    ],
)
def test_read_only_mode_is_what_the_environment_sets(variable: str, *, confirmed: bool) -> None:
    """Fails if a registry that takes pushes is said to be read-only since the setting's name is there."""
    found = look(
        configuration_checks.read_only_mode,
        situation(containers=[container(environment=(variable,))], configuration={}),
    )
    assert found.confirmed is confirmed
