"""What firewalld's own output says of a port: recorded from firewall-cmd 1.3 and 2.3."""

from pathlib import Path

import pytest

from runbook.system.host import firewalld

PUBLIC = """public (default, active)
  target: default
  ingress-priority: 0
  icmp-block-inversion: no
  interfaces:
  sources:
  services: dhcpv6-client ssh{services}
  ports: {ports}
  protocols:
  forward: yes
  masquerade: no
  rich rules:
"""


def firewall(folder: Path, zone: str) -> None:
    """Put a firewall-cmd there that says this of its zone."""
    program = folder / "firewall-cmd"
    text = f"""#!/bin/sh
case $1 in
--get-zone-of-interface=*) echo "no zone" >&2; exit 2 ;;
--get-default-zone) echo public ;;
--info-zone=public) cat <<'ZONE'
{zone}ZONE
;;
*) exit 9 ;;
esac
"""
    program.write_text(text, encoding="ascii")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("zone", "port", "expected"),
    [
        pytest.param(PUBLIC.format(services="", ports=""), 443, "public", id="closed"),
        pytest.param(PUBLIC.format(services=" https", ports=""), 443, "", id="service"),
        pytest.param(PUBLIC.format(services=" https", ports=""), 5443, "public", id="service-of-another-port"),
        pytest.param(PUBLIC.format(services="", ports="443/tcp"), 443, "", id="port"),
        pytest.param(PUBLIC.format(services="", ports="443/udp"), 443, "public", id="port-of-udp"),
        pytest.param(PUBLIC.format(services="", ports="22/tcp 5000-5500/tcp"), 5443, "", id="range"),
        pytest.param(PUBLIC.format(services="", ports="").replace("default\n", "ACCEPT\n"), 443, "", id="trusted"),
    ],
)
def test_zone_that_closes_is_told_by_services_and_ports(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, zone: str, port: int, expected: str
) -> None:
    """Fails if an open port is said to be closed, or a closed one to be open."""
    firewall(tmp_path, zone)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert firewalld.zone_that_closes("127.0.0.1", port) == expected


def test_host_without_firewalld_closes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fails if a host without it, or whose daemon does not run, gets a task for it."""
    program = tmp_path / "firewall-cmd"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert firewalld.zone_that_closes("127.0.0.1", 443) == ""
    program.write_text("#!/bin/sh\necho FirewallD is not running\nexit 252\n", encoding="ascii")
    program.chmod(0o755)
    assert firewalld.zone_that_closes("127.0.0.1", 443) == ""
