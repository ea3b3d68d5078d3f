"""The text of daemon.json, the engine's configuration file: registries are merged into it, the rest is unchanged.

Pure functions on text. They insert members and never render the whole file, so other keys, their order, the
indentation and the line endings stay. Source: dockerd, "Daemon configuration file".
"""

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined] # typeshed lacks this function of the JSON decoder
from pathlib import Path

from runbook.model.errors import HostError

PATH = Path("/etc/docker/daemon.json")
INSECURE_REGISTRIES, REGISTRY_MIRRORS = "insecure-registries", "registry-mirrors"
# The engine accepts these names of its flags as keys, but ignores them without a message.
_WRONG_KEYS = {
    "registry-mirror": REGISTRY_MIRRORS,
    "insecure-registry": INSECURE_REGISTRIES,
    "insecure-registrys": INSECURE_REGISTRIES,
}
_INDENTATION = "  "
_CONCEALED = "concealed"
_SECRET = "token|password|secret|credential"  # noqa: S105 (names of keys)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Member:
    """A member of the outer object, with the offsets of its key and of the start and end of its value."""

    key: str
    value: object
    key_start: int
    start: int
    end: int


def merge(text: str | None, *, insecure_registries: Sequence[str], registry_mirrors: Sequence[str]) -> str:
    """Return `text` with the missing registries added to its two lists; None stands for no file.

    Raises HostError with line and column for text that is not one JSON object, for a duplicate key, and for one of the
    two lists under a wrong name or in another form.
    """
    merged = "{}\n" if text is None else text
    for key, wanted, form in (
        (REGISTRY_MIRRORS, registry_mirrors, same_mirror),
        (INSECURE_REGISTRIES, insecure_registries, same_registry),
    ):
        merged = _with_entries(merged, key, wanted, form)
    return merged


def without_registries(text: str | None) -> str:
    """Return a text of daemon.json with the members of `text`, in which a missing one of the two lists is empty.

    An engine keeps its entries when a key is removed: only an empty list removes them. None stands for no file.
    Raises HostError with line and column for text that is not one JSON object.
    """
    members = _read_members(text)[0] if text else []
    empty: dict[str, object] = {INSECURE_REGISTRIES: [], REGISTRY_MIRRORS: []}
    return json.dumps(empty | {member.key: member.value for member in members})


