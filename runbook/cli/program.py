"""The program: `registry-runbook`."""

import datetime
import io
import json
import os
import re
import shlex
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from runbook.model.errors import ApplyError, HostError, ParameterError, RunbookError, visible
from runbook.model.parameters import Parameters, from_text, load_file, read
from runbook.model.parameters import schema as parameters_schema

if TYPE_CHECKING:
    from runbook.runs.record.model import Record

_FAILED, _USAGE, _UNSEEN, _INTERRUPTED = 1, 2, 3, 130  # the last one is what shells give for SIGINT
_NAME = "registry-runbook"
_FILE = click.Path(path_type=Path, dir_okay=False)
_LONGEST_MESSAGE = 1_000_000  # bytes; of a log that is longer, the start


def checked_values(file: Path, given: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Return the values of a parameter file with those of the command line over them, all checked."""
    from_file = load_file(file)
    read(from_file, where=f"set in {file}")
    over = {name: from_text(name, text) for name, text in given}
    values = from_file | over
    checked = read(values, where="set on the command line with -p" if over else f"set in {file}")
    return values | ({"message": checked.message} if "message" in values else {})  # a record keeps what was given


def _default_file() -> Path:
    from runbook.catalogue import PROJECT

    return PROJECT / "parameters" / "local.yml"


def _offer(name: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return what a shell is offered, by that name in `completion`, which is imported only when one asks."""

    def offer(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from runbook.cli import completion

        return list(getattr(completion, name)(context, incomplete))

    return offer


def _parameter_options(command: Any) -> Any:  # noqa: ANN401 (click's decorators are untyped)
    file = click.option(
        "-f", "--parameters-file", "file", type=click.Path(path_type=Path), help="Parameter file; parameters/local.yml."
    )
    over = click.option(
        "-p",
        "--parameters",
        "given",
        nargs=2,
        multiple=True,
        metavar="NAME VALUE",
        shell_complete=_offer("parameters"),
        help="One parameter.",
    )
    return file(over(command))


class _Program(click.Group):
    """The commands; options and notebooks without one are those of `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` in front of what needs it."""
        if args and re.match("[-0-9]", args[0]) and args[0] not in {"-h", "--help", "--version"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands, and what `run` takes in their place."""
        from runbook.cli import completion

        own = super().shell_complete(ctx, incomplete)
        options = run.shell_complete(click.Context(run, parent=ctx), incomplete)
        seen = {item.value for item in own}
        return [*own, *(item for item in options if item.value not in seen), *completion.notebooks(ctx, incomplete)]


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
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
    """Tell root, on standard error, where another user could change what runs here."""
    from runbook.system.host import own_code

    try:
        own_code.require(whole=False)
    except HostError as error:
        click.echo(f"registry-runbook: a warning, since whoever may change this code is root here: {error}", err=True)


def _version(context: click.Context) -> None:
    if context.resilient_parsing:
        return
    from runbook.cli import versions

    for name, found in versions.versions(Parameters()).items():
        click.echo(f"{name} {found}")
    context.exit()


@program.command()
@click.argument("notebooks", nargs=-1, shell_complete=_offer("notebooks"))
@_parameter_options
@click.option("--dry-run", is_flag=True, help="Show the plans and change nothing: -p mode plan.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for the record.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--progress-bar/--no-progress-bar", "bar", default=None, help="A bar, or a line a step; by the terminal.")
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
    """Run NOTEBOOKS (10 to 60 where none is named, in their order), each with its plan, its changes and its proof.

    55-nginx is among those that are not named only with the parameter proxy: nginx.

    Leaves a record: the executed notebooks, report.html, report.json and junit.xml. Exits with 1 where a notebook
    failed, with 130 where it was interrupted; the record then holds what was done so far.
    """
    from runbook import catalogue

    names = catalogue.names()
    for name in notebooks:
        if name not in names:
            raise click.UsageError(f"expected a notebook ({', '.join(names)}); found {name!r}")
    values = checked_values(file or _default_file(), (*given, *([("mode", "plan")] if dry_run else [])))
    from runbook.cli import summary
    from runbook.display import overview
    from runbook.runs.record import folder as folders

    way = overview.way(read(values, where="set in the parameter file or with -p"))
    wanted = notebooks or tuple(way)
    options = [*(["-f", str(file)] if file else []), *(word for pair in given for word in ("-p", *pair))]
    record = _run(
        wanted,
        values,
        folders.make(datetime.datetime.now(datetime.UTC), output),
        options=[*options, *(["--dry-run"] if dry_run else [])],
        bar=bar,
    )
    if as_json:
        click.echo(record.as_json(), nl=False)
    else:
        summary.show(record)
    if record.result != "done":
        raise SystemExit(_INTERRUPTED if record.result == "interrupted" else _FAILED)


def _run(
    wanted: tuple[str, ...], values: dict[str, object], folder: Path, *, options: list[str], bar: bool | None
) -> "Record":
    """Run the notebooks, write the record, and return it."""
    from concurrent.futures import Future, ThreadPoolExecutor
    from contextlib import nullcontext

    from runbook.cli import progress, versions
    from runbook.runs import runner
    from runbook.runs.record import folder as folders
    from runbook.runs.record.model import NotebookRun, Record
    from runbook.system.host import lock

    started, parameters = datetime.datetime.now(datetime.UTC), Parameters.model_validate(values)
    runs: list[NotebookRun] = []
    known: Future[dict[str, str]] | None = None
    with (
        lock.hold() if parameters.mode == "apply" else nullcontext(),
        ThreadPoolExecutor(1, initializer=os.nice, initargs=(19,)) as beside,  # the kernels' work comes first
        progress.telling(len(wanted), bar=progress.wants_bar() if bar is None else bar) as watch,
    ):
        for done in runner.run(wanted, values, folder, watch):
            known = known or beside.submit(versions.versions, parameters)
            watch.end(done)
            runs.append(done)
    last = runs[-1]
    go_on = shlex.join(["./script/run", *wanted[len(runs) - 1 :], *options]) if last.error else None
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


@program.command()
@_parameter_options
@click.option("--json", "as_json", is_flag=True, help="Print the plans as JSON.")
@click.option("--by-hand", "as_commands", is_flag=True, help="Print the commands that do the same, for a root shell.")
def plan(file: Path | None, given: tuple[tuple[str, str], ...], *, as_json: bool, as_commands: bool) -> None:
    """Show what a run would change, section by section, without running a notebook; exit 1 if a section refuses."""
    file = file or _default_file()
    parameters = read(checked_values(file, given), where=f"set in {file} or with -p")
    from runbook.changes import base  # after it: who has misspelt a name need not wait for all this
    from runbook.display import overview, tables

    states = [overview.state(name, parameters) for name in overview.sections(parameters)]
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
            click.echo(f"# {item.notebook}: {visible(item.reason.splitlines()[0]) if item.reason else item.name}")
            commands = tables.by_hand(item.changes)
            click.echo(visible(commands) if sys.stdout.isatty() else commands, nl=False)
    else:
        for item in states:
            click.secho(f"{item.notebook}: {item.name}", bold=True)
            if item.reason:
                click.echo(item.reason)
            else:
                tables.show(tables.changes_table(item.changes))
    if any(item.name == "refuses" for item in states):
        raise SystemExit(_FAILED)


@program.command()
@_parameter_options
@click.option("--no-image", is_flag=True, help="Push and pull nothing, and run no container: done in two seconds.")
@click.option("--accept", is_flag=True, help="Where all holds, keep what is there now for later proofs to compare.")
@click.option("--url", metavar="https://HOST[:PORT]", help="Prove a registry elsewhere, whoever made it.")
@click.option("--ca", type=_FILE, help="With --url: the authority to trust, in PEM; else those of this system.")
@click.option("--username", help="With --url: the user that may push and pull.")
@click.option("--password-file", type=_FILE, help="With --url: 0600 file with the password; else RUNBOOK_PASSWORD.")
@click.option("--days", type=click.IntRange(0), default=30, help="With --url: days that the certificate must last; 30.")
@click.option("--repository", default="runbook/proof", help="With --url: where the test image goes; runbook/proof.")
@click.option(
    "--layer-megabytes", "megabytes", type=click.IntRange(1, 1024), default=2, help="With --url: its size; 2."
)
@click.option(
    "--wait", type=click.IntRange(0), default=0, metavar="SECONDS", help="Wait so long for a run that goes on; 0."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write the result as JUnit XML too.")
@click.option("--install-timer", "install", is_flag=True, help="Let systemd run this proof again and again.")
@click.option(
    "--on-calendar", "calendar", default="daily", help="With --install-timer: when, by systemd.time(7); daily."
)
@click.option("--on-failure", metavar="COMMAND", help="With --install-timer: command to run then, by no shell.")
@click.option("--remove-timer", "remove", is_flag=True, help="Take that timer away.")
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
    """Prove a finished registry again, and compare it with the state that was accepted.

    Nothing of the host or the registry is changed but a test repository, which is removed again. Exits with 0 only
    where all holds, with 1 where something does not, and with 3 where it could not look, since another run goes on or
    the password is missing. With --url, what HTTP alone shows is proven, of any registry.
    """
    elsewhere = [name for name, value in (("--ca", ca), ("--username", username)) if value is not None]
    if url is None and (elsewhere or password_file):
        raise click.UsageError(f"{', '.join(elsewhere) or '--password-file'} is for a registry that --url names")
    if url is not None and (username is None or file or given or no_image):
        raise click.UsageError("--url needs --username, and takes no parameters and no --no-image")
    if (install or remove) and (accept or as_json or junit or (install and remove)):
        raise click.UsageError("a timer is installed or removed by itself, without --accept, --json and --junit")
    file = file or _default_file()
    parameters = Parameters() if url else read(checked_values(file, given), where=f"set in {file} or with -p")
    from runbook.cli import prove as prove_command  # after it: who has misspelt a name need not wait for all this

    if remove:
        prove_command.remove_timer()
        return
    if url is None:
        subject = prove_command.own(parameters, images=not no_image)
        arguments = ["-f", str(file.absolute()), *(word for pair in given for word in ("-p", *pair))]
        arguments += ["--no-image"] if no_image else []
    else:
        with _unseen():
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
        prove_command.install_timer(arguments, subject, calendar=calendar, on_failure=on_failure)
        return
    with _unseen():
        told = prove_command.run(subject, accept=accept, wait_seconds=wait)
    if junit is not None:
        prove_command.write_junit(junit, told)
    if as_json:
        click.echo(told.as_json(), nl=False)
    else:
        prove_command.show(told, accept=accept)
    if not told.passed:
        raise SystemExit(_FAILED)


@contextmanager
def _unseen() -> Iterator[None]:
    """Exit with 3 where a proof cannot be made, after why: 1 is for one that does not hold."""
    try:
        yield
    except (ParameterError, ApplyError):
        raise
    except (RunbookError, OSError) as error:
        _tell(error)
        raise SystemExit(_UNSEEN) from error


@program.command()
@click.option("--json", "as_json", is_flag=True, help="Print the ledger as JSON.")
def ledger(*, as_json: bool) -> None:
    """Show the ledger: what the runbook has made on this host, how that was before, and how it is now.

    90-tear-down undoes it, last entry first. For root, or a user whose sudo asks for no password.
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
    """Say what is wrong: the causes of a MESSAGE, each checked here and now, the confirmed ones first.

    MESSAGE is a line or a whole log; - reads it from standard input, as does a pipe or a file there. Without one, this
    looks at host, engine, registry, certificates and the way between them. It changes nothing.

    Exits with 0 where nothing wrong was found, with 1 where a cause is confirmed or the message is unknown.
    """
    if page:
        from runbook.diagnosis import page as of_messages

        click.echo(of_messages.text(), nl=False)
        return
    file_used = file or _default_file()
    parameters = read(checked_values(file_used, given), where=f"set in {file_used} or with -p")
    from runbook.diagnosis import answer
    from runbook.display import tables

    text = _piped() if message in ((), ("-",)) else " ".join(message)
    found = answer.diagnose(text if message or text.strip() else parameters.message, parameters)
    options = [*(["-f", str(file)] if file else []), *(word for pair in given for word in ("-p", *pair))]
    if as_json:
        click.echo(json.dumps(found.as_data(options), indent=2))
    else:
        table = found.table(options)
        if table.rows or not found.all_is_well:
            click.secho(found.heading, bold=True)
        tables.show(table)
    if not found.all_is_well:
        raise SystemExit(_FAILED)


def _piped() -> str:
    """Return what stands in a pipe or file at standard input, to its end; nothing of a terminal or a socket.

    A socket is what a command gets that another host starts by ssh: nobody would end it.
    """
    kind = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISREG(kind)):
        return ""
    return sys.stdin.buffer.read(_LONGEST_MESSAGE).decode(errors="replace")


@program.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1; 8888 or the next free one where it is not given."
)
@click.option("--browser/--no-browser", default=None, help="Open a browser; without it, only where there is a display.")
def lab(*, port: int | None, browser: bool | None) -> None:
    """Serve the notebooks in JupyterLab, on 127.0.0.1 alone and with a token, until Ctrl-C."""
    from runbook.jupyter import server as jupyterlab

    wanted = jupyterlab.has_display() if browser is None else browser
    jupyterlab.serve(port=port, browser=wanted, say=lambda text: click.echo(f"registry-runbook: {text}"))


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
        click.echo(f"{name:20}  {title}")


@program.command()
@click.option("--json", "as_json", is_flag=True, help="Print the model as JSON Schema.")
def parameters(*, as_json: bool) -> None:
    """List the parameters: name, type, default, help."""
    if as_json:
        click.echo(parameters_schema(), nl=False)
        return
    for name, field in Parameters.model_json_schema()["properties"].items():
        kind = " | ".join(field["enum"]) if "enum" in field else field["type"]
        click.echo(f"{name}: {kind} = {json.dumps(field['default'])}\n    {field['description']}")


@program.command()
@click.argument("run", required=False, shell_complete=_offer("runs"))
@click.option("--open", "in_browser", is_flag=True, help="Open the page in a browser.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of report.json, and exit.")
def report(run: str | None, *, in_browser: bool, schema: bool) -> None:
    """Make the page of a RUN again, and print its path.

    RUN is the name of its folder, as `runs` lists it, or a path; the newest where none is named. The data are those of
    report.json or, where a run was cut off before it wrote that, the executed notebooks.
    """
    import webbrowser

    from runbook.runs.record import folder, model

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
    from runbook.runs.record import folder

    found = [(str(path), folder.readable(path)) for path in folder.all_folders()]
    table = summary.runs_table(found)
    if as_json:
        click.echo(json.dumps([dict(zip(summary.RUNS, row, strict=True)) for row in table.rows], indent=2))
    else:
        tables.show(table)


@program.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def pages(folder: Path) -> None:
    """Write each notebook, with its stored outputs, as a page of HTML into FOLDER, and print the first one's path."""
    from runbook.jupyter.html_pages import write

    click.echo(write(folder)[0])


@program.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands, notebooks and parameters in a SHELL.

    For bash, in ~/.bashrc: source <(.venv/bin/registry-runbook completion bash)
    """
    from runbook.cli import completion

    click.echo(completion.script(program, shell), nl=False)


def _tell(error: RunbookError | OSError) -> None:
    """Print an error; one of the system's is a disk that is full under JupyterLab, or a pipe that nobody reads."""
    if isinstance(error, OSError):
        error = HostError("this host to do as asked", str(error), "remove the cause")
    click.echo(f"registry-runbook: {error}", err=True)


def main() -> None:
    """Run the program; exit 0 when all is done, 1 when something failed, 2 for wrong usage, 130 when interrupted.

    What the locale's encoding cannot hold is shown as a question mark.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        program(standalone_mode=False, prog_name=_NAME)
    except click.ClickException as error:
        error.show()
        sys.exit(_USAGE)
    except ParameterError as error:
        _tell(error)
        sys.exit(_USAGE)
    except (RunbookError, OSError) as error:
        _tell(error)
        sys.exit(_FAILED)
    except (MemoryError, RecursionError) as error:
        remedy = "see what is read for levels without an end, and `ulimit -v`"
        _tell(HostError("all that is read to fit into memory", type(error).__name__, remedy))
        sys.exit(_FAILED)
    except (KeyboardInterrupt, click.Abort):
        click.echo("registry-runbook: interrupted; run it again, it goes on from here", err=True)
        sys.exit(_INTERRUPTED)
