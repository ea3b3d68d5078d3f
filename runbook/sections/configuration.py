"""The configuration: config.yml rendered from data, the users in htpasswd, and `http.secret`.

Notebook: 40-configuration. Source: distribution.github.io, "Configuring a registry".
"""

import json
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from runbook.changes.base import Change
from runbook.changes.credentials import GenerateSecret, SetPassword
from runbook.changes.files import MakeDirectory, SetMode, WriteFile
from runbook.model.errors import RunbookError, SecretError
from runbook.model.parameters import Parameters
from runbook.model.results import Result, refused, works
from runbook.system import credentials
from runbook.system.host import file_state, files, yaml_text
from runbook.system.registry import config_yml, htpasswd

_FOLDER, _FILE = 0o700, 0o600


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigurationFacts:
    """The current state of the configuration.

    `password` compares the user's line with the password: `matches`, `differs`, `has another cost`, or `absent` if
    there is no line or no password yet. `users_state` is the fingerprint that shows a later change of htpasswd.
    """

    text: str | None
    users: tuple[str, ...]
    password_known: bool
    password: str
    http_secret_known: bool
    modes: tuple[tuple[Path, int | None], ...]
    users_state: str | None = None


def content(parameters: Parameters) -> dict[str, object]:
    """Return config.yml as data; `http.secret` is a placeholder.

    Behind nginx the registry has no TLS, and takes its public address from the headers that nginx sets.
    """
    return {
        "version": 0.1,
        "log": {
            "accesslog": {"disabled": True},
            "level": parameters.log_level,
            "formatter": "text",
            "fields": {"service": "registry"},
        },
        "storage": {
            "delete": {"enabled": parameters.delete_enabled},
            "cache": {"blobdescriptor": "inmemory"},
            "filesystem": {"rootdirectory": "/var/lib/registry"},
        },
        "auth": {"htpasswd": {"realm": parameters.realm, "path": str(config_yml.INSIDE / "auth" / "htpasswd")}},
        "http": {
            **_address(parameters),
            "secret": credentials.placeholder(parameters.http_secret_path),
            "draintimeout": f"{config_yml.DRAIN_SECONDS}s",
            "headers": {"X-Content-Type-Options": ["nosniff"]},
            "http2": {"disabled": False},
            **_tls(parameters),
            "debug": {"addr": f"127.0.0.1:{config_yml.HEALTH_PORT}"},
        },
        "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
    }


def _address(parameters: Parameters) -> dict[str, object]:
    if parameters.proxy == "nginx":
        return {"addr": f":{config_yml.PLAIN_PORT}"}
    return {"addr": f":{config_yml.TLS_PORT}", "host": f"https://{parameters.registry_host}"}


def _tls(parameters: Parameters) -> dict[str, object]:
    if parameters.proxy == "nginx":
        return {}
    certificate = str(config_yml.INSIDE / "ssl" / parameters.certificate_path.name)
    return {"tls": {"certificate": certificate, "key": certificate, "minimumtls": "tls1.2"}}


def gather(parameters: Parameters) -> ConfigurationFacts:
    """Return the facts; raises HostError for an unreadable htpasswd file, SecretError for a missing password file."""
    users = htpasswd.read(parameters.htpasswd_path)
    password = credentials.find_password(parameters.password_path)
    if password is None and parameters.password_file:
        raise SecretError(f"a password in {parameters.password_file}", "no such file", "correct password_file")
    text = files.read_text(parameters.configuration_path)
    return ConfigurationFacts(
        text=None if text is None else credentials.conceal(text, (parameters.http_secret_path,)),
        users=tuple(sorted(users)),
        password_known=password is not None,
        password=htpasswd.state(users.get(parameters.username), password, parameters.bcrypt_cost),
        http_secret_known=bool(credentials.read_file(parameters.http_secret_path)),
        modes=tuple((path, files.mode_of(path)) for path in _wanted_modes(parameters)),
        users_state=file_state.fingerprint(parameters.htpasswd_path),
    )


def _wanted_modes(parameters: Parameters) -> dict[Path, int]:
    """Return the permission bits of each path, folders first."""
    folders = (Path(parameters.private_directory), parameters.http_secret_path.parent, parameters.htpasswd_path.parent)
    files_inside = (parameters.htpasswd_path, parameters.configuration_path)
    return dict.fromkeys(folders, _FOLDER) | dict.fromkeys(files_inside, _FILE)


