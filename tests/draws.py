"""What decides the draws of a session: one seed for all samples, and whether long matrices are tried whole.

Both come from options of pytest (`tests/conftest.py`), which hands them to its workers through the environment.
"""

import os
import random
from collections.abc import Sequence
from typing import TypeVar

Choice = TypeVar("Choice")
ALL_VARIABLE, SEED_VARIABLE = "RUNBOOK_TEST_ALL", "RUNBOOK_TEST_SEED"


def tries_all() -> bool:
    """Return whether long matrices are tried whole, and not samples of them; known once pytest has its options."""
    return os.environ[ALL_VARIABLE] == "1"


def count_examples() -> int:
    """Return how many examples a property is tried with, where its test says nothing else."""
    return 400 if tries_all() else 40


def choose_seed() -> str:
    """Return a new seed."""
    return str(random.SystemRandom().randrange(10**6))


def source(*of: str) -> random.Random:
    """Return a source of samples that the session's seed decides, and what the samples are of."""
    return random.Random(" ".join((os.environ[SEED_VARIABLE], *of)))  # noqa: S311 (no secret)


def one_of(choices: Sequence[Choice], of: str) -> list[Choice]:
    """Return one of the choices, which the session's seed and what they are `of` decide; all where all are tried."""
    return list(choices) if tries_all() else [source(of).choice(choices)]
