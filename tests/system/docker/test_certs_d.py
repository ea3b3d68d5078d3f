"""The folders of certs.d as containerd reads them."""

from pathlib import Path

import pytest

from runbook.model.errors import HostError
from runbook.system.docker import certs_d

OWN, PORT, OTHER = "registry.test", "registry.test:5443", "registry.test_5443_"
AUTHORITY = "-----BEGIN CERTIFICATE-----\nours\n"
TABLES = """server = "https://registry.test"
[host."https://registry.test"]
capabilities = ["pull"]
ca = {ca}
"""


@pytest.mark.parametrize(
    ("name", "there", "expected"),
    [
        pytest.param(OWN, {}, "", id="nothing"),
        pytest.param(OWN, {f"{OWN}/ca.crt": "another"}, "", id="that-is-the-trust-itself"),
        pytest.param(OWN, {f"{OWN}/hosts.toml": 'server = "https://registry.test"'}, f"{OWN}/hosts.toml", id="no-ca"),
        pytest.param(OWN, {f"{OWN}/hosts.toml": 'ca = "ca.crt"'}, "", id="ca-of-the-folder"),
        pytest.param(OWN, {f"{OWN}/hosts.toml": 'ca = ["a.crt"]', f"{OWN}/a.crt": f"x\n{AUTHORITY}"}, "", id="a-copy"),
        pytest.param(
            OWN, {f"{OWN}/hosts.toml": 'ca = "a.crt"', f"{OWN}/a.crt": "x"}, f"{OWN}/hosts.toml", id="ca-of-others"
        ),
        pytest.param(OWN, {f"{OWN}/hosts.toml": TABLES.format(ca='"ca.crt"')}, "", id="ca-of-a-host"),
        pytest.param(OWN, {f"{OWN}/hosts.toml": TABLES.format(ca="[]")}, f"{OWN}/hosts.toml", id="host-without"),
        pytest.param(OWN, {f"{OWN}/hosts.toml": 'ca = 5\nhost = "x"'}, f"{OWN}/hosts.toml", id="of-other-types"),
        pytest.param(OWN, {f"{OWN}/hosts.toml": "[host]\na = 5"}, f"{OWN}/hosts.toml", id="host-that-is-none"),
        pytest.param(OWN, {f"{OWN}/hosts.toml": ""}, "", id="empty"),
        pytest.param(OWN, {f"{OWN}/hosts.toml": "ca = "}, "", id="broken"),
        pytest.param(OWN, {"_default/hosts.toml": 'server = "https://m.test"'}, "", id="default-comes-last"),
        pytest.param(OWN, {f"{OTHER}/ca.crt": "x"}, "", id="folder-of-a-port"),
        pytest.param(PORT, {f"{OTHER}/ca.crt": "x"}, OTHER, id="folder-that-comes-first"),
        pytest.param(PORT, {f"{OTHER}/ca.crt": AUTHORITY}, "", id="which-trusts-too"),
        pytest.param(PORT, {f"{OTHER}/hosts.toml": "skip_verify = true"}, f"{OTHER}/hosts.toml", id="its-file"),
        pytest.param(PORT, {f"{PORT}/hosts.toml": 'ca = "x"'}, f"{PORT}/hosts.toml", id="port-s-own"),
    ],
)
def test_what_containerd_reads_instead(tmp_path: Path, name: str, there: dict[str, str], expected: str) -> None:
    """Fails if a folder or file that containerd reads before the authority's certificate is not seen, or another is."""
    for path, text in there.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="ascii")
    trust = tmp_path / name / "ca.crt"
    found = certs_d.read_instead(trust, AUTHORITY)
    assert found == (tmp_path / expected if expected else None)
    if found is None:
        certs_d.refuse(found, trust)
    else:
        with pytest.raises(HostError, match="move it away") as raised:
            certs_d.refuse(found, trust)
        assert ("name " in raised.value.remedy) == expected.endswith(".toml")


def test_authority_that_is_not_there_yet_is_in_no_file(tmp_path: Path) -> None:
    """Fails if a first run takes any file for one that trusts the authority that it is about to make."""
    (tmp_path / OWN).mkdir()
    (tmp_path / OWN / "hosts.toml").write_text('ca = "a.crt"', encoding="ascii")
    (tmp_path / OWN / "a.crt").write_text(AUTHORITY, encoding="ascii")
    found = certs_d.read_instead(tmp_path / OWN / "ca.crt", None)
    assert found == tmp_path / OWN / "hosts.toml"
