"""Where each value of a notebook comes from, as a real kernel shows it to each of those who can set one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace

import IPython
import pytest

from runbook.jupyter import origins
from runbook.system.host import headless

INJECTED = '# Parameters\nport = 5443\nextra_names = ["domain"]\n'
VALUES: Mapping[str, object] = {"domain": "r.test", "port": 5443, "extra_names": ["domain"], "username": "admin"}


@contextmanager
def cells(monkeypatch: pytest.MonkeyPatch, *sources: str) -> Iterator[None]:
    """Be in a kernel that has run these cells."""
    shell = SimpleNamespace(user_ns={"In": ["", *sources]})
    with monkeypatch.context() as patched:
        patched.setattr(IPython, "get_ipython", lambda: shell)
        yield


@pytest.mark.parametrize(
    ("file_names", "expected"),
    [
        pytest.param(None, ("-p or -f", "-p or -f"), id="papermill"),
        pytest.param("extra_names", ("-p", "file"), id="run"),
        pytest.param("", ("-p", "-p"), id="run-without-a-file"),
    ],
)
def test_origin_of_what_a_run_was_given(
    monkeypatch: pytest.MonkeyPatch, file_names: str | None, expected: tuple[str, str]
) -> None:
    """Fails if a value of the file looks typed, or a name inside a value is taken for a parameter."""
    monkeypatch.delenv(headless.FROM_FILE, raising=False)
    if file_names is not None:
        monkeypatch.setenv(headless.FROM_FILE, file_names)
    with cells(monkeypatch, "port: int = 443", INJECTED):
        found = origins.of(VALUES, {})
    assert (found["port"], found["extra_names"]) == expected
    assert (found["domain"], found["username"]) == ("cell", "default")


def test_origin_without_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a value of the form, or of this host, looks like one of the cell, or a default like any of them."""
    with cells(monkeypatch, "port: int = 5443"):
        found = origins.of(VALUES, {"domain": "form"})
    assert found == {"domain": "form", "port": "cell", "extra_names": "cell", "username": "default"}
    assert origins.of(VALUES, {}) == {"domain": "cell", "port": "cell", "extra_names": "cell", "username": "default"}
