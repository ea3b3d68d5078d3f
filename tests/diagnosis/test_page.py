"""The page of all messages: it is what the catalogue says, and can be searched."""

from runbook import catalogue
from runbook.diagnosis import page
from runbook.diagnosis.catalogue import causes, messages

PAGE = catalogue.PROJECT / "docs" / "messages.md"


def test_page_is_that_of_the_catalogue() -> None:
    """Fails if docs/messages.md says something else than `registry-runbook diagnose --page` prints."""
    assert page.text() == PAGE.read_text(encoding="utf-8")


def test_page_has_each_message_as_heading_and_each_cause() -> None:
    """Fails if somebody who searches for a message does not find it, or a cause with its remedy is left out."""
    text = page.text()
    assert [message.name for message in messages() if f"\n## {message.name}\n" not in text] == []
    assert [cause.name for cause in causes() if cause.remedy not in text or cause.check_text not in text] == []
