"""Where the project's files are, in a clone or in the installed package, and how its user starts the program."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED = PACKAGE / "project"  # in a wheel, the notebooks and the parameter files are part of the package
IS_INSTALLED = _INSTALLED.is_dir()
FOLDER = _INSTALLED if IS_INSTALLED else PACKAGE.parent
COMMAND = "registry-runbook" if IS_INSTALLED else "./script/run"


def as_started(text: str) -> str:
    """Return a text with the commands of a clone, `./script/run …`, as this user can type them."""
    return text.replace("./script/run", COMMAND)


def _mine() -> Path:
    """Return the parameter file that the form writes: beside those of a clone, or in the user's folder (XDG)."""
    if not IS_INSTALLED:
        return FOLDER / "parameters" / "mine.yml"
    import platformdirs  # noqa: PLC0415 (a clone does not need it)

    return platformdirs.user_config_path("registry-runbook") / "mine.yml"


MINE = _mine()
