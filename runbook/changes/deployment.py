"""The deployment of this host: the parameters that it was set up with, the default of every command and notebook.

They are a parameter file beside the ledger, which every user may read. Each section adds the values that it was applied
with. If the registry gets another name or port, what is added waits in a second file until that registry has started:
until then, the earlier one stands here.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from runbook.changes import ledger
from runbook.model.errors import RunbookError
from runbook.model.parameters import Parameters, entries_text, load_file, plain, read
from runbook.system.host import files

_OF_ONE_RUN = {"mode", "timeout_seconds", "accept_proof", "message", "also_remove", "confirm"}
_HEADER = "# Kept by registry-runbook: the parameters of the last run of each section.\n"


def _standing() -> Path:
    return ledger.FOLDER / "deployment.yml"


def _begun() -> Path:
    return ledger.FOLDER / "deployment-begun.yml"


def path() -> Path | None:
    """Return the parameter file of this host's deployment, or of one that was only begun; None if there is neither."""
    return next((file for file in (_standing(), _begun()) if os.access(file, os.R_OK)), None)


def values() -> dict[str, object]:
    """Return the parameters that this host was set up with, checked; none where it was not.

    Raises ParameterError if somebody has changed the file, and it is no parameter file any more.
    """
    found = path()
    if found is None:
        return {}
    kept = _values_in(found) or {}
    read(kept, where=f"set in {found}")
    return kept


def update(kept: Mapping[str, object] | None, *, has_started: bool = False) -> None:
    """Keep the values that a section was applied with; None removes all, since the deployment was taken down.

    `has_started` is whether the registry runs with them now. Does nothing without a ledger, and writes only changes.
    """
    if kept is None:
        for file in (_standing(), _begun()):
            files.remove_tree(file)
            files.remove_tree(files.temporary_path(file))  # left by a killed run
        return
    if not ledger.is_begun():
        return
    standing = _values_in(_standing())
    if standing is None or _is_other(kept, standing):
        begun = (_values_in(_begun()) or {}) | _lasting(kept)
        if has_started:  # a section that has not run again is as it was
            _write(_standing(), entries_text((standing or {}) | begun))
            files.remove_tree(_begun())
        else:
            _write(_begun(), entries_text(begun, with_defaults=True))
    else:
        _write(_standing(), entries_text(standing | _lasting(kept)))


def _lasting(kept: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in kept.items() if name not in _OF_ONE_RUN}


def _values_in(file: Path) -> dict[str, object] | None:
    """Return the values of a file, None if there is none; each notebook of a run reads it, and YAML takes a while."""
    if not os.access(file, os.R_OK):
        return None
    entries = (line.partition(": ") for line in files.lines(file) if not line.startswith("#"))
    try:
        return {name: json.loads(value) for name, _, value in entries}
    except ValueError:  # not as `_write` wrote it
        return load_file(file)


def _write(file: Path, entries: str) -> None:
    text = _HEADER + entries
    if files.read_text(file) != text:
        ledger.FOLDER.chmod(0o711)  # the ledger is root's alone, this file everybody's to read
        files.write(file, text.encode(), 0o644)


def _is_other(given: Mapping[str, object], standing: Mapping[str, object]) -> bool:
    """Return whether values are of a registry with another name or port; not if they have neither."""
    names = [name for name in ("domain", "port") if name in given]
    return any(given[name] != standing.get(name, Parameters.model_fields[name].default) for name in names)


def name() -> str:
    """Return the name of the registry that stands here, as in image references; empty if it is not known."""
    found = _standing_parameters()
    return found.registry_host if found else ""


def _standing_parameters() -> Parameters | None:
    try:
        kept = _values_in(_standing())
        return None if kept is None else read(kept, where=f"set in {_standing()}")
    except RunbookError:  # somebody has changed the file: what it was is not known
        return None


def replaced_by(parameters: Parameters, given: Mapping[str, object] | None = None) -> str:
    """Return what becomes of another deployment that stands here, in a sentence or two; empty if there is none.

    `given` are the values that count where a notebook takes only some; otherwise all count.
    """
    standing = _standing_parameters()
    if standing is None or not _is_other(plain(parameters) if given is None else given, plain(standing)):
        return ""
    old, new = standing.registry_host, parameters.registry_host
    if standing.compose_project == parameters.compose_project:
        images = f"with its images as those of {new}"
        if standing.data_volume != parameters.data_volume:
            images = f"and its images stay in the volume {standing.data_volume}"
        fate = f"50-compose replaces its container, {images}; its other files stay until 90-tear-down"
    else:
        fate = f"it stays beside {new}, as the Compose project {standing.compose_project}"
    return f"Another deployment stands here: {old}. If you go on, {fate}. Its parameters are in {_standing()}."
