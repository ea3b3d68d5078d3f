"""Checks of config.yml and htpasswd on disk."""

import re
import stat
from pathlib import Path

import bcrypt

from runbook.model.errors import HostError
from runbook.sections import configuration
from runbook.system import credentials
from runbook.system.host import files, yaml_text
from runbook.system.registry import config_yml

from .situation import Finding, Situation, UndecidedError, no, yes

_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_HASHES = {"$apr1$": "MD5", "{SHA}": "SHA-1", "$5$": "SHA-256", "$6$": "SHA-512", "$1$": "MD5"}
_READ_ONLY = re.compile(r"(?i)MAINTENANCE_READONLY\w*=.*\btrue\b")  # `…_ENABLED=true`, or the value as YAML
_AS_SET = "as the parameters specify"


def configuration_missing(situation: Situation) -> Finding:
    """Look for config.yml."""
    return _missing(situation.parameters.configuration_path)


def _missing(path: Path) -> Finding:
    """Return whether there is no regular file at a path, with a remedy if there is a link or a folder.

    The engine creates a folder for a mounted file that does not exist.
    """
    kind = files.kind_of(path)
    if kind is not None and not stat.S_ISREG(kind):
        error = files.no_regular_file(path, kind)
        return yes(f"{path} is {error.found}", error.remedy)
    return yes(f"there is no {path}") if kind is None else no(f"{path} is there")


def configuration_no_yaml(situation: Situation) -> Finding:
    """Parse config.yml."""
    path = situation.parameters.configuration_path
    data = files.read_bytes(path)
    if data is None:
        raise UndecidedError(f"there is no {path}")
    try:
        found = yaml_text.read_back(data.decode())
    except UnicodeDecodeError as error:
        return yes(str(error), "correct or move the file")
    except HostError as error:
        return yes(" ".join(error.found.split())[:200])
    return no("it is YAML") if isinstance(found, dict) else yes("it is not a mapping of names to values")


def version_missing(situation: Situation) -> Finding:
    """Look for `version: 0.1` in config.yml."""
    found = situation.configuration.get("version")
    return no("it has version: 0.1") if str(found) == "0.1" else yes(f"it has version: {found}, expected 0.1")


def no_storage(situation: Situation) -> Finding:
    """Look for `storage` in config.yml."""
    found = situation.configuration.get("storage")
    return no("it has storage") if isinstance(found, dict) else yes("config.yml has no storage, or nothing below it")


def unknown_key(situation: Situation) -> Finding:
    """Look for keys in config.yml that the registry ignores."""
    try:
        config_yml.refuse_unknown_keys(situation.configuration)
    except HostError as error:
        return yes(error.found)
    return no("it has only keys that the registry reads")


def no_login_asked(situation: Situation) -> Finding:
    """Look for `auth.htpasswd` in config.yml."""
    found = situation.configuration.get("auth")
    htpasswd = found.get("htpasswd") if isinstance(found, dict) else None
    return no("auth.htpasswd is there") if htpasswd else yes("config.yml has no auth.htpasswd: no login is required")


def delete_is_another(situation: Situation) -> Finding:
    """Compare `storage.delete.enabled` in config.yml with the parameter."""
    found = bool(_at(situation, "storage", "delete", "enabled"))
    wanted = situation.parameters.delete_enabled
    return no(f"it is {found}, {_AS_SET}") if found == wanted else yes(f"it is {found}, expected {wanted}")


def delete_off(situation: Situation) -> Finding:
    """Read `storage.delete.enabled` in config.yml."""
    found = bool(_at(situation, "storage", "delete", "enabled"))
    return no("delete is on in config.yml") if found else yes("delete is off in config.yml")


def read_only_mode(situation: Situation) -> Finding:
    """Look for maintenance mode in config.yml and in the container's environment."""
    in_file = _at(situation, "storage", "maintenance", "readonly", "enabled")
    in_environment = any(_READ_ONLY.search(entry) for entry in situation.container.environment)
    return yes("storage.maintenance.readonly is on") if in_file or in_environment else no("it is not in maintenance")


def host_is_another(situation: Situation) -> Finding:
    """Compare `http.host`, the address for uploads, with domain and port."""
    if situation.parameters.proxy == "nginx":
        return no("behind nginx, the headers set it")
    found, wanted = _at(situation, "http", "host"), f"https://{situation.parameters.registry_host}"
    return no(f"it is {found}") if found in (None, wanted) else yes(f"it is {found}, expected {wanted}")


def tls_off(situation: Situation) -> Finding:
    """Look for `http.tls` in config.yml."""
    if situation.parameters.proxy == "nginx":
        return no("nginx terminates TLS in front of it")
    found = _at(situation, "http", "tls", "certificate")
    return no(f"it has {found}") if found else yes("config.yml has no http.tls.certificate: it speaks plain HTTP")


