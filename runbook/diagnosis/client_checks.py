"""Checks of what a client is told: its login, and the words that the message itself holds."""

import os
import platform
import re
from pathlib import Path

from runbook.system.docker import engine
from runbook.system.host import files, json_text

from .situation import Finding, Situation, UntoldError, no, yes

_NAME = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"  # OCI Distribution Specification 1.1, "Pulling manifests"


def not_logged_in(situation: Situation) -> Finding:
    """Look in the Docker client's config.json for a login under exactly this host and port."""
    host, auths = situation.parameters.registry_host, situation.client_settings.get("auths") or {}
    if host in auths:
        return no(f"this user is logged in to {host}")
    near = [name for name in auths if situation.parameters.domain in name]
    return yes(f"this user is not logged in to {host}" + (f", but to {', '.join(near)}" if near else ""))


def name_has_capitals(situation: Situation) -> Finding:
    """Look at the names of images in the message."""
    found = re.findall(r"\b[\w.-]+(?::\d+)?/[\w./-]+", situation.message)
    wrong = [name for name in found if re.search(r"[A-Z]", name.partition("/")[2])]
    if not found:
        raise UntoldError("the message names no image")
    return yes(f"{wrong[0]} has capitals") if wrong else no(f"{found[0]} has none")


def name_invalid(situation: Situation) -> Finding:
    """Compare the repository that the message names with what the specification allows."""
    found = re.search(r"[\w.-]+(?::\d+)?/([\w./-]+)", situation.message)
    if found is None:
        raise UntoldError("the message names no image")
    good = re.fullmatch(rf"{_NAME}(?:/{_NAME})*", found[1])
    return no(f"{found[1]} is a name that the specification allows") if good else yes(f"{found[1]} is no such name")


def tag_not_local(situation: Situation) -> Finding:
    """Ask the engine for images under the name that the message has."""
    named = re.search(r"locally with the tag: (\S+)|tag does not exist: (\S+)", situation.message)
    if named is None:
        raise UntoldError("the message names no image")
    name = named[1] or named[2]
    found = [tag for image in situation.require_engine().images.list(name) for tag in image.tags]
    return no(f"there is {', '.join(found)}") if found else yes(f"this engine has no image under {name}")


def named_elsewhere(situation: Situation) -> Finding:
    """Look whether the image's name in the message is one of the public registry's: it has no other host."""
    found = re.search(r"(?:\[|for |/)(docker\.io/[\w./-]+)|access denied for ([\w./-]+)", situation.message)
    if found is None:
        raise UntoldError("the message names no image; see what was pushed or pulled")
    name = found[1] or found[2]
    host = name.partition("/")[0]
    if found[1] is None and ("." in host or ":" in host):
        return no(f"{name} is one of {host}")
    return yes(f"{name} means the public registry's, not {situation.parameters.registry_host}'s")


def no_search_registry(situation: Situation) -> Finding:
    """Look in registries.conf for the registries that a short name is looked for at."""
    del situation
    texts = [files.read_text(path) or "" for path in _REGISTRIES]
    found = re.findall(r"(?m)^unqualified-search-registries\s*=\s*(\[[^\]]*\w[^\]]*\])", "\n".join(texts))
    return no(f"it names {found[-1]}") if found else yes("no unqualified-search-registries is set")


_REGISTRIES = (Path("/etc/containers/registries.conf"), Path("/usr/share/containers/registries.conf"))


def no_terminal(situation: Situation) -> Finding:
    """Look whether there is a terminal to ask for a password at."""
    del situation
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return yes("there is no terminal here either")
    return no("there is a terminal here")


def api_version(situation: Situation) -> Finding:
    """Look for a version of the engine's interface that this environment asks for."""
    told = os.environ.get("DOCKER_API_VERSION")
    known = situation.require_engine().version()
    least, most = str(known["MinAPIVersion"]), str(known["ApiVersion"])
    spoken = f"the engine speaks {least} to {most}"
    if told:
        return yes(f"DOCKER_API_VERSION is {told}; {spoken}")
    named = re.search(r"client version (\S+) is", situation.message)
    if named is None:
        return no(spoken)
    fits = _version(least) <= _version(named[1]) <= _version(most)
    return no(spoken) if fits else yes(f"the client asked for {named[1]}, and {spoken}")


