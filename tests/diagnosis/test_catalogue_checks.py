"""The checks that the catalogue names: each has a unit test, or needs a real engine."""

import ast
import tomllib
from pathlib import Path

import pytest

from runbook import diagnosis
from runbook.diagnosis.catalogue import _check as load_check
from runbook.diagnosis.situation import look

from .situations import situation

CAUSES = tomllib.loads(Path(diagnosis.__file__).with_name("causes.toml").read_text(encoding="utf-8"))["cause"]
NAMED = {cause["check"] for cause in CAUSES}
NEED_AN_ENGINE = (
    "certificate_checks.trust_overruled",
    *("client_checks.api_version", "client_checks.builder_of_its_own", "client_checks.container_name_taken"),
    *("client_checks.network_of_another", "client_checks.tag_not_local"),
    *("container_checks.basic_open", "container_checks.container_missing", "container_checks.container_twice"),
    *("engine_checks.address_pools_used", "engine_checks.image_store_ignores_list"),
    *("engine_checks.lists_registry_insecure", "engine_checks.stores_apart"),
    *("network_checks.nat_chain_gone", "network_checks.network_takes_larger", "network_checks.port_of_container"),
    *(f"surroundings_checks.{name}" for name in ("changed_by_others", "damage", "exposed_keys", "few_files", "frozen")),
    *(f"surroundings_checks.{name}" for name in ("kept_out", "more_rights", "neighbours", "not_forwarded")),
)
MESSAGE = 'locally with the tag: a:1; container name "a" is already in use; network a already exists'


def referenced(path: Path) -> set[str]:
    """Return the functions of its module of checks that a test file names, as `module.function`."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names = [ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)]
    module = path.stem.removeprefix("test_")
    return {name.replace("checks.", f"{module}.", 1) for name in names if name.startswith("checks.")}


def test_each_check_has_a_unit_test() -> None:
    """Fails if a cause's check is in no table of these tests, or is tried although it is said to need an engine."""
    tried = set().union(*map(referenced, Path(__file__).parent.glob("test_*_checks.py")))
    assert sorted(NAMED - tried) == sorted(NEED_AN_ENGINE)


@pytest.mark.parametrize("name", NEED_AN_ENGINE)
def test_check_that_needs_an_engine_is_undecided_without_one(name: str) -> None:
    """Fails if a check that asks the engine decides although none answers."""
    found = look(load_check(name), situation(MESSAGE, _engine=(None, "none answers"), listeners=(), flags=()))
    assert (found.confirmed, found.found) == (None, "the engine cannot be asked: none answers")
