"""Changes to the runbook's nginx site."""

from dataclasses import dataclass

from runbook.changes import ledger, shell
from runbook.changes.base import FileChange, Removal, diff
from runbook.changes.made import Thing
from runbook.model.errors import RunbookError
from runbook.system import nginx
from runbook.system.host import file_state, files
from runbook.system.host.systemd import Supervisor


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigureNginx(FileChange):
    """Write the runbook's nginx site, test the configuration, and reload nginx, or start it if it is not running.

    nginx must then serve the certificate with this fingerprint for `domain` at `served_at` (ADDRESS:PORT). Otherwise
    the earlier file is restored.
    """

    before: str | None
    after: str
    supervisor: Supervisor
    domain: str
    served_at: str
    fingerprint: str
    reason: str

    def __str__(self) -> str:
        """Return the change in one line."""
        writing = ""
        if self.before != self.after:
            writing = f"write {self.path}, " if self.before is None else f"change {self.path}, "
        return f"{writing}test nginx's configuration, and let nginx read it ({self.reason}; its other sites stay)"

    def detail(self) -> str:
        """Return the unified diff of the site."""
        return diff(self.path, self.before, self.after)

    def needs_root(self) -> bool:
        """Return True: it reloads nginx."""
        return True

    def things(self) -> tuple[Thing, ...]:
        """Return the site and nginx's unit."""
        return (Thing(kind="site", name=str(self.path)), Thing(kind="unit", name="nginx.service"))

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        write = "" if self.before == self.after else shell.write(self.path, self.after, 0o644)
        verb = "reload-or-restart" if self.supervisor == "systemd" else "restart"
        return shell.lines(write, f"nginx -t && {shell.service(self.supervisor, verb, 'nginx')}")

    def make(self, timeout_seconds: float, /) -> None:
        """Write the site and reload nginx; restore the earlier site if nginx rejects it."""
        file_state.refuse_changed(self.path, files.read_text(self.path), self.before)
        served = nginx.Served(domain=self.domain, address=self.served_at, fingerprint=self.fingerprint)
        try:
            if self.after != self.before:  # marked until nginx has read it, to detect an interrupted run
                files.write(self.path, f"{self.after}{nginx.UNREAD}".encode(), 0o644)
            nginx.load(self.supervisor, served, timeout_seconds)
        except RunbookError as error:
            raise nginx.put_back(self.path, self.before, error) from error
        if self.after != self.before:
            files.write(self.path, self.after.encode(), 0o644)


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoveSite(Removal):
    """Remove the runbook's nginx site and reload nginx, which must then release `frees_port`, if given."""

    before: str
    frees_port: int | None

    def __str__(self) -> str:
        """Return the change in one line."""
        freed = "" if self.frees_port is None else f", which must leave port {self.frees_port}"
        return f"remove {self.path} and reload nginx{freed} (its other sites stay)"

    def needs_root(self) -> bool:
        """Return True: it reloads nginx."""
        return True

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return f"{shell.command('rm', self.path)} && nginx -s reload"

    def make(self, timeout_seconds: float, /) -> None:
        """Remove the site and its ledger entry."""
        nginx.remove(self.path, self.before, self.frees_port, timeout_seconds)
        ledger.drop_paths(self.path)
