"""Real test hosts: containers that run a Debian of their own, most with systemd and a Docker Engine inside."""

import io
import os
import secrets
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from .images import Recipe, ensure_image, has_image, remove_earlier, tag
from .machine import Completed, LabError, alone, execute

__all__ = ["LAN", "Completed", "Host", "LabError", "Network", "NewHost", "SetUp", "start_host"]

PROJECT = Path(__file__).resolve().parents[2]
ON_HOST = "/root/registry-runbook"
SetUp = Literal["", "run", "development"]  # what script/setup has made on a host before its test begins: nothing, …
TRUST = "/opt/lab/trust.pem"  # not the host's own bundle: that one must stay replaceable
UV_CACHE = "/var/cache/uv"
PASSED = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")
OUT_OF_TIME = 124  # what timeout(1) exits with
# Root's capabilities but one that some machines withhold; nothing of /proc masked, so that sysctl works as on a host.
OPTIONS = (
    "--cap-add=ALL",
    "--cap-drop=SYS_RESOURCE",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    "--cgroupns=host",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
    "--volume=/var/lib/docker",
    f"--volume=registry-runbook-uv-cache:{UV_CACHE}",
    "--tmpfs=/run",
    "--tmpfs=/run/lock",
)
ADDRESS = "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
# A file that Docker mounts cannot be renamed over; on a real host these three can.
UNMOUNT = """
for path in /etc/hosts /etc/hostname /etc/resolv.conf; do
    text=$(cat "$path"); umount "$path"; echo "$text" >"$path"
done
"""
UNMOUNT_AGAIN = "umount /etc/hosts /etc/hostname /etc/resolv.conf"  # beneath are the host's own, as it left them
# What is set up stays, the project goes: a test copies its own. Lists of packages are not there on a new host either.
SET_UP = """
cd "$1"; shift
script/setup "$@"; .venv/bin/python -m compileall -q .venv
find . -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
rm -rf /var/lib/apt/lists/*
"""
WRITE = 'mkdir -p "$(dirname "$1")"; cat >"$1"; chmod "$2" "$1"'


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A LAN of hosts; those that ask for no address get one from `automatic`, so that all others stay free."""

    name: str
    subnet: str
    automatic: str


LAN = Network(name="registry-runbook-lan", subnet="192.168.1.0/24", automatic="192.168.1.128/25")


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """A running test host; `environment` is what each command in it gets, for the package index and its trust."""

    name: str
    address: str
    network: str
    recipe: Recipe
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def run(
        self,
        *argv: str,
        check: bool = True,
        input_text: str | None = None,
        environment: Mapping[str, str] | None = None,
        timeout_seconds: float = 120.0,
        directory: str = "/root",
    ) -> Completed:
        """Run a command in the host as root; standard input is empty, and there is no terminal.

        Raises LabError if it fails (unless `check` is off), and in any case if it is stopped at the deadline.
        """
        variables = {**self.environment, **(environment or {})}
        done = execute(
            *("docker", "exec", "--interactive", f"--workdir={directory}"),
            *(f"--env={name}={value}" for name, value in variables.items()),
            *(self.name, "timeout", "--kill-after=10", str(timeout_seconds), *argv),
            check=False,
            input_bytes=(input_text or "").encode(),
            timeout_seconds=timeout_seconds + 30,
        )
        done = replace(done, argv=argv)
        if done.code == OUT_OF_TIME or (check and done.code != 0):
            message = f"on {self.name}, within {timeout_seconds} s: {done}"
            raise LabError(message)
        return done

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Make `text` the content of a file in the host, and its folders where they are missing."""
        self.run("sh", "-ec", WRITE, "write", path, f"{mode:o}", input_text=text)

    def read(self, path: str) -> str:
        """Return the content of a file in the host."""
        return self.run("cat", path).stdout

    def copy_project(self, destination: str = ON_HOST) -> None:
        """Put what a clean clone of this project would hold into a folder of the host."""
        self.run("mkdir", "-p", destination)
        unpack = ("docker", "exec", "--interactive", self.name, "tar", "-x", "-C", destination)
        execute(*unpack, input_bytes=pack_project())

    def restart(self) -> None:
        """Shut a host that boots down and start it again, with its files, its address, and a kernel set up anew."""
        self.run("systemctl", "poweroff")
        execute("docker", "wait", self.name, timeout_seconds=120)
        with alone():
            execute("docker", "network", "disconnect", self.network, self.name)
            execute("docker", "network", "connect", f"--ip={self.address}", self.network, self.name)
            execute("docker", "start", self.name)
        self.run("sh", "-ec", UNMOUNT_AGAIN)
        self.wait_until_up()

    def wait_until_up(self, *, timeout_seconds: float = 90.0) -> float:
        """Wait for systemd and the engine, where the recipe has them, and return the seconds waited.

        Raises LabError with the last answer.
        """
        start = time.monotonic()
        while pending := self._find_pending():
            if time.monotonic() - start > timeout_seconds:
                message = f"{self.name} is not up after {timeout_seconds} s: {pending}"
                raise LabError(message)
            time.sleep(0.1)
        return time.monotonic() - start

    def _find_pending(self) -> str:
        """Return what the host is still waiting for; nothing once it is up."""
        if self.recipe.boots:
            state = self.run("systemctl", "is-system-running", check=False)
            if state.stdout.strip() not in {"running", "degraded"}:  # degraded: no kernel modules to load
                return str(state)
        if self.recipe.starts_engine:
            information = self.run("docker", "info", check=False)
            return str(information) if information.code != 0 else ""
        return ""


