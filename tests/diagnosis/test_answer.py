"""The answer: which causes are checked, in which order they are named, and what is shown of them."""

import dataclasses
from types import ModuleType
from typing import Any

import pytest

from runbook.diagnosis import answer, catalogue, container_checks
from runbook.diagnosis.answer import Answer, Diagnosis, diagnose
from runbook.diagnosis.catalogue import Cause
from runbook.diagnosis.situation import Finding, Situation, UndecidedError, look, no, untold, yes
from runbook.model.errors import CommandError, HostError, RunbookError, SecretError
from runbook.model.parameters import Parameters

PASSWORD = "Tr0ub4dor"  # noqa: S105 (nobody's)


def cause(name: str, finding: Finding, **more: Any) -> Cause:  # noqa: ANN401 (a cause's other fields)
    """Return a cause whose check finds what a test says."""
    return Cause(name=name, text=f"{name}.", check=lambda _: finding, remedy=f"Mend {name}.", **more)


ROOT, OPEN, GONE = cause("root", yes("r"), notebook="10-host"), cause("open", untold("u")), cause("gone", no("n"))
CONSEQUENCE = cause("consequence", yes("c"))
GENERAL = cause("host-differs", yes("g"), notebook="10-host", general=True)
REFUSAL = cause(
    "host-differs", yes("it refuses: expected e, found f", "do this first", "f"), notebook="10-host", general=True
)
ASKED = cause("asked", yes("a"), asked=True)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a catalogue of these causes, and of one message."""
    all_of_them = (GONE, OPEN, ROOT, CONSEQUENCE, GENERAL, ASKED)
    message = dataclasses.replace(
        catalogue.messages()[0], name="a message", pattern="a message", causes=("gone", "open", "root", "asked")
    )
    monkeypatch.setattr(catalogue, "causes", lambda: all_of_them)
    monkeypatch.setattr(answer, "causes", lambda: all_of_them)
    monkeypatch.setattr(catalogue, "messages", lambda: (message,))


def names(found: Answer) -> list[str]:
    """Return the names of the causes, in their order."""
    return [item.cause.name for item in found.diagnoses]


@pytest.mark.usefixtures("known")
def test_diagnose_names_the_confirmed_cause_first() -> None:
    """Fails if of several causes the confirmed is not first, or one that the message cannot have is among them."""
    found = diagnose("here is a\nmessage", Parameters())
    assert names(found) == ["root", "asked", "open", "gone"]
    assert [message.name for message in found.messages] == ["a message"]
    assert not found.all_is_well


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(("message", "asked"), [("", False), ("who knows", True)])
def test_diagnose_looks_at_all_without_a_known_message(message: str, asked: bool) -> None:  # noqa: FBT001 (a row's value)
    """Fails if a root is not first, what a message alone points to counts, or a plan repeats what is named already."""
    found = diagnose(message, Parameters())
    assert names(found) == ["root", "consequence", "open", "gone"]
    assert (found.asked, found.messages, found.all_is_well) == (asked, (), False)


def test_answer_is_well_only_where_nothing_is_wrong_or_unknown() -> None:
    """Fails if an unknown message, or a confirmed cause, ends with exit code 0."""
    known = catalogue.messages()[:1]
    refuted = (Diagnosis(cause=GONE, finding=no("n")),)
    assert Answer(asked=False, messages=(), diagnoses=refuted).all_is_well
    assert Answer(asked=True, messages=known, diagnoses=refuted).all_is_well
    assert not Answer(asked=True, messages=(), diagnoses=refuted).all_is_well
    assert not Answer(asked=False, messages=(), diagnoses=(Diagnosis(cause=ROOT, finding=yes("r")),)).all_is_well


@pytest.mark.usefixtures("known")
def test_table_shows_cause_check_remedy_and_command() -> None:
    """Fails if a reader is not told what was found, what to do and by which command; or a remedy for what is not so."""
    table = diagnose("a message", Parameters()).table(["-p", "port", "5443"])
    assert table.rows == (
        ("confirmed", "root.", "r", "Mend root.", "./script/run 10-host -p port 5443"),
        ("confirmed", "asked.", "a", "Mend asked.", "yourself"),
        ("undecided", "open.", "u", "Mend open.", "yourself"),
        ("ruled out", "gone.", "n", "", ""),
    )
    without = diagnose("", Parameters()).table()
    assert [row[1] for row in without.rows] == ["root.", "consequence."]
    assert without.details == ("not looked at, for u: open",)


@pytest.mark.usefixtures("known")
def test_answer_shows_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a password in a pasted message comes back in the answer, or reaches a check."""
    seen: list[str] = []

    def check(situation: Situation) -> Finding:
        seen.append(situation.message)
        return yes(situation.message)

    told = dataclasses.replace(ROOT, check=check)
    monkeypatch.setattr(catalogue, "causes", lambda: (told,))
    found = diagnose(f"https://admin:{PASSWORD}@registry.test/: a message", Parameters())
    assert seen
    assert PASSWORD not in f"{seen}{found.as_data()}{found.table().text()}"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(UndecidedError("because"), "because", id="untold"),
        pytest.param(HostError("a", "b", "c"), "expected a; found b. To repair: c.", id="runbook"),
        pytest.param(PermissionError(13, "Permission denied"), "[Errno 13] Permission denied", id="host"),
        pytest.param(KeyError("State"), "'State'", id="engine"),
    ],
)
def test_look_makes_a_finding_of_what_keeps_a_check_from_looking(error: Exception, expected: str) -> None:
    """Fails if a check that cannot look ends the diagnosis, or counts for a cause that is ruled out."""

    def check(_: Situation) -> Finding:
        raise error

    assert look(check, Situation(Parameters())) == untold(expected)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param((), ["host-differs"], id="alone"),
        pytest.param((ROOT,), ["root", "host-differs"], id="another-cause-names-the-notebook"),
        pytest.param((cause("f", yes("f")),), ["f"], id="a-cause-found-just-that"),
    ],
)
def test_notebook_that_refuses_is_not_the_remedy(
    monkeypatch: pytest.MonkeyPatch, before: tuple[Cause, ...], expected: list[str]
) -> None:
    """Fails if somebody is sent to a notebook that refuses, and not told what it asks for first."""
    monkeypatch.setattr(answer, "causes", lambda: (*before, REFUSAL))
    found = diagnose("", Parameters())
    assert names(found) == expected
    last, first = found.diagnoses[-1], "Do this first, then run the notebook 10-host."
    if last.cause is REFUSAL:
        assert (last.remedy, last.notebook) == (first, "")
        assert found.table().rows[-1][3:] == (first, "yourself")
    else:
        assert last.remedy == "Mend f."


