"""Completion in bash, zsh and fish: the script for the shell, and the candidates."""

import os
import shlex
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

import click
from click.shell_completion import CompletionItem, get_completion_class

from runbook import catalogue
from runbook.model.parameters import Parameters
from runbook.model.project import FOLDER, IS_INSTALLED

SHELLS = ("bash", "zsh", "fish")
NAME = "registry-runbook"
_VARIABLE = "_REGISTRY_RUNBOOK_COMPLETE"  # this name and the next are those that click generates
_FUNCTION = "_registry_runbook_completion"


def script(program: click.Command, shell: str) -> str:
    """Return the script that completes `registry-runbook` and, in a clone, `script/run` in a shell.

    It calls the program beside this Python by its path: `script/run` would set up the environment first, and the
    program need not be on the PATH. Raises KeyError for another shell.
    """
    kind = get_completion_class(shell)
    run = FOLDER / "script" / "run"
    program_path = shlex.quote(str(Path(sys.executable).with_name(NAME)))
    call, register = {
        "bash": (
            "=bash_complete $1",
            f"complete -o nosort -F {_FUNCTION} ./script/run script/run {shlex.quote(f'{run}')}",
        ),
        "zsh": (f"=zsh_complete {NAME}", f"compdef -p {_FUNCTION} '*script/run'"),
        "fish": (f"(commandline -t) {NAME}", f'complete --no-files --path {run} --arguments "({_FUNCTION})"'),
    }[shell]
    text = kind(program, {}, NAME, _VARIABLE).source() if kind else ""
    text = text.replace(call, f"{call.rpartition(' ')[0]} {program_path}")
    text = text.replace(f"    (( ! $+commands[{NAME}] )) && return 1\n", "")  # zsh: click requires it on the PATH
    return text if IS_INSTALLED else f"{text.rstrip()}\n{register}\n"


def notebooks(_context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the notebooks whose names begin with `incomplete`, with their titles."""
    return [
        CompletionItem(item.name, help=item.title) for item in catalogue.notebooks() if item.name.startswith(incomplete)
    ]


def parameters(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the parameters whose names begin with `incomplete`; after `-p NAME`, the values of that parameter."""
    arguments = _arguments(context)
    if arguments[-2:-1] and arguments[-2] in {"-p", "--parameters"}:
        return [CompletionItem(value) for value in _values(arguments[-1]) if value.startswith(incomplete)]
    fields = Parameters.model_fields.items()
    return [CompletionItem(name, help=field.description) for name, field in fields if name.startswith(incomplete)]


def _arguments(context: click.Context) -> list[str]:
    """Return the arguments before the one to complete: click does not report which of an option's two values it is."""
    kind = get_completion_class(os.environ.get(_VARIABLE, "").partition("_")[0])
    return kind(context.command, {}, NAME, _VARIABLE).get_completion_args()[0] if kind else []


def _values(name: str) -> list[str]:
    field = Parameters.model_fields.get(name)
    annotation = field.annotation if field else None
    if annotation is bool:
        return ["true", "false"]
    return [str(value) for value in get_args(annotation)] if get_origin(annotation) is Literal else []


def runs(_context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the runs whose folder names begin with `incomplete`, newest first."""
    from runbook.record.folder import all_folders

    return [CompletionItem(path.name) for path in all_folders() if path.name.startswith(incomplete)]
