"""Completion in bash, zsh and fish: the script that a shell reads, and what is offered."""

import os
import shlex
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

import click
from click.shell_completion import CompletionItem, get_completion_class

from runbook import catalogue
from runbook.catalogue import PROJECT
from runbook.model.parameters import Parameters

SHELLS = ("bash", "zsh", "fish")
NAME = "registry-runbook"
_VARIABLE = "_REGISTRY_RUNBOOK_COMPLETE"  # click's name for it
_FUNCTION = "_registry_runbook_completion"  # as above


def script(program: click.Command, shell: str) -> str:
    """Return the script that makes a shell complete `registry-runbook`, and `script/run` of this project.

    It asks the program beside this Python, so that a key press neither needs a PATH nor sets anything up.
    Raises KeyError for another shell.
    """
    kind = get_completion_class(shell)
    run = PROJECT / "script" / "run"
    own = shlex.quote(str(Path(sys.executable).with_name(NAME)))
    asked, register = {
        "bash": (
            "=bash_complete $1",
            f"complete -o nosort -F {_FUNCTION} ./script/run script/run {shlex.quote(f'{run}')}",
        ),
        "zsh": (f"=zsh_complete {NAME}", f"compdef -p {_FUNCTION} '*script/run'"),
        "fish": (f"(commandline -t) {NAME}", f'complete --no-files --path {run} --arguments "({_FUNCTION})"'),
    }[shell]
    text = kind(program, {}, NAME, _VARIABLE).source() if kind else ""
    text = text.replace(asked, f"{asked.rpartition(' ')[0]} {own}")
    text = text.replace(f"    (( ! $+commands[{NAME}] )) && return 1\n", "")  # zsh: it need not be on the PATH
    return f"{text.rstrip()}\n{register}\n"


def notebooks(_context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the notebooks whose names begin so, with their titles."""
    return [
        CompletionItem(item.name, help=item.title) for item in catalogue.notebooks() if item.name.startswith(incomplete)
    ]


def parameters(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return, after `-p`, the parameters whose names begin so; after a name, the values that it can take."""
    words = _words_before(context)
    if words[-2:-1] and words[-2] in {"-p", "--parameters"}:
        return [CompletionItem(value) for value in _values(words[-1]) if value.startswith(incomplete)]
    fields = Parameters.model_fields.items()
    return [CompletionItem(name, help=field.description) for name, field in fields if name.startswith(incomplete)]


def _words_before(context: click.Context) -> list[str]:
    """Return the words before the one that is completed: click asks for both words of an option alike."""
    kind = get_completion_class(os.environ.get(_VARIABLE, "").partition("_")[0])
    return kind(context.command, {}, NAME, _VARIABLE).get_completion_args()[0] if kind else []


def _values(name: str) -> list[str]:
    field = Parameters.model_fields.get(name)
    annotation = field.annotation if field else None
    if annotation is bool:
        return ["true", "false"]
    return [str(value) for value in get_args(annotation)] if get_origin(annotation) is Literal else []


def runs(_context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the runs whose folders' names begin so, newest first."""
    from runbook.runs.record.folder import all_folders

    return [CompletionItem(path.name) for path in all_folders() if path.name.startswith(incomplete)]
