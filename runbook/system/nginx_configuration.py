"""What nginx's configuration says: its servers, by file and line, and where a site must listen to get on with them.

The files are read as nginx reads them, and need not pass its test, nor root's rights as `nginx -T` does.
Source: nginx.org, "Configuration file's structure", "How nginx processes a request", ngx_http_core_module (`listen`,
`include`), ngx_stream_core_module (`listen`).
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runbook.model.errors import HostError

MAIN = Path("/etc/nginx/nginx.conf")
_DEPTH = 20  # of files that include one another
_TOKEN = re.compile(
    r"""(?P<space>\s+) | (?P<comment>\#[^\n]*) | (?P<mark>[;{}])
    | "(?P<double>(?:\\.|[^"\\])*)" | '(?P<single>(?:\\.|[^'\\])*)'
    | (?P<word>(?:\\.|\$\{[^}]*\}|[^\s;{}])+)""",
    re.DOTALL | re.VERBOSE,
)
_PORT = re.compile(r"(?P<host>.*?):?(?P<port>[0-9]+)")
ANY4, ANY6 = "*", "[::]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A block of nginx's, such as `http` or one `server`, and FILE:LINE of its begin."""

    name: str
    place: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Directive:
    """A directive: its words, FILE:LINE, and the blocks that it stands in, from the outermost."""

    words: tuple[str, ...]
    place: str
    blocks: tuple[Block, ...]

    @property
    def within(self) -> tuple[str, ...]:
        """The names of its blocks."""
        return tuple(block.name for block in self.blocks)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listen:
    """A socket of a server: `address` is `*`, `[::]`, or one of both kinds; `module` is `http` or `stream`.

    `is_own` says that the runbook's site has it.
    """

    place: str
    module: str
    address: str
    port: int
    options: tuple[str, ...]
    has_tls: bool
    is_own: bool = False

    @property
    def is_6(self) -> bool:
        """Whether its address is one of IPv6."""
        return self.address.startswith("[")

    @property
    def is_dual(self) -> bool:
        """Whether it takes all addresses of IPv4 too."""
        return self.address == ANY6 and "ipv6only=off" in self.options


def read(path: Path = MAIN) -> list[Directive]:
    """Return what a configuration says, with all that it includes; what cannot be read says nothing."""
    return list(_read(path, path.parent, ()))


