"""The program: `registry-runbook`."""

import datetime
import io
import json
import os
import re
import shlex
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from runbook.cli.language import Group, translate
from runbook.model.errors import ApplyError, HostError, ParameterError, RunbookError, visible
from runbook.model.parameters import Parameters, from_text, load_file, read
from runbook.model.parameters import schema as parameters_schema
from runbook.model.project import COMMAND, FOLDER, MINE
from runbook.model.words import language, prefer, say

if TYPE_CHECKING:
    from runbook.model.parameters import User
    from runbook.record.model import Record

_FAILED, _USAGE, _NOT_PROVEN, _INTERRUPTED = 1, 2, 3, 130  # exit codes; 130 is the shells' code for SIGINT
_NAME = "registry-runbook"
_FILE = click.Path(path_type=Path, dir_okay=False)
_FOR_URL = {"ca", "username", "password_file", "days", "repository", "megabytes"}
_DEFAULT_FILE = "Default: what the form has written; else what this host was set up with; else parameters/local.yml."
_FOR_TIMER = {"calendar", "on_failure"}
_LONGEST_MESSAGE = 1_000_000  # bytes; the rest of a longer log is ignored


def checked_values(file: Path, given: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Return the values of a parameter file, overridden by those of the command line, all checked."""
    from_file = load_file(file)
    read(from_file, where=f"set in {file}")
    overrides = {name: from_text(name, text) for name, text in given}
    values = from_file | overrides
    checked = read(values, where="set on the command line with -p" if overrides else f"set in {file}")
    prefer(checked.language)
    # The record stores these values: the message as the model redacts it, all others as given.
    return values | ({"message": checked.message} if "message" in values else {})


def default_file() -> Path:
    """Return what the form has written, or this host's deployment, which commands are then about; else local.yml."""
    from runbook.changes import deployment

    return MINE if MINE.exists() else deployment.path() or FOLDER / "parameters" / "local.yml"


def _parameters(file: Path | None, given: Iterable[tuple[str, str]]) -> Parameters:
    """Return the parameters of a file, or of the default one, overridden by those of the command line."""
    file = file or default_file()
    return read(checked_values(file, given), where=f"set in {file} or with -p")


def _parameter_arguments(file: Path | None, given: Iterable[tuple[str, str]]) -> list[str]:
    """Return the command-line arguments that give this file and these parameters."""
    return [*(["-f", str(file)] if file else []), *(word for pair in given for word in ("-p", *pair))]


def _complete(name: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return the completer of that name in `completion`, which is imported only when a shell calls it."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from runbook.cli import completion

        return list(getattr(completion, name)(context, incomplete))

    return complete


def _parameter_options(command: Any) -> Any:  # noqa: ANN401 (click's decorators are untyped)
    file = click.option("-f", "--parameters-file", "file", type=click.Path(path_type=Path), help=_DEFAULT_FILE)
    given = click.option(
        "-p",
        "--parameters",
        "given",
        nargs=2,
        multiple=True,
        metavar="NAME VALUE",
        shell_complete=_complete("parameters"),
        help="Set one parameter.",
    )
    return file(given(command))


class _Program(Group):
    """The commands. Options and notebooks without a command belong to `run`."""

    group_class = Group

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert `run` before an option or a notebook without a command."""
        own = 2 if args[:1] == ["--language"] else sum(item.startswith("--language=") for item in args[:1])
        first = next(iter(args[own:]), "")
        if re.match("[-0-9]", first) and first not in {"-h", "--help", "--version"}:
            args = [*args[:own], "run", *args[own:]]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands, and the options and notebooks of `run`."""
        from runbook.cli import completion

        own = super().shell_complete(ctx, incomplete)
        options = run.shell_complete(click.Context(run, parent=ctx), incomplete)
        names = {item.value for item in own}
        return [*own, *(item for item in options if item.value not in names), *completion.notebooks(ctx, incomplete)]


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--version",
    is_flag=True,
    help="Show the versions of all parts, and exit.",
    is_eager=True,
    callback=lambda c, _, v: _version(c) if v else None,
    expose_value=False,
)
def program() -> None:
    """Take this Docker host from nothing to a proven private registry."""
    if os.geteuid() == 0:
        _warn_of_others()


def _warn_of_others() -> None:
    """Warn root on standard error if another user could change this code."""
    from runbook.system.host import own_code

    try:
        own_code.require(whole=False)
    except HostError as error:
        click.echo(
            f"registry-runbook: {say(f'a warning, since whoever may change this code is root here: {error}')}", err=True
        )


def _version(context: click.Context) -> None:
    if context.resilient_parsing:
        return
    from runbook.record import versions

    for name, found in versions.versions(Parameters()).items():
        click.echo(f"{name} {found}")
    context.exit()


@program.command()
@click.argument("notebooks", nargs=-1, shell_complete=_complete("notebooks"))
@_parameter_options
@click.option("--dry-run", is_flag=True, help="Show the plans and change nothing, as -p mode plan.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for the record.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--progress-bar/--no-progress-bar", "bar", default=None, help="Show a bar (default: in a terminal).")
def run(  # noqa: PLR0913 (one argument an option)
    notebooks: tuple[str, ...],
    file: Path | None,
    given: tuple[tuple[str, str], ...],
    *,
    dry_run: bool,
    output: Path | None,
    as_json: bool,
    bar: bool | None,
) -> None:
    """Run NOTEBOOKS, by default 10 to 60 in order: plan, apply and verify each of them.

    The default includes 55-nginx only with the parameter proxy: nginx.

    Writes a record: the executed notebooks, report.html, report.json and junit.xml. Exits with 1 if a notebook failed,
    with 130 after an interrupt; the record then covers the run up to that point.
    """
    from runbook import catalogue

    names = catalogue.names()
    for name in notebooks:
        if name not in names:
            raise click.UsageError(say(f"expected a notebook ({', '.join(names)}); found {name!r}"))
    values = checked_values(file or default_file(), (*given, *([("mode", "plan")] if dry_run else [])))
    from runbook.cli import summary
    from runbook.display import first_use, overview
    from runbook.system.host import headless

    os.environ[headless.FROM_FILE] = " ".join(set(values) - {name for name, _ in given})
    checked = read(values, where="set in the parameter file or with -p")
    index, *sections = overview.default_notebooks(checked)
    notebooks = notebooks or (index, *sections)
    _tell_of_another(checked, {*notebooks} & {*sections})
    if "90-tear-down" in notebooks:  # whoever names it on the command line has asked for it
        values = {"confirm": checked.domain} | values
    record = _run(
        notebooks,
        values,
        output,
        options=[*_parameter_arguments(file, given), *(["--dry-run"] if dry_run else [])],
        bar=bar,
    )
    if as_json:
        click.echo(record.as_json(), nl=False)
    else:
        summary.show(record)
        if record.passed and record.mode == "apply" and record.notebooks[-1].notebook == "60-push-pull":
            click.echo(f"\n{first_use.text(Parameters.model_validate(values))}")
    _end(record)


def _end(record: "Record") -> None:
    """Exit with the code of a run that did not end well."""
    if record.result != "done":
        raise SystemExit(_INTERRUPTED if record.result == "interrupted" else _FAILED)


def _tell_of_another(parameters: Parameters, sections: Collection[str]) -> None:
    """Print on standard error what becomes of another deployment that stands here, if sections are to run."""
    from runbook.changes import deployment

    if sections and (told := deployment.replaced_by(parameters)):
        click.echo(say(told), err=True)


def _run(  # noqa: PLR0913 (what a run is of, and how it is shown)
    notebooks: tuple[str, ...],
    values: dict[str, object],
    output: Path | None,
    *,
    options: list[str],
    bar: bool | None,
    wait_seconds: float = 0,
) -> "Record":
    """Run the notebooks, after waiting for another run, write the record, and return it."""
    from concurrent.futures import Future, ThreadPoolExecutor
    from contextlib import nullcontext

    from runbook.cli import progress
    from runbook.record import folder as folders
    from runbook.record import versions
    from runbook.record.model import NotebookRun, Record
    from runbook.runs import runner
    from runbook.system.host import interrupts, lock

    started, parameters = datetime.datetime.now(datetime.UTC), Parameters.model_validate(values)
    folder = folders.make(started, output)
    runs: list[NotebookRun] = []
    known: Future[dict[str, str]] | None = None
    with (
        lock.hold(wait_seconds) if parameters.mode == "apply" else nullcontext(),
        ThreadPoolExecutor(1, initializer=os.nice, initargs=(19,)) as background,  # the kernels have priority
        progress.reporter(len(notebooks), bar=progress.wants_bar() if bar is None else bar) as watch,
    ):
        for done in runner.run(notebooks, values, folder, watch):
            with interrupts.held():
                known = known or background.submit(versions.versions, parameters)
            watch.end(done)
            runs.append(done)
    last = runs[-1]
    go_on = shlex.join([COMMAND, *notebooks[len(runs) - 1 :], *options]) if last.error else None
    record = Record(
        folder=folder,
        passed=last.result == "done",
        result=last.result,
        mode=parameters.mode,
        started=started,
        seconds=(datetime.datetime.now(datetime.UTC) - started).total_seconds(),
        go_on=go_on,
        parameters=values,
        versions=versions.versions(parameters, known.result() if known else None),
        host=versions.host(parameters),
        notebooks=tuple(runs),
    )
    folders.write(record, folder)
    return record


def _run_named(
    notebooks: tuple[str, ...],
    values: dict[str, object],
    file: Path | None,
    given: tuple[tuple[str, str], ...],
    *,
    wait_seconds: float = 0,
) -> None:
    """Run the notebooks of a command, show their record, and exit as `run` does where they fail."""
    from runbook.cli import summary
    from runbook.system.host import headless

    os.environ[headless.FROM_FILE] = " ".join(set(values) - {name for name, _ in given})
    record = _run(
        notebooks, values, None, options=_parameter_arguments(file, given), bar=None, wait_seconds=wait_seconds
    )
    summary.show(record)
    _end(record)


@program.command()
@_parameter_options
@click.option("--json", "as_json", is_flag=True, help="Print the plans as JSON.")
@click.option("--by-hand", "as_commands", is_flag=True, help="Print the equivalent commands for a root shell.")
def plan(file: Path | None, given: tuple[tuple[str, str], ...], *, as_json: bool, as_commands: bool) -> None:
    """Show the changes of a run by section, without running a notebook; exit with 1 if a section refuses."""
    parameters = _parameters(file, given)
    from runbook.changes import base  # imported late: the error about a misspelt parameter comes at once
    from runbook.display import overview, tables

    names = overview.sections(parameters)
    _tell_of_another(parameters, names)
    states = [overview.state(name, parameters) for name in names]
    if as_json:
        plain = [
            {
                "notebook": item.notebook,
                "state": item.name,
                "reason": item.reason,
                "changes": [base.as_json(change) for change in item.changes],
            }
            for item in states
        ]
        click.echo(json.dumps(plain, indent=2))
    elif as_commands:
        for item in states:
            click.echo(
                f"# {item.notebook}: {visible(say(item.reason).splitlines()[0]) if item.reason else say(item.name)}"
            )
            commands = tables.by_hand(item.changes)
            click.echo(visible(commands) if sys.stdout.isatty() else commands, nl=False)
    else:
        for item in states:
            click.secho(f"{item.notebook}: {say(item.name)}", bold=True)
            if item.reason:
                click.echo(say(item.reason))
            else:
                tables.show(tables.changes_table(item.changes))
    if any(item.name == "refuses" for item in states):
        raise SystemExit(_FAILED)


def _refuse_useless(*, is_elsewhere: bool, installs: bool) -> None:
    """Raise UsageError for options of `prove` on the command line that a proof would ignore."""
    context = click.get_current_context()
    sources = {option: context.get_parameter_source(option.name or "") for option in context.command.params}
    given = {option.name: option.opts[0] for option, source in sources.items() if source is ParameterSource.COMMANDLINE}
    for_url = [] if is_elsewhere else [given[name] for name in given if name in _FOR_URL]
    for_timer = [] if installs else [given[name] for name in given if name in _FOR_TIMER]
    for options, needed in ((for_url, "a registry that --url names"), (for_timer, "--install-timer")):
        if options:
            raise click.UsageError(say(f"for {needed} alone: {', '.join(options)}"))


@program.command()
@_parameter_options
@click.option("--no-image", is_flag=True, help="Skip push, pull and container; takes two seconds.")
@click.option(
    "--accept", is_flag=True, help="If all proofs hold, store the current state as the baseline of later ones."
)
@click.option("--url", metavar="https://HOST[:PORT]", help="Prove a registry on another host, however it was set up.")
@click.option("--ca", type=_FILE, help="With --url: PEM file of the trusted authority (default: this system's).")
@click.option("--username", help="With --url: a user with push and pull rights.")
@click.option(
    "--password-file", type=_FILE, help="With --url: 0600 file with the password, unless in RUNBOOK_PASSWORD."
)
@click.option("--days", type=click.IntRange(0), default=30, help="With --url: days that the certificate must last.")
@click.option("--repository", default="runbook/proof", help="With --url: repository of the test image.")
@click.option(
    "--layer-megabytes",
    "megabytes",
    type=click.IntRange(1, 1024),
    default=2,
    help="With --url: size of the test image.",
)
@click.option("--wait", type=click.IntRange(0), default=0, metavar="SECONDS", help="How long to wait for another run.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--junit", type=_FILE, help="Also write the result as JUnit XML.")
@click.option("--install-timer", "install", is_flag=True, help="Install a systemd timer that repeats this proof.")
@click.option("--on-calendar", "calendar", default="daily", help="With --install-timer: a calendar of systemd.time(7).")
@click.option(
    "--on-failure", metavar="COMMAND", help="With --install-timer: run this after a failure, without a shell."
)
@click.option("--remove-timer", "remove", is_flag=True, help="Remove that timer.")
def prove(  # noqa: PLR0913 (one argument an option)
    file: Path | None,
    given: tuple[tuple[str, str], ...],
    *,
    no_image: bool,
    accept: bool,
    url: str | None,
    ca: Path | None,
    username: str | None,
    password_file: Path | None,
    days: int,
    repository: str,
    megabytes: int,
    wait: int,
    as_json: bool,
    junit: Path | None,
    install: bool,
    calendar: str,
    on_failure: str | None,
    remove: bool,
) -> None:
    """Prove an existing registry again, and compare it with the accepted state.

    Changes nothing except a test repository, which it removes again. Exits with 0 only if everything holds, with 1 if
    something does not, and with 3 if the proof cannot run, because another run is active or the password is missing.
    With --url, proves what HTTP alone shows, for any registry.
    """
    _refuse_useless(is_elsewhere=url is not None, installs=install)
    if url is not None and (username is None or file or given or no_image):
        raise click.UsageError(say("--url needs --username, and takes no parameters and no --no-image"))
    if (install or remove) and (accept or as_json or junit or (install and remove)):
        raise click.UsageError(say("a timer is installed or removed by itself, without --accept, --json and --junit"))
    file = file or default_file()
    parameters = Parameters() if url else _parameters(file, given)
    from runbook.cli import prove as prove_command  # imported late, as in `plan`

    if remove:
        prove_command.remove_timer()
        return
    if url is None:
        subject = prove_command.own(parameters, images=not no_image)
        arguments = [*_parameter_arguments(file.absolute(), given), *(["--no-image"] if no_image else [])]
    else:
        with _exit_not_proven():
            subject = prove_command.elsewhere(
                url,
                ca=ca,
                username=username or "",
                password_file=password_file,
                days=days,
                repository=repository,
                megabytes=megabytes,
            )
        paths = {"--ca": ca, "--password-file": password_file}
        arguments = ["--url", url, "--username", username or "", "--days", str(days), "--repository", repository]
        arguments += ["--layer-megabytes", str(megabytes)]
        arguments += [word for name, path in paths.items() if path for word in (name, str(path.absolute()))]
    if install:
        renews = None if url else _parameter_arguments(file.absolute(), given)
        prove_command.install_timer(arguments, subject, renews=renews, calendar=calendar, on_failure=on_failure)
        return
    with _exit_not_proven():
        proof = prove_command.run(subject, accept=accept, wait_seconds=wait)
    if junit is not None:
        prove_command.write_junit(junit, proof)
    if as_json:
        click.echo(proof.as_json(), nl=False)
    else:
        prove_command.show(proof, accept=accept)
    if not proof.passed:
        raise SystemExit(_FAILED)


@program.command()
@_parameter_options
@click.option("--wait", type=click.IntRange(0), default=0, metavar="SECONDS", help="How long to wait for another run.")
def renew(file: Path | None, given: tuple[tuple[str, str], ...], *, wait: int) -> None:
    """Renew the server certificate, if it expires within renew_before_days, and put it in force.

    Waits until nobody is connected, for up to 15 minutes; then uploads in flight have 60 seconds to end. Shows how long
    the registry did not answer. The timer of `prove` does this too.
    """
    parameters = _parameters(file, given)
    from runbook.cli import renew as renew_command

    in_force = renew_command.served(parameters)
    if told := renew_command.not_due(parameters, in_force):
        click.echo(say(told))
        return
    values, (issues, puts_in_force) = checked_values(file or default_file(), given), renew_command.notebooks(parameters)
    _run_named((issues,), values, file, given, wait_seconds=wait)
    if told := renew_command.wait_until_quiet(parameters, renew_command.connections):
        click.echo(say(told))
    with renew_command.measured(parameters) as gap:
        _run_named((puts_in_force,), values, file, given, wait_seconds=wait)
    if renew_command.accept(parameters, in_force):
        click.echo(say("The accepted state has the new certificate."))
    click.echo(say(str(gap)))


@contextmanager
def _exit_not_proven() -> Iterator[None]:
    """Print the error of a proof that cannot run, and exit with 3: exit code 1 is for a proof that does not hold."""
    try:
        yield
    except (ParameterError, ApplyError):
        raise
    except (RunbookError, OSError) as error:
        _print_error(error)
        raise SystemExit(_NOT_PROVEN) from error


@program.command()
@click.option("--json", "as_json", is_flag=True, help="Print the ledger as JSON.")
def ledger(*, as_json: bool) -> None:
    """Show the ledger: what the runbook created on this host, the state before, and the current state.

    90-tear-down undoes the entries, the last one first. Needs root, or a user with passwordless sudo.
    """
    from runbook.cli import ledger as ledger_command

    if as_json:
        click.echo(ledger_command.as_json(), nl=False)
    else:
        ledger_command.show()


@program.command()
@click.argument("message", nargs=-1)
@_parameter_options
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.option("--page", is_flag=True, help="Print the page of all messages, and exit.")
def diagnose(
    message: tuple[str, ...], file: Path | None, given: tuple[tuple[str, str], ...], *, as_json: bool, page: bool
) -> None:
    """Diagnose a MESSAGE: check each possible cause on this host, and list the confirmed ones first.

    MESSAGE is a line or a whole log; - reads standard input, as does a pipe or a file there. Without a message, this
    checks host, engine, registry, certificates and the connection between them. It changes nothing.

    Exits with 0 if nothing is wrong, with 1 if a cause is confirmed or the message is unknown.
    """
    if page:
        from runbook.diagnosis import page as messages_page

        click.echo(messages_page.text(), nl=False)
        return
    parameters = _parameters(file, given)
    from runbook.diagnosis import answer
    from runbook.display import tables

    text = _piped() if message in ((), ("-",)) else " ".join(message)
    found = answer.diagnose(text if message or text.strip() else parameters.message, parameters)
    options = _parameter_arguments(file, given)
    if as_json:
        click.echo(json.dumps(found.as_data(options), indent=2))
    else:
        table = found.table(options)
        if table.rows or not found.all_is_well:
            click.secho(say(found.heading), bold=True)
        tables.show(table)
    if not found.all_is_well:
        raise SystemExit(_FAILED)


def _piped() -> str:
    """Return up to 1 MB of standard input if it is a pipe or a file; empty for a terminal or a socket.

    ssh gives a remote command a socket, which may never reach its end.
    """
    kind = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISREG(kind)):
        return ""
    return sys.stdin.buffer.read(_LONGEST_MESSAGE).decode(errors="replace")


