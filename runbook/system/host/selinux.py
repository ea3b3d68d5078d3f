"""SELinux of this host: a container reads a folder of the host only where that has the label for it.

Source: Docker Engine documentation, "Bind mounts", Configure the SELinux label; selinux(8).
"""

from pathlib import Path

from runbook.system.host import files

_ENFORCE = Path("/sys/fs/selinux/enforce")  # there, with 1 or 0, where the kernel has SELinux


def is_there() -> bool:
    """Return whether this kernel has SELinux: mounted folders are then labelled, enforced or not."""
    return files.read_text(_ENFORCE) is not None


def enforces() -> bool:
    """Return whether SELinux enforces on this host."""
    return (files.read_text(_ENFORCE) or "").strip() == "1"
