"""The errors that reach a user, as one tree.

RunbookError            expected, found, remedy
├── ParameterError      a name, type or value that the model refuses; nothing was changed
├── SecretError         a password, passphrase or secret file that cannot be used
├── MissingError        something that another notebook provides
├── HostError           the host is not as it must be, and the runbook does not repair that
│   ├── RightsError     this user may not look, or may not change it
│   └── LockError       another run goes on, so this one has not looked at the host
├── CommandError        a command ended with a code that is not allowed
├── NotReadyError       a deadline passed while waiting
├── ChangedError        a target changed between plan and apply
├── ApplyError          a change failed; says what was done before it and what was not
│   └── InterruptError  the same for a run that was interrupted
└── CheckError          a proof does not hold
"""

import unicodedata


def visible(text: str) -> str:
    r"""Return a text with each character that a terminal may obey written as `\uXXXX`; line ends and tabs stay.

    So what others have put into a header, a process's name or a file is shown, and does not reach the terminal raw.
    Source: Unicode Standard, general categories Cc, Cf, Zl and Zp.
    """
    if text.isprintable():
        return text
    return "".join(letter if _is_shown(letter) else f"\\u{ord(letter):04x}" for letter in text)


def _is_shown(letter: str) -> bool:
    return letter.isprintable() or letter in "\n\t" or unicodedata.category(letter) == "Zs"


class RunbookError(Exception):
    """What was expected, what was found, and what to do next."""

    def __init__(self, expected: str, found: str, remedy: str) -> None:
        """Keep the three parts; all are sentences without a full stop at the end."""
        super().__init__(expected, found, remedy)  # all three, so that a pickled copy keeps them
        self.expected, self.found, self.remedy = expected, found, remedy

    def __str__(self) -> str:
        """Return the three parts as one message."""
        return visible(f"expected {self.expected}; found {self.found}. To repair: {self.remedy}.")

    def _render_traceback_(self) -> list[str]:
        """Return what Jupyter shows in place of a traceback (IPython's hook for an exception's own rendering)."""
        return [f"{type(self).__name__}: {self}"]


class ParameterError(RunbookError):
    """A parameter's name, type or value is refused; nothing was changed."""


class SecretError(RunbookError):
    """A password, passphrase or secret file cannot be used."""


class MissingError(RunbookError):
    """Something that this section needs is not there yet; the remedy names the notebook that provides it."""


class HostError(RunbookError):
    """The host is not as it must be, and the runbook does not repair that by itself."""


class RightsError(HostError):
    """This user may not look at something, or may not change it."""


class LockError(HostError):
    """Another run goes on, or something else lies in its lock's place: this one has neither looked nor changed."""


class CommandError(RunbookError):
    """A command ended with an exit code that is not among the allowed ones."""


class NotReadyError(RunbookError):
    """A deadline passed; `expected` says what was waited for, `found` the last answer."""


class ChangedError(RunbookError):
    """A target is no longer as it was when the plan was made; nothing of it was changed."""


class ApplyError(RunbookError):
    """A change failed; `found` says which, what was done before it and what was not."""


class InterruptError(ApplyError):
    """An interrupt ended a change before its end."""


class CheckError(RunbookError):
    """A proof does not hold; `found` lists the failed rows."""
