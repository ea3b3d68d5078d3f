"""The tear-down: undoes the ledger, last entry first; keeps data, authority, secrets, image and packages unless named.

It leaves everything that is not in the ledger, whatever its name. A host that an earlier version has set up gets a
ledger of what carries the runbook's marks.

Notebook: 90-tear-down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook.changes import ledger, made
from runbook.changes.base import Change
from runbook.changes.containers import RemoveLeftOver
from runbook.changes.ledger import Earlier, Entry
from runbook.changes.made import Thing
from runbook.changes.manual import LeftToUser
from runbook.changes.undo import Action, EnterEarlier, Undo
from runbook.model.parameters import Parameters
from runbook.model.results import Result, refused, works
from runbook.operations import earlier
from runbook.system import nginx
from runbook.system.certificates import tls
from runbook.system.docker import daemon_json, engine, images
from runbook.system.host import files, hosts_file
from runbook.system.registry import api

_AGAIN = "run the notebook 90-tear-down again"
_NOTHING = "nothing of the runbook's is here"
_LISTENING = "another registry listens there: find it with `ss -ltnp`"
_HINTS = {
    "engine file": f"; take out of {daemon_json.PATH} what the runbook listed, and reload the engine",
    "container": "; it does not carry the runbook's label",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TearDownFacts:
    """The ledger, and the current state of each of its things.

    `earlier` is what a new ledger begins with, if there is none. `now` is a thing's state (`runbook.changes.made`),
    `inside` the names in a folder, `users` the names of objects that the runbook has not made and that use a thing.
    `hosts_match` is whether /etc/hosts differs from its backup only by the runbook's block. `probes` and `test_images`
    are what a killed proof left.
    """

    entries: tuple[Entry, ...]
    now: tuple[tuple[Thing, str | None], ...] = ()
    inside: tuple[tuple[Path, tuple[str, ...]], ...] = ()
    users: tuple[tuple[Thing, str], ...] = ()
    hosts_match: bool = False
    earlier: tuple[Earlier, ...] = ()
    probes: tuple[str, ...] = ()
    test_images: tuple[str, ...] = ()


def gather(parameters: Parameters) -> TearDownFacts:
    """Return the ledger, and the current state of its things.

    Raises MissingError if an engine that has some of them does not respond, HostError if that engine stores elsewhere.
    """
    found = earlier.find(parameters)
    entries = ledger.of_earlier(found) if found else ledger.read()
    things = [entry.thing for entry in entries]
    if any(thing.kind in ("container", "project", "volume", "image") for thing in things) and engine.is_installed():
        volumes = [thing.name for thing in things if thing.kind == "volume"]
        engine.refuse_other_root(engine.require(parameters.timeout_seconds), volumes[0] if volumes else "")
    folders = [Path(thing.name) for thing in things if thing.kind == "folder"]
    client = engine.connect(parameters.timeout_seconds) if engine.is_installed() else None
    now = {thing: made.current_state(thing, parameters.timeout_seconds) for thing in things}
    return TearDownFacts(
        entries=entries,
        now=tuple(now.items()),
        inside=tuple((folder, files.names_in(folder)) for folder in folders),
        users=tuple(_users(now, client)),
        hosts_match=_hosts_match(entries),
        earlier=found,
        probes=engine.probes(client) if client else (),
        test_images=images.test_images(client) if client else (),
    )


def _hosts_match(entries: Sequence[Entry]) -> bool:
    """Return whether /etc/hosts is exactly what the runbook makes from its backup."""
    backup = next((item.kept for item in entries if item.kept and item.thing.kind == "hosts file"), None)
    source = backup.copy if backup else files.existing_backup(hosts_file.PATH)
    before = files.read_text(source) if source else None
    return before is not None and hosts_file.is_made_from(files.read_text(hosts_file.PATH) or "", before)


def _users(now: Mapping[Thing, str | None], client: engine.Client | None) -> list[tuple[Thing, str]]:
    """Return what else uses each thing: other containers, volumes, images, nginx sites."""
    names = {thing.name for thing in now}
    found: list[tuple[Thing, str]] = []
    others = [] if client is None else [item for item in engine.containers(client) if not item.label(engine.LABEL)]
    of_engine = [f"the container {item.name}" for item in others]
    if client is not None:
        volumes = [str(item.name) for item in client.volumes.list()]
        of_engine += [f"the volume {name}" for name in volumes if name not in names]
        tags = [tag for image in client.images.list() for tag in image.tags]
        of_engine += [f"the image {tag}" for tag in tags if not {tag, tag.rpartition(":")[0]} & names]
    for thing, state in now.items():
        using: list[str] = []
        match thing.kind:
            case "image":
                using = [f"the container {item.name}" for item in others if item.image_id in (state or "")]
            case "volume":
                using = [f"the container {item.name}" for item in others if thing.name in dict(item.volumes).values()]
            case "kernel setting":
                using = [f"the container {item.name}" for item in others if item.running]
            case "packages" if _is_engine(thing):
                using = of_engine
            case "packages" if "nginx" in thing.name.split():
                sites = [name for place in nginx.PLACES for name in files.names_in(place.parent)]
                own = ("default", *(place.name for place in nginx.PLACES))
                using = [f"the site {name}" for name in sites if name not in own]
        if using:
            found.append((thing, ", ".join(using)))
    return found


def plan(parameters: Parameters, facts: TearDownFacts) -> list[Change]:
    """Return the changes that undo the ledger; data, authority, secrets, image and packages only if they are named."""
    planning = _Planning(parameters, facts)
    changes = [change for entry in reversed(facts.entries) if (change := planning.undo(entry)) is not None]
    if facts.probes or facts.test_images:
        changes.insert(0, RemoveLeftOver(containers=facts.probes, images=facts.test_images))
    return [EnterEarlier(found=facts.earlier), *changes] if changes and facts.earlier else changes


class _Planning:
    """The state of the host at each step of the plan, last entry first."""

    def __init__(self, parameters: Parameters, facts: TearDownFacts) -> None:
        self._named = set(parameters.also_remove)
        self._facts = facts
        self._now, self._users = dict(facts.now), dict(facts.users)
        self._gone: set[Path] = set()
        self._stays: set[Path] = set()
        self._beside: set[str] = set()  # backups that stay beside files left to the user
        self._in_engine: list[str] = []  # the engine's objects that stay: its packages and folders must stay too
        self._engine_stays = False

    def undo(self, entry: Entry) -> Change | None:
        """Return the change for an entry, None if the entry stays."""
        thing, state = entry.thing, self._now[entry.thing]
        if state is not None and (self._is_kept(thing) or self._holds_what_stays(thing)):
            self._stays |= {Path(thing.name), *Path(thing.name).parents}
            return None
        users = self._users_of(thing)
        if state != entry.before and users and thing.belongs:
            self._engine_stays |= _is_engine(thing)
            task = f"{thing.kind} {thing.name}: named, and used by {users}"
            text = f"remove them where nobody needs them, or take {thing.belongs} out of also_remove\n"
            return LeftToUser(task=task, text=text)
        action, reason = _action(entry, state, users, hosts_match=self._facts.hosts_match)
        if state is not None and (inside := self._inside(thing)):
            action, reason = "leave", f"there is {', '.join(inside)} in it, which the runbook did not make"
        if thing.name in self._beside:
            action, reason = "leave", "it is what was there before the first run"
        if action in ("leave", "take out") and entry.before is not None:
            self._beside.add(f"{thing.name}{files.KEPT}")
        if action != "leave":
            self._now[thing] = entry.before
            self._gone |= {Path(thing.name)} if entry.before is None else set()
        if entry.made is None:  # a run was killed while writing the file
            self._gone.add(files.temporary_path(Path(thing.name)))
        found = state if thing.kind in made.FILES and action != "forget" and not thing.belongs else None
        return Undo(number=entry.number, thing=thing, action=action, found=found, reason=reason)

    def _is_kept(self, thing: Thing) -> bool:
        """Return whether a thing stays because it is not named, or the engine stays."""
        if thing.belongs == "packages" and self._engine_stays:
            return True
        if not thing.belongs or thing.belongs in self._named:
            return False
        self._in_engine += [f"the {thing.kind} {thing.name}"] if thing.kind in ("volume", "image") else []
        return True

    def _holds_what_stays(self, thing: Thing) -> bool:
        return thing.kind == "folder" and not thing.belongs and Path(thing.name) in self._stays

    def _users_of(self, thing: Thing) -> str:
        """Return what needs a thing: other objects and, for the engine's packages, what stays in the engine."""
        users = [*(self._in_engine if _is_engine(thing) else ()), self._users.get(thing, "")]
        return ", ".join(filter(None, users))

    def _inside(self, thing: Thing) -> list[str]:
        """Return the names left in a folder at this step; none if the folder is removed with its contents."""
        if thing.kind != "folder" or thing.belongs:
            return []
        path = Path(thing.name)
        return [name for name in dict(self._facts.inside).get(path, ()) if path / name not in self._gone]


