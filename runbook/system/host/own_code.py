"""The code that runs here, and who may change it: as root, that is root alone, or whom sudo was called for."""

import sys
from pathlib import Path

from runbook.system.host import files

_PROJECT = Path(__file__).resolve().parents[3]
_RUN = ("runbook", "notebooks", "script")


def require(*, whole: bool) -> None:
    """Raise HostError where another user could change this project, its interpreter, or what leads to them.

    With `whole`, each file of its virtual environment is looked at too, of which there are thousands.
    """
    files.require_own_way(Path(sys.executable))
    for name in _RUN:
        files.require_own_tree(_PROJECT / name)
    if whole and sys.prefix != sys.base_prefix:
        files.require_own_tree(Path(sys.prefix))