class NewHost(Protocol):
    """What the fixture `new_host` gives: hosts for one test alone, which may break them."""

    def __call__(self, recipe_name: str, *, address: str | None = None, set_up: SetUp = "run") -> Host:
        """Start a host of this recipe, at this address of the LAN or at any."""


def pack_project() -> bytes:
    """Return a tar of the project's files: those of git, and new ones that it does not ignore."""
    listed = execute("git", "-C", str(PROJECT), "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in sorted(filter(None, listed.split("\0"))):
            if os.path.lexists(PROJECT / name):  # deleted, but not yet in the index
                archive.add(PROJECT / name, arcname=name, filter=own_by_root)
    return packed.getvalue()


def own_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return the member as root's, whoever cloned the project here."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def choose_environment(machine: Mapping[str, str]) -> dict[str, str]:
    """Return what commands in a host need to reach the package index: its address, its trust, a shared cache."""
    passed = {name: machine[name] for name in PASSED if name in machine}
    trust = {"PIP_CERT": TRUST, "SSL_CERT_FILE": TRUST} if find_trust(machine) else {}
    return {**passed, **trust, "UV_CACHE_DIR": UV_CACHE, "UV_LINK_MODE": "copy"}


def find_trust(machine: Mapping[str, str]) -> str | None:
    """Return the path of the bundle that this machine trusts in place of Debian's, if it has one."""
    return machine.get("PIP_CERT") or machine.get("SSL_CERT_FILE")


def ensure_network(network: Network) -> None:
    """Make the network if it is not there."""
    if execute("docker", "network", "inspect", network.name, check=False).code != 0:
        ranges = (f"--subnet={network.subnet}", f"--ip-range={network.automatic}")
        execute("docker", "network", "create", *ranges, network.name)


def release_network(network: Network) -> None:
    """Remove the network if no host is left on it."""
    count = execute("docker", "network", "inspect", "--format={{len .Containers}}", network.name).stdout
    if count.strip() == "0":
        execute("docker", "network", "rm", network.name)


def ensure_set_up(recipe: Recipe, set_up: SetUp) -> str:
    """Return the name of the recipe's image with what script/setup makes, built where something of that is new."""
    image = ensure_image(recipe)
    if not set_up:
        return image
    name = f"{recipe.name}-{set_up}"
    files = (PROJECT / "pyproject.toml", PROJECT / "script" / "setup", *sorted(PROJECT.glob("script/*.lock")))
    reference = tag(name, "".join((image, SET_UP, *(path.read_text(encoding="utf-8") for path in files))))
    if not has_image(reference):
        builder = Host(
            name=f"registry-runbook-build-{name}-{secrets.token_hex(3)}",
            address="",
            network="bridge",
            recipe=replace(recipe, boots=False),
            environment=choose_environment(os.environ),
        )
        start_container(builder.name, builder.recipe, image=image, address=None, network="bridge")
        try:
            builder.copy_project()
            options = () if set_up == "run" else (f"--{set_up}",)
            builder.run("sh", "-ec", SET_UP, "set-up", ON_HOST, *options, timeout_seconds=600)
            execute("docker", "commit", builder.name, reference, timeout_seconds=120)
        finally:
            execute("docker", "rm", "--force", "--volumes", builder.name)
        remove_earlier(name, but=reference)
    return reference


def start_container(name: str, recipe: Recipe, *, image: str, address: str | None, network: str) -> None:
    """Start a container of this name from an image, connected as asked."""
    trust = find_trust(os.environ)
    execute(
        *("docker", "run", "--detach", f"--name={name}", f"--hostname={recipe.name}", f"--network={network}"),
        *OPTIONS,
        *([f"--ip={address}"] if address else []),
        *([f"--volume={trust}:{TRUST}:ro"] if trust else []),
        *([] if recipe.boots else ["--init"]),  # something must reap what loses its parent
        image,
        *(["/sbin/init"] if recipe.boots else ["sleep", "infinity"]),
    )


@contextmanager
def start_host(
    recipe: Recipe, *, address: str | None = None, network: Network = LAN, set_up: SetUp = ""
) -> Iterator[Host]:
    """Give a host that is up; remove it with all that it stored, whatever happens."""
    name = f"registry-runbook-{recipe.name}-{secrets.token_hex(3)}"
    try:
        with alone():
            ensure_network(network)
            image = ensure_set_up(recipe, set_up)
            start_container(name, recipe, image=image, address=address, network=network.name)
        found = execute("docker", "inspect", ADDRESS, name).stdout.strip()
        host = Host(
            name=name, address=found, network=network.name, recipe=recipe, environment=choose_environment(os.environ)
        )
        if recipe.boots:
            host.run("sh", "-ec", UNMOUNT)
        host.wait_until_up()
        yield host
    finally:
        with alone():
            execute("docker", "rm", "--force", "--volumes", name)
            release_network(network)
