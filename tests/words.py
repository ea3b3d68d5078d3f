"""The catalogue of translated texts, `runbook/model/zh.po`: what the code and its tables say, for a translator.

    python -m tests.words    brings the catalogue up to date; translations stay, and what is new has none

A text of the code is a literal or an f-string that reads as prose. Its placeholders are named after their expressions.
"""

import ast
import io
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from babel.messages import Catalog, pofile

from runbook.catalogue import NOTEBOOKS
from runbook.model.words import CATALOGUE
from runbook.record.cells import cells, headings

RUNBOOK = CATALOGUE.parents[1]
_HEADER = """\
# What the program says, in Simplified Chinese. `python -m tests.words` adds what is new, without a translation, and
# takes away what no code says any more. An empty one leaves a text as it is: commands, and words of other programs."""
_PROSE = re.compile(r"[A-Za-z]{2,}[,;:.]? [A-Za-z{(]")
# Text for a shell, a program or a file, and expressions of `re`.
_NOT_PROSE = re.compile(
    r"^[\s#;]*(-----|\[|<|\.|\||openssl |apt|export |set -|cat |for \w+ in |if \[|sh )"
    r"|\$\{|\(\?|\\[sdSw]|&&|\n *#!|;;|^%|^---"
)
# Texts of one word, which no rule can tell from names and keys.
WORDS = (
    *(
        "Claim",
        "Is",
        "Expected",
        "Found",
        "Result",
        "To repair",
        "Change",
        "State",
        "Note",
        "Parameter",
        "Value",
        "From",
    ),
    *("Fact", "Notebook", "Changes to make", "Why", "Kind", "Name", "Made", "What", "Section", "Notebooks", "Proofs"),
    *("Folder", "Begun (UTC)", "Title", "Planned", "Changed", "Seconds", "Step", "Remedy", "Cause", "Carried out by"),
    *("User", "May", "Password", "passed", "FAILED", "works", "refused", "accepted", "done", "none", "proven"),
    *(
        "differs",
        "waits",
        "refuses",
        "failed",
        "interrupted",
        "planned",
        "confirmed",
        "undecided",
        "yourself",
        "default",
    ),
    *("cell", "file", "form", "address", "user", "password", "disabled", "Diagnose", "Message", "Changes", "Versions"),
    *("Host", "Notes", "Summary", "open", "absent", "running", "matches", "True", "False", "distribution", "nobody"),
    *(
        "begin",
        "fails",
        "a digest",
        "gone",
        "Before",
        "Now",
        "Goes with",
        "change",
        "write",
        "run",
        "valid",
        "EXPIRED",
        "NOT YET VALID",
        "Nothing to do",
        "none is confirmed",
        "to do",
        "ruled out",
    ),
)
_FORMS = (  # what is put together from parts, and what pydantic says
    *("or else {other}", "{number} change", "{number} changes", "{number} cause", "{number} causes"),
    *("input should be less than or equal to {limit}", "input should be greater than or equal to {limit}"),
    *("input should be a valid integer", "input should be a valid string", "input should be a valid boolean"),
    *("input should be a valid list", "input should be {choices}"),
)
_CLICK = (  # what click itself prints
    *("Usage:", "Options", "Commands", "Arguments", "Show this message and exit.", "default: {default}", "required"),
    *("Error: {message}", "Try '{command} {option}' for help.", "No such command {name!r}.", "No such option: {name}"),
)


def texts() -> list[str]:
    """Return each text once, in the order of the files."""
    found = [text for path in sorted(RUNBOOK.rglob("*.py")) for text in _of_module(path)]
    rows = tomllib.loads((RUNBOOK / "diagnosis" / "causes.toml").read_text(encoding="utf-8"))["cause"]
    found += [row[name] for row in rows for name in ("text", "remedy") if row.get(name)]
    rows = tomllib.loads((RUNBOOK / "catalogue.toml").read_text(encoding="utf-8"))["notebook"]
    found += [row["title"] for row in rows]
    for path in sorted(RUNBOOK.rglob("*.j2")):
        quoted = re.findall(r'"([^"\n]+)"', path.read_text(encoding="utf-8"))
        found += [text for text in quoted if _PROSE.search(text) and text == text.strip()]
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):  # a progress bar shows the headings
        found += [heading for cell in cells(path) for heading in headings(cell)]
    return list(dict.fromkeys([*found, *WORDS, *_FORMS]))


def _of_module(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {id(part) for node in ast.walk(tree) for part in _not_shown(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any(
            ".command(" in ast.unparse(item) or ".group(" in ast.unparse(item) for item in node.decorator_list
        ):
            yield from (" ".join(part.split()) for part in (ast.get_docstring(node) or "").split("\n\n"))
        if id(node) not in skipped and (text := _text(node)) and _PROSE.search(text) and not _NOT_PROSE.search(text):
            yield text


def _not_shown(node: ast.AST) -> Iterator[ast.AST]:
    """Yield docstrings but those of commands, and the parts of an f-string, which is read as a whole."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
        yield node.body[0].value  # type: ignore[attr-defined] # a docstring is an expression
    if isinstance(node, ast.JoinedStr):
        yield from node.values


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_parts(node))
    return ""


def _parts(node: ast.JoinedStr) -> Iterator[str]:
    """Yield the fixed parts of an f-string, and between them its placeholders, each with a name of its own."""
    used: dict[str, str] = {}
    for part in node.values:
        if isinstance(part, ast.Constant):
            yield str(part.value)
            continue
        expression = ast.unparse(part.value)  # type: ignore[attr-defined] # a FormattedValue
        if expression not in used:
            names = re.findall(r"[A-Za-z_]\w*", expression) or ["value"]
            name, number = names[-1], sum(item.rstrip("0123456789") == names[-1] for item in used.values())
            used[expression] = f"{name}{number + 1}" if number else name
        yield f"{{{used[expression]}}}"


def catalogue() -> Catalog:
    """Return the catalogue as it is to be: what the code says, with the translations that there are."""
    known = {}
    if CATALOGUE.exists():
        with CATALOGUE.open(encoding="utf-8") as file:
            known = {item.id: item.string for item in pofile.read_po(file)}
    made = Catalog(locale="zh_CN", header_comment=_HEADER, fuzzy=False)
    for text in texts():
        made.add(text, known.get(text, ""))
    for text in _CLICK:
        made.add(text, known.get(text, ""), context="click")
    return made


def written() -> bytes:
    """Return the text of the catalogue's file."""
    buffer = io.BytesIO()
    pofile.write_po(buffer, catalogue(), width=0, omit_header=True)
    return f"{_HEADER}\n".encode() + buffer.getvalue()


if __name__ == "__main__":
    CATALOGUE.write_bytes(written())
