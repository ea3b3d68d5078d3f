"""The timer that proves the registry again: units of systemd, as text and as this host has them.

Source: systemd.service(5), systemd.timer(5), systemd.exec(5), systemd.syntax(7).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook.changes.base import Change
from runbook.changes.files import RemoveTree, WriteFile
from runbook.changes.timer import EnableTimer, RemoveTimer
from runbook.model.errors import HostError
from runbook.system.host import commands, file_state, files, systemd

NAME = "registry-runbook-prove"
SERVICE, TIMER, FAILED = (systemd.UNITS / f"{NAME}{end}" for end in (".service", ".timer", "-failed.service"))
_HEADER = "# Made by registry-runbook; `registry-runbook prove --remove-timer` takes it away.\n"
# What a proof needs not, it must not have. It does need the engine's socket, iptables, the lock, the
# network, and a network namespace for its client from outside.
_HARDENED = """\
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=/run
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=net
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
"""
# A proof that could not look, as its exit code says, is neither good nor bad: its unit is "activating (auto-restart)",
# and fails only after the third time. One that does not hold (1), wrong usage (2) and an interrupt (130) fail at once.
# Since systemd 254, what follows a failure is started between two tries too: it must not call anybody then.
_TRIES = "StartLimitIntervalSec=6h\nStartLimitBurst=3\n"
_CALLED = f"ExecCondition=/bin/sh -c 'test \"$$(systemctl show -P ActiveState {SERVICE.name})\" != activating'\n"
_AGAIN = "Restart=on-failure\nRestartSec=10min\nRestartPreventExitStatus=1 2 130\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class TimerFacts:
    """How the timer is now: text and state of each unit that is there, and whether systemd starts it at boot."""

    texts: tuple[tuple[Path, str], ...]
    states: tuple[tuple[Path, str], ...]
    enabled: bool

    def text(self, path: Path) -> str | None:
        """Return the text of a unit, None where it is not there."""
        return dict(self.texts).get(path)


def gather() -> TimerFacts:
    """Return the facts; raises HostError on a host without systemd."""
    if systemd.supervisor() != "systemd":
        remedy = f"let another scheduler run `registry-runbook prove`, whose exit code tells; see {NAME} in the docs"
        raise HostError("systemd, which starts the timer", "none on this host", remedy)
    enabled = systemd.is_enabled(TIMER.name)
    texts = tuple((path, text) for path in (SERVICE, TIMER, FAILED) if (text := files.read_text(path)) is not None)
    return TimerFacts(texts=texts, states=states(), enabled=enabled)


def render(command: Sequence[str], *, calendar: str, delay_minutes: int, on_failure: Sequence[str]) -> dict[Path, str]:
    """Return the text of each unit: the service that runs `command`, its timer, and what follows a failure.

    `calendar` is of the form of systemd.time(7); the timer waits up to `delay_minutes` more, so that not all hosts ask
    at once. `on_failure` is a command of its own, run by no shell; without it, there is no third unit.
    """
    follows = f"OnFailure={FAILED.name}\n" if on_failure else ""
    service = (
        f"{_HEADER}[Unit]\nDescription=Prove the private registry again\nAfter=docker.service network-online.target\n"
        f"Wants=network-online.target\n{follows}{_TRIES}\n"
        f"[Service]\nType=oneshot\nExecStart={quoted(command)}\n"
        f"TimeoutStartSec=30min\nNice=10\n{_AGAIN}{_HARDENED}"
    )
    timer = (
        f"{_HEADER}[Unit]\nDescription=Prove the private registry again and again\n\n"
        f"[Timer]\nOnCalendar={calendar}\nRandomizedDelaySec={delay_minutes}min\nPersistent=true\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )
    failed = (
        f"{_HEADER}[Unit]\nDescription=Tell that the private registry is not as proven\n\n"
        f"[Service]\nType=oneshot\n{_CALLED}ExecStart={quoted(on_failure)}\n"
    )
    return {SERVICE: service, TIMER: timer} | ({FAILED: failed} if on_failure else {})


def quoted(command: Sequence[str]) -> str:
    """Return a command as systemd reads it: each word in quotes, nothing in it expanded (systemd.syntax(7))."""
    return " ".join(f'"{_plain(word)}"' for word in command)


def _plain(text: str) -> str:
    for special, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$"), ("\n", "\\n")):
        text = text.replace(special, written)
    return text


def plan(wanted: dict[Path, str], facts: TimerFacts) -> list[Change]:
    """Return what makes the units as wanted and starts the timer; empty where they are."""
    changes: list[Change] = [
        WriteFile(path=path, before=facts.text(path), after=text, mode=0o644)
        for path, text in wanted.items()
        if facts.text(path) != text
    ]
    changes += [RemoveTree(path=path, before=state) for path, state in facts.states if path not in wanted]
    if changes or not facts.enabled:
        changes.append(EnableTimer(name=TIMER.name))
    return changes


def states() -> tuple[tuple[Path, str], ...]:
    """Return the units that are there, each with what tells whether it changes later."""
    return tuple((path, state) for path in (SERVICE, TIMER, FAILED) if (state := file_state.state(path)) is not None)


def plan_removal(found: Sequence[tuple[Path, str]]) -> list[Change]:
    """Return what takes the units away that were `found`; empty where none was."""
    paths, before = tuple(path for path, _ in found), tuple(state for _, state in found)
    return [RemoveTimer(name=TIMER.name, paths=paths, before=before)] if found else []


def refuse_calendar(calendar: str) -> None:
    """Raise HostError where systemd does not understand a calendar."""
    done = commands.run("systemd-analyze", "calendar", calendar, allowed=None)
    if done.code != 0:
        raise HostError("a calendar of systemd.time(7), such as daily or 04:30", done.said, "correct --on-calendar")
