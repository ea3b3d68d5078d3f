"""The registry's users beside the first one: the lines of htpasswd that the parameter `users` declares.

A line that the runbook made stands below its mark, a comment; all others are somebody else's, and stay. The registry
reads the file again when its time changes.

Notebook: 45-users. Source: distribution, registry/auth/htpasswd/access.go (`updateHandler`) and htpasswd.go.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from runbook.changes.base import Change
from runbook.changes.credentials import ChangeUsers, GenerateSecret
from runbook.changes.files import RemoveTree
from runbook.model.errors import HostError, MissingError, SecretError
from runbook.model.parameters import Parameters, User
from runbook.model.results import Result, refused, works
from runbook.system import credentials
from runbook.system.certificates import tls
from runbook.system.host import file_state, files
from runbook.system.registry import api, htpasswd

_AGAIN = "run the notebook 45-users again"
_TRIED = 20  # users whose password and login are tried


@dataclass(frozen=True, kw_only=True, slots=True)
class UsersFacts:
    """The current state of the users.

    `states` compares each declared user's line with the password: `matches`, `differs`, `has another cost`, or `absent`
    if there is no line or no password yet. `kept` are those whose password is known. `marked` are the runbook's lines,
    `others` those of somebody else. `off` are the marks of disabled users, who have no line. `useless` are the kept
    passwords, with fingerprints, of users who are no longer declared. `before` is the fingerprint that shows a later
    change of htpasswd.
    """

    states: tuple[tuple[str, htpasswd.State], ...]
    kept: tuple[str, ...]
    marked: tuple[str, ...]
    others: tuple[str, ...]
    off: tuple[str, ...]
    useless: tuple[tuple[Path, str | None], ...]
    before: str | None


def gather(parameters: Parameters) -> UsersFacts:
    """Return the facts; raises MissingError without htpasswd, HostError for a line that the registry cannot read.

    Raises SecretError for a password file that is not there.
    """
    path = parameters.htpasswd_path
    if files.mode_of(path) is None:
        raise MissingError(f"the first user in {path}", "no such file", "run the notebook 40-configuration")
    lines, marked = htpasswd.read(path), htpasswd.marked(path)
    passwords = {user.name: _password(parameters, user) for user in parameters.users}
    gone = sorted(name for name in marked - passwords.keys() - {parameters.username} if "/" not in name)
    useless = [place for name in gone if (place := parameters.kept_password_path(name)).exists()]
    return UsersFacts(
        states=tuple(_states(parameters, lines, passwords).items()),
        kept=tuple(name for name, password in passwords.items() if password is not None),
        marked=tuple(sorted(marked & lines.keys())),
        others=tuple(sorted(lines.keys() - marked - {parameters.username})),
        off=tuple(sorted(marked - lines.keys())),
        useless=tuple((place, file_state.fingerprint(place)) for place in useless),
        before=file_state.fingerprint(path),
    )


def _states(
    parameters: Parameters, lines: Mapping[str, str], passwords: Mapping[str, str | None]
) -> dict[str, htpasswd.State]:
    """Return user -> how the line compares with the password; bcrypt leaves the other processors free to compare."""

    def state(name: str) -> htpasswd.State:
        return htpasswd.state(lines.get(name), passwords[name], parameters.bcrypt_cost)

    with ThreadPoolExecutor() as pool:
        return dict(zip(passwords, pool.map(state, passwords), strict=True))


def _password(parameters: Parameters, user: User) -> str | None:
    path = parameters.user_password_path(user)
    found = credentials.password_in(path)
    if found is None and user.password_file:
        raise SecretError(f"the password of {user.name} in {path}", "no such file", "correct its password_file")
    return found


def is_made(facts: UsersFacts) -> bool:
    """Return whether this section has been applied before."""
    return bool(facts.marked)


def plan(parameters: Parameters, facts: UsersFacts) -> list[Change]:
    """Return the changes that make the runbook's lines those of the declared users; empty if there are none.

    Raises HostError for a user who may only pull without nginx, and for one whose line is somebody else's.
    """
    enabled = [user for user in parameters.users if not user.disabled]
    only_pull = [user.name for user in enabled if user.may == "pull"]
    if only_pull and parameters.proxy == "none":
        raise HostError(
            f"nginx in front, which refuses what {', '.join(only_pull)} may not push",
            "proxy: none, and the registry knows no rights",
            "set proxy to nginx, or their `may` to push",
        )
    states = dict(facts.states)
    if theirs := [
        user.name for user in parameters.users if user.name in facts.others and states[user.name] != "matches"
    ]:
        raise HostError(
            f"no line of somebody else's for {', '.join(theirs)} in {parameters.htpasswd_path}",
            "one, with another password",
            "give that password in the user's password_file, choose another name, or remove the line",
        )
    changes: list[Change] = [
        GenerateSecret(path=parameters.user_password_path(user), purpose=f"the password of {user.name}")
        for user in enabled
        if user.name not in facts.kept
    ]
    new = [user for user in enabled if states[user.name] != "matches"]
    declared = {parameters.username, *(user.name for user in parameters.users)}
    gone = sorted({*facts.marked, *facts.off} - declared)
    off = [user.name for user in parameters.users if user.disabled and user.name in facts.marked]
    if new or gone or off:
        changes.append(
            ChangeUsers(
                path=parameters.htpasswd_path,
                passwords=tuple((user.name, parameters.user_password_path(user)) for user in new),
                removed=tuple(gone),
                disabled=tuple(off),
                cost=parameters.bcrypt_cost,
                before=facts.before,
            )
        )
    return [*changes, *(RemoveTree(path=path, before=before) for path, before in facts.useless)]


def check(parameters: Parameters) -> list[Result]:
    """Return the proof of each user's password, on disk and, if the registry answers, at its door."""
    lines = htpasswd.read(parameters.htpasswd_path)
    enabled = [user for user in parameters.users if not user.disabled]
    wanted = {parameters.username, *(user.name for user in enabled)}
    results = [
        works(
            "htpasswd has each declared user",
            expected=", ".join(sorted(wanted)),
            found=", ".join(sorted(wanted & lines.keys())),
            remedy=_AGAIN,
        ),
        refused(
            "users that are disabled or no longer declared",
            expected="none",
            found=", ".join(sorted(htpasswd.marked(parameters.htpasswd_path) & lines.keys() - wanted)) or "none",
            remedy=_AGAIN,
        ),
    ]
    if not enabled:
        return results
    tried = enabled[:_TRIED]  # that a second plan is empty has compared all of them
    passwords = {user.name: credentials.password_in(parameters.user_password_path(user)) for user in tried}
    states = _states(parameters, lines, passwords)
    others = _states(parameters, lines, dict.fromkeys(passwords, credentials.generate()))
    return [
        *results,
        works(
            "the users whose password fits its bcrypt hash",
            expected=", ".join(user.name for user in tried),
            found=", ".join(name for name, state in states.items() if state in ("matches", "has another cost")),
            remedy=_AGAIN,
        ),
        refused(
            "another password for them",
            expected="none",
            found=", ".join(name for name, state in others.items() if state == "matches") or "none",
            remedy="report this",
        ),
        *_check_logins(parameters),
    ]


def _check_logins(parameters: Parameters) -> list[Result]:
    """Return the proof at the registry's door; empty if it does not run yet. Of very many users, it takes the first."""
    authority = files.read_text(parameters.ca_certificate_path)
    if authority is None:
        return []
    door = api.Registry(url=f"https://{parameters.registry_host}", tls=tls.client_context(authority))
    if door.ask("/v2/").status is None:
        return []
    results = []
    for user in parameters.users[:_TRIED]:
        password = credentials.password_in(parameters.user_password_path(user))
        if password is None:
            continue
        status = replace(door, login=(user.name, password)).ask("/v2/").status
        if user.disabled:
            claim = f"the login of {user.name}, who is disabled"
            results.append(refused(claim, expected=401, found=status, remedy=_AGAIN))
        else:
            results.append(works(f"the login of {user.name}", expected=200, found=status, remedy=_AGAIN))
    return results
