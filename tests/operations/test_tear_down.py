"""90-tear-down: the ledger undone, what stays unless it is named, and what is left to the user."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from runbook.changes.base import Change
from runbook.changes.containers import RemoveLeftOver
from runbook.changes.ledger import Backup, Earlier, Entry
from runbook.changes.made import Belonging, Kind, Thing
from runbook.changes.manual import LeftToUser
from runbook.changes.undo import EnterEarlier, Undo
from runbook.model.parameters import Parameters, read
from runbook.operations import tear_down
from runbook.operations.tear_down import TearDownFacts

PARAMETERS = read({}, where="a test")
ALL = read({"also_remove": ["data", "basic-data", "authority", "secrets", "image", "packages"]}, where="a test")
KEPT = Backup(copy=Path("/kept/1"), mode=0o640, user=1, group=2, changed=3)


Row = tuple[Kind, str, Belonging, str | None, str | None, str | None]


def facts_of(
    *things: Row, inside: Sequence[tuple[str, tuple[str, ...]]] = (), users: Sequence[tuple[str, str]] = ()
) -> TearDownFacts:
    """Return facts from (kind, name, belongs, before, made, now), the oldest first."""
    entries, now = [], []
    for number, (kind, name, belongs, before, made, there) in enumerate(things, start=1):
        thing = Thing(kind=kind, name=name, belongs=belongs)
        kept = KEPT if before and kind == "file" else None
        entries.append(Entry(number=number, thing=thing, entered="", before=before, made=made, kept=kept))
        now.append((thing, there))
    named = {entry.thing.name: entry.thing for entry in entries}
    return TearDownFacts(
        entries=tuple(entries),
        now=tuple(now),
        inside=tuple((Path(folder), names) for folder, names in inside),
        users=tuple((named[name], text) for name, text in users),
    )


def told(changes: Sequence[Change]) -> list[tuple[str, str]]:
    """Return what becomes of each thing."""
    return [(change.action, change.thing.name) for change in changes if isinstance(change, Undo)]


FOLDER = "a folder"
MADE = facts_of(
    ("packages", "docker.io runc", "packages", None, "docker.io runc", "docker.io runc"),
    ("folder", "/r", "", None, FOLDER, FOLDER),
    ("folder", "/r/ca", "", None, FOLDER, FOLDER),
    ("file", "/r/ca/ca.key", "authority", None, "k", "k"),
    ("folder", "/d", "basic-data", None, FOLDER, FOLDER),
    ("folder", "/c", "", None, FOLDER, FOLDER),
    ("file", "/c/config.yml", "", None, "1", "1"),
    ("volume", "v", "data", None, "a volume", "a volume"),
    ("project", "registry", "", None, "the runbook's", "the runbook's"),
    inside=[("/r", ("ca",)), ("/r/ca", ("ca.key",)), ("/d", ("docker",)), ("/c", ("config.yml",))],
)


def test_plan_undoes_the_last_entry_first_and_keeps_what_cannot_be_made_again() -> None:
    """Fails if data, authority or packages go without being named, or stay although they are, or folders with them."""
    assert told(tear_down.plan(PARAMETERS, MADE)) == [
        ("remove", "registry"),
        ("remove", "/c/config.yml"),
        ("remove", "/c"),
    ]
    everything = told(tear_down.plan(ALL, MADE))
    assert everything == [("remove", entry.thing.name) for entry in reversed(MADE.entries)]


def test_plan_leaves_a_folder_with_something_else_in_it_and_says_so() -> None:
    """Fails if a file of somebody else's goes with the folder that it lies in, or nobody is told that it stays."""
    others = tuple((folder, (*names, "theirs") if folder == Path("/c") else names) for folder, names in MADE.inside)
    changes = tear_down.plan(PARAMETERS, dataclasses.replace(MADE, inside=others))
    assert told(changes)[-1] == ("leave", "/c")
    assert "theirs in it" in str(changes[-1])


@pytest.mark.parametrize(
    ("before", "made", "now", "expected"),
    [
        pytest.param(None, "1", "1", "remove", id="as-made"),
        pytest.param("0", "1", "1", "put back", id="as-made-over-another"),
        pytest.param(None, None, "?", "remove", id="killed-while-it-was-made"),
        pytest.param("0", None, "?", "put back", id="killed-while-another-was-replaced"),
        pytest.param("0", None, "0", "forget", id="killed-before-it-was-replaced"),
        pytest.param(None, "1", None, "forget", id="removed-by-somebody"),
        pytest.param("0", "1", "0", "forget", id="put-back-by-somebody"),
        pytest.param(None, "1", "2", "leave", id="changed-since"),
        pytest.param("0", "1", "2", "leave", id="changed-since-over-another"),
        pytest.param("0", "1", None, "leave", id="gone-though-another-was-there"),
    ],
)
def test_plan_undoes_a_file_that_is_as_the_runbook_left_it(
    before: str | None, made: str | None, now: str | None, expected: str
) -> None:
    """Fails if what somebody has changed since is lost, or what the runbook made is left."""
    [change] = tear_down.plan(PARAMETERS, facts_of(("file", "/f", "", before, made, now)))
    assert isinstance(change, Undo)
    assert (change.action, change.found) == (expected, None if expected == "forget" else now)
    is_kept = (expected, before) == ("leave", "0")
    assert ("comes beside it, as /f.before-registry-runbook" in change.reason) is is_kept


