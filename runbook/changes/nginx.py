"""Changes of the runbook's site of nginx."""

from dataclasses import dataclass

from runbook.changes import ledger, shell
from runbook.changes.base import FileChange, diff
from runbook.changes.made import Thing
from runbook.model.errors import RunbookError
from runbook.system import nginx
from runbook.system.host import file_state, files
from runbook.system.host.systemd import Supervisor


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigureNginx(FileChange):
    """Write the runbook's site of nginx, and let nginx read it: tested first, started where it does not run.

    nginx must then serve the certificate of this fingerprint for `domain` at `served_at` (ADDRESS:PORT), or the file is
    put back as it was.
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
        written = "" if self.before == self.after else f"{'write' if self.before is None else 'change'} {self.path}, "
        return f"{written}test nginx's configuration, and let nginx read it ({self.reason}; its other sites stay)"

    def detail(self) -> str:
        """Return the change of text as a unified diff."""
        return diff(self.path, self.before, self.after)

    def needs_root(self) -> bool:
        """Return True: nginx is reloaded."""
        return True

    def things(self) -> tuple[Thing, ...]:
        """Return the site, and nginx's unit."""
        return (Thing(kind="site", name=str(self.path)), Thing(kind="unit", name="nginx.service"))

    def by_hand(self) -> str:
        """Return the commands for it."""
        written = "" if self.before == self.after else shell.write(self.path, self.after, 0o644)
        read = "reload-or-restart" if self.supervisor == "systemd" else "restart"
        return shell.lines(written, f"nginx -t && {shell.service(self.supervisor, read, 'nginx')}")

    def make(self, timeout_seconds: float, /) -> str:
        """Write the site and let nginx read it; put the earlier one back where nginx refuses it."""
        file_state.refuse_changed(self.path, files.read_text(self.path), self.before)
        served = nginx.Served(domain=self.domain, address=self.served_at, fingerprint=self.fingerprint)
        try:
            if self.after != self.before:  # marked until nginx has read it: a run that was cut off is then seen
                files.write(self.path, f"{self.after}{nginx.UNREAD}".encode(), 0o644)
            nginx.load(self.supervisor, served, timeout_seconds)
        except RunbookError as error:
            raise nginx.put_back(self.path, self.before, error) from error
        if self.after != self.before:
            files.write(self.path, self.after.encode(), 0o644)
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoveSite(FileChange):
    """Remove the runbook's site of nginx, and let nginx read that; `frees_port` is one that nginx must then leave."""

    before: str
    frees_port: int | None

    def __str__(self) -> str:
        """Return the change in one line."""
        freed = "" if self.frees_port is None else f", which must leave port {self.frees_port}"
        return f"remove {self.path} and reload nginx{freed} (its other sites stay)"

    def needs_root(self) -> bool:
        """Return True: nginx is reloaded."""
        return True

    def things(self) -> tuple[Thing, ...]:
        """Return nothing: it leaves nothing to undo."""
        return ()

    def check_place(self) -> None:
        """Raise HostError where the site cannot be removed."""
        files.require_own_way(self.path)
        files.require_writable(self.path)

    def by_hand(self) -> str:
        """Return the commands for it."""
        return f"{shell.command('rm', self.path)} && nginx -s reload"

    def make(self, timeout_seconds: float, /) -> str:
        """Remove the site, and its entry in the ledger."""
        nginx.remove(self.path, self.before, self.frees_port, timeout_seconds)
        ledger.drop_paths(self.path)
        return ""
