"""What a process of ours needs around it, before it imports anything else: streams, a folder, room, its own Python."""

import os
import resource
import sys

# What only says how text is written and what is kept; all else that Python takes from there is for another program.
_KEPT = {"PYTHONDONTWRITEBYTECODE", "PYTHONIOENCODING", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED", "PYTHONUTF8"}
_LEAST_BYTES = 1 << 30  # of address space: a Docker client reserves 800 MB


def settle() -> None:
    """Start this program anew where a standard stream is closed, or the environment has settings of another Python's.

    Ends it with 1, and the reason, where there is no current folder, or too little address space. A closed stream would
    be the next file that is opened, and PYTHONINSPECT would ask at the end what nobody answers (python(1)).
    """
    closed = [number for number in range(3) if not _is_open(number)]
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free (open(2))
    foreign = {name for name in os.environ if name.startswith("PYTHON")} - _KEPT
    if found := _lacking():
        os.write(2, f"registry-runbook: {found}\n".encode())
        sys.exit(1)
    if closed or foreign:
        for number in closed:
            os.set_inheritable(number, True)  # noqa: FBT003 (as it is called)
        environment = {name: value for name, value in os.environ.items() if name not in foreign}
        argv = (sys.executable, "-P", "-m", "runbook", *sys.argv[1:])
        os.execve(sys.executable, argv, environment)  # noqa: S606 (this program)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _lacking() -> str:
    try:
        os.getcwd()  # noqa: PTH109 (pathlib is not imported yet)
    except OSError as error:
        return f"expected a current folder; found {error.strerror}. To repair: `cd` into one that is there."
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit not in (resource.RLIM_INFINITY, -1) and limit < _LEAST_BYTES:
        room = f"expected {_LEAST_BYTES >> 10} kB of address space or more; found {limit >> 10} kB"
        return f"{room}. To repair: `ulimit -v unlimited`."
    return ""
