"""A host as a check sees it, with what a test knows of it."""

from runbook.diagnosis.situation import Situation
from runbook.model.parameters import Parameters


def situation(message: str = "", **known: object) -> Situation:
    """Return this host as a check sees it, with what a test knows of it in place of what would be looked for."""
    found = Situation(Parameters(), message=message)
    vars(found).update(known)
    return found
