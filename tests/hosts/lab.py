"""Real test hosts: containers that run a Debian of their own, most with systemd and a Docker Engine inside."""

import io
import os
import secrets
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from .images import Recipe, ensure_image, has_image, remove_earlier, tag
from .machine import Completed, LabError, alone, enter, execute, process_of

__all__ = ["LAN", "Completed", "Host", "LabError", "Network", "NewHost", "SetUp", "start_host"]

PROJECT = Path(__file__).resolve().parents[2]
ON_HOST = "/root/registry-runbook"
SetUp = Literal["", "run", "development"]  # what script/setup has made on a host before its test begins: nothing, …
TRUST = "/opt/lab/trust.pem"  # not the host's own bundle: that one must stay replaceable
UV_CACHE = "/var/cache/uv"
PASSED = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")
CLONED = 1_700_000_000  # the time of each file of the project on a host, in seconds since 1970
OUT_OF_TIME = 124  # what timeout(1) exits with
# Root's capabilities but one that some machines withhold; nothing of /proc masked, so that sysctl works as on a host.
OPTIONS = (
    "--cap-add=ALL",
    "--cap-drop=SYS_RESOURCE",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    "--volume=/var/lib/docker",
    f"--volume=registry-runbook-uv-cache:{UV_CACHE}",
    "--tmpfs=/run",
    "--tmpfs=/run/lock",
)
# Two hosts from one image have containers of the same id, which must not share a control group.
BOOTING = ("--cgroupns=private",)
NOT_BOOTING = (
    "--init",  # something must reap what loses its parent
    "--cgroupns=host",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
)
ADDRESS = "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
BOOT = (Path(__file__).parent / "boot.sh").read_text(encoding="utf-8")
# What is set up stays, the project goes: a test copies its own. apt's lists are there, as on most hosts: to bring them
# up to date costs little. What is not set up has none.
SET_UP = """
cd "$1"; shift
script/setup "$@"; .venv/bin/python -m compileall -q .venv
find . -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
apt-get -qq update --error-on=any
"""
# Degraded: there are no kernel modules to load.
UNTIL_BOOTED = "until systemctl is-system-running --wait 2>&1 | grep -E 'running|degraded'; do sleep 0.1; done"
UNTIL_ENGINE_ANSWERS = "until docker info 2>&1; do sleep 0.1; done"
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
    """A running test host; `environment` is what each command in it gets, for the package index and its trust.

    `address` is the one that a registry's name stands for on it, `reached_at` the one that the LAN knows: a proven
    host keeps the first wherever it is started, and `lead_to` lets another host in.
    """

    name: str
    address: str
    reached_at: str
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
        limited = ("timeout", "--kill-after=10", str(timeout_seconds), *argv)
        content, longest = (input_text or "").encode(), timeout_seconds + 30
        if self.recipe.boots:
            done = enter(
                self.name,
                *limited,
                environment=variables,
                directory=directory,
                input_bytes=content,
                timeout_seconds=longest,
            )
        else:  # what starts an engine must be in the control group that the engine makes its own in
            given = (f"--env={name}={value}" for name, value in variables.items())
            inside = ("docker", "exec", "--interactive", f"--workdir={directory}", *given, self.name)
            done = execute(*inside, *limited, check=False, input_bytes=content, timeout_seconds=longest)
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
            execute("docker", "network", "connect", f"--ip={self.reached_at}", self.network, self.name)
            execute("docker", "start", self.name)
        process_of.cache_clear()
        self.wait_until_up()

    def lead_to(self, other: "Host") -> None:
        """Let this host reach the address of another one, where that is not an address of the LAN."""
        if other.address != other.reached_at:
            self.run("ip", "route", "replace", other.address, "via", other.reached_at)

    def wait_until_up(self, *, timeout_seconds: float = 180.0) -> None:
        """Wait for systemd and the engine, where the recipe has them; raises LabError with what was waited for last.

        In one command on the host: asking it from outside, again and again, costs more than its start.
        """
        if self.recipe.boots:
            self.run("sh", "-c", UNTIL_BOOTED, timeout_seconds=timeout_seconds)
        if self.recipe.starts_engine:
            self.run("sh", "-c", UNTIL_ENGINE_ANSWERS, timeout_seconds=timeout_seconds)


class NewHost(Protocol):
    """What the fixture `new_host` gives: hosts for one test alone, which may break them."""

    def __call__(self, recipe_name: str, *, address: str | None = None, set_up: SetUp = "run") -> Host:
        """Start a host of this recipe, at this address of the LAN or at any."""


def pack_project() -> bytes:
    """Return a tar of the project's files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in list_project():
            archive.add(PROJECT / name, arcname=name, filter=own_by_root)
    return packed.getvalue()


def list_project() -> list[str]:
    """Return the names of the project's files: those of git, and new ones that it does not ignore."""
    listed = execute("git", "-C", str(PROJECT), "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
    # One that is deleted, but not yet in the index, is none.
    return [name for name in sorted(filter(None, listed.split("\0"))) if os.path.lexists(PROJECT / name)]


def own_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return the member as root's, whoever cloned the project here, and of one time, whenever it was cloned.

    So what Python has compiled on a host that was stored is good on one that is started from it.
    """
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = CLONED
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
    """Remove the network if it is there, and no host is left on it."""
    inspect = ("docker", "network", "inspect", "--format={{len .Containers}}", network.name)
    count = execute(*inspect, check=False).stdout  # nothing where another session has removed it
    if count.strip() == "0":  # one that another host is just leaving cannot be removed: that host removes it
        execute("docker", "network", "rm", network.name, check=False)


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
            reached_at="",
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
    boot = ("sh", "-c", BOOT, "boot.sh", *([recipe.own_address] if recipe.own_address else []))
    execute(
        *("docker", "run", "--detach", f"--name={name}", f"--hostname={recipe.name}", f"--network={network}"),
        *OPTIONS,
        *([f"--ip={address}"] if address else []),
        *([f"--volume={trust}:{TRUST}:ro"] if trust else []),
        *(BOOTING if recipe.boots else NOT_BOOTING),
        image,
        *(boot if recipe.boots else ["sleep", "infinity"]),
    )


@contextmanager
def start_host(
    recipe: Recipe, *, address: str | None = None, network: Network = LAN, set_up: SetUp = "", image: str = ""
) -> Iterator[Host]:
    """Give a host that is up; remove it with all that it stored, whatever happens.

    It starts from the image of its recipe with what `set_up` says, or from another `image` of such a host.
    """
    name = f"registry-runbook-{recipe.name}-{secrets.token_hex(3)}"
    try:
        with alone():
            ensure_network(network)
            image = image or ensure_set_up(recipe, set_up)
            start_container(name, recipe, image=image, address=address, network=network.name)
        found = execute("docker", "inspect", ADDRESS, name).stdout.strip()
        host = Host(
            name=name,
            address=recipe.own_address or found,
            reached_at=found,
            network=network.name,
            recipe=recipe,
            environment=choose_environment(os.environ),
        )
        host.wait_until_up()
        yield host
    finally:
        # Not alone: to delete what an engine has stored takes a while, and others start their hosts meanwhile.
        execute("docker", "rm", "--force", "--volumes", name, timeout_seconds=120)
        with alone():
            release_network(network)
