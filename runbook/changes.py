"""What a plan is made of: each change is frozen data that can be shown, written as JSON, compared and applied.

No change carries a secret: a file's text names a secret by a placeholder (`runbook.secrets.PLACEHOLDER`), and a
change that needs a password names the place that it comes from.

What overwrites or removes something says in `before` how that was when the plan was made, None where there was nothing:
its text or, where nobody needs to read it or it is secret, its state (`runbook.outside.drift`).
"""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pydantic import TypeAdapter

HOSTS_FILE = Path("/etc/hosts")
KEPT = ".before-registry-runbook"  # ending of the earlier version of a file that the runbook did not make
PACKAGE_REPOSITORY = "registry-runbook/docker-registry"  # of the images that are built from the distribution's package
Supervisor = Literal["systemd", "none"]
Kind = Literal[
    "file",
    "hosts file",
    "engine file",
    "site",
    "folder",
    "mode",
    "kernel setting",
    "unit",
    "timer",
    "packages",
    "group",
    "image",
    "container",
    "project",
    "volume",
]
Belonging = Literal["", "data", "basic-data", "authority", "secrets", "image", "packages"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """A thing on the host that a change makes or alters: a path, or a name of the kernel's, systemd's or the engine's.

    `belongs` is the value of `also_remove` without which a tear-down leaves it; empty where it goes in any case.
    """

    kind: Kind
    name: str
    belongs: Belonging = ""


def _octal(mode: int) -> str:
    return f"{mode:04o}"


def _in_place(before: str | None) -> str:
    return "" if before is None else ", in place of the file there, which is kept where the runbook did not make it"


def _diff(path: Path, before: str | None, after: str) -> str:
    old = "(no file)" if before is None else str(path)
    lines = difflib.unified_diff((before or "").splitlines(), after.splitlines(), old, str(path), lineterm="", n=2)
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallPackages:
    """Install packages of the distribution, without those it only recommends."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"install the packages {', '.join(self.names)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class StartEngine:
    """Start the Docker Engine and wait until it answers."""

    supervisor: Supervisor

    def __str__(self) -> str:
        """Return the change in one line."""
        if self.supervisor == "systemd":
            return "start the engine (systemctl start docker)"
        return "start the engine by its init script or, where that fails, as a process; it will not come back at boot"


@dataclass(frozen=True, kw_only=True, slots=True)
class EnableEngine:
    """Let systemd start the engine at boot."""

    def __str__(self) -> str:
        """Return the change in one line."""
        return "enable the engine at boot (systemctl enable docker)"


@dataclass(frozen=True, kw_only=True, slots=True)
class RestartEngine:
    """Restart the engine; `stops` names the running containers that stop with it."""

    supervisor: Supervisor
    reason: str
    stops: tuple[str, ...]

    def __str__(self) -> str:
        """Return the change in one line."""
        stopped = f"stops {', '.join(self.stops)}" if self.stops else "no container is running"
        return f"restart the engine: {self.reason} ({stopped})"


@dataclass(frozen=True, kw_only=True, slots=True)
class SetKernel:
    """Write one kernel setting; `before` is None where the kernel lacks it."""

    name: str
    before: int | None
    after: int

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"set {self.name} from {self.before} to {self.after} in the running kernel"


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeDirectory:
    """Make a folder, and those above it that are missing."""

    path: Path
    mode: int
    belongs: Belonging = ""

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"make the folder {self.path} ({_octal(self.mode)})"


@dataclass(frozen=True, kw_only=True, slots=True)
class SetMode:
    """Set the permission bits of a file or folder."""

    path: Path
    before: int
    after: int

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"set the mode of {self.path} from {_octal(self.before)} to {_octal(self.after)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteFile:
    """Write a text file; `before` is its text when the plan was made, None where there was none.

    `keep` keeps the earlier version beside it, for a file that the runbook did not make. `secrets` are the files whose
    secrets take the place of their placeholders while the text is written.
    """

    path: Path
    before: str | None
    after: str
    mode: int
    keep: bool = False
    secrets: tuple[Path, ...] = ()
    belongs: Belonging = ""

    def __str__(self) -> str:
        """Return the change in one line."""
        kept = ", the earlier version is kept beside it" if self.keep and self.before is not None else ""
        return f"{'write' if self.before is None else 'change'} {self.path} ({_octal(self.mode)}{kept})"

    def diff(self) -> str:
        """Return the change of text as a unified diff; it holds no secret, since neither text does."""
        return _diff(self.path, self.before, self.after)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigureEngine:
    """Write daemon.json and let the running engine read it again; where the texts are the same, only the latter.

    The engine must then list all the registries and mirrors, or the file is put back as it was. Neither text holds what
    may be secret in the file: the registries are merged into the file itself.
    """

    path: Path
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
            how = f"reload the engine, which does not know yet what is in {self.path}"
        elif self.before is None:
            how = f"write {self.path} and reload the engine"
        else:
            how = f"change {self.path} (the earlier version is kept beside it) and reload the engine"
        return f"{how}: {'; '.join(parts)} (no container stops)"

    def diff(self) -> str:
        """Return the change of text as a unified diff; it holds no secret, since neither text does."""
        return _diff(self.path, self.before, self.after)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigureNginx:
    """Write the runbook's site of nginx, and let nginx read it: tested first, started where it does not run.

    nginx must then serve the certificate of this fingerprint for `domain` at `served_at` (ADDRESS:PORT), or the file is
    put back as it was.
    """

    path: Path
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

    def diff(self) -> str:
        """Return the change of text as a unified diff."""
        return _diff(self.path, self.before, self.after)


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoveSite:
    """Remove the runbook's site of nginx, and let nginx read that; `frees_port` is one that nginx must then leave."""

    path: Path
    before: str
    frees_port: int | None

    def __str__(self) -> str:
        """Return the change in one line."""
        freed = "" if self.frees_port is None else f", which must leave port {self.frees_port}"
        return f"remove {self.path} and reload nginx{freed} (its other sites stay)"


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyFile:
    """Copy a file that holds nothing secret, in place of what is there."""

    source: Path
    path: Path
    mode: int
    before: str | None = None

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"copy {self.source} to {self.path} ({_octal(self.mode)}){_in_place(self.before)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateSecret:
    """Make a random secret and keep it in a 0600 file."""

    path: Path
    purpose: str

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"generate {self.purpose} and keep it in {self.path} (0600)"


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueAuthority:
    """Make the certificate authority: its key (where there is none yet) and its self-signed certificate."""

    key_path: Path
    certificate_path: Path
    subject: tuple[tuple[str, str], ...]
    key_type: str
    validity_days: int
    passphrase_file: Path | None

    def __str__(self) -> str:
        """Return the change in one line."""
        subject = ", ".join(f"{name}={value}" for name, value in self.subject)
        return f"make the certificate authority {subject} in {self.certificate_path.parent}"


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueCertificate:
    """Make a server key and have the authority sign its certificate; both go into one file, switched as one."""

    path: Path
    subject: tuple[tuple[str, str], ...]
    dns_names: tuple[str, ...]
    addresses: tuple[str, ...]
    key_type: str
    validity_days: int
    authority_key_path: Path
    authority_certificate_path: Path
    passphrase_file: Path | None
    reason: str
    before: str | None = None

    def __str__(self) -> str:
        """Return the change in one line."""
        names = ", ".join((*self.dns_names, *self.addresses))
        return f"issue a server certificate for {names} ({self.reason}){_in_place(self.before)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallCertificate:
    """Put a key and a chain that were brought along into one file, switched as one.

    `fingerprints` are those of the chain when the plan was made, the server's first: no other chain is installed.
    """

    key_path: Path
    chain_path: Path
    path: Path
    fingerprints: tuple[str, ...]
    before: str | None = None

    def __str__(self) -> str:
        """Return the change in one line."""
        chain = f"the chain of {self.chain_path} (SHA-256 {self.fingerprints[0][:16]}…)"
        return f"put the key of {self.key_path} and {chain} into {self.path} (0600){_in_place(self.before)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SetPassword:
    """Write one user's line of an htpasswd file, bcrypt, and keep the lines of the others."""

    path: Path
    username: str
    cost: int
    password_file: Path
    reason: str
    before: str | None = None

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"set the password of {self.username} in {self.path} (bcrypt, cost {self.cost}; {self.reason})"


@dataclass(frozen=True, kw_only=True, slots=True)
class ObtainImage:
    """Get the registry's image from the first of `sources` that works; `archive` is the file of source `archive`."""

    sources: tuple[Literal["pull", "archive", "package"], ...]
    reference: str
    digest: str
    archive: str

    def __str__(self) -> str:
        """Return the change in one line."""
        names = {
            "pull": f"pull {self.reference}",
            "archive": f"load {self.reference} from {self.archive}",
            "package": "build it from the distribution's package docker-registry",
        }
        return "get the registry's image: " + ", or else ".join(names[source] for source in self.sources)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunContainer:
    """Run a container in the background; `replaces` says why an earlier one of the same name goes first."""

    name: str
    image: str
    publish: tuple[str, int, int]
    volume: tuple[Path, str]
    restart_policy: Literal["always", "unless-stopped"]
    labels: tuple[tuple[str, str], ...]
    replaces: str | None

    def __str__(self) -> str:
        """Return the change in one line."""
        address, outside, inside = self.publish
        verb = "run" if self.replaces is None else f"replace ({self.replaces})"
        where = f"{address}:{outside} to {inside}, data in {self.volume[0]}"
        return f"{verb} the container {self.name} from {self.image}, {where}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeUp:
    """Check the Compose file with Compose's own `config`, then bring its service up, made anew."""

    path: Path
    project: str
    volume: str
    reason: str

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"bring up {self.path} as project {self.project} ({self.reason})"


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftToUser:
    """Something that the runbook does not do itself: what to do, and the text to paste for it."""

    task: str
    text: str

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"left to you: {self.task}"


@dataclass(frozen=True, kw_only=True, slots=True)
class PushClientImage:
    """Push the image that the kit for other hosts pulls, through the registry's API and over verified TLS."""

    registry: str
    reference: str
    digest: str
    authority_path: Path
    username: str
    password_file: Path

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"push {self.registry}/{self.reference} ({self.digest[:19]}…) as {self.username}"


@dataclass(frozen=True, kw_only=True, slots=True)
class EnableTimer:
    """Let systemd read the units of a timer, and start it now and at boot."""

    name: str

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"start {self.name} now and at boot (systemctl enable, restart)"


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoveTimer:
    """Stop a timer of systemd's and remove its units."""

    name: str
    paths: tuple[Path, ...]
    before: tuple[str, ...]

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"stop {self.name}, and remove {', '.join(map(str, self.paths))}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """A thing that a version without a ledger has made; `kept` is where it kept the file that was there before."""

    thing: Thing
    kept: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EnterEarlier:
    """Begin the ledger with what an earlier version has made, as its marks tell."""

    found: tuple[Earlier, ...]

    def __str__(self) -> str:
        """Return the change in one line."""
        return (
            f"enter {len(self.found)} things in the ledger that carry the runbook's mark: an earlier version made them"
        )


Action = Literal["remove", "put back", "take out", "set back", "forget", "leave"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Undo:
    """Undo one entry of the ledger, and take it out of there.

    `found` is how the thing is then, where an edit since the plan must not be lost; `detail` what it is set back to, or
    why it is left.
    """

    number: int
    thing: Thing
    action: Action
    found: str | None = None
    detail: str = ""

    def __str__(self) -> str:
        """Return the change in one line."""
        of_engine = {"container": "the container ", "project": "the Compose project ", "volume": "the volume "}
        named = of_engine | {"image": "the image ", "packages": "the packages "}
        name = f"{named.get(self.thing.kind, '')}{self.thing.name}"
        match self.action:
            case "remove":
                return f"remove {name}"
            case "put back":
                return f"put back {name} as it was before the first run"
            case "take out":
                return f"take the runbook's block out of {name}"
            case "set back":
                what = "the mode of " if self.thing.kind == "mode" else ""
                return f"set {what}{name} back to {self.detail}"
            case "forget":
                return f"forget {name}, which is as it was before the first run"
            case "leave":
                return f"leave {name} to you: {self.detail}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoveTree:
    """Remove a folder or file that the runbook made, with all below it."""

    path: Path
    before: str | None

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"remove {self.path}"


Change = (
    InstallPackages
    | StartEngine
    | EnableEngine
    | RestartEngine
    | SetKernel
    | MakeDirectory
    | SetMode
    | WriteFile
    | ConfigureEngine
    | ConfigureNginx
    | RemoveSite
    | CopyFile
    | GenerateSecret
    | IssueAuthority
    | IssueCertificate
    | InstallCertificate
    | SetPassword
    | ObtainImage
    | RunContainer
    | ComposeUp
    | LeftToUser
    | PushClientImage
    | EnableTimer
    | RemoveTimer
    | RemoveTree
    | EnterEarlier
    | Undo
)


def things(change: Change) -> tuple[Thing, ...]:  # noqa: C901, PLR0911, PLR0912 (one return a kind of change)
    """Return what a change makes or alters on the host; its missing folders, and what apt adds, are not among them.

    Empty where it makes nothing that stays, or undoes.
    """
    match change:
        case WriteFile(path=path, keep=True, before=str()):
            return _file(path.with_name(path.name + KEPT), change.belongs) + _file(path, change.belongs)
        case WriteFile():
            return _file(change.path, change.belongs)
        case CopyFile() | IssueCertificate() | InstallCertificate():
            return _file(change.path)
        case GenerateSecret() | SetPassword():
            return _file(change.path, "secrets")
        case IssueAuthority():
            return _file(change.key_path, "authority") + _file(change.certificate_path, "authority")
        case MakeDirectory():
            return (Thing(kind="folder", name=str(change.path), belongs=change.belongs),)
        case SetMode():
            return (Thing(kind="mode", name=str(change.path)),)
        case ConfigureEngine() if change.before != change.after:
            kept = _file(change.path.with_name(change.path.name + KEPT)) if change.before is not None else ()
            return (*kept, Thing(kind="engine file", name=str(change.path)))
        case ConfigureNginx():
            return (Thing(kind="site", name=str(change.path)), Thing(kind="unit", name="nginx.service"))
        case SetKernel():
            return (Thing(kind="kernel setting", name=change.name),)
        case EnableEngine():
            return (Thing(kind="unit", name="docker.service"),)
        case EnableTimer():
            return (Thing(kind="timer", name=change.name),)
        case ObtainImage():
            names = [change.reference] + ([PACKAGE_REPOSITORY] if "package" in change.sources else [])
            return tuple(Thing(kind="image", name=name, belongs="image") for name in names)
        case RunContainer():
            return (Thing(kind="container", name=change.name),)
        case ComposeUp():
            volume = Thing(kind="volume", name=f"{change.project}_{change.volume}", belongs="data")
            return (volume, Thing(kind="project", name=change.project))
    return ()


def _file(path: Path, belongs: Belonging = "") -> tuple[Thing, ...]:
    return (Thing(kind="hosts file" if path == HOSTS_FILE else "file", name=str(path), belongs=belongs),)


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def as_json(change: Change) -> dict[str, object]:
    """Return a change as JSON-ready data, its kind under `change`, its line under `summary`."""
    plain = {item.name: _plain(getattr(change, item.name)) for item in dataclasses.fields(change)}
    return {"change": type(change).__name__, "summary": str(change)} | plain


def from_json(data: Mapping[str, object]) -> Change:
    """Return the change that `as_json` wrote; raises ValueError for data that no kind of change has written."""
    kinds = {kind.__name__: kind for kind in get_args(Change)}
    fields = {name: value for name, value in data.items() if name not in {"change", "summary"}}
    kind = kinds.get(str(data.get("change")))
    if kind is None or fields.keys() - {item.name for item in dataclasses.fields(kind)}:
        raise ValueError(f"no change of any kind: {data}")
    change: Change = TypeAdapter(kind).validate_python(fields)
    return change
