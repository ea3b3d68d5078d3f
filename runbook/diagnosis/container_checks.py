"""Checks of Compose and of the registry's container: its presence, its state and what it was created from."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from runbook.changes.files import WriteFile
from runbook.model.errors import CommandError, HostError, MissingError, RightsError, SecretError
from runbook.model.redaction import redact
from runbook.proof import baseline
from runbook.sections import basic_registry, certificates, configuration, host, nginx
from runbook.sections import compose as compose_section
from runbook.system.docker import compose, engine
from runbook.system.host import commands, files, selinux
from runbook.system.registry import config_yml, storage

from .situation import Finding, Situation, UndecidedError, no, yes

_POLICY = "unless-stopped"
_ALL = "0.0.0.0"  # noqa: S104 (compared, not bound)
_COMPOSE_FILE = r"(/[\w./-]+\.ya?ml)"


def compose_missing(situation: Situation) -> Finding:
    """Look for Compose, as a plugin and as a program."""
    del situation
    found = compose.version()
    return no(f"there is Compose {found}") if found else yes("there is neither `docker compose` nor docker-compose")


def compose_file_broken(situation: Situation) -> Finding:
    """Have Compose read the runbook's file, if it differs from what the notebook writes."""
    path = situation.parameters.compose_path
    situation.text(path)
    if not any(isinstance(change, WriteFile) and change.path == path for change in situation.planned(compose_section)):
        return no("it is as the notebook writes it")
    try:
        compose.resolved(path, situation.parameters.compose_project)
    except CommandError as error:
        return yes(redact(error.found.rpartition("\n")[2]))
    return no("Compose reads it")


def compose_other_name(situation: Situation) -> Finding:
    """Check whether Compose is installed under its other name: `docker compose`, `docker-compose`."""
    plugin = commands.run("docker", "compose", "version", allowed=None).code == 0
    program = commands.which("docker-compose") is not None
    if re.search(r"docker-compose: ", situation.message):
        return yes("there is `docker compose`") if plugin and not program else no("there is a docker-compose, or none")
    return yes("there is docker-compose") if program and not plugin else no("there is `docker compose`, or none")


def compose_file_named_broken(situation: Situation) -> Finding:
    """Have Compose read the file that the message names."""
    named = re.search(_COMPOSE_FILE, situation.message)
    if named is None or not Path(named[1]).is_file():
        raise UndecidedError("the message names no file on this host")
    argv = (*compose.require(), "--file", named[1], "config", "--quiet")
    done = commands.run(*argv, allowed=None, timeout_seconds=10)
    return no(f"Compose reads {named[1]}") if done.code == 0 else yes(redact(done.last_line))


def compose_file_has_version(situation: Situation) -> Finding:
    """Look for `version` in the file that the message names, or in the runbook's."""
    named = re.search(_COMPOSE_FILE, situation.message)
    path = Path(named[1]) if named else situation.parameters.compose_path
    found = re.search(r"(?m)^version\s*:", situation.text(path))
    return yes(f"{path} has it") if found else no(f"{path} has none")


def compose_other_folder(situation: Situation) -> Finding:
    """Look for a Compose file in this folder and its parent folders."""
    names = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
    folders = (Path.cwd(), *Path.cwd().parents)
    found = [folder / name for folder in folders for name in names if (folder / name).exists()]
    if found:
        return no(f"there is {found[0]}")
    return yes(f"there is none in {folders[0]}; the registry's is {situation.parameters.compose_path}")


def mount_is_folder(situation: Situation) -> Finding:
    """Check whether the path to mount in the message is a folder."""
    path = situation.named(r'mounting "(/[^"]+)"', "path")[1]
    return yes(f"{path} is a folder") if Path(path).is_dir() else no(f"{path} is not a folder")


def container_missing(situation: Situation) -> Finding:
    """Ask the engine for the registry's container."""
    project = situation.parameters.compose_project
    if situation.containers:
        return no(f"there is {situation.container.name}")
    volume = compose.volume_name(project, situation.parameters.data_volume)
    has_volume = engine.volume_labels(situation.require_engine(), volume) is not None
    rest = f"but its volume {volume} exists" if has_volume else f"and no volume {volume}"
    return yes(f"there is no container {compose.SERVICE} of the Compose project {project}, {rest}")


