"""What is shown, in the reader's language: English, as the code has it, or Simplified Chinese, from `zh.po`.

A text is translated as a whole, where it is shown: code, records and exit codes are the same in each language. An entry
of `zh.po` with placeholders, each named after an expression of the code, stands for every text of that form.
"""

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Language = Literal["en", "zh"]
VARIABLE = "RUNBOOK_LANGUAGE"
CATALOGUE = Path(__file__).with_name("zh.po")
PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
_LONGEST = 3000  # characters; a longer text is a log, which no entry stands for
_NUMBERS = {"number": r"\d+"}
_OF_SECTION = re.compile(r"(\d\d-[a-z-]+|accepted|lasting): (.+)", re.DOTALL)  # a row of the proof of all sections
_PROSE = re.compile(r"[A-Za-z]{2,} [A-Za-z]{2,}")
_FEW = 5  # an entry with fewer letters that are fixed could stand for anything


def language() -> Language:
    """Return what was chosen, or else the language of the locale's messages; the first variable set decides (POSIX)."""
    names = (VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG")
    return "zh" if next(filter(None, map(os.environ.get, names)), "").startswith("zh") else "en"


def choose(name: str) -> None:
    """Set the language for this process and those that it starts: en or zh."""
    os.environ[VARIABLE] = name


def prefer(name: str) -> None:
    """Set the language, unless it was chosen before; auto leaves it to the locale."""
    if name != "auto" and VARIABLE not in os.environ:
        choose(name)


def say(text: str) -> str:
    """Return a text in the reader's language; what has no entry stays English."""
    return in_chinese(text) if text and language() == "zh" else text


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """An entry with placeholders, the longest fixed part of its texts, and the translation."""

    entry: str
    fixed: str
    translation: str

    def fill(self, text: str) -> str | None:
        """Return the translation of a text of this form, with the parts that differ translated too; else None."""
        found = pattern_of(self.entry).fullmatch(text) if self.fixed in text else None
        return found and PLACEHOLDER.sub(lambda name: in_chinese(found[name[1]]), self.translation)


@functools.cache
def pattern_of(entry: str) -> re.Pattern[str]:
    """Return the pattern of the texts that an entry of the catalogue stands for."""
    parts, seen = PLACEHOLDER.split(entry), set[str]()
    fixed = "".join(parts[::2])
    weight = sum(map(str.isalpha, fixed)) + 2 * len(re.findall("[:,()]", fixed))
    within = ".*?" if ";" in fixed else "(?:(?!; ).)*?"  # else it would take the rest of a list
    any_text = within if weight >= _FEW else r"(?=\S*[\d/])\S*?"  # numbers and paths
    pattern = re.escape(parts[0])
    for name, after in zip(parts[1::2], parts[2::2], strict=True):
        pattern += f"(?P={name})" if name in seen else f"(?P<{name}>{_NUMBERS.get(name, any_text)})"
        pattern += re.escape(after)
        seen.add(name)
    return re.compile(pattern, re.DOTALL)


@functools.cache
def _entries() -> tuple[dict[str, str], list[_Form]]:
    """Return the catalogue's texts without placeholders, and its forms, those with most fixed letters first."""
    from babel.messages import pofile  # noqa: PLC0415 (who reads English does not need it)

    with CATALOGUE.open(encoding="utf-8") as file:
        rows = [item for item in pofile.read_po(file) if item.id and item.string]
    found = {str(item.id): str(item.string) for item in rows}
    of_libraries = {str(item.id) for item in rows if item.context}  # which ask for the text with its placeholders
    forms = [
        _Form(entry=entry, fixed=max(PLACEHOLDER.split(entry)[::2], key=len), translation=translation)
        for entry, translation in sorted(found.items(), key=lambda item: -len(PLACEHOLDER.sub("", item[0])))
        if PLACEHOLDER.search(entry) and entry not in of_libraries
    ]
    return found, forms


@functools.lru_cache(4096)
def in_chinese(text: str) -> str:
    """Return the Chinese for a text, or of the parts of a list, or of what stands in brackets at its end."""
    if len(text) > _LONGEST:
        return text
    if (row := _OF_SECTION.fullmatch(text)) and (told := in_chinese(row[2])) != row[2]:
        return f"{row[1]}\N{FULLWIDTH COLON}{told}"
    if (found := _translation(text)) is not None:
        return found
    phrase = text.removesuffix(".")  # the code makes a sentence of it
    if phrase != text and (found := _translation(phrase) or _translation(phrase[:1].lower() + phrase[1:])):
        return f"{found}\N{IDEOGRAPHIC FULL STOP}"
    parts, joint, end = text.split("; "), "\N{FULLWIDTH SEMICOLON}", ""
    if len(parts) == 1 and (bracketed := re.fullmatch(r"(.+) \(([^()]+)\)", text)):
        parts, joint, end = [*bracketed.groups()], " (", ")"
    each = [in_chinese(part) for part in parts] if len(parts) > 1 else parts
    is_other = each[0] == parts[0] and _PROSE.search(parts[0])  # another program's
    return text if is_other or each == parts else joint.join(each) + end


def _translation(text: str) -> str | None:
    """Return the translation of a text that an entry stands for; None if there is none."""
    texts, forms = _entries()
    if text in texts:
        return texts[text]
    return next((filled for form in forms if (filled := form.fill(text)) is not None), None)
