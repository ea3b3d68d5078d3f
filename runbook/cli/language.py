"""The option `--language` of all commands, and their help in the reader's language."""

import click
from click import core, decorators, exceptions, formatting, parser, types

from runbook.model import words


class Command(click.Command):
    """A command with the option `--language`."""

    def __init__(self, *arguments: object, **named: object) -> None:
        """Create the command, and add the option."""
        super().__init__(*arguments, **named)  # type: ignore[arg-type] # as click's own
        self.params.append(_option())


class Group(Command, click.Group):
    """A group of such commands, with the same option."""

    command_class = Command


def _option() -> click.Option:
    return click.Option(
        ["--language"],
        type=click.Choice(["en", "zh"]),
        is_eager=True,
        expose_value=False,
        callback=_choose,
        help="Language (default: the parameter language, then that of LC_ALL, LC_MESSAGES or LANG).",
    )


def _choose(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    words.choose(value)
    translate(context.find_root().command)
    if shown := context.command.get_help_option(context):  # made before the language was chosen
        shown.help = words.say(shown.help or "")


def translate(command: click.Command) -> None:
    """Put the help of a command, and of those below it, into the reader's language; click's own words too."""
    if words.language() == "en":
        return
    for module in (core, decorators, exceptions, formatting, parser, types):
        module._ = words.say  # type: ignore[attr-defined] # click reads its own catalogue, which it does not ship
    paragraphs = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
    command.help = "\n\n".join(map(words.say, paragraphs))
    command.short_help = words.say(paragraphs[0])
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help:
            parameter.help = words.say(parameter.help)
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        translate(below)