def _read(path: Path, folder: Path, blocks: tuple[Block, ...], depth: int = 0) -> Iterator[Directive]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    words: list[str] = []
    place, outer = "", blocks
    for word, mark, line in _tokens(text):
        if not words:
            place = f"{path}:{line}"
        if not mark:
            words.append(word)
        elif mark == "{":
            blocks = (*blocks, Block(name=words[0] if words else "", place=place))
            words = []
        elif mark == "}":
            blocks = blocks[:-1] if len(blocks) > len(outer) else outer
            words = []
        elif words:
            found = Directive(words=tuple(words), place=place, blocks=blocks)
            yield found
            for included in _included(found, folder) if depth < _DEPTH else ():
                yield from _read(included, folder, blocks, depth + 1)
            words = []


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield each word, or mark, with its line; a quotation that does not end is a word."""
    place, line = 0, 1
    while place < len(text):
        found = _TOKEN.match(text, place)
        whole = found[0] if found else text[place]
        if found is None or found.lastgroup not in ("space", "comment"):
            kind = found.lastgroup if found else None
            yield (found[kind] if found and kind else whole), whole if kind == "mark" else "", line
        line += whole.count("\n")
        place += len(whole)


def _included(directive: Directive, folder: Path) -> list[Path]:
    if directive.words[0] != "include" or len(directive.words) != 2:  # noqa: PLR2004 (itself and its pattern)
        return []
    pattern = folder / directive.words[1]
    with suppress(ValueError, NotImplementedError):
        found = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
        return sorted(path for path in found if not path.name.startswith(".") or pattern.name.startswith("."))
    return []


def includes(found: Sequence[Directive], path: Path) -> bool:
    """Return whether nginx reads a file of this path, which need not be there, within its block `http`."""
    patterns = [
        MAIN.parent / item.words[1] for item in found if item.words[0] == "include" and item.within == ("http",)
    ]
    return any(path.match(str(pattern)) for pattern in patterns)


def listens(found: Sequence[Directive], port: int, *, own: Path) -> list[Listen]:
    """Return the TCP sockets of a port that nginx's servers have; `own` is the runbook's site."""
    tls = {item.blocks[-1] for item in found if item.words == ("ssl", "on") and item.blocks}
    everyone: list[Listen] = []
    for item in found:
        if item.words[0] != "listen" or len(item.words) == 1 or item.within[1:] != ("server",):
            continue
        address, of_port = _address(item.words[1])
        if of_port == port and "quic" not in item.words:
            everyone.append(
                Listen(
                    place=item.place,
                    module=item.within[0],
                    address=address,
                    port=of_port,
                    options=item.words[2:],
                    has_tls="ssl" in item.words or item.blocks[-1] in tls,
                    is_own=item.place.startswith(f"{own}:"),
                )
            )
    return everyone


def _address(text: str) -> tuple[str, int]:
    """Return address and port of what a `listen` says; a socket of the file system has port 0."""
    if text.startswith("unix:"):
        return text, 0
    if text.isdigit():
        return ANY4, int(text)
    host, port = text, 80
    if not text.endswith("]") and (found := _PORT.fullmatch(text)) and ":" in text:
        host, port = found["host"], int(found["port"])
    return (ANY4 if host in ("0.0.0.0", "*") else "[::]" if host == "[0:0:0:0:0:0:0:0]" else host), port  # noqa: S104 (compared)


def places_of(found: Sequence[Directive], name: str, port: int, *, but: Path) -> tuple[str, ...]:
    """Return FILE:LINE of each `server_name` with this name, of a server that listens on this port.

    Another file than `but` is meant; a server without a `listen` has port 80.
    """
    of_port = {item.place for item in listens(found, port, own=but) if not item.is_own}
    servers = {item.blocks[-1] for item in found if item.place in of_port and item.words[0] == "listen"}
    return tuple(
        item.place
        for item in found
        if item.words[0] == "server_name" and name in item.words[1:] and item.blocks and item.blocks[-1] in servers
    )


def choose_listen(found: Sequence[Listen], port: int, address: str, *, has_ipv6: bool) -> tuple[str, ...]:
    """Return where the runbook's site must listen to be reached at an address, beside other servers on its port.

    It shares the sockets that are there, without the options of others, which nginx takes once a socket; it opens one
    for all addresses only where nobody has one for a single address, since a reload cannot bind both. So what it has
    itself counts too: it keeps that, and one for both protocols when the other that had it is gone.
    Raises HostError, with FILE:LINE, where a site of TLS cannot be beside them.
    """
    own = f"[{address}]" if ":" in address else address
    four, six = [item for item in found if not item.is_6], [item for item in found if item.is_6]
    has_any6 = any(item.address == ANY6 for item in six)
    is_dual = any(item.is_dual for item in six) or (has_any6 and not four and all(item.is_own for item in six))
    chosen: list[str] = []
    if not is_dual and (not four or any(item.address == ANY4 for item in four)):
        chosen.append(ANY4)
    if has_any6 or (has_ipv6 and not six):
        chosen.append(ANY6)
    if own in [item.address for item in found] or (not is_dual and (ANY6 if ":" in address else ANY4) not in chosen):
        chosen.append(own)
    _refuse([item for item in found if not item.is_own], chosen, port)
    only_ours = is_dual and not any(item.address == ANY6 and not item.is_own for item in six)
    options = {ANY6: " ipv6only=off"} if only_ours else {}
    return tuple(f"{'' if item == ANY4 else f'{item}:'}{port}{options.get(item, '')}" for item in chosen)


def _refuse(others: Sequence[Listen], chosen: Sequence[str], port: int) -> None:
    """Raise HostError for a socket that a site of TLS would share with what is none."""
    for item in (item for item in others if item.address in chosen or (item.is_dual and ANY4 in chosen)):
        said = f"`listen {' '.join((f'{item.address}:{port}', *item.options))}` at {item.place}"
        if item.module != "http":
            found = f"{said}, in a block `{item.module}`, which shares no port with a site"
        elif "proxy_protocol" in item.options:
            found = f"{said}, which lets nobody in but a proxy before it (proxy_protocol)"
        elif not any(other.has_tls for other in others if other.address == item.address):
            found = f"{said}, without TLS"
        else:
            continue
        raise HostError(
            f"port {port} of nginx for sites with TLS, whose clients come by themselves",
            found,
            "set port to another one, or let that server listen elsewhere",
        )
