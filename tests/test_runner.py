"""The runner: which notebooks there are, and where their records go."""

import datetime
from pathlib import Path

import pytest

from runbook import runner
from runbook.parameters import Parameters


def test_names_are_in_the_order_of_the_document() -> None:
    """Fails if a run would take a section before what it needs."""
    expected = ["00-index", "10-host", "20-basic-registry", "30-certificates", "40-configuration", "50-compose"]
    assert expected == runner.names()[:6]
    assert sorted(runner.names()) == runner.names()


def test_way_leads_past_nginx_only_where_a_proxy_is_asked_for() -> None:
    """Fails if a run without a proxy shows a notebook that does nothing, or one with a proxy leaves it out."""
    without, with_it = (runner.names_of_way(Parameters(proxy=proxy)) for proxy in ("none", "nginx"))
    assert set(with_it) - set(without) == {"55-nginx"}
    assert with_it == [name for name in runner.names() if name < "70"]


@pytest.mark.parametrize("name", runner.names())
def test_title_is_a_notebook_s_first_heading(name: str) -> None:
    """Fails if the list shows markup, or nothing."""
    found = runner.title(name)
    assert found
    assert not found.startswith("#")


def test_new_folder_is_one_run_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if others can read a record, or a second run writes over the first one's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
    folder = runner.new_folder(now)
    assert tmp_path / "registry-runbook" / "20260102T030405.000006" == folder
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]
    with pytest.raises(FileExistsError):
        runner.new_folder(now)
