"""The notebooks as files: their parameters are the model's, their cells are short, their links lead somewhere."""

import ast
import importlib.util
import io
import json
import re
import symtable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import jsonschema
import nbformat
import papermill
import pytest

from runbook import catalogue
from runbook.model.errors import ParameterError
from runbook.model.parameters import Parameters, load_file, plain, read

from . import table
from .table import SCHEMA

NAMES = catalogue.names()
WHOLE = [item.name for item in catalogue.notebooks() if item.parameters == "all"]
FILES = sorted((catalogue.PROJECT / "parameters").glob("*.yml"))
READING = ["80-diagnosis"]  # changes nothing, so it has neither plan nor proof
ORDER = ["Parameters", "Load", "Plan", "Apply", "Verify", "What exists now"]


def cells(name: str, kind: str | None = None) -> list[Any]:
    """Return the cells of a notebook, all or those of one kind."""
    notebook = nbformat.read(catalogue.NOTEBOOKS / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call] # nbformat leaves it untyped
    return [cell for cell in notebook.cells if kind in (None, cell.cell_type)]


def parameters_cell(name: str) -> Any:  # noqa: ANN401 (a cell of nbformat)
    """Return the parameters cell of a notebook."""
    [cell] = [cell for cell in cells(name) if "parameters" in cell.metadata.get("tags", ())]
    return cell


def names_of(name: str) -> list[str]:
    """Return the names in a notebook's parameters cell."""
    return [line.partition(":")[0] for line in parameters_cell(name).source.splitlines()]


def load(name: str, **injected: object) -> dict[str, object]:
    """Run the parameters cell of a notebook and its Load cell, with values injected between them as papermill does."""
    first, second, *_ = cells(name, "code")
    namespace: dict[str, object] = {}
    with redirect_stdout(io.StringIO()):
        exec(first.source, namespace)  # noqa: S102 (our own cell)
        namespace.update(injected)
        exec(second.source, namespace)  # noqa: S102 (our own cell)
    return namespace


@pytest.mark.parametrize("path", table.texts(), ids=lambda path: str(path.relative_to(catalogue.PROJECT)))
def test_file_says_what_the_table_of_the_notebooks_says(path: Path) -> None:
    """Fails if a title, a link, a row or a parameter is another one than in the table or the model.

    `python -m tests.notebooks.record --parameters` writes them.
    """
    assert table.texts()[path] == path.read_text(encoding="utf-8")


def test_table_has_each_notebook_with_its_module() -> None:
    """Fails if a notebook is in no table, a module is not there, or a parameter is named twice or not in order."""
    assert [path.stem for path in sorted(catalogue.NOTEBOOKS.glob("*.ipynb"))] == NAMES
    for item in catalogue.notebooks():
        assert importlib.util.find_spec(f"runbook.{item.module}"), item.name
        assert item.parameters in ("all", tuple(name for name in Parameters.model_fields if name in item.parameters))


@pytest.mark.parametrize("name", NAMES)
def test_parameters_cell_comes_first(name: str) -> None:
    """Fails if a cell before it has set names: the Load cell would take them for parameters."""
    first = cells(name, "code")[0]
    assert first == parameters_cell(name)
    assert {"AnnAssign"} == {type(node).__name__ for node in ast.parse(first.source).body}


def test_notebooks_about_all_sections_have_all_parameters() -> None:
    """Fails if a parameter stands in no notebook of its own, or one about all sections lacks it."""
    for name in WHOLE:
        assert list(Parameters.model_fields) == names_of(name)
    used = {known for name in NAMES if name not in WHOLE for known in names_of(name)}
    assert {"accept_proof", "message"} == set(Parameters.model_fields) - used


