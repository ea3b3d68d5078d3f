"""`registry-runbook ledger`: what was made, how it was before, and how it is now."""

import json
from pathlib import Path

import pytest

from runbook.changes import ledger
from runbook.changes.apply import apply
from runbook.changes.files import MakeDirectory, WriteFile
from runbook.cli import ledger as ledger_command


def test_ledger_shows_each_entry_as_it_is_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if an entry is not shown, or one that was changed since looks like one that was not."""
    paths = [tmp_path / name for name in "abcd"]
    paths[1].write_text("theirs\n", encoding="ascii")
    for path in paths:
        before = "theirs\n" if path.exists() else None
        apply([WriteFile(path=path, before=before, after="ours\n", mode=0o600)])
    apply([MakeDirectory(path=tmp_path / "data", mode=0o700, belongs="basic-data")])
    ledger.enter((ledger.read()[3].thing,))
    paths[0].write_text("edited\n", encoding="ascii")
    paths[2].unlink()
    found = {Path(item["thing"]["name"]).name: item["state"] for item in json.loads(ledger_command.as_json())}
    assert found == {"a": "changed since", "b": "as made", "c": "as before", "d": "being made", "data": "as made"}
    ledger_command.show()
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if "a copy in" in line and f"{tmp_path}/b" in line]
    assert [line for line in shown.splitlines() if line.rstrip().endswith("basic-data")]


def test_ledger_says_where_nothing_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if a host where the runbook never ran is told nothing, or JSON is no list."""
    ledger_command.show()
    assert capsys.readouterr().out == "Nothing of the runbook's is here.\n"
    assert json.loads(ledger_command.as_json()) == []
