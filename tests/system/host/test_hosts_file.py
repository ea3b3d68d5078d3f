"""The file /etc/hosts, where the name stands for one address of this host."""

import subprocess
from pathlib import Path

import pytest

from runbook.system.host import hosts_file
from runbook.system.host.hosts_file import with_name

BLOCK = "# registry-runbook begin\n192.168.1.2 registry.test\n# registry-runbook end\n"
OLD_BLOCK = "# registry-runbook begin\n10.0.0.9 old.test\n# registry-runbook end\n"
LOCALHOST = "127.0.0.1\tlocalhost\n::1     localhost ip6-localhost\n"
TEXTS = [
    pytest.param("", "", id="empty"),
    pytest.param(LOCALHOST, LOCALHOST, id="others-as-they-are"),
    pytest.param("127.0.0.1 localhost", "127.0.0.1 localhost\n", id="no-newline-at-the-end"),
    pytest.param(LOCALHOST + BLOCK, LOCALHOST, id="already-there"),
    pytest.param(f"{OLD_BLOCK}{LOCALHOST}", LOCALHOST, id="block-of-another-name-and-place"),
    pytest.param(f"{BLOCK}{LOCALHOST}{BLOCK}", LOCALHOST, id="block-twice"),
    pytest.param(BLOCK.rstrip("\n"), "", id="block-without-newline"),
    pytest.param("registry.test 127.0.0.1\n", "", id="the-document's-wrong-way-round"),
    pytest.param("127.0.0.1 registry.test\n", "", id="on-loopback"),
    pytest.param("127.0.0.1 localhost registry.test\n", "127.0.0.1 localhost\n", id="beside-localhost"),
    pytest.param("10.0.0.9\tregistry.test  other.test\n", "10.0.0.9 other.test\n", id="two-names-on-one-line"),
    pytest.param("10.0.0.9 registry.test registry.test\n", "", id="twice-on-one-line"),
    pytest.param("10.0.0.9 a registry.test # old\n", "10.0.0.9 a # old\n", id="comment-at-the-end"),
    pytest.param("# registry.test was here\n", "# registry.test was here\n", id="in-a-comment"),
    pytest.param("10.0.0.9 a # registry.test\n", "10.0.0.9 a # registry.test\n", id="behind-a-hash-sign"),
    pytest.param("10.0.0.9 my.registry.test registry.test.org\n", None, id="names-that-contain-it"),
    pytest.param("10.0.0.9 Registry.TEST\n", "", id="in-upper-case"),  # hosts(5): the resolver does not tell them apart
    pytest.param(f"\n\n{LOCALHOST}\n", f"\n\n{LOCALHOST}\n", id="blank-lines"),
]


@pytest.mark.parametrize(("text", "others"), TEXTS)
def test_with_name_gives_the_name_one_address(text: str, others: str | None) -> None:
    """Fails if a line that says otherwise stays (A5, A7), or a line of another name is touched."""
    assert (text if others is None else others) + BLOCK == with_name(text, "192.168.1.2", "registry.test")


@pytest.mark.parametrize(
    "text",
    [
        *[pytest.param(item.values[0], id=item.id) for item in TEXTS],
        pytest.param(f"# registry-runbook begin\n{LOCALHOST}", id="begin-without-end"),
        pytest.param(f"{LOCALHOST}# registry-runbook end\n", id="end-without-begin"),
        pytest.param(f"# registry-runbook begin\n{BLOCK}{LOCALHOST}", id="begin-twice"),
    ],
)
def test_with_name_changes_nothing_the_second_time(text: str) -> None:
    """Fails if a second run would write again, or take lines of others away."""
    first = with_name(str(text), "192.168.1.2", "registry.test")
    assert first == with_name(first, "192.168.1.2", "registry.test")


@pytest.mark.parametrize("stray", ["# registry-runbook begin\n", "# registry-runbook end\n"])
def test_with_name_keeps_what_follows_half_a_block(stray: str) -> None:
    """Fails if a marker that lost its other half takes the lines of others with it."""
    text = stray + LOCALHOST
    for _ in range(2):
        text = with_name(text, "192.168.1.2", "registry.test")
        assert LOCALHOST in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(None, True, id="no-file"),
        pytest.param("passwd: files\n", True, id="no-line"),
        pytest.param("hosts: files dns\n", True, id="files"),
        pytest.param("hosts:\tmymachines resolve [!UNAVAIL=return] dns\n", True, id="systemd-resolved"),
        pytest.param("  hosts: dns files # later\n", True, id="last"),
        pytest.param("hosts: dns\n", False, id="without"),
        pytest.param("hosts: dns # files\n", False, id="in-a-comment"),
        pytest.param("#hosts: files\nhosts: dns\n", False, id="commented-out"),
        pytest.param("hosts: myfiles dns\n", False, id="another-word"),
    ],
)
def test_is_read_follows_nsswitch(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    expected: bool,  # noqa: FBT001 (a row's value)
) -> None:
    """Fails if a line in /etc/hosts is taken to count where nobody reads it, or not to where it is read."""
    switch = tmp_path / "nsswitch.conf"
    if text is not None:
        (tmp_path / "target").write_text(text, encoding="utf-8")
        switch.symlink_to("target")  # as authselect has it
    monkeypatch.setattr(hosts_file, "_SWITCH", switch)
    assert hosts_file.is_read() == expected
    if not expected:
        command = hosts_file.unread("registry.test").remedy.split("`")[1]
        subprocess.run(["sh", "-c", command], check=True, stdin=subprocess.DEVNULL)
        assert hosts_file.is_read()
