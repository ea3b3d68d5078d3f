"""The timer of a proof: the text of its units, and what is missing of it."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from runbook.changes.files import RemoveTree, WriteFile
from runbook.changes.timer import EnableTimer, RemoveTimer
from runbook.model.errors import HostError
from runbook.operations import proof_timer
from runbook.operations.proof_timer import FAILED, SERVICE, TIMER, TimerFacts
from runbook.system.host import systemd

COMMAND = ("/opt/run book/prove", "-p", "realm", 'a "b" 100% $HOME \\')
UNITS = proof_timer.render(COMMAND, calendar="daily", delay_minutes=15, on_failure=("/bin/tell", "x y"))
NOTHING = TimerFacts(texts=(), states=(), enabled=False)


def test_quoted_is_read_by_systemd_as_it_was_given() -> None:
    """Fails if a blank, a quote, a specifier or a variable in a word reaches the program changed."""
    assert proof_timer.quoted(COMMAND) == '"/opt/run book/prove" "-p" "realm" "a \\"b\\" 100%% $$HOME \\\\"'


def test_render_makes_units_that_systemd_verifies(tmp_path: Path) -> None:
    """Fails if systemd refuses or ignores a line, or the service has more rights than it says.

    Source: systemd-analyze(1), verify.
    """
    units = proof_timer.render(("/bin/true", "a b"), calendar="daily", delay_minutes=15, on_failure=("/bin/true",))
    paths = [tmp_path / path.name for path in units]
    for path, text in zip(paths, units.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, check=False
    )
    told = [line for line in (done.stdout + done.stderr).splitlines() if "registry-runbook" in line]
    assert told == []
    broken = tmp_path / SERVICE.name
    broken.write_text(units[SERVICE].replace("ProtectSystem=", "ProtectSytem="), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", broken], capture_output=True, text=True, check=False
    )
    assert "ProtectSytem" in done.stdout + done.stderr


def test_render_calls_the_command_after_a_failure_only_where_one_is_given() -> None:
    """Fails if a failure calls nobody, or a unit that is not there."""
    assert list(UNITS) == [SERVICE, TIMER, FAILED]
    assert f"OnFailure={FAILED.name}\n" in UNITS[SERVICE]
    assert 'ExecStart="/bin/tell" "x y"\n' in UNITS[FAILED]
    without = proof_timer.render(COMMAND, calendar="04:30", delay_minutes=15, on_failure=())
    assert list(without) == [SERVICE, TIMER]
    assert "OnFailure" not in without[SERVICE]
    assert "OnCalendar=04:30\nRandomizedDelaySec=15min\nPersistent=true\n" in without[TIMER]


def test_render_tries_again_only_where_the_proof_could_not_look() -> None:
    """Fails if the unit of a proof that met a run looks like that of one that does not hold, or is tried for ever."""
    assert "\nStartLimitIntervalSec=6h\nStartLimitBurst=3\n\n[Service]\n" in UNITS[SERVICE]
    assert "/bin/sh -c 'test \"$$(systemctl show -P ActiveState " in UNITS[FAILED]
    assert "\nRestart=on-failure\nRestartSec=10min\nRestartPreventExitStatus=1 2 130\n" in UNITS[SERVICE]


def test_plan_writes_what_differs_and_then_nothing() -> None:
    """Fails if the timer is installed twice, a changed unit stays, or one that nobody wants any more is left."""
    first = proof_timer.plan(UNITS, NOTHING)
    written = [WriteFile(path=path, before=None, after=text, mode=0o644) for path, text in UNITS.items()]
    assert [*written, EnableTimer(name=TIMER.name)] == first
    made = TimerFacts(texts=tuple(UNITS.items()), states=tuple((path, "ab") for path in UNITS), enabled=True)
    assert proof_timer.plan(UNITS, made) == []
    assert [EnableTimer(name=TIMER.name)] == proof_timer.plan(UNITS, replace(made, enabled=False))
    fewer = {SERVICE: UNITS[SERVICE], TIMER: UNITS[TIMER]}
    expected = [RemoveTree(path=FAILED, before="ab"), EnableTimer(name=TIMER.name)]
    assert expected == proof_timer.plan(fewer, made)


def test_plan_removal_takes_each_unit_as_it_was_seen() -> None:
    """Fails if a unit is left, or one is removed that was changed since."""
    assert proof_timer.plan_removal(()) == []
    expected = RemoveTimer(name=TIMER.name, paths=(SERVICE, TIMER), before=("a", "b"))
    assert [expected] == proof_timer.plan_removal(((SERVICE, "a"), (TIMER, "b")))


def test_gather_refuses_a_host_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if units are written where nobody reads them."""
    monkeypatch.setattr(systemd, "supervisor", lambda: "none")
    with pytest.raises(HostError, match="expected systemd, which starts the timer; found none on this host"):
        proof_timer.gather()


def test_refuse_calendar_takes_what_systemd_takes() -> None:
    """Fails if a timer is written that never fires, or a line more than the calendar."""
    proof_timer.refuse_calendar("Mon *-*-* 04:30")
    for wrong in ("dayly", "daily\nOnBootSec=1"):
        with pytest.raises(HostError, match="correct --on-calendar"):
            proof_timer.refuse_calendar(wrong)
