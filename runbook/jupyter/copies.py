"""The user's own copies of the notebooks, without outputs: JupyterLab works on them, and never on the project's files.

What a notebook of the project shows was found on another host, and a changed one would stand in the way of an update.
"""

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import platformdirs

from runbook import catalogue
from runbook.model import words
from runbook.model.errors import HostError
from runbook.model.project import as_started
from runbook.system.host import files

_KEY = "registry-runbook"  # where the metadata of a copy keeps the digest of the notebook that it was made from
_LINKED = ("docs", "parameters")  # what notebooks refer to
# The folder of a language below that of the English notebooks.
_BELOW: Mapping[words.Language, str] = {"en": "", "zh": "zh"}


def folder(language: words.Language = "en") -> Path:
    """Return the folder of the copies in a language (XDG Base Directory Specification, `XDG_DATA_HOME`)."""
    return Path(platformdirs.user_data_path("registry-runbook")) / _BELOW[language]


def of(name: str) -> Iterator[tuple[Path, Path]]:
    """Yield where the copies of a notebook are, one a language, whether they exist or not; each with its source."""
    for language, below in _BELOW.items():
        yield folder(language) / "notebooks" / name, catalogue.NOTEBOOKS / below / name


def update(place: Path, language: words.Language = "en") -> list[Path]:
    """Make the copies that are missing from `place`/notebooks, and those of which the project has another version now.

    Returns the copies that it made.

    A copy of an earlier version moves to `earlier` there, with its outputs and notes. Raises HostError if a copy cannot
    be written, or if another user could redirect that.
    """
    copies, made = place / "notebooks", []
    try:
        files.ensure_directory(copies, 0o700)
        for name in catalogue.names():
            copy = copies / f"{name}.ipynb"
            source = catalogue.NOTEBOOKS / _BELOW[language] / copy.name
            if _update(copy, source.read_text(encoding="utf-8")):
                made.append(copy)
        for name in _LINKED:
            _link(place / name, catalogue.PROJECT / name)
    except OSError as error:
        raise HostError(
            f"to write your copies of the notebooks to {copies}", str(error), "set XDG_DATA_HOME to another folder"
        ) from error
    return made


def _update(copy: Path, source: str) -> bool:
    digest = hashlib.sha256(source.encode()).hexdigest()
    found = files.read_text(copy)
    if found is not None:
        if _source(found) == digest:
            return False
        earlier = copy.parent / "earlier"
        files.ensure_directory(earlier, 0o700)
        copy.rename(earlier / f"{copy.stem}-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}.ipynb")
    nearer = source.replace("](../../", "](../")  # docs is one folder above the copies in each language
    files.write(copy, without_outputs(as_started(nearer), digest).encode(), 0o600)
    return True


def _source(text: str) -> str | None:
    """Return the digest of the notebook that a copy was made from, None if it is no copy."""
    try:
        found = json.loads(text)["metadata"][_KEY]["source"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(found)


def without_outputs(text: str, digest: str) -> str:
    """Return the text of a notebook without outputs, and with the digest of what it was made from."""
    notebook: dict[str, Any] = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    notebook["metadata"][_KEY] = {"source": digest}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _link(path: Path, target: Path) -> None:
    if path.is_symlink():
        path.unlink()
    path.symlink_to(target)