def container_twice(situation: Situation) -> Finding:
    """Count the containers in the registry's Compose project, whoever created them."""
    found = compose.containers(situation.require_engine(), situation.parameters.compose_project)
    if len(found) <= 1:
        return no(f"there is {len(found)}")
    foreign = [item.name for item in found if not item.label(engine.LABEL)]
    names = ", ".join(f"{item.name} (not of the runbook)" if item.name in foreign else item.name for item in found)
    remedy = (
        f"remove it if it is not needed: `docker rm -f {' '.join(foreign)}`; or set compose_project to another name"
    )
    return yes(f"there are {names}", remedy if foreign else "")


def container_restarts(situation: Situation) -> Finding:
    """Ask the engine whether the registry's container exits again and again, and read its last error."""
    if not situation.restarts:
        return no(f"it has been restarted {situation.inspected['RestartCount']} times, and stays up")
    return yes(f"it exits with {situation.inspected['State']['ExitCode']}{last_error(situation)}")


def container_stopped(situation: Situation) -> Finding:
    """Ask the engine whether the registry's container runs."""
    if situation.container.running:
        return no(f"{situation.container.name} runs")
    state = situation.inspected["State"]
    return yes(f"{situation.container.name} is {state['Status']}, exit code {state['ExitCode']}{last_error(situation)}")


def off_network(situation: Situation) -> Finding:
    """Ask the engine for the networks of the registry's container."""
    wanted = compose.default_network(situation.parameters.compose_project)
    found = situation.container.networks
    text = f"it is on {', '.join(found) or 'no network'}"
    return no(text) if wanted in found else yes(f"{text}, expected {wanted}")


def container_paused(situation: Situation) -> Finding:
    """Ask the engine whether the registry's container is paused."""
    paused = situation.inspected["State"]["Paused"]
    return yes(f"{situation.container.name} is paused") if paused else no("it is not paused")


def last_error(situation: Situation) -> str:
    """Return the last error in the registry's log, as the end of a sentence; empty if there is none."""
    lines = [line for line in situation.log.splitlines() if re.search(r"level=(?:error|fatal)|panic|error", line)]
    return f"; its last error: {lines[-1].strip()}" if lines else ""


def no_restart_policy(situation: Situation) -> Finding:
    """Ask the engine for the container's restart policy."""
    found = situation.container.restart_policy
    return no(f"it is {found}") if found in (_POLICY, "always") else yes(f"it is {found or 'no'}, expected {_POLICY}")


def other_image(situation: Situation) -> Finding:
    """Compare the image that the container runs with the requested one."""
    if situation.image is None:
        raise UndecidedError("the requested image is not on this host")
    running = f"it runs {situation.inspected['Config']['Image']}"
    if situation.container.image_id == situation.image.image_id:
        return no(running)
    return yes(f"{running} ({situation.container.image_id[:19]}…), expected {situation.image.reference}")


def image_missing(situation: Situation) -> Finding:
    """Look for the registry's image on this host."""
    found = situation.image
    return no(f"{found.reference} is here") if found else yes(f"{situation.parameters.registry_image} is not here")


def configuration_not_read(situation: Situation) -> Finding:
    """Check whether the container's command names config.yml, and the runbook's folder is mounted there."""
    argv = [*(situation.inspected["Config"]["Entrypoint"] or ()), *(situation.inspected["Config"]["Cmd"] or ())]
    path = f"{config_yml.INSIDE}/config.yml"
    if path not in argv:
        return yes(f"its command is `{' '.join(argv)}`, which does not name {path}; 3.x reads its own file elsewhere")
    mount = f"{situation.parameters.configuration_directory}:{config_yml.INSIDE}"
    if not any(bind.startswith(mount) for bind in situation.container.binds):
        return yes(f"{situation.parameters.configuration_directory} is not mounted in it")
    return no(f"its command names {path}")


def overridden(situation: Situation) -> Finding:
    """Look for REGISTRY_* in the container's environment, which overrides config.yml."""
    found = [entry.partition("=")[0] for entry in situation.container.environment if entry.startswith("REGISTRY_")]
    return yes(f"{', '.join(found)} is set in it") if found else no("no REGISTRY_* is set in it")


