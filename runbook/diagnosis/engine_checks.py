"""Checks of the engine: whether it runs, what prevents its start, and its configuration."""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import psutil

from runbook.model.errors import HostError
from runbook.model.redaction import redact
from runbook.system.docker import daemon_json, engine, engine_flags, reload
from runbook.system.host import files, json_text, systemd

from .situation import Finding, Situation, UndecidedError, no, untold, yes

_FLAGS_ONLY = {"registry-mirror", "insecure-registry", "insecure-registrys"}
_IGNORES_LIST_FROM = 29  # version from which the containerd image store does not always honour insecure-registries


def _last_start(situation: Situation) -> str:
    """Return the engine's log since its last start or start attempt."""
    return re.split(r'msg="Starting up"', situation.journal)[-1]


def not_installed(situation: Situation) -> Finding:
    """Look for the programs dockerd and docker."""
    del situation
    return no("dockerd is on this host") if engine.is_installed() else yes("dockerd or docker is missing on this host")


def not_allowed(situation: Situation) -> Finding:
    """Check whether this user can access the engine's socket."""
    found = situation.engine_obstacle
    return yes(found) if "permission denied" in found else no(f"user id {os.geteuid()} can access its socket")


def elsewhere(situation: Situation) -> Finding:
    """Check whether the client is configured to use another engine than this host's."""
    other_engine = "" if situation.client else engine.other_engine()  # Docker Desktop's client is this host's
    return yes(f"the client asks {redact(other_engine)}") if other_engine else no("the client asks this host")


def hangs(situation: Situation) -> Finding:
    """Connect to the engine, and wait three seconds for an answer."""
    obstacle = situation.engine_obstacle
    return yes(obstacle) if "says nothing" in obstacle else no(obstacle or "it answers")


def masked(situation: Situation) -> Finding:
    """Ask systemd whether a unit of the engine is masked."""
    if situation.supervisor != "systemd" or not engine.is_installed():
        return no("no systemd, or no engine here")
    found = engine.masked(is_up=situation.client is not None)
    return yes(f"{', '.join(found)}: `{'`, `'.join(found.values())}`") if found else no("none of its units is masked")


def deaf(situation: Situation) -> Finding:
    """Check whether iptables and userland-proxy are both off, and the registry's port is unreachable."""
    if not reload.publishes_nothing(situation.flags):
        return no("it has chains, or a proxy")
    if situation.anonymous.status is not None:
        return no("the registry's port is reachable nevertheless")
    return yes("iptables and userland-proxy are both off")


def stores_apart(situation: Situation) -> Finding:
    """Compare the engine's data folder with the place of the registry's volume."""
    try:
        situation.require_own_root()
    except UndecidedError as error:
        return yes(error.found) if situation.client else untold(error.found)
    return no("it stores where the registry's volume is")


def stopped(situation: Situation) -> Finding:
    """Check whether the engine answers."""
    if situation.client:
        return no(f"engine {situation.client.version()['Version']} answers")
    if situation.engine_obstacle != "none answers":
        return no(situation.engine_obstacle)
    lines = [line for line in _last_start(situation).splitlines() if re.search(r"level=(?:error|fatal)|failed", line)]
    return yes("no engine answers" + (f"; its last error: {lines[-1].strip()}" if lines else ""))


def file_is_no_json(situation: Situation) -> Finding:
    """Parse daemon.json as the engine does."""
    text = situation.daemon_json
    if text is None:
        return no(f"there is no {daemon_json.PATH}")
    try:
        found = daemon_json.keys(text) if text.strip() else ()
    except HostError as error:
        return yes(error.found)
    return no(f"it is an object with the keys {', '.join(found) or 'none'}")


def unknown_key(situation: Situation) -> Finding:
    """Look for keys in daemon.json that are flag names, or that the engine's log or the message rejects."""
    text = situation.daemon_json
    if text is None:
        return no(f"there is no {daemon_json.PATH}")
    keys = json_text.read(text or "{}")
    wrong = [key for key in keys if key in _FLAGS_ONLY]
    log = _last_start(situation) + situation.message
    reported = re.findall(r"don't match any configuration option: ([^\"\n]+)", log)
    if reported:
        wrong += [key for key in re.split(r",\s*", reported[-1].strip()) if key in keys]
    return yes(f"{daemon_json.PATH} has {', '.join(dict.fromkeys(wrong))}") if wrong else no("it has no unknown key")


def wrong_value(situation: Situation) -> Finding:
    """Look for values in daemon.json whose form the engine does not accept."""
    found = json_text.read(situation.daemon_json or "{}")
    lists = (daemon_json.INSECURE_REGISTRIES, daemon_json.REGISTRY_MIRRORS, "dns", "hosts", "labels")
    wrong = [key for key in lists if key in found and not isinstance(found[key], list)]
    if wrong:
        return yes(f"the value of {', '.join(wrong)} is not a list")
    bare = [entry for entry in found.get(daemon_json.REGISTRY_MIRRORS, ()) if "://" not in str(entry)]
    return yes(f"the mirror {bare[0]} does not begin with https://") if bare else no("its lists have the right form")


def flag_and_file(situation: Situation) -> Finding:
    """Compare the engine's flags with the keys in daemon.json."""
    flag = None
    with suppress(HostError):  # invalid JSON is another cause
        flag = engine_flags.repeated(situation.daemon_json, situation.flags)
    return no("no key is also a flag") if flag is None else yes(engine_flags.both(flag))


def unknown_flag(situation: Situation) -> Finding:
    """Look for unknown flags in the engine's unit, files and log."""
    try:
        engine_flags.refuse(None, situation.flags)
    except HostError as error:
        return yes(error.found)
    reported = re.search(r"unknown (?:shorthand )?flag: \S+", _last_start(situation))
    return yes(reported[0]) if reported and not situation.client else no("the engine knows all of its flags")


