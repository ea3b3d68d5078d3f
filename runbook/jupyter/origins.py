"""Where each value of a notebook comes from: its default, a file, the form, the Parameters cell, or `-p`."""

import ast
import os
from collections.abc import Collection, Mapping

import IPython

from runbook.model.parameters import Parameters
from runbook.system.host import headless


def of(values: Mapping[str, object], formed: Collection[str]) -> dict[str, str]:
    """Return the origin of each value, in one or a few words; `formed` are the names that the form's file gave."""
    injected = _injected()
    file_names = os.environ.get(headless.FROM_FILE)
    return {name: _of(name, value, injected, formed, file_names) for name, value in values.items()}


def _of(name: str, value: object, injected: set[str], formed: Collection[str], file_names: str | None) -> str:
    if value == Parameters.model_fields[name].default:
        return "default"
    if name in injected:
        if file_names is None:  # papermill itself does not say which
            return "-p or -f"
        return "file" if name in file_names.split() else "-p"
    return "form" if name in formed else "cell"


def _injected() -> set[str]:
    """Return the names in the cell that papermill adds, which begins with this comment (papermill, translators.py)."""
    shell = IPython.get_ipython()
    sources = [source for source in shell.user_ns["In"] if source.startswith("# Parameters\n")] if shell else []
    nodes = [node for source in sources[-1:] for node in ast.walk(ast.parse(source))]
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
