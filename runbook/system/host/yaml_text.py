"""The runbook's YAML files: rendered from data and read back, never assembled from text."""

import io
from collections.abc import Mapping

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from runbook.model.errors import HostError

HEADER = "# Made by registry-runbook from its parameters: change those, not this file.\n"


_RESOLVER = VersionedResolver(version=(1, 1))
_TEXT = "tag:yaml.org,2002:str"


def _quoted(value: object) -> object:
    """Return data in which each text that is no string in YAML 1.1 is quoted, such as `no`, `22:22` or `1_000`.

    The registry and the old Compose read YAML 1.1 (yaml.org/spec/1.1, and its types bool and int).
    """
    if isinstance(value, Mapping):
        return {_quoted(name): _quoted(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    if isinstance(value, str) and _RESOLVER.resolve(ScalarNode, value, (True, False)) != _TEXT:
        return DoubleQuotedScalarString(value)
    return value


def render(data: Mapping[str, object]) -> str:
    """Return the text of a YAML file with these data; raises HostError if reading it back gives other data."""
    buffer = io.StringIO()
    writer = YAML()
    writer.default_flow_style = False
    writer.width = 200  # long lines are not folded
    writer.dump(_quoted(data), buffer)
    text = HEADER + buffer.getvalue()
    if read_back(text) != data:
        raise HostError("the rendered YAML to read back as it was", "other data", "report this")
    return text


def read_back(text: str) -> object:
    """Return the data of a YAML text; raises HostError with line and column for invalid YAML."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, RecursionError) as error:
        raise HostError("a YAML file", str(error), "run the notebook that makes it") from error
