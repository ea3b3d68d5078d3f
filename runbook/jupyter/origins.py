"""Where each value of a notebook comes from: its default, a file, the form, this host, the Parameters cell, or `-p`."""

import ast
import os
from collections.abc import Mapping

import IPython

from runbook.model.parameters import Parameters
from runbook.system.host import headless


def of(values: Mapping[str, object], kept: Mapping[str, str]) -> dict[str, str]:
    """Return the origin of each value, in one or a few words; `kept` are the names that have one, and which."""
    by_papermill = injected()
    file_names = os.environ.get(headless.FROM_FILE)
    return {name: _of(name, value, by_papermill, kept, file_names) for name, value in values.items()}


def _of(name: str, value: object, by_papermill: set[str], kept: Mapping[str, str], file_names: str | None) -> str:
    if value == Parameters.model_fields[name].default:
        return "default"
    if name in by_papermill:
        if file_names is None:  # papermill itself does not say which
            return "-p or -f"
        return "file" if name in file_names.split() else "-p"
    return kept.get(name, "cell")


def injected() -> set[str]:
    """Return the names in the cell that papermill adds, which begins with this comment (papermill, translators.py)."""
    shell = IPython.get_ipython()
    sources = [source for source in shell.user_ns["In"] if source.startswith("# Parameters\n")] if shell else []
    nodes = [node for source in sources[-1:] for node in ast.walk(ast.parse(source))]
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
