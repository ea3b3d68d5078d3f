"""Checks of clients: their logins and settings, and what the message itself names."""

import os
import platform
import re
from pathlib import Path

from runbook.system.docker import engine
from runbook.system.host import files, json_text

from .situation import Finding, Situation, UndecidedError, no, yes

# HOST[:PORT]/NAME, which is no part of a path, without a full stop after it.
_IMAGE = r"(?<![\w./:@-])\w[\w.-]*(?::\d+)?/[\w./-]*[\w/-]"
_NAME = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"  # OCI Distribution Specification 1.1, "Pulling manifests"


def not_logged_in(situation: Situation) -> Finding:
    """Look in the Docker client's config.json for a login to exactly this host and port."""
    host, auths = situation.parameters.registry_host, situation.client_settings.get("auths") or {}
    if host in auths:
        return no(f"this user is logged in to {host}")
    near = [name for name in auths if situation.parameters.domain in name]
    return yes(f"this user is not logged in to {host}" + (f", but to {', '.join(near)}" if near else ""))


def name_has_capitals(situation: Situation) -> Finding:
    """Look for uppercase letters in the image names in the message."""
    found = re.findall(_IMAGE, situation.message)
    wrong = [name for name in found if re.search(r"[A-Z]", name.partition("/")[2])]
    if not found:
        raise UndecidedError("the message names no image")
    return yes(f"{wrong[0]} has uppercase letters") if wrong else no(f"{found[0]} has none")


def name_invalid(situation: Situation) -> Finding:
    """Check the repository name in the message against the specification."""
    repository = situation.named(_IMAGE, "image")[0].partition("/")[2]
    if re.fullmatch(rf"{_NAME}(?:/{_NAME})*", repository):
        return no(f"{repository} is a valid name")
    return yes(f"{repository} is not a valid name")


def tag_not_local(situation: Situation) -> Finding:
    """Ask the engine for images with the name in the message."""
    named = situation.named(r"locally with the tag: (\S+)|tag does not exist: (\S+)", "image")
    name = named[1] or named[2]
    found = [tag for image in situation.require_engine().images.list(name) for tag in image.tags]
    return no(f"there is {', '.join(found)}") if found else yes(f"this engine has no image {name}")


def named_elsewhere(situation: Situation) -> Finding:
    """Check whether the image name in the message refers to the public registry: it names no other host."""
    pattern = r"(?:\[|for |/)(docker\.io/[\w./-]+)|access denied for ([\w.:/-]+)"
    named = situation.named(pattern, "image; see what was pushed or pulled")
    name = named[1] or named[2]
    host = name.partition("/")[0]
    if named[1] is None and ("." in host or ":" in host or host == "localhost"):
        return no(f"{name} refers to {host}")
    return yes(f"{name} refers to the public registry, not to {situation.parameters.registry_host}")


def no_search_registry(situation: Situation) -> Finding:
    """Look in registries.conf for the registries that Podman searches for a short name."""
    del situation
    texts = [files.read_text(path) or "" for path in _REGISTRIES]
    found = re.findall(r"(?m)^unqualified-search-registries\s*=\s*(\[[^\]]*\w[^\]]*\])", "\n".join(texts))
    return no(f"it names {found[-1]}") if found else yes("no unqualified-search-registries is set")


_REGISTRIES = (Path("/etc/containers/registries.conf"), Path("/usr/share/containers/registries.conf"))


def no_terminal(situation: Situation) -> Finding:
    """Check whether there is a terminal for a password prompt."""
    del situation
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return yes("there is no terminal here either")
    return no("there is a terminal here")


def api_version(situation: Situation) -> Finding:
    """Compare the API version that this environment or the message requests with the engine's."""
    requested = os.environ.get("DOCKER_API_VERSION")
    engine_version = situation.require_engine().version()
    lowest, highest = str(engine_version["MinAPIVersion"]), str(engine_version["ApiVersion"])
    supported = f"the engine supports {lowest} to {highest}"
    if requested:
        return yes(f"DOCKER_API_VERSION is {requested}; {supported}")
    named = re.search(r"client version (\S+) is", situation.message)
    if named is None or _version(lowest) <= _version(named[1]) <= _version(highest):
        return no(supported)
    return yes(f"the client requested {named[1]}, and {supported}")