def start_limit(situation: Situation) -> Finding:
    """Look in the journal for systemd giving up on the engine."""
    if situation.client:
        return no("the engine runs")
    return yes("systemd gave up") if "Start request repeated too quickly" in situation.journal else no("it did not")


def not_at_boot(situation: Situation) -> Finding:
    """Ask systemd whether it starts the engine at boot."""
    if situation.supervisor != "systemd":
        return untold("no systemd here")
    if systemd.masked("docker.service"):
        return no("it is masked, so it cannot be enabled")
    return no("it is enabled") if engine.is_enabled() else yes("docker.service is not enabled")


def data_root_full(situation: Situation) -> Finding:
    """Measure the free space and inodes in the engine's data folder."""
    return room(str(situation.engine_information["DockerRootDir"]) if situation.client else "/var/lib/docker")


def temporary_full(situation: Situation) -> Finding:
    """Measure the free space and inodes in the folder for temporary files."""
    del situation
    return room(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108 (read, not written to)


def room(path: str) -> Finding:
    """Return whether a file system has less than 32 MB or no inode left.

    A file system without an inode limit reports 0 of 0.
    """
    found = os.statvfs(path)
    if found.f_files and not found.f_favail:
        return yes(f"no inode is free at {path}")
    free = found.f_bavail * found.f_frsize
    text = f"{free // 1_000_000} MB are free at {path}"
    return yes(text) if free < _MINIMUM_FREE_BYTES else no(text)


_MINIMUM_FREE_BYTES = 32_000_000


def lists_registry_insecure(situation: Situation) -> Finding:
    """Look in `docker info` for the registry, by name or network, among the insecure registries."""
    listed = reload.registries(situation.require_engine()).insecure
    found = reload.names_insecure(situation.parameters, situation.address, listed)
    return yes(f"it lists {', '.join(found)}") if found else no("it does not list the registry")


def image_store_ignores_list(situation: Situation) -> Finding:
    """Check whether this is engine 29 or later with the containerd image store."""
    major, minor = engine.version(situation.require_engine())
    store = engine.stores_in_containerd(situation.require_engine())
    text = f"engine {major}.{minor}, {'with' if store else 'without'} the containerd image store"
    return yes(text) if major >= _IGNORES_LIST_FROM and store else no(text)


def basic_is_not_listed(situation: Situation) -> Finding:
    """Check whether the engine lists the registry in the message as insecure."""
    listed = situation.engine_information["RegistryConfig"]
    insecure = [name for name, index in listed["IndexConfigs"].items() if not index["Secure"]]
    named = re.findall(r"https://([\w.-]+(?::\d+)?)/v[12]/", situation.message)
    wanted = named or [f"{situation.address}:{situation.parameters.basic_port}"]
    absent = [host for host in wanted if host not in insecure]
    if not absent:
        return no(f"it lists {', '.join(wanted)}")
    if not named:
        raise UndecidedError(f"the message names no registry; the engine lists {', '.join(insecure) or 'none'}")
    return yes(f"it does not list {', '.join(dict.fromkeys(absent))}")


def helper_missing(situation: Situation) -> Finding:
    """Look for the credential helpers that the Docker client's config.json names."""
    settings = situation.client_settings
    helpers = [settings.get("credsStore"), *(settings.get("credHelpers") or {}).values()]
    programs = [f"docker-credential-{name}" for name in helpers if name]
    missing = [name for name in programs if shutil.which(name) is None]
    return yes(f"there is no {', '.join(missing)}") if missing else no("it names no missing helper")


def pid_file_left(situation: Situation) -> Finding:
    """Check whether the process that the engine's PID file names is a running dockerd."""
    del situation
    text = (files.read_text(PID_FILE) or "").strip()
    if not text.isdigit():
        return no(f"{PID_FILE} names no process")
    if not psutil.pid_exists(int(text)):
        return yes(f"{PID_FILE} names {text}, which does not run")
    name = psutil.Process(int(text)).name()
    return no(f"{PID_FILE} names {text}, a dockerd") if name == "dockerd" else yes(f"{PID_FILE} names {text}, {name}")


PID_FILE = Path("/var/run/docker.pid")


def containerd_stopped(situation: Situation) -> Finding:
    """Look for containerd among the running processes."""
    del situation
    found = [process.pid for process in psutil.process_iter(["name"]) if process.info["name"] == "containerd"]
    return no(f"it runs as {found[0]}") if found else yes("no containerd runs")


def runtime_missing(situation: Situation) -> Finding:
    """Compare the runtime that daemon.json or the message names with the available ones."""
    named = re.search(r"runtime (?:name: |specified )?\"?([\w.-]+)", situation.message)
    file = json_text.read_object(situation.daemon_json or "{}")
    wanted = named[1] if named else str(file.get("default-runtime", "runc"))
    configured = situation.engine_information.get("Runtimes") if situation.client else file.get("runtimes")
    known = {"runc", "io.containerd.runc.v2", *(configured or {})}
    text = f"{wanted} is requested; available: {', '.join(sorted(known))}"
    return no(text) if wanted in known else yes(text)


def address_pools_used(situation: Situation) -> Finding:
    """Count the engine's bridge networks: its default pools hold about thirty."""
    count = len(situation.require_engine().networks.list(filters={"driver": "bridge"}))
    text = f"it has {count} bridge networks"
    return yes(text) if count >= _MANY_NETWORKS else no(text)


_MANY_NETWORKS = 28  # of 31; networks of other programs on this host, such as a VPN, take address ranges too
