"""The flags of the engine: found in the files that it is started from, with their line, and held to daemon.json."""

from pathlib import Path

import pytest

from runbook.model.errors import HostError
from runbook.system.docker.engine_flags import Flag, in_environment_file, in_units, refuse

UNIT = """# /lib/systemd/system/docker.service
[Service]
# the default
EnvironmentFile=-/etc/default/docker
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/c.sock $DOCKER_OPTS
"""
DROP_IN = """
# /etc/systemd/system/docker.service.d/override.conf
[Service]
ExecStart=
ExecStart=/usr/bin/dockerd \\
  --log-level debug \\
  -D
"""
DOCUMENT = """# Docker
DOCKER_OPTS="--registry-mirror=https://m.test --insecure-registry=192.168.199.100:5000"
"""


def test_in_units_names_file_and_line() -> None:
    """Fails if a flag of the unit is not seen, or a reader is sent to another line than the one that has it."""
    flags, sources = in_units(UNIT)
    assert [(flag.name, flag.key, flag.place) for flag in flags] == [
        ("host", "hosts", "/lib/systemd/system/docker.service line 4"),
        ("containerd", "containerd", "/lib/systemd/system/docker.service line 4"),
    ]
    assert flags[0].line == "ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/c.sock $DOCKER_OPTS"
    assert sources == [(Path("/etc/default/docker"), ("DOCKER_OPTS",))]


def test_in_units_follows_a_drop_in_that_begins_anew() -> None:
    """Fails if flags count that systemd has dropped, or a line that goes on in the next is read only to its end."""
    flags, sources = in_units(UNIT + DROP_IN)
    place = "/etc/systemd/system/docker.service.d/override.conf line 3"
    assert [(flag.name, flag.place) for flag in flags] == [("log-level", place), ("debug", place)]
    assert sources == [(Path("/etc/default/docker"), ())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(DOCUMENT, [("registry-mirrors", 2), ("insecure-registries", 2)], id="the-document"),
        pytest.param('DOCKER_OPTS="-D"\nexport DOCKER_OPTS="--dns 1.1.1.1"', [("dns", 2)], id="the-last-counts"),
        pytest.param('#DOCKER_OPTS="-D"\nOTHER="--debug"\n', [], id="comment-and-another-variable"),
        pytest.param("DOCKER_OPTS='-D", [("debug", 1)], id="a-quote-that-does-not-end"),
        pytest.param("", [], id="empty"),
    ],
)
def test_in_environment_file_finds_what_the_engine_is_given(text: str, expected: list[tuple[str, int]]) -> None:
    """Fails if a flag that the document has one write is not seen, or one that does not count is."""
    found = in_environment_file(text, "/etc/default/docker", ["DOCKER_OPTS"])
    assert expected == [(flag.key, int(flag.place.rpartition(" ")[2])) for flag in found]


def test_flag_shows_no_login() -> None:
    """Fails if a message would repeat the password of a mirror or proxy."""
    [flag] = in_environment_file("DOCKER_OPTS=--http-proxy=http://me:s3cret@proxy.test", "f", ["DOCKER_OPTS"])
    assert "s3cret" not in flag.line


@pytest.mark.parametrize(
    ("text", "clashes"),
    [
        pytest.param(None, False, id="no-file"),
        pytest.param("\n", False, id="empty-file"),
        pytest.param('{"log-level": "info"}', False, id="another-key"),
        pytest.param('{"registry-mirrors": []}', True, id="the-same"),
        pytest.param('{"nested": {"registry-mirrors": []}}', False, id="the-same-below"),
    ],
)
def test_refuse_names_the_line(text: str | None, *, clashes: bool) -> None:
    """Fails if an engine that cannot start with its files would be restarted, or one that can is refused."""
    flags = [Flag(name="registry-mirror", place="/etc/default/docker line 2", line="DOCKER_OPTS=…")]
    if not clashes:
        refuse(text, flags)
        return
    with pytest.raises(HostError, match=r"the flag is in /etc/default/docker line 2: DOCKER_OPTS=…"):
        refuse(text, flags)


def test_refuse_allows_what_the_engine_merges() -> None:
    """Fails if runtimes, which an engine takes from both, are refused."""
    refuse('{"runtimes": {}}', [Flag(name="add-runtime", place="", line="")])


@pytest.mark.parametrize("text", ['{"a": 1', '{"a": 1, "a": 2}', "[]"])
def test_refuse_finds_what_no_engine_reads(text: str) -> None:
    """Fails if the document's daemon.json without its last brace is found only by an engine that does not start."""
    with pytest.raises(HostError, match="one object in JSON"):
        refuse(text, [])


def test_refuse_finds_the_document_s_flag() -> None:
    """Fails if `--insecure-registries`, a flag that there is not, is found only by an engine that does not start."""
    flags = in_environment_file('DOCKER_OPTS="--insecure-registries=r.test"', "f", ["DOCKER_OPTS"])
    with pytest.raises(HostError, match=r"--insecure-registries in f line 1: .* write --insecure-registry,"):
        refuse(None, flags)