@program.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1 (default: 8888 or the next free one).")
@click.option("--browser/--no-browser", default=None, help="Open a browser (default: if there is a display).")
def lab(*, port: int | None, browser: bool | None) -> None:
    """Serve the notebooks in JupyterLab on 127.0.0.1, with a token, until Ctrl-C."""
    from runbook.jupyter import server as jupyterlab

    browser = jupyterlab.has_display() if browser is None else browser
    jupyterlab.serve(
        port=port, browser=browser, language=language(), say=lambda text: click.echo(f"registry-runbook: {text}")
    )


@program.group()
def users() -> None:
    """List, add, remove, disable users of the registry, or give one a new password; without a restart."""


@users.command(name="list")
@_parameter_options
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_users(file: Path | None, given: tuple[tuple[str, str], ...], *, as_json: bool) -> None:
    """List the users, what each may do, whether each may log in, and where the password is."""
    parameters = _parameters(file, given)
    from runbook.cli import users as users_command
    from runbook.display import tables

    found = users_command.table(parameters)
    if as_json:
        click.echo(tables.rows_as_json(found, users_command.HEADINGS))
    else:
        tables.show(found)


@users.command(name="add")
@click.argument("name")
@click.option("--may", type=click.Choice(["push", "pull"]), default="push", help="pull needs nginx in front.")
@click.option("--password-file", type=_FILE, help="0600 file with the password (default: one is made, and kept).")
@_parameter_options
def add_user(
    name: str,
    may: Literal["push", "pull"],
    password_file: Path | None,
    file: Path | None,
    given: tuple[tuple[str, str], ...],
) -> None:
    """Add a user, or change one: what it may do, its password's file, or that it is not disabled any more."""
    from runbook.cli import users as users_command

    parameters = _parameters(file, given)
    found = users_command.added(parameters, name, may=may, password_file=password_file)
    _run_users(parameters, file, given, found=found)
    [user] = [user for user in found if user.name == name]
    click.echo(say(f"The password of {name} is in {parameters.user_password_path(user)}."))


