"""What the runbook leaves to the user."""

from dataclasses import dataclass
from typing import ClassVar

from runbook.changes.base import Change, Result


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftToUser(Change):
    """A task that the runbook does not do itself, with the text to paste for it."""

    result: ClassVar[Result] = "left to you"
    task: str
    text: str

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"left to you: {self.task}"

    def detail(self) -> str:
        """Return the text to paste."""
        return self.text

    def needs_root(self) -> bool:
        """Return False: it changes nothing."""
        return False

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return f"# left to you: {self.task}"

    def make(self, _timeout_seconds: float, /) -> str:
        """Return the text to paste; changes nothing."""
        return self.text.strip()
