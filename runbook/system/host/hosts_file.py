"""The file /etc/hosts: one marked block of the runbook, and no other line for the same name.

Source: hosts(5): the address first, then its names, case-insensitive.
"""

import re
from pathlib import Path

from runbook.model.errors import HostError
from runbook.system.host import files

PATH = Path("/etc/hosts")
_SWITCH = Path("/etc/nsswitch.conf")
_BEGIN, _END = "# registry-runbook begin", "# registry-runbook end"
WITHOUT_BLOCK = f"/^{_BEGIN}$/,/^{_END}$/d"  # for sed


def with_name(text: str, address: str, name: str) -> str:
    """Return the text with one marked block for the name, and with the name removed from all other lines.

    Another line would override the block or add a second address. Lines in both orders are changed: the address first
    (hosts(5)), and the name first (as in the document).
    """
    outside = without_block(text)
    lines = outside.removesuffix("\n").split("\n") if outside else []  # splitlines would also split within a comment
    others = [changed for line in lines if (changed := _without(line, name)) is not None]
    return "".join(f"{line}\n" for line in (*others, _BEGIN, f"{address} {name}", _END))


def is_made_from(text: str, earlier: str) -> bool:
    """Return whether the text is exactly what `with_name` makes of the earlier one."""
    block = re.search(rf"^{_BEGIN}\n(\S+) (\S+)\n{_END}$", text, flags=re.MULTILINE)
    return block is not None and with_name(earlier, block[1], block[2]) == text


def without_block(text: str) -> str:
    """Return the text without the marked block, and without a begin or end marker that lost its counterpart."""
    block = rf"^{_BEGIN}\n(?:(?!{_BEGIN}$).*\n)*?{_END}$\n?"
    outside = re.sub(block, "", text, flags=re.MULTILINE)
    return re.sub(rf"^(?:{_BEGIN}|{_END})$\n?", "", outside, flags=re.MULTILINE)


def _without(line: str, name: str) -> str | None:
    """Return a line without the name, or None if no other name is left."""
    entry, hash_sign, comment = line.partition("#")
    fields = entry.split()
    rest = [field for field in fields if field.lower() != name]
    if rest == fields:
        return line
    return f"{' '.join(rest)} {hash_sign}{comment}".rstrip() if len(rest) > 1 else None


def template(text: str) -> Path | None:
    """Return the template from which cloud-init rewrites /etc/hosts at each boot, or None if the text names none.

    Source: cloud-init, "Update Etc Hosts" (`manage_etc_hosts: true`), and the header of its templates.
    """
    found = re.search(r"make changes to the master file in (/\S+)", text)
    path = Path(found[1]) if found else None
    return path if path is not None and path.is_file() else None


def sources() -> str:
    """Return the sources of host names in nsswitch.conf(5), or the default `files dns` if it names none."""
    lines = re.findall(r"(?m)^\s*hosts:\s*([^#\n]*)", files.read_text(_SWITCH.resolve()) or "")
    return lines[-1].strip() if lines else "files dns"


def is_read() -> bool:
    """Return whether name lookups on this host read the file, directly or through systemd-resolved(8)."""
    return not {"files", "resolve"}.isdisjoint(sources().split())


def unread(name: str) -> HostError:
    """Return the error for a host whose name lookups do not read the file."""
    return HostError(
        f"this host to look {name} up in {PATH}",
        f"`hosts: {sources()}` in {_SWITCH}, without files",
        f"run `sed -i --follow-symlinks 's/^[[:space:]]*hosts:/& files/' {_SWITCH}`, then this again",
    )
