"""The errors that reach a user, as one tree.

RunbookError            expected, found, remedy
├── ParameterError      a name, type or value that the model refuses; nothing was changed
├── SecretError         a password, passphrase or secret file that cannot be used
├── MissingError        something that another notebook provides
├── HostError           a state of the host that the runbook does not repair
│   ├── RightsError     something that this user may not read or change
│   └── LockError       another run holds the lock; this run has not read the host's state
├── CommandError        a command with an exit code that is not allowed
├── NotReadyError       a timeout
├── OrderError          a step of a notebook that needs another one first
├── ChangedError        a target that changed between plan and apply
├── ApplyError          a failed change, with those made before it and those not made
│   └── InterruptError  the same for an interrupted run
└── CheckError          a failed check
"""

import unicodedata

from runbook.model.words import say


def visible(text: str) -> str:
    r"""Return a text with each control character written as `\uXXXX`, except newlines and tabs.

    Headers, process names and files may contain control characters that a terminal would interpret.
    Source: Unicode Standard, general categories Cc, Cf, Zl and Zp.
    """
    if text.isprintable():
        return text
    return "".join(letter if _is_shown(letter) else f"\\u{ord(letter):04x}" for letter in text)


def _is_shown(letter: str) -> bool:
    return letter.isprintable() or letter in "\n\t" or unicodedata.category(letter) == "Zs"


class RunbookError(Exception):
    """The base of all errors: what was expected, what was found, and the remedy."""

    def __init__(self, expected: str, found: str, remedy: str) -> None:
        """Store the three parts, each without a full stop at the end."""
        super().__init__(expected, found, remedy)  # pickle passes exactly these arguments
        self.expected, self.found, self.remedy = expected, found, remedy

    def __str__(self) -> str:
        """Return the three parts as one message."""
        return visible(f"expected {self.expected}; found {self.found}. To repair: {self.remedy}.")

    def _render_traceback_(self) -> list[str]:
        """Return the lines that Jupyter shows instead of a traceback (a hook of IPython)."""
        return [f"{type(self).__name__}: {say(str(self))}"]


class ParameterError(RunbookError):
    """A parameter's name, type or value is refused; nothing was changed."""


class SecretError(RunbookError):
    """A password, passphrase or secret file cannot be used."""


class MissingError(RunbookError):
    """Something that this section needs does not exist yet; the remedy names the notebook that provides it."""


class HostError(RunbookError):
    """The host is in a state that the runbook does not repair."""


class RightsError(HostError):
    """This user may not read or change something."""


class LockError(HostError):
    """Another run holds the lock, or the lock file is invalid: this run has neither read nor changed the host."""


class CommandError(RunbookError):
    """A command ended with an exit code that is not allowed."""


class NotReadyError(RunbookError):
    """A timeout; `expected` is the condition, `found` the last response."""


class OrderError(RunbookError):
    """A step of a notebook needs an earlier one, which failed or did not run."""


class ChangedError(RunbookError):
    """A target changed since the plan was made; the runbook left it unchanged."""


class ApplyError(RunbookError):
    """A change failed; `found` lists it, the changes made before it and those not made."""


class InterruptError(ApplyError):
    """An interrupt stopped a change."""


class CheckError(RunbookError):
    """A check failed; `found` lists the failed rows.

    `shown` is what Jupyter shows instead, below a table that already has those rows and their remedies.
    """

    def __init__(self, expected: str, found: str, remedy: str, *, shown: str = "") -> None:
        """Store the three parts, and the short form."""
        super().__init__(expected, found, remedy)
        self.shown = shown

    def _render_traceback_(self) -> list[str]:
        return [f"CheckError: {say(self.shown)}"] if self.shown else super()._render_traceback_()
