"""The program: `registry-runbook`."""

import datetime
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from runbook.errors import ParameterError, RunbookError
from runbook.parameters import Parameters, from_text, load_file, read

_FAILED, _USAGE = 1, 2


def _values(file: Path, given: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Return the values of a parameter file with those of the command line over them, all checked."""
    from_file = load_file(file)
    read(from_file, where=f"set in {file}")
    over = {name: from_text(name, text) for name, text in given}
    values = from_file | over
    read(values, where="set on the command line with -p" if over else f"set in {file}")
    return values


def _default_file() -> Path:
    from runbook.runner import PROJECT

    return PROJECT / "parameters" / "local.yml"


def _parameter_options(command: Any) -> Any:  # noqa: ANN401 (click's decorators are untyped)
    file = click.option(
        "-f", "--parameters-file", "file", type=click.Path(path_type=Path), help="Parameter file; parameters/local.yml."
    )
    over = click.option(
        "-p", "--parameters", "given", nargs=2, multiple=True, metavar="NAME VALUE", help="One parameter."
    )
    return file(over(command))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
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


def _version(context: click.Context) -> None:
    from importlib.metadata import version

    from runbook.outside import compose, engine, images

    client = engine.connect()
    found_compose = compose.find()
    image = images.find(client, Parameters()) if client else None
    click.echo(f"registry-runbook {version('registry-runbook')}")
    click.echo(f"engine {client.version()['Version'] if client else 'none'}")
    click.echo(f"compose {found_compose.version if found_compose else 'none'}")
    click.echo(f"registry {image.reference if image else 'none'}")
    context.exit()


@program.command()
@click.argument("notebooks", nargs=-1)
@_parameter_options
@click.option("--dry-run", is_flag=True, help="Show the plans and change nothing: -p mode plan.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder for the executed notebooks.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def run(  # noqa: PLR0913 (one argument an option)
    notebooks: tuple[str, ...],
    file: Path | None,
    given: tuple[tuple[str, str], ...],
    *,
    dry_run: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Run NOTEBOOKS (10 to 60 where none is named, in their order), each with its plan, its changes and its proof.

    55-nginx is among those that are not named only with the parameter proxy: nginx.
    """
    from runbook import runner, summary

    names = runner.names()
    for name in notebooks:
        if name not in names:
            raise click.UsageError(f"expected a notebook ({', '.join(names)}); found {name!r}")
    values = _values(file or _default_file(), (*given, *([("mode", "plan")] if dry_run else [])))
    way = runner.names_of_way(read(values, where="set in the parameter file or with -p"))
    if output is not None:
        output.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = output or runner.new_folder(datetime.datetime.now(datetime.UTC))
    runs = []
    for done in runner.run(notebooks or way, values, folder):
        click.echo(summary.progress(done), err=True)
        runs.append(done)
    if as_json:
        click.echo(json.dumps(summary.as_json(runs, folder), indent=2))
    else:
        summary.show(runs, folder, planned=values.get("mode") == "plan")
    if runs[-1].error:
        raise SystemExit(_FAILED)


@program.command()
@_parameter_options
@click.option("--json", "as_json", is_flag=True, help="Print the plans as JSON.")
def plan(file: Path | None, given: tuple[tuple[str, str], ...], *, as_json: bool) -> None:
    """Show what a run would change, section by section, without running a notebook; exit 1 if a section refuses."""
    from runbook import changes, overview, report

    file = file or _default_file()
    parameters = read(_values(file, given), where=f"set in {file} or with -p")
    states = [overview.state(name, parameters) for name in overview.sections(parameters)]
    if as_json:
        plain = [
            {
                "notebook": item.notebook,
                "state": item.name,
                "reason": item.reason,
                "changes": [changes.as_json(change) for change in item.changes],
            }
            for item in states
        ]
        click.echo(json.dumps(plain, indent=2))
    else:
        for item in states:
            click.secho(f"{item.notebook}: {item.name}", bold=True)
            if item.reason:
                click.echo(item.reason)
            else:
                report.show(report.changes_table(item.changes))
    if any(item.name == "refuses" for item in states):
        raise SystemExit(_FAILED)


@program.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_(*, as_json: bool) -> None:
    """List the notebooks."""
    from runbook import runner

    titles = {name: runner.title(name) for name in runner.names()}
    if as_json:
        click.echo(json.dumps(titles, indent=2))
        return
    for name, title in titles.items():
        click.echo(f"{name:20}  {title}")


@program.command()
@click.option("--json", "as_json", is_flag=True, help="Print the model as JSON Schema.")
def parameters(*, as_json: bool) -> None:
    """List the parameters: name, type, default, help."""
    schema = Parameters.model_json_schema()
    if as_json:
        click.echo(json.dumps(schema, indent=2))
        return
    for name, field in schema["properties"].items():
        kind = " | ".join(field["enum"]) if "enum" in field else field["type"]
        click.echo(f"{name}: {kind} = {json.dumps(field['default'])}\n    {field['description']}")


def main() -> None:
    """Run the program; exit 0 when all is done, 1 when something failed, 2 for wrong usage."""
    try:
        program(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(_USAGE)
    except ParameterError as error:
        click.echo(f"registry-runbook: {error}", err=True)
        sys.exit(_USAGE)
    except RunbookError as error:
        click.echo(f"registry-runbook: {error}", err=True)
        sys.exit(_FAILED)
    except (KeyboardInterrupt, click.Abort):
        click.echo("registry-runbook: interrupted; run it again, it goes on from here", err=True)
        sys.exit(_FAILED)
