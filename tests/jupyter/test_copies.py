"""The user's own copies of the notebooks: without outputs, kept while the project's stay, and never lost."""

import json
from pathlib import Path

import pytest

from runbook import catalogue
from runbook.jupyter import copies
from runbook.model.errors import HostError

NAME = "30-certificates"


def names(place: Path) -> list[str]:
    """Return the notebooks that a person sees there."""
    return sorted(path.stem for path in (place / "notebooks").glob("*.ipynb"))


def test_copies_are_complete_and_show_nothing_of_another_host(tmp_path: Path) -> None:
    """Fails if an output of the project's notebooks is copied, prose or code is not, or others may read a copy."""
    copies.update(tmp_path / "own")
    assert names(tmp_path / "own") == sorted(catalogue.names())
    for name in catalogue.names():
        copy = tmp_path / "own" / "notebooks" / f"{name}.ipynb"
        made, source = json.loads(copy.read_text()), json.loads((catalogue.NOTEBOOKS / copy.name).read_text())
        assert [cell["source"] for cell in made["cells"]] == [cell["source"] for cell in source["cells"]]
        assert [cell for cell in made["cells"] if cell.get("outputs") or cell.get("execution_count")] == []
        assert [cell for cell in source["cells"] if cell.get("outputs")] != [] or name == "80-diagnosis"
        assert copy.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "own/docs/prove.md").exists()


def test_chinese_copies_stand_beside_the_english_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if one language takes the place of the other, a copy is in the wrong one, or its links to docs are dead."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    english, chinese = copies.folder("en"), copies.folder("zh")
    copies.update(english, "en")
    copies.update(chinese, "zh")
    assert names(english) == names(chinese) == sorted(catalogue.names())
    for place, heading in ((english, '"# The proof, again'), (chinese, '"# 再次证明')):
        text = (place / "notebooks/75-prove.ipynb").read_text(encoding="utf-8")
        assert heading in text
        assert "](../docs/prove.md)" in text
        assert (place / "notebooks/../docs/prove.md").exists()
    assert not [path for path in chinese.glob("notebooks/*") if "](../../" in path.read_text(encoding="utf-8")]


def test_copy_is_kept_until_the_project_has_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a second start takes away what a person ran and wrote, or an update loses it, or is not seen."""
    copies.update(tmp_path)
    copy = tmp_path / "notebooks" / f"{NAME}.ipynb"
    mine = json.loads(copy.read_text())
    mine["cells"][0]["source"] = ["my note"]
    copy.write_text(json.dumps(mine))
    copies.update(tmp_path)
    assert json.loads(copy.read_text())["cells"][0]["source"] == ["my note"]

    newer = tmp_path / "newer"
    newer.mkdir()
    for path in catalogue.NOTEBOOKS.glob("*.ipynb"):
        text = path.read_text()
        (newer / path.name).write_text(text.replace("# Certificates", "# New certificates", 1))
    monkeypatch.setattr(catalogue, "NOTEBOOKS", newer)
    copies.update(tmp_path)
    assert "# New certificates" in copy.read_text()
    [earlier] = (tmp_path / "notebooks/earlier").iterdir()
    assert (earlier.name.startswith(f"{NAME}-"), "my note" in earlier.read_text()) == (True, True)
    assert names(tmp_path) == sorted(catalogue.names())


def test_notebook_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    """Fails if a file of the same name that is no copy, or no notebook at all, is lost."""
    (tmp_path / "notebooks").mkdir(mode=0o700)
    for name, text in ((NAME, "no notebook"), ("00-index", '{"cells": [], "metadata": {}}')):
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(text)
    copies.update(tmp_path)
    kept = sorted(path.read_text() for path in (tmp_path / "notebooks/earlier").iterdir())
    assert kept == ["no notebook", '{"cells": [], "metadata": {}}']


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Fails if the reason or the way out is missing, or it ends in a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match=str(tmp_path / "file")):
        copies.update(tmp_path / "file")
