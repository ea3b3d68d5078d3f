"""The catalogue: each message recognised from its own words, each cause with a check, a remedy and a notebook."""

import re
from pathlib import Path

import pytest

from runbook import runner
from runbook.diagnosis.catalogue import Message, causes, causes_of, find, messages

MESSAGES = messages()
ALONE = {"not_reproduced"}
HOSTS = Path(__file__).parents[1] / "hosts"


@pytest.mark.parametrize("message", MESSAGES, ids=[message.name for message in MESSAGES])
def test_find_knows_each_message_by_its_words(message: Message) -> None:
    """Fails if a message is not found in its own words, wrapped by a terminal or amid a log."""
    for text in (message.example, message.example.replace(" ", "\n  "), f"a\n{message.example}\nb", message.example[:]):
        assert message in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "Login Succeeded",
        "latest: digest: sha256:0 size: 1",
        "Status: Image is up to date",
        "200 OK",
        "x" * 10**5,
    ],
)
def test_find_knows_no_message_where_there_is_none(text: str) -> None:
    """Fails if words of success, or no words, are taken for a message."""
    assert find(text) == []


def test_find_knows_several_messages_of_a_log() -> None:
    """Fails if of a whole paste only one message is found."""
    pasted = "\n".join(message.example for message in MESSAGES[:5])
    assert {message.name for message in MESSAGES[:5]} <= {message.name for message in find(pasted)}


def test_each_message_has_causes_that_are_known() -> None:
    """Fails if a message names a cause that is none, the same twice, or none at all."""
    known = {cause.name for cause in causes()}
    assert {name for message in MESSAGES for name in message.causes} - known == set()
    for message in MESSAGES:
        assert len(set(message.causes)) == len(message.causes) > 0, message.name
        assert message.source, message.name
        assert message.versions, message.name


def test_each_cause_is_looked_for() -> None:
    """Fails if a cause is looked for neither without a message nor because of one, or its check does not say how."""
    named = {name for message in MESSAGES for name in message.causes}
    assert [cause.name for cause in causes() if cause.asked and cause.name not in named] == []
    for cause in causes():
        assert cause.looks.endswith("."), cause.name
        assert cause.remedy.endswith((".", "`).", ")")), cause.name
        assert cause.notebook in ("", *runner.names()), cause.name
    assert len({cause.name for cause in causes()}) == len(causes())


def test_causes_come_roots_first() -> None:
    """Fails if a consequence is named before what brings it about."""
    names = [cause.name for cause in causes()]
    for root, consequence in (
        ("daemon-json-no-json", "engine-stopped"),
        ("engine-stopped", "container-stopped"),
        ("key-of-another", "container-restarts"),
        ("configuration-unknown-key", "configuration-is-another"),
        ("container-stopped", "registry-silent"),
        ("users-malformed", "login-refused"),
        ("environment-overrides", "registry-open"),
    ):
        assert names.index(root) < names.index(consequence)
    assert [cause.name for cause in causes_of(find("no basic auth credentials"))] == ["not-logged-in", "helper-missing"]


def test_catalogue_is_large_and_nearly_all_reproduced() -> None:
    """Fails if it has fewer than 40 messages, or more than ten of which the tests bring none about."""
    assert len(MESSAGES) >= 40
    assert len([message for message in MESSAGES if message.not_reproduced]) <= 10


def test_each_message_is_brought_about_by_a_test_on_a_host() -> None:
    """Fails if a message is said to be reproduced, and no test on a host has its name; or the other way round."""
    text = "".join(
        path.read_text(encoding="utf-8")
        for path in [*sorted(HOSTS.glob("test_diagnosis_*.py")), HOSTS / "test_nginx.py"]
    )
    constants = dict(re.findall(r'(?m)^([A-Z_]+) = "(.*)"$', text))
    text += "".join(
        value.replace("{UNKNOWN}", constants["UNKNOWN"]) for value in re.findall(r'f"(\{UNKNOWN\}.*)"', text)
    )
    missing = [message.name for message in MESSAGES if message.name not in text.replace('\\"', '"')]
    assert missing == [message.name for message in MESSAGES if message.not_reproduced]