@users.command(name="remove")
@click.argument("name")
@_parameter_options
def remove_user(name: str, file: Path | None, given: tuple[tuple[str, str], ...]) -> None:
    """Remove a user, and the password that was made for it; or the line that somebody else wrote for one."""
    from runbook.cli import users as users_command

    parameters = _parameters(file, given)
    if users_command.remove_foreign(parameters, name):
        return
    _run_users(parameters, file, given, found=users_command.removed(parameters, name))


@users.command(name="disable")
@click.argument("name")
@_parameter_options
def disable_user(name: str, file: Path | None, given: tuple[tuple[str, str], ...]) -> None:
    """Disable a user, and keep the password: `users add NAME` lets it in again."""
    from runbook.cli import users as users_command

    parameters = _parameters(file, given)
    _run_users(parameters, file, given, found=users_command.disabled(parameters, name))


@users.command(name="rotate")
@click.argument("name")
@_parameter_options
def rotate_user(name: str, file: Path | None, given: tuple[tuple[str, str], ...]) -> None:
    """Give a user, also the first one, a new password."""
    from runbook.cli import users as users_command

    parameters = _parameters(file, given)
    path = users_command.rotate(parameters, name)
    notebook = "40-configuration" if name == parameters.username else "45-users"
    _run_users(parameters, file, given, notebooks=(notebook,))
    click.echo(say(f"The new password of {name} is in {path}."))