def certificate_path_wrong(situation: Situation) -> Finding:
    """Check whether the files that config.yml names are in the folder that the container mounts."""
    inside, outside = config_yml.INSIDE, Path(situation.parameters.configuration_directory)
    keys = (("http", "tls", "certificate"), ("http", "tls", "key"), ("auth", "htpasswd", "path"))
    paths = [Path(str(name)) for name in (_at(situation, *key) for key in keys) if name]
    missing = [
        str(path)
        for path in paths
        if not path.is_relative_to(inside) or not (outside / path.relative_to(inside)).exists()
    ]
    return yes(f"{', '.join(missing)} is not there") if missing else no("the files that it names are there")


def http_secret_is_another(situation: Situation) -> Finding:
    """Compare `http.secret` with the stored one, without showing either."""
    found = str(_at(situation, "http", "secret") or "")
    if found == credentials.placeholder(situation.parameters.http_secret_path):
        return no("it is the stored one")
    return yes("it differs from the stored one" if found else "there is none: each start generates another")


def configuration_is_another(situation: Situation) -> Finding:
    """Compare config.yml with the content that the parameters specify."""
    wanted = configuration.content(situation.parameters)
    differing = _differing(situation.configuration, wanted)
    return yes(f"different: {', '.join(differing)}") if differing else no(f"it is {_AS_SET}")


def _differing(found: object, wanted: object, above: str = "") -> list[str]:
    """Return the dotted keys whose values differ, without the values: one may be secret."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = wanted | found
        return [name for key in keys for name in _differing(found.get(key), wanted.get(key), f"{above}.{key}")]
    return [] if found == wanted else [above.removeprefix(".")]


def _at(situation: Situation, *keys: str) -> object:
    found: object = situation.configuration
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def users_missing(situation: Situation) -> Finding:
    """Look for the htpasswd file."""
    return _missing(situation.parameters.htpasswd_path)


def _entries(situation: Situation) -> list[tuple[int, str, str]]:
    """Return line number, user and hash of each line of htpasswd; the user is empty if the line has no colon."""
    path = situation.parameters.htpasswd_path
    situation.text(path)
    lines = [(number, line.strip()) for number, line in enumerate(files.lines(path), 1)]
    parts = [(number, line.partition(":")) for number, line in lines if line and not line.startswith("#")]
    return [(number, user if colon else "", hashed) for number, (user, colon, hashed) in parts]


def users_malformed(situation: Situation) -> Finding:
    """Check whether each line of htpasswd has the form USER:HASH."""
    wrong = [str(number) for number, user, hashed in _entries(situation) if not user or not hashed]
    return yes(f"line {', '.join(wrong)} is not USER:HASH") if wrong else no("each line is USER:HASH")


def users_not_bcrypt(situation: Situation) -> Finding:
    """Look for hashes in htpasswd that are not bcrypt."""
    wrong = [
        f"line {number} ({next((name for start, name in _HASHES.items() if hashed.startswith(start)), 'no hash')})"
        for number, user, hashed in _entries(situation)
        if user and hashed and not _BCRYPT.fullmatch(hashed)
    ]
    return yes(f"{', '.join(wrong)} is not bcrypt") if wrong else no("each hash is bcrypt")


def user_twice(situation: Situation) -> Finding:
    """Look for users that are listed twice in htpasswd."""
    names = [user for _, user, _ in _entries(situation)]
    repeated = sorted({user for user in names if user and names.count(user) > 1})
    return yes(f"{', '.join(repeated)} is listed twice") if repeated else no("each user is listed once")


def user_unknown(situation: Situation) -> Finding:
    """Look for the user in htpasswd."""
    user = situation.parameters.username
    is_listed = user in [name for _, name, _ in _entries(situation)]
    return no(f"{user} is listed") if is_listed else yes(f"there is no user {user}")


def password_is_another(situation: Situation) -> Finding:
    """Compare the stored password with the user's bcrypt hash, without showing either."""
    parameters = situation.parameters
    password = credentials.find_password(parameters.password_path)
    if password is None:
        raise UndecidedError(f"no password is stored in {parameters.password_path}")
    hashes = [hashed for _, user, hashed in _entries(situation) if user == parameters.username]
    if not hashes or not _BCRYPT.fullmatch(hashes[-1]):
        raise UndecidedError(f"{parameters.username} has no bcrypt hash")
    fits = bcrypt.checkpw(password.encode(), hashes[-1].encode())
    return no("the stored password fits") if fits else yes(f"the stored password is not that of {parameters.username}")
