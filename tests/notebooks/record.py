"""Write the notebooks' parameters cells anew from the model, run all of them on a new test host, and keep the outputs.

`python -m tests.notebooks.record` needs an engine on this machine, as `script/test` does; `--parameters` writes only
the cells, and the schema of parameter files. The host is the document's: Debian 12 at 192.168.1.2. The notebooks keep
the outputs of their defaults, which stand above them; those of the document's own values are kept beside this.
"""

import json
import sys
from pathlib import Path
from typing import Any

from runbook.parameters import Parameters, schema
from runbook.runner import NOTEBOOKS, names
from tests.hosts.conftest import start_with_project
from tests.hosts.lab import Host

PROJECT = "/root/registry-runbook"
DOCUMENT = Path(__file__).with_name("document")
WHOLE = ("00-index", "75-prove", "80-diagnosis")  # notebooks about all sections, which have all parameters
KEPT = ("jupyter", "tags")  # of a cell's metadata: papermill's part, and what JupyterLab folds


def clean(text: str) -> str:
    """Return an executed notebook without what each run has anew: papermill's times, and the data behind tables."""
    notebook: dict[str, Any] = json.loads(text)
    notebook["metadata"].pop("papermill", None)
    for cell in notebook["cells"]:
        cell["metadata"] = {name: cell["metadata"][name] for name in KEPT if cell["metadata"].get(name)}
        for output in cell.get("outputs", ()):
            if "metadata" in output:
                output["metadata"] = {}
    return dump(notebook)


def dump(notebook: dict[str, Any]) -> str:
    """Return a notebook's text, laid out so that a diff of it is read easily."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def parameter_line(name: str) -> str:
    """Return the line of a parameters cell for a parameter, as the model says it."""
    field = Parameters.model_fields[name]
    kind = type(field.default).__name__
    default = f'"{field.default}"' if kind == "str" else repr(field.default)
    return f"{name}: {kind} = {default}  # {field.description}"


def with_parameters(text: str, *, everything: bool) -> str:
    """Return a notebook with the lines of its parameters cell as the model says them, in the model's order."""
    notebook: dict[str, Any] = json.loads(text)
    [cell] = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", ())]
    there = {line.partition(":")[0].strip() for line in cell["source"]}
    lines = [parameter_line(name) for name in Parameters.model_fields if everything or name in there]
    cell["source"] = "\n".join(lines).splitlines(keepends=True)
    return dump(notebook)


def code_only(text: str) -> str:
    """Return a notebook without its prose."""
    notebook: dict[str, Any] = json.loads(text)
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return dump(notebook)


def record(host: Host, name: str, *arguments: str) -> str:
    """Run a notebook on the host by papermill, and return it with its outputs."""
    host.run(".venv/bin/papermill", f"notebooks/{name}.ipynb", "/root/out.ipynb", *arguments, directory=PROJECT)
    return clean(host.read("/root/out.ipynb"))


def main() -> None:
    """Write the parameters cells and schema, run all notebooks in their order on new hosts, and write them back."""
    for name in names():
        path = NOTEBOOKS / f"{name}.ipynb"
        path.write_text(with_parameters(path.read_text(encoding="utf-8"), everything=name in WHOLE), "utf-8")
    (NOTEBOOKS.parent / "parameters" / "schema.json").write_text(schema(), encoding="utf-8")
    if sys.argv[1:] == ["--parameters"]:
        return
    with start_with_project("bookworm", address="192.168.1.2") as host:
        for name in names():
            (NOTEBOOKS / f"{name}.ipynb").write_text(record(host, name), encoding="utf-8")
    with start_with_project("bookworm", address="192.168.1.2") as host:
        for name in names():
            text = record(host, name, "-f", "parameters/document.yml")
            (DOCUMENT / f"{name}.ipynb").write_text(code_only(text), encoding="utf-8")


if __name__ == "__main__":
    main()
