"""The accepted state: what its file says, what is compared, and when it is written again."""

import datetime
import json
from pathlib import Path

import pytest

from runbook.changes.files import MakeDirectory, WriteFile
from runbook.model.errors import HostError
from runbook.proof import baseline
from runbook.proof.baseline import Baseline

NOW = datetime.datetime(2026, 3, 1, 12, 30, tzinfo=datetime.UTC)
KEPT = Baseline(registry="r.test", accepted=NOW, state={"the engine": "26.1.5", "the image": "sha256:ab"})
TEXT = KEPT.model_dump_json(indent=2) + "\n"
PATH = Path("/p/accepted.json")


def test_read_gives_back_what_plan_writes() -> None:
    """Fails if an accepted state cannot be read by the next proof."""
    [written] = baseline.plan(PATH, None, KEPT)
    assert WriteFile(path=PATH, before=None, after=TEXT, mode=0o600) == written
    assert isinstance(written, WriteFile)
    assert baseline.read(written.after) == KEPT


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="a-list"),
        pytest.param(json.dumps({**json.loads(TEXT), "version": 2}), id="later-version"),
        pytest.param(json.dumps({**json.loads(TEXT), "state": {"the engine": 26}}), id="no-text"),
        pytest.param(json.dumps({**json.loads(TEXT), "more": 1}), id="unknown-name"),
    ],
)
def test_read_refuses_another_form(text: str) -> None:
    """Fails if a file that is no accepted state is compared with, or keeps a new one from being accepted."""
    with pytest.raises(HostError, match=r"accepted state in version 1.*prove --accept"):
        baseline.read(text)
    assert [WriteFile(path=PATH, before=text, after=TEXT, mode=0o600)] == baseline.plan(PATH, text, KEPT)


def test_plan_finds_nothing_to_do_where_the_same_was_accepted_before() -> None:
    """Fails if accepting the same state again writes a file, or a drift is not written."""
    later = KEPT.model_copy(update={"accepted": NOW + datetime.timedelta(days=1)})
    assert baseline.plan(PATH, TEXT, later) == []
    drifted = later.model_copy(update={"state": {**KEPT.state, "the engine": "28.5.2"}})
    [change] = baseline.plan(PATH, TEXT, drifted)
    assert '-    "the engine": "26.1.5"' in change.detail()


def test_compare_tells_each_drift_and_nothing_else() -> None:
    """Fails if a drift passes, what is as it was fails, or a fact that is new in a later version is taken for drift."""
    found = {"the engine": "28.5.2", "the image": "sha256:ab", "new in a later version": "x"}
    rows = {row.claim: row for row in baseline.compare(KEPT, found)}
    assert {claim: row.passed for claim, row in rows.items()} == {
        "as accepted on 2026-03-01: the engine": False,
        "as accepted on 2026-03-01: the image": True,
    }
    drifted = rows["as accepted on 2026-03-01: the engine"]
    assert (drifted.expected, drifted.found) == ("26.1.5", "28.5.2")
    assert [row.found for row in baseline.compare(KEPT, {})] == ["none", "none"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param("2 repositories, 5 tags", True, id="as-much"),
        pytest.param("3 repositories, 9 tags", True, id="more"),
        pytest.param("2 repositories, 4 tags", False, id="a-tag-less"),
        pytest.param("1 repositories, 9 tags", False, id="a-repository-less"),
        pytest.param("0 repositories, 0 tags", False, id="emptied"),
        pytest.param("not counted: only root sees what the container sees", False, id="not-counted"),
    ],
)
def test_compare_takes_less_for_drift_and_more_for_use(found: str, *, expected: bool) -> None:
    """Fails if a push is taken for drift, or a storage that was emptied is not."""
    kept = KEPT.model_copy(update={"state": {baseline.STORED: "2 repositories, 5 tags"}})
    [row] = baseline.compare(kept, {baseline.STORED: found})
    assert (row.passed, row.found) == (expected, found)


def test_folder_for_makes_one_only_where_it_is_missing(tmp_path: Path) -> None:
    """Fails if the first state cannot be kept, or a folder's mode is changed."""
    assert baseline.folder_for(tmp_path / "r.json") == []
    expected = [MakeDirectory(path=tmp_path / "accepted", mode=0o700)]
    assert expected == baseline.folder_for(tmp_path / "accepted" / "r.json")


def test_path_elsewhere_keeps_registries_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fails if two registries share a file, or a name leads out of the folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    names = ("r.test", "r.test:5000", "[2001:db8::1]:443", "../r")
    paths = [baseline.path_elsewhere(name) for name in names]
    assert len(set(paths)) == len(names)
    assert {path.parent for path in paths} == {tmp_path / "registry-runbook" / "accepted"}


def test_certificate_without_one_says_so() -> None:
    """Fails if a registry that answers without TLS looks as one whose certificate is the accepted one."""
    assert baseline.certificate(b"") == {"the certificate that is served": "none"}
