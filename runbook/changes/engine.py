"""Changes to the engine: packages, start, configuration, and the kernel setting that it needs."""

from dataclasses import dataclass
from pathlib import Path

from runbook.changes import ledger, shell
from runbook.changes.base import Change, FileChange, diff, file_at
from runbook.changes.made import Thing
from runbook.system.docker import daemon_json, engine, reload
from runbook.system.docker.reload import Registries
from runbook.system.host import file_state, files, network, packages
from runbook.system.host.systemd import Supervisor

_PACKAGE_FOLDERS = (Path("/etc"), Path("/usr"), Path("/var/lib/dpkg"))


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallPackages(Change):
    """Install packages of the distribution, without recommended ones."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"install the packages {', '.join(self.names)}"

    def check_target(self) -> None:
        """Raise HostError if apt could not write."""
        for folder in _PACKAGE_FOLDERS:
            files.require_writable(folder)

    def enter(self, timeout_seconds: float) -> tuple[ledger.Entry, ...]:
        """Enter what apt would install, which is known only after an update of its lists."""
        packages.update()
        new = packages.would_install(self.names)
        if not new:
            return ()
        of_engine = _made_by_engine() if "docker.io" in new else ()
        installed = Thing(kind="packages", name=" ".join(new), belongs="packages")
        return ledger.enter((*of_engine, installed), timeout_seconds)

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        options = ("-y", "--no-remove", "--no-install-recommends")
        return f"apt-get update && {shell.command('apt-get', 'install', *options, *self.names)}"

    def make(self, _timeout_seconds: float, /) -> None:
        """Install the packages."""
        packages.install(self.names)


def _made_by_engine() -> tuple[Thing, ...]:
    """Return what an engine creates outside its package: removing the package leaves it."""
    folders = [Thing(kind="folder", name=str(folder), belongs="packages") for folder in engine.FOLDERS]
    key = Thing(kind="file", name=str(engine.KEY_FILE), belongs="packages")
    log = Thing(kind="file", name=str(engine.PROCESS_LOG), belongs="packages")
    return (*folders, key, log, Thing(kind="group", name=engine.GROUP, belongs="packages"))


@dataclass(frozen=True, kw_only=True, slots=True)
class StartEngine(Change):
    """Start the Docker Engine and wait until it responds."""

    supervisor: Supervisor

    def __str__(self) -> str:
        """Return the change in one line."""
        if self.supervisor == "systemd":
            return "start the engine (systemctl start docker)"
        return "start the engine by its init script or, where that fails, as a process; it will not come back at boot"

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return shell.service(self.supervisor, "start", "docker")

    def make(self, timeout_seconds: float, /) -> None:
        """Start the engine."""
        engine.start(self.supervisor, timeout_seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnableEngine(Change):
    """Make systemd start the engine at boot."""

    def __str__(self) -> str:
        """Return the change in one line."""
        return "enable the engine at boot (systemctl enable docker)"

    def things(self) -> tuple[Thing, ...]:
        """Return the engine's unit."""
        return (Thing(kind="unit", name="docker.service"),)

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return "systemctl enable docker"

    def make(self, _timeout_seconds: float, /) -> None:
        """Enable the unit."""
        engine.enable()


@dataclass(frozen=True, kw_only=True, slots=True)
class RestartEngine(Change):
    """Restart the engine; `stops` are the running containers that stop with it."""

    supervisor: Supervisor
    reason: str
    stops: tuple[str, ...]

    def __str__(self) -> str:
        """Return the change in one line."""
        stopped = f"stops {', '.join(self.stops)}" if self.stops else "no container is running"
        return f"restart the engine: {self.reason} ({stopped})"

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return shell.service(self.supervisor, "restart", "docker")

    def make(self, timeout_seconds: float, /) -> None:
        """Restart the engine."""
        engine.restart(self.supervisor, timeout_seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class SetKernel(Change):
    """Set one kernel setting; `before` is None if the kernel lacks it."""

    name: str
    before: int | None
    after: int

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"set {self.name} from {self.before} to {self.after} in the running kernel"

    def things(self) -> tuple[Thing, ...]:
        """Return the setting."""
        return (Thing(kind="kernel setting", name=self.name),)

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return shell.command("sysctl", "-w", f"{self.name}={self.after}")

    def make(self, _timeout_seconds: float, /) -> None:
        """Write the setting."""
        network.write_setting(self.name, self.after)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigureEngine(FileChange):
    """Write daemon.json and reload the running engine; if the texts are equal, only reload.

    The engine must then list all registries and mirrors. Otherwise the earlier file is restored. Neither text holds
    possible secrets of the file: the registries are merged into the file itself.
    """

    before: str | None
    after: str
    supervisor: Supervisor
    insecure_registries: tuple[str, ...]
    registry_mirrors: tuple[str, ...]

    def __str__(self) -> str:
        """Return the change in one line."""
        parts = []
        if self.insecure_registries:
            parts.append(f"plain HTTP for {', '.join(self.insecure_registries)}")
        if self.registry_mirrors:
            parts.append(f"mirrors {', '.join(self.registry_mirrors)}")
        if self.before == self.after:
            action = f"reload the engine, which does not know yet what is in {self.path}"
        elif self.before is None:
            action = f"write {self.path} and reload the engine"
        else:
            action = f"change {self.path} (the earlier version is kept beside it) and reload the engine"
        return f"{action}: {'; '.join(parts)} (no container stops)"

    def detail(self) -> str:
        """Return the unified diff of the text."""
        return diff(self.path, self.before, self.after)

    def needs_root(self) -> bool:
        """Return True: it reloads the engine."""
        return True

    def things(self) -> tuple[Thing, ...]:
        """Return the file, after its backup if there is one."""
        if self.before == self.after:
            return ()
        backup = file_at(files.backup_path(self.path)) if self.before is not None else ()
        return (*backup, Thing(kind="engine file", name=str(self.path)))

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        write = ""
        if self.before is None:
            write = shell.write(self.path, self.after, 0o644)
        elif self.before != self.after:
            edit = f"# then change {self.path} as the plan shows: not all of it may be shown here"
            write = shell.lines(shell.back_up(self.path, files.backup_path(self.path)), edit)
        return shell.lines(write, "systemctl reload docker" if self.supervisor == "systemd" else "pkill -HUP dockerd")

    def make(self, timeout_seconds: float, /) -> str | None:
        """Write the file, reload the engine, and return where the backup is, if there is one."""
        found = files.read_text(self.path)
        file_state.refuse_changed(self.path, found if found is None else daemon_json.conceal(found), self.before)
        if self.after == self.before:
            self._reload(timeout_seconds)
            return None
        merged = daemon_json.merge(
            found, insecure_registries=self.insecure_registries, registry_mirrors=self.registry_mirrors
        )
        reload.validate(merged)
        backup = files.backup_path(self.path)
        is_first = found is not None and not backup.exists()
        if is_first:
            files.back_up(self.path)
        and_remove = (backup,) if is_first else ()
        with reload.put_back(self.path, self.supervisor, timeout_seconds, and_remove=and_remove):
            files.write(self.path, merged.encode(), files.mode_of(self.path) or 0o644)
            self._reload(timeout_seconds)
        return None if found is None else f"the earlier version is {backup}"

    def _reload(self, timeout_seconds: float) -> None:
        wanted = Registries(insecure=self.insecure_registries, mirrors=self.registry_mirrors)
        reload.reload(self.supervisor, wanted=wanted, timeout_seconds=timeout_seconds)
