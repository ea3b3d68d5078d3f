"""The command `prove`: what it prints, and what it takes for a command to call."""

from pathlib import Path

import pytest

from runbook.cli import prove
from runbook.model.errors import HostError
from runbook.model.results import refused, works

GOOD = works("a login", expected=200, found=200, remedy="none")
BAD = refused("no login", expected=401, found=200, remedy="look at auth")


def test_table_shows_below_what_fails_and_nothing_of_what_holds() -> None:
    """Fails if somebody who reads a journal does not learn what was expected, found, and what to do."""
    table = prove.table({"50-compose": [GOOD], "60-push-pull": [BAD]})
    assert table.rows == (
        ("50-compose", "a login", "works", "200", "passed"),
        ("60-push-pull", "no login", "refused", "200", "FAILED"),
    )
    told = "\n60-push-pull, no login:\n  expected 401\n  found 200\n  To repair: look at auth"
    assert (told,) == table.details


def test_command_of_splits_as_a_shell_and_runs_none() -> None:
    """Fails if a word is expanded, torn apart, or a program is called that is not there."""
    assert prove.command_of("/bin/sh -c 'echo $HOME; x'") == ("/bin/sh", "-c", "echo $HOME; x")
    assert Path(prove.command_of("true")[0]).is_absolute()
    for wrong in ("", "no-such-program", "true 'x"):
        with pytest.raises(HostError, match="--on-failure"):
            prove.command_of(wrong)
