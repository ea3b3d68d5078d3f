"""SELinux of this host: a container can read a mounted folder only if the folder has the right label.

Source: Docker Engine documentation, "Bind mounts", Configure the SELinux label; selinux(8).
"""

from pathlib import Path

from runbook.system.host import files

_ENFORCE = Path("/sys/fs/selinux/enforce")  # contains 1 or 0; exists only if the kernel has SELinux enabled


def is_there() -> bool:
    """Return whether the kernel has SELinux enabled: mounted folders need a label, enforced or not."""
    return files.read_text(_ENFORCE) is not None


def enforces() -> bool:
    """Return whether SELinux is in enforcing mode."""
    return (files.read_text(_ENFORCE) or "").strip() == "1"