def is_made(facts: ConfigurationFacts) -> bool:
    """Return whether this section has been applied before."""
    return facts.text is not None


def plan(parameters: Parameters, facts: ConfigurationFacts) -> list[Change]:
    """Return the changes that bring configuration, users and secrets to the wanted state; empty if there are none."""
    modes = _wanted_modes(parameters)
    wanted = yaml_text.render(content(parameters))
    written = {parameters.configuration_path} if facts.text != wanted else set()  # WriteFile sets its mode
    changes: list[Change] = [
        MakeDirectory(path=path, mode=_FOLDER) for path, mode in facts.modes if mode is None and modes[path] == _FOLDER
    ]
    changes += [
        SetMode(path=path, before=mode, after=modes[path])
        for path, mode in facts.modes
        if mode is not None and mode != modes[path] and path not in written
    ]
    if not facts.http_secret_known:
        changes.append(GenerateSecret(path=parameters.http_secret_path, purpose="http.secret"))
    if not facts.password_known:
        changes.append(GenerateSecret(path=parameters.password_path, purpose="the password"))
    if facts.password != "matches":  # noqa: S105 (a state, not a password)
        changes.append(_set_password(parameters, facts))
    if facts.text != wanted:
        changes.append(
            WriteFile(
                path=parameters.configuration_path,
                before=facts.text,
                after=wanted,
                mode=_FILE,
                keep=dict(facts.modes)[parameters.configuration_path] is not None
                and not (facts.text or "").startswith(yaml_text.HEADER),
                secrets=(parameters.http_secret_path,),
            )
        )
    return changes


def _set_password(parameters: Parameters, facts: ConfigurationFacts) -> SetPassword:
    return SetPassword(
        path=parameters.htpasswd_path,
        username=parameters.username,
        cost=parameters.bcrypt_cost,
        password_file=parameters.password_path,
        reason="there is none yet" if facts.password == "absent" else f"the one there {facts.password}",  # noqa: S105 (a state)
        before=facts.users_state,
    )


def check(parameters: Parameters) -> list[Result]:
    """Return the proof that the files on disk are as wanted, and that a misspelt key is detected."""
    text = files.read_text(parameters.configuration_path) or ""
    data = yaml_text.read_back(credentials.conceal(text, (parameters.http_secret_path,)))
    password = credentials.require_password(parameters.password_path)
    hashed = htpasswd.read(parameters.htpasswd_path).get(parameters.username, "")
    again = "run the notebook 40-configuration again"
    key = "tls" if parameters.proxy == "none" else "addr"
    return [
        works(
            "config.yml reads back as the parameters say",
            expected=True,
            found=data == content(parameters),
            remedy=again,
        ),
        refused(
            "config.yml with `auht:` for `auth:`",
            expected="refused",
            found=_misspelt("auth", "auht", data),
            remedy="report this",
        ),
        refused(
            f"config.yml with `{key}s:` for `{key}:`",
            expected="refused",
            found=_misspelt(key, f"{key}s", data),
            remedy="report this",
        ),
        works(
            f"the password of {parameters.username} fits its bcrypt hash",
            expected=True,
            found=bcrypt.checkpw(password.encode(), hashed.encode()),
            remedy=again,
        ),
        refused(
            f"another password for {parameters.username}",
            expected=False,
            found=bcrypt.checkpw(credentials.generate().encode(), hashed.encode()),
            remedy="report this",
        ),
        works(
            "http.secret is the one kept",
            expected=True,
            found=credentials.placeholder(parameters.http_secret_path)
            in credentials.conceal(text, (parameters.http_secret_path,)),
            remedy=again,
        ),
    ]


def _misspelt(right: str, wrong: str, data: object) -> str:
    """Return whether the configuration on disk is refused with one of its keys misspelt."""
    changed = yaml_text.read_back(json.dumps(data).replace(f'"{right}":', f'"{wrong}":'))
    try:
        config_yml.refuse_unknown_keys(changed)
    except RunbookError:
        return "refused"
    return "accepted"
