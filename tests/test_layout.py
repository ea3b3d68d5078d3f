"""The tree: one name for one thing in notebook, section and test; imports one way; dependencies the same everywhere."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from ruamel.yaml import YAML

from runbook import catalogue

PROJECT = catalogue.PROJECT
PACKAGE = PROJECT / "runbook"
DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA = {  # the packages that conda-forge calls otherwise
    "docker": "docker-py",
    "jupyter-server": "jupyter_server",
    "jupyterlab-server": "jupyterlab_server",
}
# A room imports only those that stand before it, and an adapter of `system` only what stands before it there.
ROOMS = (
    *("model", "catalogue", "system", "changes", "sections", "operations", "display", "proof"),
    *("diagnosis", "record", "jupyter", "speed", "runs", "cli", "start", "__main__"),
)
ADAPTERS = ("host", "credentials", "docker", "certificates", "registry", "nginx_configuration", "nginx")
FOLDERS = sorted({path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")})
MODULES = [path.relative_to(PACKAGE).with_suffix("").parts for path in sorted(PACKAGE.rglob("*.py"))]


def declared(*names: str) -> list[Requirement]:
    """Return what pyproject.toml says that `run`, or one of its dependency groups, needs."""
    groups = {"run": DECLARED["project"]["dependencies"]} | DECLARED["dependency-groups"]
    return [Requirement(line) for name in names for line in groups[name]]


def lower_bound(requirement: Requirement) -> str | None:
    """Return the lower bound of a requirement, None where it has none."""
    return next((item.version for item in requirement.specifier if item.operator == ">="), None)


def imported(module: tuple[str, ...]) -> set[tuple[str, ...]]:
    """Return the modules of the runbook that a module imports, anywhere in it."""
    found: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse(PACKAGE.joinpath(*module).with_suffix(".py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        parts = [tuple(name.split(".")[1:]) for name in names if name.partition(".")[0] == "runbook"]
        found.update(next(part[:n] for n in (4, 3, 2, 1, 0) if n == 0 or part[:n] in MODULES) for part in parts)
    return {module for module in found if module}


SUBJECTS = [item for item in MODULES if item[-1] != "__init__"]


@pytest.mark.parametrize("module", SUBJECTS, ids=".".join)
def test_imports_run_one_way(module: tuple[str, ...]) -> None:
    """Fails if a module imports a later room, a section another section, or an adapter a later adapter."""
    allowed = ROOMS[: ROOMS.index(module[0]) + (module[0] != "sections")]
    found = imported(module)
    assert sorted(name for name in found if name[0] not in allowed) == []
    if module[0] == "system":
        allowed = ADAPTERS[: ADAPTERS.index(module[1]) + 1]
        assert sorted(name for name in found if name[0] == "system" and name[1] not in allowed) == []


@pytest.mark.parametrize("room", [room for room in ROOMS if (PACKAGE / room).is_dir()])
def test_room_has_no_circle(room: str) -> None:
    """Fails if two modules of a room need each other."""
    left = {module: imported(module) for module in SUBJECTS if module[0] == room}
    while left:
        leaves = [module for module, needs in left.items() if not needs & left.keys()]
        assert leaves, f"a circle in {sorted(left)}"
        left = {module: needs for module, needs in left.items() if module not in leaves}


def test_house_is_small() -> None:
    """Fails if the top holds loose files again, or there are too many rooms or arrows between them to keep in mind."""
    assert len(list(PACKAGE.glob("*.py"))) <= 4
    arrows = {(module[0], name[0]) for module in SUBJECTS for name in imported(module) if name[0] != module[0]}
    assert len(ROOMS) <= 16
    assert len(arrows) <= 60


def test_each_folder_says_what_is_in_it() -> None:
    """Fails if a folder of modules does not say in one sentence what it holds, and then what it may import."""
    for folder in FOLDERS:
        said = ast.get_docstring(ast.parse((PACKAGE / folder / "__init__.py").read_text(encoding="utf-8")))
        assert said, folder
        assert folder == "." or "Imports " in said, folder


def test_notebook_section_and_test_share_a_name() -> None:
    """Fails if a reader of a notebook does not find its code and its tests under its name."""
    rooms = {"state": "sections", "operation": "operations"}
    for item in catalogue.notebooks():
        if item.kind in rooms:
            room, name = rooms[item.kind], item.name.partition("-")[2].replace("-", "_")
            assert item.module == f"{room}.{name}"
            assert (PROJECT / "tests" / room / f"test_{name}.py").exists()
    states = sorted(item.module for item in catalogue.notebooks() if item.kind == "state")
    assert states == [f"sections.{path.stem}" for path in sorted((PACKAGE / "sections").glob("[!_]*.py"))]


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_test_file_is_named_after_a_module(folder: str) -> None:
    """Fails if a test's subject cannot be found by its file's name: `test_apply_drift` is about `apply`."""
    modules = {path.stem for path in (PACKAGE / folder).glob("*.py")} | {
        "conftest",
        "faults",
        "layout",
        "needs",
        "readme",
        "scripts",
        "types",
    }
    names = [path.stem.removeprefix("test_") for path in (PROJECT / "tests" / folder).glob("test_*.py")]
    assert [name for name in names if not any(name == known or name.startswith(f"{known}_") for known in modules)] == []


def test_environment_has_each_dependency_with_its_lower_bound() -> None:
    """Fails if conda's environment lacks what a run needs, or takes an older version of it."""
    text = (PROJECT / "environment.yml").read_text(encoding="utf-8")
    listed = [item for item in YAML(typ="safe", pure=True).load(text)["dependencies"] if isinstance(item, str)]
    found = {item.name: lower_bound(item) for item in map(Requirement, listed)}
    expected = {CONDA.get(item.name, item.name): lower_bound(item) for item in declared("run")}
    python = lower_bound(Requirement(f"python{DECLARED['project']['requires-python']}"))
    assert expected | {"python": python} == {name: bound for name, bound in found.items() if name != "pip"}


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("requirements.lock", ["run"]),
        ("requirements-development.lock", ["run", "development"]),
        ("requirements-judges.lock", ["judges"]),
    ],
)
def test_lock_holds_each_dependency_with_hashes(name: str, groups: list[str]) -> None:
    """Fails if a run would take a version that was never tried, or a file that nobody has vouched for."""
    text = (PROJECT / "script" / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert [line for line in lines if not re.search(r" --hash=sha256:[0-9a-f]{64}", line)] == []
    locked = [Requirement(line.split(" --hash")[0]) for line in lines]
    assert {"=="} == {item.operator for requirement in locked for item in requirement.specifier}
    versions: dict[str, list[Version]] = {}
    for requirement in locked:
        [pin] = requirement.specifier
        versions.setdefault(canonicalize_name(requirement.name), []).append(Version(pin.version))
    for wanted in declared(*groups):
        pinned = versions.get(canonicalize_name(wanted.name), [])
        assert pinned, wanted
        assert [version for version in pinned if version not in wanted.specifier] == []


def test_project_names_no_machine() -> None:
    """Fails if a file that is read elsewhere holds an address of a package index other than the public one."""
    found = [
        (path.name, host)
        for path in [*PROJECT.glob("script/*"), PROJECT / "environment.yml", PROJECT / "pyproject.toml"]
        for host in re.findall(r"(?:index-url|find-links|trusted-host)[ =]+(\S+)", path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_top_of_the_tree_is_small() -> None:
    """Fails if something lies at the top that has a room further down."""
    expected = {"docs", "notebooks", "parameters", "runbook", "script", "tests", "pyproject.toml", "environment.yml"}
    documents = {"README.md", "README.zh-CN.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE"}
    found = {path.name for path in Path(PROJECT).iterdir() if not path.name.startswith(".")}
    assert set() == found - expected - documents