@pytest.mark.parametrize("name", NAMES)
def test_section_uses_only_parameters_that_its_notebook_has(name: str) -> None:
    """Fails if a section reads a parameter that its notebook does not let anybody set."""
    if name in WHOLE:
        return
    module = catalogue.find(name).module.replace(".", "/")
    text = (catalogue.PROJECT / "runbook" / f"{module}.py").read_text(encoding="utf-8")
    read_directly = set(re.findall(r"parameters\.([a-z_]+)", text)) & set(Parameters.model_fields)
    assert set() == read_directly - set(names_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_papermill_shows_each_parameter_with_its_help(name: str) -> None:
    """Fails if `papermill --help-notebook` loses a parameter, its type, its default or its help."""
    found = papermill.inspect_notebook(str(catalogue.NOTEBOOKS / f"{name}.ipynb"))
    expected = {
        known: (type(field.default).__name__, repr(field.default).replace("'", '"'), field.description)
        for known, field in Parameters.model_fields.items()
        if known in names_of(name)
    }
    shown = {known: (item["inferred_type_name"], item["default"], item["help"]) for known, item in found.items()}
    assert expected == shown


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_short(name: str) -> None:
    """Fails if a notebook is longer than a reader takes in, or logic lives in it."""
    low = 10 if name in WHOLE else 12
    assert low <= len(cells(name)) <= 18
    long = [cell.source for cell in cells(name, "code")[1:] if len(cell.source.splitlines()) > 10]
    assert long == []


@pytest.mark.parametrize("name", NAMES)
def test_notebook_reads_in_one_order(name: str) -> None:
    """Fails if a heading is missing, Apply stands before Plan, or a code cell has no heading before it."""
    sources = [cell.source for cell in cells(name, "markdown")]
    headings = [line.lstrip("# ") for source in sources for line in source.splitlines() if re.match("##? ", line)]
    if name != "00-index":
        order = [heading for heading in ORDER if name not in READING or heading not in ("Plan", "Apply", "Verify")]
        assert [heading for heading in headings if heading in ORDER] == order
    assert sources[0].startswith("# ")
    kinds = [cell.cell_type for cell in cells(name)]
    assert [n for n, kind in enumerate(kinds) if kind == "code" and kinds[n - 1] != "markdown"] == []


@pytest.mark.parametrize("name", [name for name in NAMES[1:] if name not in READING])
def test_notebook_says_what_to_do_next_and_where_a_proof_fails(name: str) -> None:
    """Fails if a reader at the end, or before a red row, is left alone with links."""
    markdown = [cell.source for cell in cells(name, "markdown")]
    assert re.search(r"^\*\*Next\*\*: .+", markdown[-1], re.MULTILINE)
    [verify] = [text for text in markdown if text.startswith("## Verify")]
    assert "a red one says what to do" in verify


def test_what_each_notebook_does_is_explained_in_the_index() -> None:
    """Fails if a step is explained nowhere, or again and again."""
    markdown = {name: "\n".join(cell.source for cell in cells(name, "markdown")) for name in NAMES}
    assert [step for step in ORDER[:-1] if f"\n| {step} | " not in markdown["00-index"]] == []
    assert "A red row with `FAILED` ends a notebook" in markdown["00-index"]
    lines = [line for text in markdown.values() for line in set(text.splitlines()) if not line.startswith(("#", "|"))]
    assert [line for line in lines if lines.count(line) > 2 and len(line) > 90] == []


@pytest.mark.parametrize("name", NAMES)
def test_relative_links_are_alive(name: str) -> None:
    """Fails if a link leads to a file that is not there."""
    links = [link for cell in cells(name, "markdown") for link in re.findall(r"\]\(([^)#]+)[^)]*\)", cell.source)]
    assert links
    assert [link for link in links if "://" not in link and not (catalogue.NOTEBOOKS / link).exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs_with_this_environment_s_kernel(name: str) -> None:
    """Fails if a notebook names a kernel that only one machine has, is not the format it says, or stores a widget."""
    notebook = nbformat.read(catalogue.NOTEBOOKS / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)  # type: ignore[no-untyped-call] # nbformat leaves it untyped
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert (notebook.metadata.kernelspec.name, notebook.metadata.language_info.name) == ("python3", "python")


@pytest.mark.parametrize("name", NAMES)
def test_notebook_holds_no_secret(name: str) -> None:
    """Fails if a key, a hash or a generated secret is stored in a notebook."""
    text = (catalogue.NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8")
    assert re.findall(r"PRIVATE KEY|\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}", text) == []
    assert re.findall(r"secret: (?!registry-runbook-secret|\$\(cat )\S+", text) == []
    assert re.findall(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{32}(?![A-Za-z0-9_-])", text) == []  # as generated ones are


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_parameter_file_is_one_that_the_model_takes(path: Path) -> None:
    """Fails if a file that the project gives is refused, or says nothing."""
    values = load_file(path)
    assert values
    assert values == plain(read(values, where=path.name), values)


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_parameter_file_names_its_schema(path: Path) -> None:
    """Fails if an editor does not find the schema of a parameter file, or the schema refuses what the model takes."""
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text(encoding="utf-8"))
    assert named
    assert path.with_name(named[1]) == SCHEMA
    jsonschema.validate(load_file(path), json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_schema_of_parameter_files_refuses_what_the_model_refuses() -> None:
    """Fails if editors are told other names, types or values than a run takes."""
    assert {path.suffix for path in SCHEMA.parent.iterdir()} == {".yml", ".json"}
    known = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert list(Parameters.model_fields) == list(known["properties"])
    jsonschema.Draft202012Validator.check_schema(known)
    for wrong in ({"domian": "x.test"}, {"port": "443"}, {"mode": "apply now"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, known)


@pytest.mark.parametrize("name", NAMES)
def test_load_cell_takes_the_defaults_and_what_is_injected(name: str) -> None:
    """Fails if a notebook does not run as it is, or an injected value does not count."""
    assert load(name)["parameters"] == Parameters()
    assert load(name, mode="plan")["parameters"] == Parameters(mode="plan")


@pytest.mark.parametrize("name", NAMES)
def test_load_cell_finds_each_misspelt_name(name: str) -> None:
    """Fails if a name that papermill only warns of is run without."""
    for known in names_of(name):
        misspelt = known[:-1]
        with pytest.raises(ParameterError, match=f"{misspelt} = .*To repair: write {known}, which is probably meant"):
            load(name, **{misspelt: 1})


@pytest.mark.parametrize("name", NAMES)
def test_load_cell_can_be_run_again_at_the_end(name: str) -> None:
    """Fails if a name that a later cell sets, or IPython itself, is taken for a parameter."""
    namespace = load(name)
    scopes = [symtable.symtable(cell.source, name, "exec") for cell in cells(name, "code")[2:]]
    symbols = [symbol for scope in scopes for symbol in scope.get_symbols()]
    namespace |= {symbol.get_name(): [] for symbol in symbols if symbol.is_assigned() and not symbol.is_imported()}
    namespace |= dict.fromkeys(("In", "Out", "_", "_1", "__", "_i", "exit", "quit", "open", "get_ipython"))
    with redirect_stdout(io.StringIO()):
        exec(cells(name, "code")[1].source, namespace)  # noqa: S102 (our own cell)
    assert namespace["parameters"] == Parameters()