def _version(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)]


def container_name_taken(situation: Situation) -> Finding:
    """Ask the engine for the container whose name the message has."""
    named = re.search(r'container name "?/?([\w.-]+)"? is already in use', situation.message)
    if named is None:
        raise UntoldError("the message names no container")
    found = engine.container(situation.require_engine(), named[1])
    if found is None:
        return no(f"there is no container {named[1]} now")
    ours = found.label(engine.LABEL) is not None
    return yes(f"there is a container {named[1]}, {'of the runbook' if ours else 'made by other means'}")


def htpasswd_not_in_image(situation: Situation) -> Finding:
    """Look for the program in the registry's image, as its container has it."""
    found = [path for path in ("usr/bin/htpasswd", "bin/htpasswd") if (situation.inside / path).exists()]
    return no("the registry's image has it") if found else yes(f"{situation.container.name} has no htpasswd")


def told_by_message(situation: Situation) -> Finding:
    """Take the message for what it says: nothing on this host can confirm it afterwards."""
    if situation.message:
        raise UntoldError("it was so when the message came; nothing is left to look at")
    return no("no message says so")


def builder_of_its_own(situation: Situation) -> Finding:
    """Ask the engine for containers of buildx: a builder in one has settings of its own."""
    found = [item.name for item in engine.containers(situation.require_engine()) if item.name.startswith(_BUILDER)]
    return yes(f"there is {', '.join(found)}") if found else no("no container here is a builder of buildx")


_BUILDER = "buildx_buildkit_"


def policy_refuses(situation: Situation) -> Finding:
    """Read the policy by which Podman and skopeo take an image: this user's, or the host's."""
    places = [Path(os.path.expanduser(place)) for place in POLICIES]  # noqa: PTH111 (no error for a user without a home)
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        return yes("there is no policy.json")
    policy = json_text.read_object(files.read_text(path) or "")
    of_docker = policy.get("transports", {}).get("docker", {})
    rules = of_docker.get(situation.parameters.registry_host, policy.get("default")) or ()
    kinds = [str(rule.get("type")) for rule in rules]
    told = f"{path} has {', '.join(kinds) or 'no rule'} for it"
    return no(told) if kinds == ["insecureAcceptAnything"] else yes(told)


POLICIES = ("~/.config/containers/policy.json", "/etc/containers/policy.json")


def another_platform(situation: Situation) -> Finding:
    """Compare the platform that the message names with this host's processor."""
    named = re.search(r"linux/(\w+)|architecture \"?(\w+)", situation.message)
    if named is None:
        raise UntoldError("the message names no platform")
    wanted, own = named[1] or named[2], _PLATFORMS.get(platform.machine(), platform.machine())
    told = f"{wanted} was asked for; this host is {own}"
    return yes(told) if wanted == own else no(told)


_PLATFORMS = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}  # Go's names of them


def password_kept_plain(situation: Situation) -> Finding:
    """Look in the Docker client's config.json for logins that no helper keeps."""
    kept = [host for host, login in (situation.client_settings.get("auths") or {}).items() if login.get("auth")]
    return yes(f"it holds the login of {', '.join(kept)}") if kept else no("it holds none")


def network_of_another(situation: Situation) -> Finding:
    """Ask the engine whether the network or volume that the message names carries the runbook's label."""
    named = re.search(r'(network|volume) "?([\w.-]+)"? (?:was found|already exists)', situation.message)
    if named is None:
        raise UntoldError("the message names no network and no volume")
    ask = engine.network_labels if named[1] == "network" else engine.volume_labels
    labels = ask(situation.require_engine(), named[2])
    if labels is None:
        return no(f"there is no {named[1]} {named[2]} now")
    return no("the runbook made it") if engine.LABEL in labels else yes(f"{named[1]} {named[2]} is not the runbook's")
