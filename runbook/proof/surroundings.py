"""The registry's surroundings: who could change what it relies on, or reach it by an unintended path.

Also its container's rights, the integrity of its storage, and its reachability for an external client. Each claim is a
row of the proof and a cause of the diagnosis. More than 250 lines, since each claim has its own check.
"""

import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from runbook.changes import ledger
from runbook.model.errors import HostError
from runbook.model.parameters import Parameters
from runbook.model.results import Result
from runbook.operations import proof_timer
from runbook.sections import compose as section
from runbook.system import nginx
from runbook.system.certificates import tls
from runbook.system.docker import compose, daemon_json, engine, engine_flags, owners
from runbook.system.host import commands, hosts_file, network, outsider, rights, systemd
from runbook.system.registry import api, storage, stored

_HOLDS = "nothing"
_SECONDS = 3.0
_PROGRAMS = ("dockerd", "containerd", "runc", "docker-proxy", "docker", "docker-compose", "iptables")
_PLUGINS = tuple(Path(f"/usr/{name}/docker/cli-plugins/docker-compose") for name in ("libexec", "lib", "local/lib"))
_UNITS = ("docker.service", "docker.socket", "containerd.service", f"{proof_timer.NAME}.service")
_CONTAINERD = Path("/run/containerd/containerd.sock")
_KEY = b"PRIVATE KEY-----"  # RFC 7468, and the older forms
_NEARLY = 0.9  # of the limit of open files: above it, the next clients would be refused
_FILES, _FILE_BYTES = 5000, 1 << 20  # the files to search for keys, and the bytes read of each


class NotVisibleError(Exception):
    """Something is not visible to this user on this host; its text is the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A claim; `find` returns what contradicts it, and raises NotVisibleError if that is not visible."""

    claim: str
    find: Callable[[engine.Client, Parameters], list[str]]
    remedy: str


def check(client: engine.Client, parameters: Parameters, claim: Claim) -> Result:
    """Return the row of a claim; it passes if nothing contradicts it or, with a note, if that is not visible."""
    try:
        found, expected = "; ".join(claim.find(client, parameters)) or _HOLDS, _HOLDS
    except NotVisibleError as error:
        found = expected = f"not looked at: {error}"
    return Result(
        claim=claim.claim, expected=expected, found=found, passed=found == expected, refusal=True, remedy=claim.remedy
    )


def _inspected(client: engine.Client, parameters: Parameters) -> Mapping[str, Any]:
    """Return the `docker inspect` data of the registry's container; raises NotVisibleError if it is not visible."""
    _require_here(client)
    found = compose.registry_containers(client, parameters.compose_project)
    if not found:
        raise NotVisibleError("there is no container of the registry")
    attributes: Mapping[str, Any] = client.containers.get(found[0].name).attrs
    return attributes


def _require_here(client: engine.Client) -> None:
    """Raise NotVisibleError if the engine's processes and files are not on this host."""
    if engine.is_desktop(client):
        raise NotVisibleError("the engine is in a virtual machine")
    if elsewhere := engine.other_engine():
        raise NotVisibleError(f"the client asks {elsewhere}")


def process_of(client: engine.Client, parameters: Parameters) -> psutil.Process:
    """Return the first process of the registry's container; raises NotVisibleError if it does not run."""
    pid = int(_inspected(client, parameters)["State"]["Pid"])
    try:
        return psutil.Process(pid or -1)
    except (psutil.NoSuchProcess, ValueError) as error:
        raise NotVisibleError("the registry does not run") from error


def folder_of(client: engine.Client, parameters: Parameters) -> Path:
    """Return the registry's storage folder, through its process; raises NotVisibleError without the right to read."""
    found = Path(f"/proc/{process_of(client, parameters).pid}/root", storage.ROOT.relative_to("/"))
    if not os.access(found, os.R_OK | os.X_OK):
        raise NotVisibleError("only root sees what the container sees")
    return found


