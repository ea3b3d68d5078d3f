"""Answers on a test host: each line that it reads is a question in JSON, each that it prints an answer, or an error.

A process of its own answers each, so that a question that ends its process takes none of those after it along.
"""

import json
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from runbook.diagnosis import catalogue
from runbook.diagnosis.answer import diagnose
from runbook.model.parameters import read


def answer(asked: Mapping[str, Any]) -> str:
    """Return the answer to a question in JSON, asked as a user, in a folder, with an environment."""
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    os.seteuid(asked["user"])
    return json.dumps(diagnose(asked["message"], read(asked["parameters"], where="a test")).as_data())


def answer_apart(question: str) -> None:
    """Print the answer of a new process; its error where it has one."""
    child = os.fork()
    if child == 0:
        try:
            print(answer(json.loads(question)), flush=True)  # noqa: T201 (to the test)
        except BaseException:  # noqa: BLE001 (whatever it is, the test is told)
            print(json.dumps({"error": traceback.format_exc()}), flush=True)  # noqa: T201
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status != 0:
        print(json.dumps({"error": f"the process ended with {status}"}), flush=True)  # noqa: T201


def main() -> None:
    """Answer until nothing more is asked."""
    # Read by root: the tree lies in root's folder, where a user that a question is asked as may not look.
    catalogue.causes()
    catalogue.messages()
    for line in sys.stdin:
        answer_apart(line)


if __name__ == "__main__":
    main()
