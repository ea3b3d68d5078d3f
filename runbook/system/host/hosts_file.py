"""The file /etc/hosts: one marked block of the runbook, and nothing else of it that says otherwise.

Source: hosts(5): the address first, then its names; case does not count.
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
    """Return the text with one marked block for the name, and the name taken off all other lines.

    A line that says otherwise would win or be added: the name has one address. Both ways round are taken off, the
    address first as hosts(5) wants it, and the name first as the document has it.
    """
    outside = without_block(text)
    lines = outside.removesuffix("\n").split("\n") if outside else []  # and not at what a comment may hold beside it
    kept = [_without(line, name) for line in lines]
    others = [line for line in kept if line is not None]
    return "".join(f"{line}\n" for line in (*others, _BEGIN, f"{address} {name}", _END))


def is_made_from(text: str, earlier: str) -> bool:
    """Return whether `with_name` made the text from the earlier one, and nobody has changed it since."""
    block = re.search(rf"^{_BEGIN}\n(\S+) (\S+)\n{_END}$", text, flags=re.MULTILINE)
    return block is not None and with_name(earlier, block[1], block[2]) == text


def without_block(text: str) -> str:
    """Return the text without the marked block; a marker that lost its other half goes alone."""
    block = rf"^{_BEGIN}\n(?:(?!{_BEGIN}$).*\n)*?{_END}$\n?"
    outside = re.sub(block, "", text, flags=re.MULTILINE)
    return re.sub(rf"^(?:{_BEGIN}|{_END})$\n?", "", outside, flags=re.MULTILINE)


def _without(line: str, name: str) -> str | None:
    """Return a line without the name, None where it then names nothing."""
    words, hash_sign, comment = line.partition("#")
    fields = words.split()
    rest = [field for field in fields if field.lower() != name]
    if rest == fields:
        return line
    return f"{' '.join(rest)} {hash_sign}{comment}".rstrip() if len(rest) > 1 else None


def template(text: str) -> Path | None:
    """Return the file of which cloud-init makes /etc/hosts anew at each boot, None where the text does not say so.

    Source: cloud-init, "Update Etc Hosts" (`manage_etc_hosts: true`), and the header that its templates begin with.
    """
    found = re.search(r"make changes to the master file in (/\S+)", text)
    path = Path(found[1]) if found else None
    return path if path is not None and path.is_file() else None


def sources() -> str:
    """Return where this host looks names up, as nsswitch.conf(5) has it; the usual places where it says nothing."""
    lines = re.findall(r"(?m)^\s*hosts:\s*([^#\n]*)", files.read_text(_SWITCH.resolve()) or "")
    return lines[-1].strip() if lines else "files dns"


def is_read() -> bool:
    """Return whether this host looks names up in the file: by itself, or through systemd-resolved(8)."""
    return not {"files", "resolve"}.isdisjoint(sources().split())


def unread(name: str) -> HostError:
    """Return the error for a host on which a line for a name in the file has no effect."""
    return HostError(
        f"this host to look {name} up in {PATH}",
        f"`hosts: {sources()}` in {_SWITCH}, without files",
        f"run `sed -i --follow-symlinks 's/^[[:space:]]*hosts:/& files/' {_SWITCH}`, then this again",
    )
