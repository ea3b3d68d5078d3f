"""A run that changes nothing, by the kernel's word: no call under the managed paths that makes, writes or removes."""

import re

from tests import draws

from .lab import Host
from .product import PROJECT

MANAGED = ("/etc/", "/opt/", "/usr/", "/var/")
CHANGING = (
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat"),
    *("link", "linkat", "symlink", "symlinkat", "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat"),
    *("truncate", "ftruncate", "utimensat", "setxattr", "lsetxattr", "fsetxattr", "removexattr"),
)
OPENING = ("open", "openat", "openat2", "creat")
TRACE = "/root/trace"


def changing_calls(host: Host, *command: str) -> list[str]:
    """Run a command of the project, all that it starts included, and return its calls that change a managed path."""
    calls = f"trace={','.join((*CHANGING, *OPENING))}"
    strace = ("strace", "-f", "--seccomp-bpf", "-y", "-qq", "-o", TRACE, "-e", calls)
    host.run(*strace, *command, directory=PROJECT, timeout_seconds=600)
    seen = [line.split(maxsplit=1)[1] for line in host.read(TRACE).splitlines()]
    assert any(call.startswith('openat(AT_FDCWD</root/registry-runbook>, "/etc/') for call in seen)  # it saw the run
    changing = [
        call
        for call in seen
        if not call.startswith(OPENING) or re.search(r"O_(?:WRONLY|RDWR|CREAT|TRUNC)|^creat", call)
    ]
    # "<... openat resumed>" tells how a call ended whose arguments stand in an earlier line.
    return [
        call
        for call in changing
        if not call.startswith("<...") and any(place in call for root in MANAGED for place in (f'"{root}', f"<{root}"))
    ]


def test_second_run_and_plan_make_no_changing_call(proven_trixie: Host) -> None:
    """Fails where a run with nothing to do, or a plan, touches a file, also where its report says that it does not."""
    trust = "/etc/docker/certs.d/registry.test/ca.crt"
    assert changing_calls(proven_trixie, "./script/run") == []
    proven_trixie.run("rm", trust)
    for planning in draws.one_of(("plan", "--dry-run"), "planning"):
        assert changing_calls(proven_trixie, "./script/run", planning) == []
    assert any(
        'rename("/etc/docker/certs.d/registry.test/.ca.crt.part"' in call
        for call in changing_calls(proven_trixie, "./script/run", "30-certificates")
    )
