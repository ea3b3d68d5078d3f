"""Changes to this host's firewall."""

from dataclasses import dataclass

from runbook.changes import shell
from runbook.changes.base import Change
from runbook.changes.made import Thing
from runbook.system.host import firewalld


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenPort(Change):
    """Open a TCP port in a zone of firewalld, now and after its restart."""

    zone: str
    port: int

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"open port {self.port} in firewalld's zone {self.zone}, for clients on other hosts"

    def things(self) -> tuple[Thing, ...]:
        """Return the port."""
        return (Thing(kind="firewall port", name=f"{self.zone} {self.port}"),)

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return shell.lines(*(shell.command(*argv) for argv in firewalld.commands_for("add", self.zone, self.port)))

    def make(self, _timeout_seconds: float, /) -> None:
        """Open the port."""
        firewalld.set_port("add", self.zone, self.port)
