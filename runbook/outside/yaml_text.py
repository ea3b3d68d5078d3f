"""YAML files of ours: rendered from data, read back, never put together from text."""

import copy
import io
from collections.abc import Mapping

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from runbook.errors import HostError

HEADER = "# Made by registry-runbook from its parameters: change those, not this file.\n"


def render(data: Mapping[str, object]) -> str:
    """Return data as the text of a YAML file of ours; raises HostError where reading it back gives other data."""
    buffer = io.StringIO()
    writer = YAML()
    writer.default_flow_style = False
    writer.width = 200  # no line of ours is folded
    writer.dump(copy.deepcopy(dict(data)), buffer)
    text = HEADER + buffer.getvalue()
    if read_back(text) != data:
        raise HostError("the rendered YAML to read back as it was", "other data", "report this")
    return text


def read_back(text: str) -> object:
    """Return the data of a YAML text; raises HostError with line and column where it is no YAML."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise HostError("a YAML file", str(error), "run the notebook that makes it") from error
