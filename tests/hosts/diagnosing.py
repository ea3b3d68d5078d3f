"""Answers on a test host: each line that it reads is a question in JSON, each that it prints an answer."""

import json
import os
import sys

from runbook.diagnosis.answer import diagnose
from runbook.parameters import read


def main() -> None:
    """Answer until nothing more is asked."""
    for line in sys.stdin:
        asked = json.loads(line)
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        os.seteuid(asked["user"])
        answer = diagnose(asked["message"], read(asked["parameters"], where="a test"))
        os.seteuid(0)
        sys.stdout.write(json.dumps(answer.as_data()) + "\n")
        sys.stdout.flush()
        for name in asked["environment"]:
            del os.environ[name]


if __name__ == "__main__":
    main()
