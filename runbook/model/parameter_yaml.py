"""The YAML of parameter files: names with values, or lists of values or users, that YAML 1.1 and 1.2 parse alike.

Anything else is refused early, with its line: papermill, which reads the same files, has a parser for YAML 1.1, and
parsing nested levels or aliases of aliases can take minutes. No message contains a value, since it may be a secret.
"""

import io
import re

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent, Event
from ruamel.yaml.nodes import Node, ScalarNode
from ruamel.yaml.reader import ReaderError

from runbook.model.errors import visible

# Room for a thousand users beside all parameters with their help; parsing more values could take seconds.
LONGEST, _MOST = 65_536, 8_000  # characters; values
_DEEPEST = 3  # a mapping, in it a list, and in that a mapping
_KINDS = ("str", "int", "float", "bool", "null")
# YAML 1.1 parses 0443 as 291 and 1_000 as 1000; Python refuses integers of 5,000 digits.
_INTEGER = "[-+]?(0|[1-9][0-9]{0,17})"
_TEXT = "text in quotation marks"


def load(text: str) -> object:
    """Return the data of a text; raises YAMLError with the line for invalid YAML, and for what this module refuses."""
    if len(text) > LONGEST:
        raise YAMLError(f"more than {LONGEST} characters")
    try:
        return _load(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YAMLError(f"line {line}: the unacceptable character U+{error.character:04X}") from error
    except MarkedYAMLError as error:
        quoted = ", ".join(filter(None, (error.context, error.problem))).partition(" with value ")[0]
        message = visible(quoted)  # it quotes the file
        if (mark := error.problem_mark) is None:
            raise YAMLError(message) from error
        raise YAMLError(f"line {mark.line + 1} column {mark.column + 1}: {message}") from error


def with_value(text: str, name: str, value: object) -> str:
    """Return the text of a parameter file with another value for a name, its last line if it has none; all else stays.

    The text is one that `load` takes.
    """
    writer = YAML()
    writer.preserve_quotes = True
    writer.width = LONGEST
    data = writer.load(text) or {}
    data[name] = value
    buffer = io.StringIO()
    writer.dump(data, buffer)
    return buffer.getvalue()


def _load(text: str) -> object:
    reader = YAML(typ="safe", pure=True)
    depth, line = 0, 1
    try:
        for number, event in enumerate(reader.parse(text)):
            line = event.end_mark.line + 1
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            _refuse_more_than_values(event, depth, number)
    except (ValueError, AssertionError) as error:  # from ruamel, for an escape beyond Unicode and for %YAML 1.3
        raise YAMLError(f"line {line}: {error}") from error
    reader = YAML(typ="safe", pure=True)
    tree = reader.compose(text)
    if tree is None:
        return None
    _refuse_other_scalars(tree)
    return reader.constructor.construct_document(tree)


def _refuse_more_than_values(event: Event, depth: int, number: int) -> None:
    found = None
    if getattr(event, "version", None) or getattr(event, "tags", None):
        found = "a directive (%), which is not read here"
    elif getattr(event, "anchor", None):
        found = "an anchor or alias (& or *): write the value itself"
    elif getattr(event, "tag", None):
        found = f"a tag (!): write the value without it, {_TEXT}"
    elif depth > _DEEPEST:
        found = "one more level: write a value, or a list of values, under a name"
    elif number > _MOST:
        found = f"more than {_MOST} values"
    if found:
        raise YAMLError(f"line {event.start_mark.line + 1}: {found}")


def _refuse_other_scalars(node: Node) -> None:
    if not isinstance(node, ScalarNode):
        for item in node.value:
            for part in item if isinstance(item, tuple) else (item,):
                _refuse_other_scalars(part)
        return
    kind = str(node.tag).rpartition(":")[2]
    if kind not in _KINDS or (kind == "int" and not re.fullmatch(_INTEGER, node.value)):
        raise YAMLError(
            f"line {node.start_mark.line + 1}: what is not the same to all readers ({kind}): write a number plainly, "
            f"{_TEXT}"
        )