@pytest.mark.parametrize("kind", [CommandError, HostError, SecretError])
def test_plan_that_refuses_is_confirmed_with_its_own_remedy(kind: type[RunbookError]) -> None:
    """Fails if a plan that cannot be made is left undecided, or its remedy lost."""
    refusing = ModuleType("refusing")

    def gather(_: Parameters) -> None:
        raise kind("e", "f", "do this")

    refusing.gather = refusing.plan = gather  # type: ignore[attr-defined] # as a section has them
    found = look(container_checks.differs(refusing), Situation(Parameters()))
    assert found == yes("it refuses: expected e, found f", "do this", "f")


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("message", "others"),
    [
        ('a message: Get "https://registry.test/v2/": EOF', ()),
        ('a message: Get "https://registry.test:5443/v2/a/manifests/1": EOF', ()),
        ('a message: Get "https://127.0.0.1:5000/v2/": EOF', ()),
        ('a message: Get "https://harbor.example.test/v2/": EOF', ("harbor.example.test",)),
        ('a message: Get "https://a.test/v2/" and "https://registry.test/v2/": EOF', ()),
        ("a message", ()),
    ],
)
def test_answer_says_whose_registry_a_message_is_about(message: str, others: tuple[str, ...]) -> None:
    """Fails if what is about another registry is told as if it were this host's, or the other way round."""
    found = diagnose(message, Parameters())
    assert found.others == others
    assert found.as_data()["other_registries"] == list(others)
    assert [host for host in others if host in found.heading] == list(others)
    assert ("speaks of" in found.heading) is bool(others)