def changed_by_others(client: engine.Client, parameters: Parameters) -> list[str]:
    """Return what the registry relies on that users other than root could change, and how."""
    _require_here(client)
    private, mounted = Path(parameters.private_directory), Path(parameters.configuration_directory)
    information: Mapping[str, Any] = client.info()
    remapped = any("name=userns" in option for option in information["SecurityOptions"] or ())
    programs = [Path(program) for name in _PROGRAMS if (program := commands.which(name))]
    found = owners.changed_by_others(
        (
            Path(parameters.basic_data_directory),
            *(hosts_file.PATH, network.DROP_IN, daemon_json.PATH, engine_flags.DEFAULTS, ledger.FOLDER),
            *(engine.SOCKET, _CONTAINERD, nginx.PATH, *_PLUGINS, *programs, *_units()),
            Path(information["DockerRootDir"]) if remapped else _volume(information, parameters),
        ),
        trees=(private, mounted, parameters.trust_path.parent),
    )
    warnings = " ".join(information.get("Warnings") or ())
    return [*found, *(f"the engine's API at {place}" for place in re.findall(r"API is accessible on (\S+)", warnings))]


def _units() -> Iterator[Path]:
    for folder in (systemd.UNITS, Path("/usr/lib/systemd/system"), Path("/usr/local/lib/systemd/system")):
        for name in _UNITS:
            yield folder / name
            yield from (folder / f"{name}.d").glob("*")


def _volume(information: Mapping[str, Any], parameters: Parameters) -> Path:
    """Return the parent of the volume's data folder; its content belongs to the registry, whatever its user."""
    name = compose.volume_name(parameters.compose_project, parameters.data_volume)
    return Path(information["DockerRootDir"], "volumes", name)


def exposed_keys(client: engine.Client, parameters: Parameters) -> list[str]:
    """Return the files with a private key that a container or another host can read, except the runbook's own.

    The ledger also names the keys of other deployments.
    """
    own = {str(parameters.certificate_path), parameters.own_key_file, parameters.own_certificate_file}
    with suppress(HostError):  # only root can read the ledger, and those keys
        own |= {entry.thing.name for entry in ledger.read()}
    named = (parameters.configuration_directory, parameters.client_kit_directory, parameters.basic_data_directory)
    folders = [*map(Path, named)]
    with suppress(NotVisibleError):
        _require_here(client)
        folders.append(_volume(client.info(), parameters) / "_data")
    files = (path for folder in folders for path in _files(folder))
    return [str(path) for path in itertools.islice(files, _FILES) if str(path) not in own and _has_key(path)]


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder, except the images that a registry has stored there."""
    for place, folders, names in os.walk(folder):
        if place == str(folder) and Path(place, "docker", "registry").is_dir():
            folders.remove("docker")
        yield from (Path(place, name) for name in names)


def _has_key(path: Path) -> bool:
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:
            return _KEY in file.read(_FILE_BYTES)
    except OSError:  # it is gone, or not visible to this user
        return False


def more_rights(client: engine.Client, parameters: Parameters) -> list[str]:
    """Return the rights of the registry's container beyond those in the Compose file."""
    _inspected(client, parameters)
    return list(section.more_rights(client, parameters))


def neighbours(client: engine.Client, parameters: Parameters) -> list[str]:
    """Return the other containers, running or not, that have the registry's volume, folders or network.

    A read-only mount of a parent folder does not count: monitoring programs mount `/` that way.
    """
    _require_here(client)
    ours = {item.name for item in compose.registry_containers(client, parameters.compose_project)}
    basic = {parameters.basic_container: [Path(parameters.basic_data_directory)]}
    volume = compose.volume_name(parameters.compose_project, parameters.data_volume)
    own_network = compose.default_network(parameters.compose_project)
    named = (parameters.configuration_directory, parameters.private_directory, parameters.basic_data_directory)
    places = [*map(Path, named), _volume(client.info(), parameters)]
    found: list[str] = []
    for item in client.api.containers(all=True):
        name = item["Names"][0].removeprefix("/")
        if name in ours:
            continue
        foreign = [place for place in places if place not in basic.get(name, ())]
        mounts = [m for m in item["Mounts"] if m.get("Name") == volume or _reaches(m, foreign)]
        found += [f"{name} has {m.get('Name') or m['Source']}" for m in mounts]
        mode = str(item["HostConfig"]["NetworkMode"])
        if own_network in (item["NetworkSettings"]["Networks"] or ()) or _is_of(client, mode, ours):
            found.append(f"{name} is on {own_network}")
    return found


def _reaches(mount: Mapping[str, Any], places: Sequence[Path]) -> bool:
    """Return whether a mount is one of these places or inside one, or is writable and above one."""
    source = Path(mount.get("Source") or "/nowhere")
    return any(source.is_relative_to(place) or (bool(mount["RW"]) and place.is_relative_to(source)) for place in places)