def _run_users(
    parameters: Parameters,
    file: Path | None,
    given: tuple[tuple[str, str], ...],
    *,
    found: "Sequence[User] | None" = None,
    notebooks: tuple[str, ...] = (),
) -> None:
    """Declare these users, if there are some to declare, and run the notebooks that make it so."""
    from runbook.cli import users as users_command
    from runbook.model.parameters import plain

    values = checked_values(file or default_file(), given)
    if found is not None:
        wanted = parameters.model_copy(update={"users": list(found)})
        values |= (declared := plain(wanted, ("users",)))
        read(values, where="made by this command")
        users_command.save((file or default_file()).absolute(), declared["users"])
    made = ("45-users", *(["55-nginx"] if parameters.proxy == "nginx" else []))
    _run_named(notebooks or made, values, file, given)


@program.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_(*, as_json: bool) -> None:
    """List the notebooks."""
    from runbook import catalogue

    titles = {notebook.name: notebook.title for notebook in catalogue.notebooks()}
    if as_json:
        click.echo(json.dumps(titles, indent=2))
        return
    for name, title in titles.items():
        click.echo(f"{name:20}  {say(title)}")


@program.command()
@click.option("--json", "as_json", is_flag=True, help="Print the model as JSON Schema.")
def parameters(*, as_json: bool) -> None:
    """List the parameters: name, type, default, help."""
    if as_json:
        click.echo(parameters_schema(), nl=False)
        return
    for name, field in Parameters.model_json_schema()["properties"].items():
        kind = " | ".join(field["enum"]) if "enum" in field else field["type"]
        click.echo(f"{name}: {kind} = {json.dumps(field['default'])}\n    {say(field['description'])}")


