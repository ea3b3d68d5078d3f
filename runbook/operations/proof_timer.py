"""The timer that repeats the proof: its systemd units, as wanted and as found on this host.

Source: systemd.service(5), systemd.timer(5), systemd.exec(5), systemd.syntax(7).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook.changes.base import Change
from runbook.changes.files import RemoveTree, WriteFile
from runbook.changes.timer import EnableTimer, RemoveTimer
from runbook.model.errors import HostError
from runbook.model.project import COMMAND
from runbook.system.host import commands, file_state, files, systemd

NAME = "registry-runbook-prove"
SERVICE, TIMER, FAILED = (systemd.UNITS / f"{NAME}{end}" for end in (".service", ".timer", "-failed.service"))
_HEADER = "# Made by registry-runbook; `registry-runbook prove --remove-timer` takes it away.\n"
# A proof gets only the rights that it needs: the engine's socket, iptables, the lock, the network, and a network
# namespace for its external client.
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
# If a proof could not check the registry, which its exit code shows, its unit is "activating (auto-restart)", and fails
# after the third attempt. A failed proof (1), wrong usage (2) and an interrupt (130) fail at once.
# Since systemd 254, OnFailure= units also start between two attempts: this one must not notify anybody then.
_ATTEMPTS = "StartLimitIntervalSec=6h\nStartLimitBurst=3\n"
_CONDITION = f"ExecCondition=/bin/sh -c 'test \"$$(systemctl show -P ActiveState {SERVICE.name})\" != activating'\n"
_RESTART = "Restart=on-failure\nRestartSec=10min\nRestartPreventExitStatus=1 2 130\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class TimerFacts:
    """The timer's current state: text and fingerprint of each existing unit, and whether it is enabled at boot."""

    texts: tuple[tuple[Path, str], ...]
    states: tuple[tuple[Path, str], ...]
    enabled: bool

    def text(self, path: Path) -> str | None:
        """Return the text of a unit, None if it does not exist."""
        return dict(self.texts).get(path)


def gather() -> TimerFacts:
    """Return the facts; raises HostError on a host without systemd."""
    if systemd.supervisor() != "systemd":
        remedy = f"let another scheduler run `{COMMAND} prove`, whose exit code tells; see {NAME} in the docs"
        raise HostError("systemd, which starts the timer", "none on this host", remedy)
    enabled = systemd.is_enabled(TIMER.name)
    texts = tuple((path, text) for path in (SERVICE, TIMER, FAILED) if (text := files.read_text(path)) is not None)
    return TimerFacts(texts=texts, states=states(), enabled=enabled)


def render(
    command: Sequence[str], *, before: Sequence[str] = (), calendar: str, delay_minutes: int, on_failure: Sequence[str]
) -> dict[Path, str]:
    """Return the text of each unit: the service that runs `command`, its timer, and the unit for a failure.

    `before` runs first, if it is given, with all rights; if it fails, `command` runs nevertheless.
    `calendar` is in the format of systemd.time(7). The timer adds a random delay of up to `delay_minutes`, to spread
    the load of several hosts. `on_failure` is a command, run without a shell; if it is empty, there is no third unit.
    """
    follows = f"OnFailure={FAILED.name}\n" if on_failure else ""
    first = f"ExecStartPre=-+{quoted(before)}\n" if before else ""
    service = (
        f"{_HEADER}[Unit]\nDescription=Prove the private registry again\nAfter=docker.service network-online.target\n"
        f"Wants=network-online.target\n{follows}{_ATTEMPTS}\n"
        f"[Service]\nType=oneshot\n{first}ExecStart={quoted(command)}\n"
        f"TimeoutStartSec=30min\nNice=10\n{_RESTART}{_HARDENED}"
    )
    timer = (
        f"{_HEADER}[Unit]\nDescription=Prove the private registry again and again\n\n"
        f"[Timer]\nOnCalendar={calendar}\nRandomizedDelaySec={delay_minutes}min\nPersistent=true\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )
    failed = (
        f"{_HEADER}[Unit]\nDescription=Tell that the private registry is not as proven\n\n"
        f"[Service]\nType=oneshot\n{_CONDITION}ExecStart={quoted(on_failure)}\n"
    )
    return {SERVICE: service, TIMER: timer} | ({FAILED: failed} if on_failure else {})


def quoted(command: Sequence[str]) -> str:
    """Return a command for a unit: each word is quoted, and nothing in it is expanded (systemd.syntax(7))."""
    escapes = str.maketrans({"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$", "\n": "\\n"})
    return " ".join(f'"{word.translate(escapes)}"' for word in command)


def plan(wanted: dict[Path, str], facts: TimerFacts) -> list[Change]:
    """Return the changes that write the wanted units and start the timer; empty if there are none."""
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
    """Return the existing units, each with the fingerprint that shows a later change."""
    return tuple(
        (path, state) for path in (SERVICE, TIMER, FAILED) if (state := file_state.fingerprint(path)) is not None
    )


def plan_removal(found: Sequence[tuple[Path, str]]) -> list[Change]:
    """Return the change that removes the `found` units; empty if there are none."""
    paths, before = tuple(path for path, _ in found), tuple(state for _, state in found)
    return [RemoveTimer(name=TIMER.name, paths=paths, before=before)] if found else []


def refuse_calendar(calendar: str) -> None:
    """Raise HostError if systemd rejects a calendar."""
    done = commands.run("systemd-analyze", "calendar", calendar, allowed=None)
    if done.code != 0:
        raise HostError("a calendar of systemd.time(7), such as daily or 04:30", done.text, "correct --on-calendar")
