"""The table of the notebooks: its order, and how a row is found."""

import pytest

from runbook import catalogue


def test_names_are_in_the_order_of_the_document() -> None:
    """Fails if a run would take a section before what it needs."""
    expected = ["00-index", "10-host", "20-basic-registry", "30-certificates", "40-configuration", "45-users"]
    assert expected == catalogue.names()[:6]
    assert sorted(catalogue.names()) == catalogue.names()


def test_find_gives_a_row_by_its_name() -> None:
    """Fails if another row is given, or one for a name that no notebook has."""
    assert catalogue.find("55-nginx").runs == "nginx"
    with pytest.raises(KeyError, match="11-host"):
        catalogue.find("11-host")