@program.command()
@click.argument("run", required=False, shell_complete=_complete("runs"))
@click.option("--open", "in_browser", is_flag=True, help="Open the page in a browser.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of report.json, and exit.")
def report(run: str | None, *, in_browser: bool, schema: bool) -> None:
    """Write the page of a RUN again, and print its path.

    RUN is the name of a folder, as `runs` lists it, or a path (default: the newest run). The data come from report.json
    or, if a run was cut off before it wrote that, from the executed notebooks.
    """
    import webbrowser

    from runbook.record import folder, model

    if schema:
        click.echo(model.schema(), nl=False)
        return
    found = folder.find(run)
    folder.write(folder.read(found), found)
    page = (found / folder.PAGE).resolve()
    click.echo(page)
    if in_browser:
        webbrowser.open(page.as_uri())


@program.command()
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def runs(*, as_json: bool) -> None:
    """List the runs below the state folder, newest first."""
    from runbook.cli import summary
    from runbook.display import tables
    from runbook.record import folder

    found = [(str(path), folder.readable(path)) for path in folder.all_folders()]
    table = summary.runs_table(found)
    if as_json:
        click.echo(tables.rows_as_json(table, summary.RUNS))
    else:
        tables.show(table)


@program.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def pages(folder: Path) -> None:
    """Write each notebook, with its stored outputs, as an HTML page into FOLDER, and print the first one's path."""
    from runbook.jupyter.html_pages import write

    click.echo(write(folder)[0])


