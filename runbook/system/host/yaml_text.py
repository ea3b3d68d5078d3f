"""YAML files of ours: rendered from data, read back, never put together from text."""

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
    """Return data with each text in quotation marks that YAML 1.1 would read otherwise: `no`, `22:22`, `1_000`.

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
    """Return data as the text of a YAML file of ours; raises HostError where reading it back gives other data."""
    buffer = io.StringIO()
    writer = YAML()
    writer.default_flow_style = False
    writer.width = 200  # no line of ours is folded
    writer.dump(_quoted(data), buffer)
    text = HEADER + buffer.getvalue()
    if read_back(text) != data:
        raise HostError("the rendered YAML to read back as it was", "other data", "report this")
    return text


def read_back(text: str) -> object:
    """Return the data of a YAML text; raises HostError with line and column where it is no YAML."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, RecursionError) as error:
        raise HostError("a YAML file", str(error), "run the notebook that makes it") from error
