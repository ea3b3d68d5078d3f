"""What a person is told to type: with the names of his registry, and without its password."""

from collections.abc import Callable

import pytest

from runbook.display import first_use
from runbook.model.parameters import Parameters
from tests.conftest import without_engine


def test_commands_have_the_names_of_this_registry(
    make_parameters: Callable[..., Parameters], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if a command is for another registry or user, or takes another password."""
    without_engine(monkeypatch)
    parameters = make_parameters(domain="r.test", port=5443, username="me", password_file="/my/p")  # noqa: S106 (a path)
    login, tag, push = first_use.text(parameters).splitlines()[1:]
    assert login == "docker login r.test:5443 --username me --password-stdin </my/p"
    assert (tag, push) == (
        f"docker tag {parameters.registry_image} r.test:5443/{parameters.registry_image}",
        f"docker push r.test:5443/{parameters.registry_image}",
    )


def test_table_says_where_the_password_is_and_what_other_hosts_need(
    make_parameters: Callable[..., Parameters], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if the address, the user, the password's file or the kit is missing, or a plan speaks of a registry."""
    without_engine(monkeypatch)
    parameters = make_parameters()
    shown = first_use.table(parameters)
    assert shown.rows == (
        ("address", "https://registry.test"),
        ("user", "admin"),
        ("password", f"in {parameters.password_path}, which only root can read"),
        ("from other hosts", "run 70-clients, which makes the kit for them"),
    )
    assert "<a href='70-clients.ipynb'" in shown.html()
    assert first_use.table(make_parameters(mode="plan")).rows == ()
