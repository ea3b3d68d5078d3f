"""What test hosts need of this machine, said before the first of them starts: `python -m tests.hosts.needs`."""

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator

from .images import MIRROR

SECONDS = 60
SMALL = "six==1.17.0"  # a package of eleven kilobytes


def find_lacking(*, user: int, mirror: str, pip: tuple[str, ...]) -> Iterator[str]:
    """Yield what is lacking, with what was found and what to do."""
    if user != 0:
        yield f"expected root, who can start test hosts; found user {user}. To repair: use sudo, or script/test --fast."
        return
    if shutil.which("apt-get") is None:
        yield "expected a Debian with apt-get; found none. To repair: use Debian 12, or script/test --fast."
        return
    if found := ask_mirror(mirror):
        yield f"expected Debian's packages at {mirror}; found {found}. To repair: let this machine reach them."
    if found := ask_index(pip):
        yield f"expected Python's package index to give {SMALL}; found {found}. To repair: let pip reach an index."


def ask_mirror(mirror: str) -> str:
    """Return why Debian's packages cannot be had, nothing where they can."""
    try:
        with urllib.request.urlopen(f"{mirror}/dists/bookworm/InRelease", timeout=SECONDS) as answer:  # noqa: S310
            answer.read(1)
    except OSError as error:  # URLError is one
        return str(error)
    return ""


def ask_index(pip: tuple[str, ...]) -> str:
    """Return why no package comes from Python's package index, nothing where one does."""
    with tempfile.TemporaryDirectory() as folder:
        argv = (*pip, "download", "-q", "--no-deps", "--no-cache-dir", "--retries", "1", "-d", folder, SMALL)
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=2 * SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return f"no answer in {2 * SECONDS} s"
        return "" if done.returncode == 0 else done.stderr.strip().rpartition("\n")[2]


def main() -> None:
    """Print what is lacking, and end with 1 where anything is."""
    lacking = [*find_lacking(user=os.getuid(), mirror=MIRROR, pip=(sys.executable, "-m", "pip"))]
    sys.stderr.writelines(f"script/test: {line}\n" for line in lacking)
    sys.exit(1 if lacking else 0)


if __name__ == "__main__":
    main()