@program.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a SHELL, for commands, notebooks and parameters.

    For bash, in ~/.bashrc: source <(.venv/bin/registry-runbook completion bash)
    """
    from runbook.cli import completion

    click.echo(completion.script(program, shell), nl=False)


def _print_error(error: RunbookError | OSError) -> None:
    """Print an error on standard error; an OSError is, for example, a full disk under JupyterLab or a closed pipe."""
    if isinstance(error, OSError):
        error = HostError("this host to do as asked", str(error), "remove the cause")
    click.echo(f"registry-runbook: {say(str(error))}", err=True)


def main() -> None:
    """Run the program; exit with 0 for success, 1 for a failure, 2 for wrong usage, 130 after an interrupt.

    Prints characters that the locale's encoding lacks as question marks.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    translate(program)
    try:
        program(standalone_mode=False, prog_name=_NAME)
    except click.ClickException as error:
        error.show()
        sys.exit(_USAGE)
    except (RunbookError, OSError) as error:
        _print_error(error)
        sys.exit(_USAGE if isinstance(error, ParameterError) else _FAILED)
    except (MemoryError, RecursionError) as error:
        remedy = "see what is read for levels without an end, and `ulimit -v`"
        _print_error(HostError("all that is read to fit into memory", type(error).__name__, remedy))
        sys.exit(_FAILED)
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"registry-runbook: {say('interrupted; run it again, it goes on from here')}", err=True)
        sys.exit(_INTERRUPTED)
