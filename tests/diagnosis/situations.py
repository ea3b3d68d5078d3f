"""A host as a check sees it, with what a test knows of it."""

import datetime

from runbook.diagnosis.situation import Situation
from runbook.model.parameters import Parameters
from runbook.system.docker.engine import ContainerFacts


def situation(message: str = "", **known: object) -> Situation:
    """Return this host as a check sees it, with what a test knows of it in place of what would be looked for."""
    found = Situation(Parameters(), message=message)
    vars(found).update(known)
    return found


def container(**known: object) -> ContainerFacts:
    """Return the registry's container as the engine would describe it, with what a test knows of it."""
    facts: dict[str, object] = {
        "name": "registry-registry-1",
        "image_id": "sha256:0",
        "running": True,
        "started": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        "restart_policy": "always",
        "publish": (("0.0.0.0", 443, 443),),  # noqa: S104 (as the engine gives it)
        "binds": (),
        "volumes": (),
        "labels": (),
        "environment": (),
    }
    return ContainerFacts(**(facts | known))  # type: ignore[arg-type] # the test names the fields
