"""What the runbook leaves to the user."""

from dataclasses import dataclass
from typing import ClassVar

from runbook.changes.base import Change, Result


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftToUser(Change):
    """Something that the runbook does not do itself: what to do, and the text to paste for it."""

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
        """Return False: nothing is changed."""
        return False

    def by_hand(self) -> str:
        """Return the commands for it."""
        return f"# left to you: {self.task}"

    def make(self, _timeout_seconds: float, /) -> str:
        """Return the text to paste; nothing is changed."""
        return self.text.strip()