def _is_engine(thing: Thing) -> bool:
    return thing.kind == "packages" and "docker.io" in thing.name.split()


def _action(entry: Entry, state: str | None, users: str, *, hosts_match: bool) -> tuple[Action, str]:
    """Return the action for an entry, and its reason or the value to restore."""
    kind, is_ours = entry.thing.kind, entry.made is None or state == entry.made or bool(entry.thing.belongs)
    if state == entry.before:
        return "forget", ""
    if kind == "hosts file":
        return ("put back" if hosts_match else "take out"), ""
    if users:
        return "leave", f"it is used by {users}"
    if not is_ours or state is None:
        found = "it is gone" if state is None else "it was changed since"
        backup = f"; what was there before comes beside it, as {entry.thing.name}{files.KEPT}" if entry.before else ""
        return "leave", f"{found}{backup}{_HINTS.get(kind, '')}"
    if kind in ("mode", "kernel setting", "unit", "timer"):
        return "set back", entry.before or "not enabled at boot"
    return ("remove" if entry.before is None else "put back"), ""


def check(parameters: Parameters) -> list[Result]:
    """Return the proof that no registry of the runbook responds any more, and that what was named is gone."""
    client = engine.require(parameters.timeout_seconds) if engine.is_installed() else None
    own = [] if client is None else [item.name for item in engine.containers(client, (engine.LABEL,))]
    secured = api.ask(f"https://127.0.0.1:{parameters.port}/v2/", tls=tls.unverified_context())
    basic = api.ask(f"http://127.0.0.1:{parameters.basic_port}/v2/")
    entries = ledger.read()
    remaining = {entry.thing.belongs for entry in entries}
    named = set(parameters.also_remove)
    others = [
        entry.thing.name for entry in entries if entry.thing.belongs in named | {""} and not _is_above(entry, entries)
    ]
    expected = "only what also_remove can name" if entries else _NOTHING
    return [
        works("what is left of the runbook's", expected=expected, found=", ".join(others) or expected, remedy=_AGAIN),
        refused("the registry over TLS", expected="no registry", found=_who(secured, own), remedy=_LISTENING),
        refused("the basic registry", expected="no registry", found=_who(basic, own), remedy=_LISTENING),
        *[
            works(
                f"{name}, which was named",
                expected="gone",
                found="there" if name in remaining else "gone",
                remedy=_AGAIN,
            )
            for name in parameters.also_remove
        ],
    ]


def _is_above(entry: Entry, entries: Sequence[Entry]) -> bool:
    """Return whether an entry is a folder above something that stays."""
    return any(Path(entry.thing.name) in Path(item.thing.name).parents for item in entries if item.thing.belongs)


def _who(answer: api.Answer, own: list[str]) -> str:
    """Return whether a registry of the runbook responded: it sends its API version, and a container is left.

    Source: Docker Registry HTTP API V2, "API Version Check".
    """
    return "a registry" if own and "docker-distribution-api-version" in answer.headers else "no registry"
