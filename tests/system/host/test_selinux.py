"""SELinux of this host, as the kernel says it."""

from pathlib import Path

import pytest

from runbook.model.errors import HostError
from runbook.system.host import selinux


@pytest.mark.parametrize(
    ("text", "is_there", "enforces"), [(None, False, False), ("0", True, False), ("1", True, True), ("1\n", True, True)]
)
def test_selinux_is_what_the_kernel_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, *, is_there: bool, enforces: bool
) -> None:
    """Fails if a host without SELinux is taken for one with it, or a permissive one for one that enforces."""
    monkeypatch.setattr(selinux, "_ENFORCE", tmp_path / "enforce")
    if text is not None:
        (tmp_path / "enforce").write_text(text, encoding="ascii")
    assert (selinux.is_there(), selinux.enforces()) == (is_there, enforces)


PORTS = """SELinux Port Type              Proto    Port Number

commplex_main_port_t           tcp      5000
http_port_t                    tcp      80, 81, 443, 488, 8008, 8009, 8443, 9000
http_port_t                    udp      80, 443
unreserved_port_t              tcp      61001-65535, 1024-32767
"""  # the output of `semanage port -l`, shortened


@pytest.mark.parametrize(
    ("enforce", "boolean", "port", "expected"),
    [
        pytest.param("0", "0 0", 5443, None, id="permissive"),
        pytest.param("1", "1 1", 443, None, id="allowed"),
        pytest.param("1", None, 443, None, id="policy-without-the-boolean"),
        pytest.param("1", "0 0", 443, "`setsebool -P httpd_can_network_connect on`", id="no-connections"),
        pytest.param("1", "1 1", 5443, "`semanage port -a -t http_port_t -p tcp 5443`", id="port-without-a-label"),
        pytest.param("1", "1 1", 5000, "`semanage port -m -t http_port_t -p tcp 5000`", id="port-of-another"),
    ],
)
def test_refusal_of_nginx_names_the_command(  # noqa: PLR0913, PLR0917 (what it is given, and what follows)
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enforce: str, boolean: str | None, port: int, expected: str | None
) -> None:
    """Fails if nginx is set up where SELinux refuses what it does, or is refused where SELinux lets it."""
    for name, text in (("enforce", enforce), ("boolean", boolean), ("ports", PORTS)):
        if text is not None:
            (tmp_path / name).write_text(text, encoding="ascii")
    (tmp_path / "semanage").write_text(f"#!/bin/sh\ncat {tmp_path}/ports\n", encoding="ascii")
    (tmp_path / "semanage").chmod(0o755)
    monkeypatch.setattr(selinux, "_ENFORCE", tmp_path / "enforce")
    monkeypatch.setattr(selinux, "_MAY_CONNECT", tmp_path / "boolean")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = selinux.refusal_of_nginx(port)
    assert (found and found[1]) == expected


@pytest.mark.parametrize(
    ("enforce", "program", "refused"),
    [("1", "/root/r/.venv/bin/x", True), ("1", "/home/u/x", True), ("1", "/opt/r/x", False), ("0", "/root/x", False)],
)
def test_program_below_a_home_is_refused_where_systemd_may_not_start_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enforce: str, program: str, *, refused: bool
) -> None:
    """Fails if a timer is installed that ends each night with 203/EXEC."""
    (tmp_path / "enforce").write_text(enforce, encoding="ascii")
    monkeypatch.setattr(selinux, "_ENFORCE", tmp_path / "enforce")
    if refused:
        with pytest.raises(HostError, match="move this project below /opt"):
            selinux.refuse_below_home(Path(program))
    else:
        selinux.refuse_below_home(Path(program))