def _is_of(client: engine.Client, mode: str, ours: set[str]) -> bool:
    """Return whether a network mode shares the network of one of our containers."""
    kind, _, container = mode.partition(":")
    return kind == "container" and any(container in (name, client.containers.get(name).id) for name in ours)


def damage(client: engine.Client, parameters: Parameters) -> list[str]:
    """Return the damaged items in a sample of the storage."""
    return stored.damage(folder_of(client, parameters))


def few_files(client: engine.Client, parameters: Parameters) -> list[str]:
    """Return the registry's limit of open files, if it is too low for it and its clients."""
    process = process_of(client, parameters)
    try:
        limit, opened = process.rlimit(psutil.RLIMIT_NOFILE)[0], process.num_fds()
    except psutil.Error as error:
        raise NotVisibleError("only root sees what the registry may open") from error
    if limit != psutil.RLIM_INFINITY and (limit < rights.FILES_AT_LEAST or opened > limit * _NEARLY):
        return [f"{limit} files, of which it has {opened} open; at least {rights.FILES_AT_LEAST} are needed"]
    return []


def frozen(client: engine.Client, parameters: Parameters) -> list[str]:
    """Return the registry's process if it is stopped."""
    process = process_of(client, parameters)
    return [f"process {process.pid} is stopped"] if process.status() == psutil.STATUS_STOPPED else []


def not_forwarded(client: engine.Client, parameters: Parameters) -> list[str]:
    """Return the interface of the registry's address if the kernel does not forward packets from it."""
    _require_here(client)
    interface = outsider.not_forwarding(network.address_of(parameters.address))
    return [f"net.ipv4.conf.{interface}.forwarding is 0"] if interface else []


def kept_out(client: engine.Client, parameters: Parameters) -> list[str]:
    """Return what an external client gets, if it is not the certificate that this host gets."""
    _require_here(client)
    address = network.address_of(parameters.address)
    url = f"https://{address}:{parameters.port}/v2/"
    served = api.ask(
        url,
        tls=tls.unverified_context(),
        server_name=parameters.domain,
        host=parameters.registry_host,
        timeout_seconds=_SECONDS,
    )
    if not served.server_certificate:
        raise NotVisibleError("it does not answer to this host itself")
    try:
        found = outsider.ask(address, parameters.port, parameters.domain)
    except outsider.UnaskedError as error:
        raise NotVisibleError(str(error)) from error
    expected = hashlib.sha256(served.server_certificate).hexdigest()
    if found == expected:
        return []
    text = f"another certificate, {found[:16]}…" if re.fullmatch("[0-9a-f]{64}", found) else found
    return [f"at {address}:{parameters.port} it gets {text}"]


CLAIMS = (
    Claim(
        claim="what the registry relies on, which others than root could change",
        find=changed_by_others,
        remedy="take the right away from what is named: `chmod go-w`, `chown root`, `setfacl -b` for an access list",
    ),
    Claim(
        claim="another private key where a container or another host gets it",
        find=exposed_keys,
        remedy="move it away; a key that others have read is to be made anew (SECURITY.md, a stolen key)",
    ),
    Claim(
        claim="more rights of the container than it needs",
        find=more_rights,
        remedy="run the notebook 50-compose, which makes it anew",
    ),
    Claim(
        claim="another container with the registry's volume, folders or network",
        find=neighbours,
        remedy="remove it, or take the volume, folder or network from it",
    ),
    Claim(
        claim="damage in what is stored, by a sample",
        find=damage,
        remedy="bring the registry's volume back from a backup, or push again what is named",
    ),
    Claim(
        claim="too few files that the registry may open",
        find=few_files,
        remedy="raise default-ulimits in daemon.json or LimitNOFILE of the engine, or let clients end; then restart it",
    ),
    Claim(
        claim="a network card at which the kernel passes on nothing",
        find=not_forwarded,
        remedy="set what is named to 1: `sysctl -w`, and look in /etc/sysctl.d what sets it",
    ),
    Claim(
        claim="an obstacle to a client from outside, in a network namespace of its own",
        find=kept_out,
        remedy="see FORWARD, DOCKER-USER and PREROUTING: `iptables-save`, `nft list ruleset`",
    ),
)