def test_plan_gives_each_of_several_versions_back_and_ends_with_the_user_s() -> None:
    """Fails if a file that was taken over twice ends as the wrong one of those that were there."""
    twice = facts_of(("file", "/f", "", "0", "1", "3"), ("file", "/f", "", "2", "3", "3"))
    assert told(tear_down.plan(PARAMETERS, twice)) == [("put back", "/f"), ("leave", "/f")]


@pytest.mark.parametrize("match", [True, False])
def test_plan_takes_out_the_block_where_somebody_else_has_changed_the_hosts_file(*, match: bool) -> None:
    """Fails if a line that came later is lost, or the earlier text does not come back where none did."""
    facts = dataclasses.replace(facts_of(("hosts file", "/etc/hosts", "", "0", "1", "2")), hosts_match=match)
    assert told(tear_down.plan(PARAMETERS, facts)) == [("put back" if match else "take out", "/etc/hosts")]


@pytest.mark.parametrize(("kind", "expected"), [("file", "leave"), ("hosts file", "take out")])
def test_plan_leaves_the_earlier_version_beside_what_was_changed_since(kind: Kind, expected: str) -> None:
    """Fails if what was there before the first run goes while the user's later version stays in its place."""
    facts = facts_of(("file", "/f.before-registry-runbook", "", None, "0", "0"), (kind, "/f", "", "0", "1", "2"))
    assert told(tear_down.plan(PARAMETERS, facts)) == [(expected, "/f"), ("leave", "/f.before-registry-runbook")]


@pytest.mark.parametrize(
    ("kind", "belongs"), [("volume", "data"), ("image", "image"), ("packages", "packages"), ("kernel setting", "")]
)
def test_plan_leaves_what_others_use(kind: Kind, belongs: Belonging) -> None:
    """Fails if something goes that a container, volume or site of somebody else's needs."""
    facts = facts_of((kind, "x", belongs, None, "1", "1"), users=[("x", "the container theirs")])
    [change] = tear_down.plan(ALL, facts)
    assert "used by the container theirs" in str(change)
    assert isinstance(change, LeftToUser) or (isinstance(change, Undo) and change.action == "leave")


ENGINE: tuple[Row, ...] = (
    ("folder", "/var/lib/docker", "packages", None, FOLDER, FOLDER),
    ("packages", "docker.io runc", "packages", None, "docker.io runc", "docker.io runc"),
    ("volume", "v", "data", None, "a volume", "a volume"),
    ("image", "i", "image", None, "sha256:1", "sha256:1"),
)


@pytest.mark.parametrize(
    ("also_remove", "users", "expected"),
    [
        pytest.param(["packages"], [], "the image i, the volume v", id="data-and-image-stay"),
        pytest.param(["packages", "image"], [], "the volume v", id="data-stay"),
        pytest.param(
            ["packages", "image", "data"],
            [("docker.io runc", "the container theirs")],
            "the container theirs",
            id="somebody-else-s",
        ),
        pytest.param(["packages", "image", "data"], [], None, id="nothing-is-left-in-it"),
    ],
)
def test_plan_leaves_an_engine_with_something_in_it(
    also_remove: list[str], users: list[tuple[str, str]], expected: str | None
) -> None:
    """Fails if images, or data of anybody's, go with the engine's packages or its folder."""
    changes = tear_down.plan(read({"also_remove": also_remove}, where="a test"), facts_of(*ENGINE, users=users))
    removed = [name for _, name in told(changes)]
    if expected is None:
        assert removed == ["i", "v", "docker.io runc", "/var/lib/docker"]
        return
    assert {"docker.io runc", "/var/lib/docker"} & set(removed) == set()
    [left] = [change for change in changes if isinstance(change, LeftToUser)]
    assert f"used by {expected}" in left.task


@pytest.mark.parametrize("parameters", [PARAMETERS, ALL], ids=["default", "all-named"])
def test_plan_changes_nothing_where_nothing_is(parameters: Parameters) -> None:
    """Fails if a second run would still change something."""
    assert tear_down.plan(parameters, TearDownFacts(entries=())) == []


def test_plan_takes_away_what_a_proof_left_that_was_killed() -> None:
    """Fails if a probe or a test image stays for ever, with a ledger or without one."""
    left = RemoveLeftOver(containers=("quirky_name",), images=("0a1b2c",))
    nothing = dataclasses.replace(TearDownFacts(entries=()), probes=("quirky_name",), test_images=("0a1b2c",))
    assert tear_down.plan(PARAMETERS, nothing) == [left]
    assert (
        tear_down.plan(PARAMETERS, dataclasses.replace(MADE, probes=("quirky_name",), test_images=("0a1b2c",)))[0]
        == left
    )


def test_plan_begins_the_ledger_of_a_host_that_an_earlier_version_has_set_up() -> None:
    """Fails if what carries a mark is undone before it is entered, or entered where nothing is undone."""
    earlier = (Earlier(thing=Thing(kind="file", name="/f")),)
    facts = dataclasses.replace(facts_of(("file", "/f", "", None, "1", "1")), earlier=earlier)
    begin, *others = tear_down.plan(PARAMETERS, facts)
    assert (begin, told(others)) == (EnterEarlier(found=earlier), [("remove", "/f")])
    kept = dataclasses.replace(facts_of(("file", "/f", "secrets", None, "1", "1")), earlier=earlier)
    assert tear_down.plan(PARAMETERS, kept) == []
