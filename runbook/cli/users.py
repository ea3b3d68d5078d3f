"""The users of the registry: the list of them, and the declared ones with one added, removed, disabled or rotated."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from runbook.changes import deployment
from runbook.changes.apply import apply
from runbook.changes.credentials import ChangeUsers
from runbook.display import overview, tables
from runbook.display.tables import Table
from runbook.model import parameter_yaml
from runbook.model.errors import ParameterError
from runbook.model.parameters import Parameters, User, load_file, read
from runbook.model.project import COMMAND, FOLDER, MINE
from runbook.system import credentials
from runbook.system.host import files, lock
from runbook.system.registry import htpasswd

HEADINGS = ("user", "may", "state", "password")  # the JSON keys of a row
_STATES: Mapping[htpasswd.State, str] = {
    "matches": "may log in",
    "has another cost": "may log in",
    "differs": "has another password",
    "absent": "not written yet",
}


def table(parameters: Parameters) -> Table:
    """Return the table of all users in htpasswd and in the parameters; raises MissingError if there is no htpasswd."""
    facts = overview.section("45-users").gather(parameters)
    states = dict(facts.states)
    lines = htpasswd.read(parameters.htpasswd_path)
    first = credentials.password_in(parameters.password_path)
    rows = [
        (
            parameters.username,
            "push",
            _STATES[htpasswd.state(lines.get(parameters.username), first, parameters.bcrypt_cost)],
            str(parameters.password_path),
        )
    ]
    rows += [
        (
            user.name,
            user.may,
            "disabled" if user.disabled and user.name not in lines else _STATES[states[user.name]],
            str(parameters.user_password_path(user)),
        )
        for user in parameters.users
    ]
    declared = {row[0] for row in rows}
    only_listed = "pull" if any(user.may == "pull" for user in parameters.users) else "push"
    rows += [(name, only_listed, "somebody else's", "") for name in facts.others if name not in declared]
    rows += [(name, "", "no longer declared", "") for name in facts.marked if name not in declared]
    return Table(headings=tuple(map(str.capitalize, HEADINGS)), rows=tuple(rows), empty="")


def added(parameters: Parameters, name: str, *, may: Literal["push", "pull"], password_file: Path | None) -> list[User]:
    """Return the users with one more, or with one that is there already as it is to be, no longer disabled.

    Raises ParameterError for the first user, and for a name that no user can have.
    """
    _refuse_first(parameters, name)
    file = str(password_file.absolute()) if password_file else ""
    given = {"name": name, "may": may, "password_file": file}
    [user] = read({"users": [given]}, where="typed here").users
    before = [item.name for item in parameters.users]
    if name not in before:
        return [*parameters.users, user]
    return [user if item.name == name else item for item in parameters.users]


def removed(parameters: Parameters, name: str) -> list[User]:
    """Return the users without one; raises ParameterError if there is no such user, and for the first one."""
    _require(parameters, name)
    return [user for user in parameters.users if user.name != name]


def remove_foreign(parameters: Parameters, name: str) -> bool:
    """Remove the line that somebody else wrote for a user, show that, and return whether there was one.

    Such a line is never removed by a run: this command is asked for it by name.
    """
    facts = overview.section("45-users").gather(parameters)
    if name not in facts.others or name in [user.name for user in parameters.users]:
        return False
    change = ChangeUsers(
        path=parameters.htpasswd_path, passwords=(), removed=(name,), cost=parameters.bcrypt_cost, before=facts.before
    )
    with lock.hold():
        tables.show(tables.outcomes_table(apply([change], timeout_seconds=parameters.timeout_seconds)))
    return True


def disabled(parameters: Parameters, name: str) -> list[User]:
    """Return the users with one disabled; raises ParameterError if there is no such user, and for the first one."""
    _require(parameters, name)
    return [user.model_copy(update={"disabled": True}) if user.name == name else user for user in parameters.users]


def rotate(parameters: Parameters, name: str) -> Path:
    """Write a new password for a user into the runbook's own file, and return it; the old one counts until the run.

    Raises ParameterError if there is no such user, or if the operator keeps the password in another file.
    """
    known = {parameters.username: parameters.password_file} | {
        user.name: user.password_file for user in parameters.users
    }
    if name not in known:
        raise _unknown(parameters, name)
    if known[name]:
        raise ParameterError(
            f"a password of {name} that the runbook has made",
            f"password_file: {known[name]}",
            f"write the new one into that file, then run `{COMMAND}`",
        )
    path = parameters.kept_password_path(name)
    credentials.write_password(path, credentials.generate())
    return path


def save(file: Path, declared: Sequence[object]) -> None:
    """Write users into the operator's parameter file, which keeps all else; the host's own follows with the run.

    `declared` are the users as a parameter file has them (`plain`).

    Raises ParameterError for a file of the project, which an update would replace.
    """
    if file == deployment.path() or (file == FOLDER / "parameters" / "local.yml" and not load_file(file).get("users")):
        return
    if file.parent == FOLDER / "parameters" and file != MINE:
        raise ParameterError(
            "a parameter file of your own",
            f"{file}, which belongs to the project",
            "leave out -f, since the host keeps its parameters; or copy the file, and name the copy",
        )
    text = parameter_yaml.with_value(file.read_text(encoding="utf-8"), "users", declared)
    files.write(file, text.encode(), files.mode_of(file) or 0o644)


def _require(parameters: Parameters, name: str) -> None:
    _refuse_first(parameters, name)
    if name not in [user.name for user in parameters.users]:
        raise _unknown(parameters, name)


def _refuse_first(parameters: Parameters, name: str) -> None:
    if name == parameters.username:
        raise ParameterError(
            "another user than the first one", f"{name}, which is `username`", "set `username` to another name, and run"
        )


def _unknown(parameters: Parameters, name: str) -> ParameterError:
    known = [user.name for user in parameters.users]
    return ParameterError(
        f"a declared user ({', '.join(known) or 'there is none'})", repr(name), f"see `{COMMAND} users list`"
    )
