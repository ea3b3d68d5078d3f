"""What the registry reads: a key that it takes for nothing is found before it starts."""

import copy
from typing import Any

import pytest

from runbook.model.errors import HostError
from runbook.model.parameters import Parameters
from runbook.sections import configuration
from runbook.system.registry.config_yml import refuse_unknown_keys

RIGHT: dict[str, Any] = configuration.content(Parameters())


def test_refuse_unknown_keys_takes_all_that_we_write() -> None:
    """Fails if a configuration of ours is refused, or only a part of one is."""
    refuse_unknown_keys(RIGHT)
    refuse_unknown_keys({"version": 0.1})
    refuse_unknown_keys({"http": {"headers": {"X-Content-Type-Options": {"any": "value"}}}})


@pytest.mark.parametrize(
    ("path", "wrong", "expected"),
    [
        pytest.param(["auth"], "auht", "auht in config.yml; probably auth is meant", id="auht"),
        pytest.param(["http", "tls"], "tlss", "http.tlss in config.yml; probably tls is meant", id="tlss"),
        pytest.param(["auth", "htpasswd"], "htpaswd", "auth.htpaswd in config.yml; probably htpasswd", id="nested"),
        pytest.param(["http", "tls", "key"], "keys", "http.tls.keys in config.yml; probably key", id="deep"),
        pytest.param(["version"], "zz", r"zz in config.yml\. ", id="nothing-near"),
        pytest.param(["version"], 1, r"1 in config.yml\. ", id="number"),
    ],
)
def test_refuse_unknown_keys_names_what_is_meant(path: list[str], wrong: str, expected: str) -> None:
    """Fails if a misspelt key passes: with `auht:` the registry starts open, and answers 200 to everybody."""
    data = copy.deepcopy(RIGHT)
    level = data
    for key in path[:-1]:
        level = level[key]
    level[wrong] = level.pop(path[-1])
    with pytest.raises(HostError, match=f"only keys that the registry reads; found {expected}"):
        refuse_unknown_keys(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(None, "a mapping at the top of config.yml; found None", id="empty-file"),
        pytest.param([1], r"a mapping at the top of config.yml; found \[1\]", id="list"),
        pytest.param({"auth": None}, r"a mapping at auth\. of config.yml; found None", id="without-indentation"),
        pytest.param({"http": {"tls": "x"}}, r"a mapping at http.tls\. of config.yml; found 'x'", id="text"),
    ],
)
def test_refuse_unknown_keys_refuses_what_is_no_mapping(data: object, expected: str) -> None:
    """Fails if a section without its keys passes for one (A13), or ends in a traceback."""
    with pytest.raises(HostError, match=expected):
        refuse_unknown_keys(data)
