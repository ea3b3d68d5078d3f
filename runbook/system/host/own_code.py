"""Check of who can change the code of this project: for root, only root or the user who called sudo."""

import sys
from pathlib import Path

from runbook.model.project import FOLDER, IS_INSTALLED, PACKAGE
from runbook.system.host import files

_TREES = [PACKAGE] if IS_INSTALLED else [FOLDER / name for name in ("runbook", "notebooks", "script")]


def require(*, whole: bool) -> None:
    """Raise HostError where another user could change this project, its interpreter or a folder above them.

    With `whole`, the thousands of files in its virtual environment are checked too.
    """
    files.require_trusted_path(Path(sys.executable))
    for tree in _TREES:
        files.require_trusted_tree(tree)
    if whole and sys.prefix != sys.base_prefix:
        files.require_trusted_tree(Path(sys.prefix))
