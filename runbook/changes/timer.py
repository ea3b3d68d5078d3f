"""Changes to the timer that repeats the proof."""

from dataclasses import dataclass
from pathlib import Path

from runbook.changes import ledger, shell
from runbook.changes.base import Change
from runbook.changes.made import Thing
from runbook.system.host import file_state, files, systemd


@dataclass(frozen=True, kw_only=True, slots=True)
class EnableTimer(Change):
    """Make systemd read a timer's units and start the timer now and at boot."""

    name: str

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"start {self.name} now and at boot (systemctl enable, restart)"

    def things(self) -> tuple[Thing, ...]:
        """Return the timer."""
        return (Thing(kind="timer", name=self.name),)

    def check_target(self) -> None:
        """Raise HostError if no unit can be written."""
        files.require_writable(systemd.UNITS)

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return f"systemctl daemon-reload && systemctl enable --now {self.name}"

    def make(self, _timeout_seconds: float, /) -> None:
        """Start the timer."""
        systemd.start_timer(self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoveTimer(Change):
    """Stop a systemd timer and remove its units."""

    name: str
    paths: tuple[Path, ...]
    before: tuple[str, ...]

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"stop {self.name}, and remove {', '.join(map(str, self.paths))}"

    def check_target(self) -> None:
        """Raise HostError if no unit can be removed."""
        files.require_writable(systemd.UNITS)

    def refuse_drift(self) -> None:
        """Raise ChangedError if a unit has changed since the plan, other than by removal."""
        for path, before in zip(self.paths, self.before, strict=True):
            file_state.refuse_changed_unless_gone(path, before)

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        remove = shell.command("rm", *self.paths)
        return f"systemctl disable --now {self.name} && {remove} && systemctl daemon-reload"

    def make(self, _timeout_seconds: float, /) -> None:
        """Stop the timer and remove its units and their ledger entries."""
        systemd.stop_timer(self.name)
        for path in self.paths:
            files.remove_tree(path)
        systemd.forget(self.name)
        ledger.drop_paths(*self.paths, Path(self.name))
