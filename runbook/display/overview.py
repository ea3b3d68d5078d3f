"""The state of each section, read from the host without changing anything."""

import datetime
import importlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from runbook import catalogue
from runbook.changes import contract, deployment, ledger
from runbook.changes.base import Change
from runbook.changes.ledger import Entry
from runbook.display.tables import Table, Tone, notebook_links
from runbook.model.errors import HostError, MissingError, RunbookError
from runbook.model.parameters import Parameters
from runbook.operations import earlier
from runbook.sections import host
from runbook.system.certificates import tls
from runbook.system.host import network
from runbook.system.registry import htpasswd

StateName = Literal["proven", "done", "to do", "differs", "waits", "refuses"]
_TONES: Mapping[StateName, Tone] = {
    "proven": "good",
    "done": "good",
    "to do": "open",
    "differs": "bad",
    "waits": "",
    "refuses": "bad",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """A section's state; `changes` are those of its plan, `reason` is why it waits or refuses, or who has proven it."""

    notebook: str
    name: StateName
    changes: tuple[Change, ...] = ()
    reason: str = ""


def sections(parameters: Parameters) -> list[str]:
    """Return the sections that lead to a proven registry: those that always run, and those of users and proxy, if any.

    Users that were declared in the last run, and are not now, have to lose their lines.
    """
    runs = {"always", parameters.proxy, *(["users"] if parameters.users or _had_users() else [])}
    return [item.name for item in catalogue.notebooks() if item.kind == "state" and item.runs in runs]


def _had_users() -> bool:
    try:
        return bool(deployment.values().get("users"))
    except RunbookError:  # somebody has changed the file: it is not known
        return True


def default_notebooks(parameters: Parameters) -> list[str]:
    """Return the notebooks that run by default, the index first; the others run only if named."""
    return ["00-index", *sections(parameters)]


def section(notebook: str) -> contract.State:
    """Return a notebook's module; for 20-basic-registry it is `runbook.sections.basic_registry`."""
    return cast("contract.State", importlib.import_module(f"runbook.{catalogue.find(notebook).module}"))


def state(notebook: str, parameters: Parameters) -> State:
    """Return a section's state. If a section waits for another or refuses, that is its state; nothing is raised."""
    module = section(notebook)
    try:
        facts = module.gather(parameters)
        changes = tuple(module.plan(parameters, facts))
    except MissingError as error:
        return State(notebook=notebook, name="waits", reason=str(error))
    except RunbookError as error:
        return State(notebook=notebook, name="refuses", reason=str(error))
    if not changes:
        return State(notebook=notebook, name="done")
    return State(notebook=notebook, name="differs" if module.is_made(facts) else "to do", changes=changes)


def states_table(states: Sequence[State]) -> Table:
    """Return the table of the states; `differs` means that the section was applied and no longer matches its plan."""
    return Table(
        headings=("Notebook", "State", "Changes to make", "Why"),
        rows=tuple((item.notebook, item.name, str(len(item.changes)), item.reason) for item in states),
        empty="There is no section.",
        links=notebook_links(),
        tones=tuple(_TONES[item.name] for item in states),
        marked="State",
    )


def left_over(parameters: Parameters) -> list[Entry]:
    """Return the ledger's entries that these parameters do not need, for example those of another domain or port."""
    needed = earlier.names_of(parameters)
    needed |= {str(folder) for name in needed for folder in Path(name).parents}
    kinds = ("file", "folder", "container", "project", "volume")
    return [entry for entry in ledger.read() if entry.thing.kind in kinds and entry.thing.name not in needed]


def left_over_table(parameters: Parameters) -> Table:
    """Return the table of what the runbook created on this host and these parameters do not need."""
    try:
        entries = left_over(parameters)
    except HostError as error:
        return Table(headings=(), rows=(), empty=f"The ledger cannot be read: {error}")
    return Table(
        headings=("Kind", "Name", "Made"),
        rows=tuple((entry.thing.kind, entry.thing.name, entry.entered) for entry in entries),
        empty="Nothing is left over.",
    )


def registry_facts(parameters: Parameters) -> dict[str, str]:
    """Return what a team wants to know of the registry: its name, its users, the days left of its certificate.

    What is not there, or this user may not read, is left out.
    """
    found = {"registry that stands here": deployment.name()}
    with suppress(RunbookError):
        found["users"] = ", ".join(htpasswd.read(parameters.htpasswd_path))
    with suppress(RunbookError):
        left = tls.require_certificate(parameters.certificate_path).not_valid_after_utc - datetime.datetime.now(
            datetime.UTC
        )
        found["days left of its certificate"] = str(max(left.days, 0))
    return {name: text for name, text in found.items() if text}


def host_table(parameters: Parameters) -> Table:
    """Return the table of facts about this host."""
    facts = host.gather(parameters)
    rows = (
        ("distribution", " ".join((*facts.distributions[:1], facts.release)).strip()),
        ("address", network.address_of(parameters.address)),
        ("services started by", facts.supervisor),
        ("Docker Engine", facts.engine.version if facts.engine else "none that answers"),
        *([("the Docker client asks", facts.elsewhere)] if facts.elsewhere else []),
        ("Docker Compose", facts.compose or "none"),
        ("image of the registry", (facts.engine and facts.engine.image) or "none"),
        (host.FORWARDING, str(facts.forwarding)),
        *registry_facts(parameters).items(),
        *((f"port {listener.port}", f"held by {listener}") for listener in facts.listeners),
    )
    return Table(headings=("Fact", "Found"), rows=rows, empty="")
