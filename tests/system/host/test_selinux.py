"""SELinux of this host, as the kernel says it."""

from pathlib import Path

import pytest

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