def configuration_not_loaded(situation: Situation) -> Finding:
    """Compare the container's start time with the modification times of config.yml and the certificate."""
    paths = [situation.parameters.configuration_path]
    if situation.parameters.proxy != "nginx":
        paths.append(situation.parameters.certificate_path)
    newer = [str(path) for path in paths if path.exists() and files.changed_at(path) > situation.container.started]
    started = f"{situation.container.started:%Y-%m-%d %H:%M:%S} UTC"
    return yes(f"{', '.join(newer)} is newer than its start, {started}") if newer else no(f"it started at {started}")


def other_port(situation: Situation) -> Finding:
    """Compare the port that the container publishes with the one that clients use."""
    parameters = situation.parameters
    wanted = parameters.backend_port if parameters.proxy == "nginx" else parameters.port
    found = sorted({port for _, port, _ in situation.container.publish})
    text = f"it publishes {', '.join(map(str, found)) or 'no port'}"
    return no(text) if wanted in found else yes(f"{text}, expected {wanted}")


def other_volume(situation: Situation) -> Finding:
    """Compare the volume that holds the images with the one in the Compose file."""
    wanted = compose.volume_name(situation.parameters.compose_project, situation.parameters.data_volume)
    found = dict(situation.container.volumes).get(str(storage.ROOT), "no volume")
    return no(f"it is {found}") if found == wanted else yes(f"it is {found}, expected {wanted}")


def basic_open(situation: Situation) -> Finding:
    """Compare the address that the basic registry listens on with the one in the parameters."""
    wanted = situation.parameters.basic_address
    found = engine.container(situation.require_engine(), situation.parameters.basic_container)
    addresses = sorted({address or _ALL for address, _, _ in found.publish}) if found and found.running else []
    text = f"it listens on {', '.join(addresses) or 'no address'}"
    return yes(f"{text}, expected {wanted}") if set(addresses) - {wanted} else no(text)


def accepted_is_another(situation: Situation) -> Finding:
    """Compare the current state with the accepted one, as `prove` does."""
    accepted = files.read_text(situation.parameters.baseline_path)
    if accepted is None:
        return no("no state was accepted")
    rows = baseline.compare(baseline.read(accepted), baseline.gather(situation.parameters))
    drift = [f"{row.claim}: {row.found}, not {row.expected}" for row in rows if not row.passed]
    return yes("; ".join(drift)) if drift else no("it matches the accepted state")


def differs(section: ModuleType) -> Callable[[Situation], Finding]:
    """Return the check that plans a section and confirms a cause if it would change something."""

    def check(situation: Situation) -> Finding:
        try:
            found = situation.planned(section)
        except MissingError as error:
            return yes(f"it waits for {error.expected}, found {error.found}", error.remedy)
        except RightsError as error:
            raise UndecidedError(error.found) from error
        except (CommandError, HostError, SecretError) as error:
            refusal = redact(f"it refuses: expected {error.expected}, found {error.found}")
            return yes(refusal, error.remedy, redact(error.found))
        return yes(f"it would {'; '.join(map(str, found))}") if found else no("it would change nothing")

    check.__doc__ = "Plan the notebook, and check whether it would change anything."
    return check


host_differs = differs(host)
certificates_differ = differs(certificates)
configuration_differs = differs(configuration)
compose_differs = differs(compose_section)
nginx_differs = differs(nginx)
basic_differs = differs(basic_registry)


def compose_1(situation: Situation) -> Finding:
    """Ask Compose for its version."""
    del situation
    found = compose.version()
    return yes(f"Compose is {found}") if (found or "").startswith("1.") else no(f"Compose is {found or 'not here'}")


def traces_are_sent(situation: Situation) -> Finding:
    """Look for the variable in the container's environment that disables traces."""
    disabled = f"{_TRACES}={config_yml.ENVIRONMENT[_TRACES]}" in situation.container.environment
    return no(f"{_TRACES} disables them") if disabled else yes(f"{situation.container.name} does not have {_TRACES}")


_TRACES = "OTEL_TRACES_EXPORTER"


def mount_not_readable(situation: Situation) -> Finding:
    """Check whether SELinux enforces, and which user the container runs as."""
    if selinux.enforces():
        return yes("SELinux enforces on this host")
    user = str(situation.inspected["Config"]["User"])
    is_root = user in ("", "0", "root", "0:0")
    return no("no SELinux here, and it runs as root") if is_root else yes(f"the container runs as {user}")
