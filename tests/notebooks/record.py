"""Write what the table of the notebooks says, run all of them on a new test host, and keep the outputs.

`python -m tests.notebooks.record` needs an engine on this machine, as `script/test` does; `--parameters` writes only
what comes from the table and the model of the parameters. The host is the document's: Debian 12 at 192.168.1.2. The
notebooks keep the outputs of their defaults, which stand above them; those of the document's own values are kept beside
this.
"""

import datetime
import json
import sys
from pathlib import Path
from typing import Any

from runbook.catalogue import NOTEBOOKS, names
from tests.hosts.conftest import start_with_project
from tests.hosts.lab import Host
from tests.notebooks import table
from tests.notebooks.table import dump

PROJECT = "/root/registry-runbook"
DOCUMENT = Path(__file__).with_name("document")
KEPT = ("jupyter", "tags")  # of a cell's metadata: papermill's part, and what JupyterLab folds


def clean(text: str) -> str:
    """Return an executed notebook without what each run has anew: papermill's times, and the data behind tables.

    Each output says that it is an example: whoever reads it in the repository has another host.
    """
    said = f"Example, recorded {datetime.datetime.now(datetime.UTC):%Y-%m-%d} on a test host with Debian 12"
    notebook: dict[str, Any] = json.loads(text)
    notebook["metadata"].pop("papermill", None)
    for cell in notebook["cells"]:
        cell["metadata"] = {name: cell["metadata"][name] for name in KEPT if cell["metadata"].get(name)}
        for output in cell.get("outputs", ()):
            if "metadata" in output:
                output["metadata"] = {}
            for kind, mark in (("text/html", f"<p><em>{said}</em></p>"), ("text/plain", f"({said})\n")):
                if kind in output.get("data", {}):
                    output["data"][kind] = [mark, *output["data"][kind]]
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
    """Write what comes from the table, run all notebooks in their order on new hosts, and write them back."""
    for path, text in table.texts().items():
        path.write_text(text, encoding="utf-8")
    if sys.argv[1:] == ["--parameters"]:
        return
    with start_with_project("bookworm", address="192.168.1.2") as host:
        for name in names():
            (NOTEBOOKS / f"{name}.ipynb").write_text(record(host, name), encoding="utf-8")
    with start_with_project("bookworm", address="192.168.1.2") as host:
        for name in names():
            text = record(host, name, "-f", "parameters/document.yml", "-p", "confirm", "docker.funet8.com")
            (DOCUMENT / f"{name}.ipynb").write_text(code_only(text), encoding="utf-8")


if __name__ == "__main__":
    main()