def _version(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)]


def container_name_taken(situation: Situation) -> Finding:
    """Ask the engine for the container that the message names."""
    name = situation.named(r'container name "?/?([\w.-]+)"? is already in use', "container")[1]
    found = engine.container(situation.require_engine(), name)
    if found is None:
        return no(f"there is no container {name} now")
    ours = found.label(engine.LABEL) is not None
    return yes(f"there is a container {name}, {'created by the runbook' if ours else 'not created by the runbook'}")


def htpasswd_not_in_image(situation: Situation) -> Finding:
    """Look for htpasswd in the registry's container."""
    found = [path for path in ("usr/bin/htpasswd", "bin/htpasswd") if (situation.inside / path).exists()]
    return no("the registry's image has it") if found else yes(f"{situation.container.name} has no htpasswd")


def stated_by_message(situation: Situation) -> Finding:
    """Rely on the message: nothing on this host can confirm it afterwards."""
    if situation.message:
        raise UndecidedError("the message reports it; nothing is left to check")
    return no("no message reports it")


def builder_of_its_own(situation: Situation) -> Finding:
    """Ask the engine for buildx containers: a builder in one has its own settings."""
    found = [item.name for item in engine.containers(situation.require_engine()) if item.name.startswith(_BUILDER)]
    return yes(f"there is {', '.join(found)}") if found else no("no container here is a buildx builder")


_BUILDER = "buildx_buildkit_"


def policy_refuses(situation: Situation) -> Finding:
    """Read the image policy of Podman and skopeo: this user's, or the host's."""
    paths = [Path(os.path.expanduser(path)) for path in POLICIES]  # noqa: PTH111 (no error for a user without a home)
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return yes("there is no policy.json")
    policy = json_text.read_object(files.read_text(path) or "")
    docker_rules = policy.get("transports", {}).get("docker", {})
    rules = docker_rules.get(situation.parameters.registry_host, policy.get("default")) or ()
    kinds = [str(rule.get("type")) for rule in rules]
    text = f"{path} has {', '.join(kinds) or 'no rule'} for it"
    return no(text) if kinds == ["insecureAcceptAnything"] else yes(text)


POLICIES = ("~/.config/containers/policy.json", "/etc/containers/policy.json")


def another_platform(situation: Situation) -> Finding:
    """Compare the platform in the message with this host's processor."""
    named = situation.named(r"linux/(\w+)|architecture \"?(\w+)", "platform")
    wanted, own = named[1] or named[2], _PLATFORMS.get(platform.machine(), platform.machine())
    text = f"{wanted} was requested; this host is {own}"
    return yes(text) if wanted == own else no(text)


_PLATFORMS = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}  # Go's names


def password_kept_plain(situation: Situation) -> Finding:
    """Look in the Docker client's config.json for logins that no helper stores."""
    hosts = [host for host, login in (situation.client_settings.get("auths") or {}).items() if login.get("auth")]
    return yes(f"it holds the login of {', '.join(hosts)}") if hosts else no("it holds none")


def network_of_another(situation: Situation) -> Finding:
    """Ask the engine whether the network or volume that the message names has the runbook's label."""
    pattern = r'(network|volume) "?([\w.-]+)"? (?:was found|already exists)'
    kind, name = situation.named(pattern, "network and no volume").groups()
    read_labels = engine.network_labels if kind == "network" else engine.volume_labels
    labels = read_labels(situation.require_engine(), name)
    if labels is None:
        return no(f"there is no {kind} {name} now")
    return no("the runbook created it") if engine.LABEL in labels else yes(f"{kind} {name} is not the runbook's")