def lists(text: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the insecure registries and the mirrors in a text of daemon.json; None stands for no file."""
    found = json.loads(without_registries(text))
    return tuple(found[INSECURE_REGISTRIES]), tuple(found[REGISTRY_MIRRORS])


def keys(text: str) -> tuple[str, ...]:
    """Return the keys of the outer object; raises HostError with line and column for text that is not one."""
    members, _ = _read_members(text)
    return tuple(member.key for member in members)


def value(text: str | None, key: str) -> object:
    """Return the value of a key of the outer object, or None if it is missing or the text is not one JSON object."""
    try:
        members, _ = _read_members(text or "")
    except HostError:
        return None
    return next((member.value for member in members if member.key == key), None)


def conceal(text: str) -> str:
    """Return a text of daemon.json without possible secrets, such as a proxy's login or a log driver's token."""
    text = re.sub(r'(://)[^/@"\s]+@', rf"\1{_CONCEALED}@", text)
    return re.sub(rf'("[^"]*(?:{_SECRET})[^"]*"\s*:\s*")(?:[^"\\]|\\.)+"', rf'\1{_CONCEALED}"', text)


def same_mirror(entry: str) -> str:
    """Return the form of a mirror for comparison: the engine appends a slash."""
    return entry.rstrip("/")


def same_registry(entry: str) -> str:
    """Return the form of a registry for comparison: the engine lists a network without host bits."""
    try:
        return str(ipaddress.ip_network(entry, strict=False)) if "/" in entry else entry
    except ValueError:
        return entry


def missing(wanted: Iterable[str], found: Iterable[str], form: Callable[[str], str]) -> list[str]:
    """Return the entries of `wanted` that are not in `found`, compared by `form`: in order, without duplicates."""
    present = {form(entry) for entry in found}
    return list(dict.fromkeys(entry for entry in wanted if form(entry) not in present))


def _position(text: str, offset: int) -> str:
    return f"line {text.count(chr(10), 0, offset) + 1} column {offset - text.rfind(chr(10), 0, offset)}"


def _error(text: str, offset: int, found: str) -> HostError:
    return HostError(
        f"one object in JSON in {PATH}", f"{_position(text, offset)}: {found}", f"mend {PATH}; nothing was written"
    )


def _skip_blanks(text: str, offset: int) -> int:
    while offset < len(text) and text[offset] in " \t\r\n":
        offset += 1
    return offset


def _expect(text: str, offset: int, characters: str) -> int:
    """Return the offset of the next character that is not blank; raises HostError if it is not in `characters`."""
    offset = _skip_blanks(text, offset)
    if offset >= len(text):
        raise _error(text, offset, "the text ends here" if text.strip() else "the file is empty")
    if text[offset] not in characters:
        raise _error(text, offset, f"{text[offset]!r} in place of {' or '.join(characters)}")
    return offset


def _read_members(text: str) -> tuple[list[_Member], int]:
    """Return the members of the outer object, and the offset of its closing brace."""
    if text.startswith("\ufeff"):
        raise _error(text, 0, "a byte order mark, which the engine does not read")
    members: list[_Member] = []
    offset = _expect(text, 0, "{") + 1
    end = _skip_blanks(text, offset)
    if not text.startswith("}", end):
        while True:
            members.append(_read_member(text, offset))
            end = _expect(text, members[-1].end, ",}")
            if text[end] == "}":
                break
            offset = end + 1
    if (after := _skip_blanks(text, end + 1)) < len(text):
        raise _error(text, after, f"{text[after]!r} after the end of the object")
    seen: set[str] = set()
    for member in members:
        if member.key in seen:
            raise _error(text, member.key_start, f"the key {member.key!r} a second time")
        seen.add(member.key)
    return members, end


def _read_member(text: str, offset: int) -> _Member:
    key_start = _expect(text, offset, '"')
    try:
        key, end = scanstring(text, key_start + 1)
        start = _skip_blanks(text, _expect(text, end, ":") + 1)
        decoder = json.JSONDecoder(object_pairs_hook=_refuse_duplicates, parse_constant=_refuse)
        value, end = decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise _error(text, error.pos, error.msg) from error
    except ValueError as error:
        raise _error(text, key_start, str(error)) from error
    except RecursionError as error:
        raise _error(text, key_start, "more levels than can be read") from error
    return _Member(key=key, value=value, key_start=key_start, start=start, end=end)


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} twice below this one")
    return found


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant}, which is no JSON, below this key")


def _refuse_wrong_keys(text: str, members: Sequence[_Member]) -> None:
    for member in members:
        if member.key in _WRONG_KEYS:
            right = _WRONG_KEYS[member.key]
            raise HostError(
                f"the key {right} in {PATH}",
                f"{_position(text, member.key_start)}: the key {member.key!r}, which the engine does not know as that",
                f"write {right} there, or take the key out; nothing was written",
            )


def _with_entries(text: str, key: str, wanted: Sequence[str], form: Callable[[str], str]) -> str:
    members, closing = _read_members(text)
    _refuse_wrong_keys(text, members)
    member = next((member for member in members if member.key == key), None)
    if member is None:
        return _with_member(text, members, closing, key, list(dict.fromkeys(wanted))) if wanted else text
    if not isinstance(member.value, list) or not all(isinstance(entry, str) for entry in member.value):
        raise _error(text, member.start, f"the value of {key} is no list of texts")
    added = missing(wanted, member.value, form)
    return _with_list(text, member, added) if added else text


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _with_member(text: str, members: Sequence[_Member], closing: int, key: str, entries: Sequence[str]) -> str:
    """Return the text with a new last member, formatted like those before it."""
    if not members:
        opening = text.index("{")
        new = _format(key, entries, _line_end(text) + _INDENTATION, _INDENTATION)
        return f"{text[:opening]}{{{new}{_line_end(text)}}}{text[closing + 1 :]}"
    last = members[-1]
    before = _blanks_before(text, last.key_start)
    new = _format(key, entries, before, before.lstrip("\r\n"))
    return f"{text[: last.end]},{new if before else ' ' + new}{text[last.end :]}"


def _blanks_before(text: str, offset: int) -> str:
    """Return the line ending and indentation before an offset; empty if its line has other text before it."""
    found = re.search(r"\r?\n[ \t]*$", text[:offset])
    return found.group() if found else ""


def _format(key: str, entries: Sequence[str], before: str, unit: str) -> str:
    """Return a member with one entry a line, indented by `before` and `unit`; on one line if `before` is empty."""
    inner = before + unit if before else ""
    listed = f",{inner or ' '}".join(json.dumps(entry) for entry in entries)
    return f'{before}"{key}": [{inner}{listed}{before}]'


def _with_list(text: str, member: _Member, added: Sequence[str]) -> str:
    """Return the text with entries appended to a member's list, formatted like those before them."""
    bracket = member.end - 1
    if not member.value:
        before = _blanks_before(text, member.key_start)
        new = _format(member.key, added, before, before.lstrip("\r\n"))
        return text[: member.start] + new[new.index("[") :] + text[member.end :]
    inside = text[member.start + 1 : bracket].rstrip()
    end = member.start + 1 + len(inside)
    last = json.dumps(member.value[-1], ensure_ascii=False) if isinstance(member.value, list) else ""
    before = _blanks_before(text, end - len(last)) or " "
    return text[:end] + "".join(f",{before}{json.dumps(entry)}" for entry in added) + text[end:]
