"""The state of every section, read from the host."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runbook import catalogue
from runbook.changes import deployment, ledger
from runbook.changes.apply import apply
from runbook.display import overview
from runbook.display.overview import State
from runbook.model.parameters import Parameters, read
from runbook.sections import basic_registry
from tests.conftest import without_engine
from tests.hosts.product import make_files


def test_section_is_the_module_behind_a_notebook() -> None:
    """Fails if a notebook's name leads to another section."""
    assert overview.section("20-basic-registry") is basic_registry


def test_state_follows_a_section_from_to_do_to_done(
    make_parameters: Callable[..., Parameters], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if a section that was carried out looks as if it was not, or one that was changed looks done."""
    without_engine(monkeypatch)
    parameters = make_parameters(bcrypt_cost=4)
    first = overview.state("40-configuration", parameters)
    assert (first.name, len(first.changes)) == ("to do", 7)
    apply(first.changes)
    assert overview.state("40-configuration", parameters) == State(notebook="40-configuration", name="done")
    parameters.configuration_path.write_text("version: 0.1\n", encoding="ascii")
    differing = overview.state("40-configuration", parameters)
    assert (differing.name, len(differing.changes)) == ("differs", 1)
    parameters.htpasswd_path.write_text("admin\n", encoding="ascii")
    refusing = overview.state("40-configuration", parameters)
    assert (refusing.name, refusing.changes) == ("refuses", ())
    assert "line 1: not USER:BCRYPT-HASH" in refusing.reason
    waiting = overview.state("50-compose", parameters)
    assert (waiting.name, waiting.changes) == ("waits", ())
    table = overview.states_table([first, refusing])
    assert (("40-configuration", "to do", "7", ""), ("40-configuration", "refuses", "0", refusing.reason)) == table.rows


def test_host_table_shows_a_host_without_an_engine(
    make_parameters: Callable[..., Parameters], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if the first thing that a reader runs needs what the next notebook brings."""
    without_engine(monkeypatch)
    facts = {row[0]: row[1] for row in overview.host_table(make_parameters()).rows}
    assert (facts["Docker Engine"], facts["image of the registry"]) == ("none that answers", "none")
    assert facts["net.ipv4.ip_forward"] == Path("/proc/sys/net/ipv4/ip_forward").read_text(encoding="ascii").strip()


def test_way_leads_past_nginx_only_where_a_proxy_is_asked_for() -> None:
    """Fails if a run without a proxy shows a notebook that does nothing, or one with a proxy leaves it out."""
    without, with_it = (overview.default_notebooks(Parameters(proxy=proxy)) for proxy in ("none", "nginx"))
    assert set(with_it) - set(without) == {"55-nginx"}
    assert with_it == [name for name in catalogue.names() if name < "70" and name != "45-users"]


def test_way_leads_past_users_unless_some_are_declared_or_were() -> None:
    """Fails if users who are no longer declared keep their lines, since no notebook runs that would remove them."""
    declared = read({"users": ["ci"]}, where="a test")
    assert "45-users" in overview.sections(declared)
    assert "45-users" not in overview.sections(Parameters())
    ledger.FOLDER.mkdir()
    deployment.update({"users": ["ci"]}, has_started=True)
    assert "45-users" in overview.sections(Parameters())


def test_registry_facts_are_what_is_there(make_parameters: Callable[..., Parameters]) -> None:
    """Fails if a reader is not told who gets in, or for how long, or a host without a registry has facts of one."""
    parameters = make_parameters(bcrypt_cost=4, validity_days=9, renew_before_days=1)
    assert overview.registry_facts(parameters) == {}
    make_files(parameters)
    facts = overview.registry_facts(parameters)
    assert (facts["users"], facts["days left of its certificate"]) == ("admin", "8")


def test_states_table_leads_to_the_notebooks_and_marks_their_states() -> None:
    """Fails if a reader of the index cannot open a section from its row, or tells states apart by colour alone."""
    states = [State(notebook="10-host", name="done"), State(notebook="20-basic-registry", name="differs")]
    table = overview.states_table(states)
    assert "href='20-basic-registry.ipynb'" in table.html()
    assert ("✓ done" in table.html(), "✗ differs" in table.html()) == (True, True)
    assert ("✓" in table.text(), "ipynb" in table.text()) == (False, False)
