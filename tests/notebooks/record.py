"""Run the notebooks on a new test host, and keep their outputs in them: `python -m tests.notebooks.record`.

Needs an engine on this machine, as `script/test` does. The host is the document's: Debian 12 at 192.168.1.2.
"""

import json
from typing import Any

from runbook.runner import NOTEBOOKS, names
from tests.hosts.conftest import start_with_project
from tests.hosts.lab import Host

PROJECT = "/root/registry-runbook"


def clean(text: str) -> str:
    """Return an executed notebook without what each run has anew: papermill's times, and the data behind tables."""
    notebook: dict[str, Any] = json.loads(text)
    notebook["metadata"].pop("papermill", None)
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags")
        cell["metadata"] = {"tags": tags} if tags else {}
        for output in cell.get("outputs", ()):
            if "metadata" in output:
                output["metadata"] = {}
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def record(host: Host, name: str) -> str:
    """Run a notebook on the host with its defaults, and return it with its outputs."""
    host.run(".venv/bin/papermill", f"notebooks/{name}.ipynb", "/root/out.ipynb", directory=PROJECT)
    return clean(host.read("/root/out.ipynb"))


def main() -> None:
    """Run all notebooks in their order on one new host, and write them back."""
    with start_with_project("bookworm", address="192.168.1.2") as host:
        host.run("script/setup", directory=PROJECT, timeout_seconds=300)
        for name in names():
            (NOTEBOOKS / f"{name}.ipynb").write_text(record(host, name), encoding="utf-8")


if __name__ == "__main__":
    main()
