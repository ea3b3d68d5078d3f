"""nginx's configuration: its servers with file and line, and the sockets on which a site can listen beside them.

The files are parsed as nginx does. Unlike `nginx -T`, this needs neither a valid configuration nor root's rights.
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
_DEPTH = 20  # limit of nested includes
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
    """A block such as `http` or one `server`, and FILE:LINE of its start."""

    name: str
    place: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Directive:
    """A directive: its name and arguments, FILE:LINE, and the blocks around it, the outermost first."""

    words: tuple[str, ...]
    place: str
    blocks: tuple[Block, ...]

    @property
    def within(self) -> tuple[str, ...]:
        """The names of its blocks."""
        return tuple(block.name for block in self.blocks)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listen:
    """A socket of a server: `address` is `*`, `[::]` or a single IPv4 or IPv6 address; `module` is `http` or `stream`.

    `is_own` means that it belongs to the runbook's site.
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
        """Whether its address is an IPv6 address."""
        return self.address.startswith("[")

    @property
    def is_dual(self) -> bool:
        """Whether it also accepts connections to all IPv4 addresses."""
        return self.address == ANY6 and "ipv6only=off" in self.options


def read(path: Path = MAIN) -> list[Directive]:
    """Return the directives of a configuration and the files that it includes; unreadable files are skipped."""
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
            continue
        if mark == "{":
            blocks = (*blocks, Block(name=words[0] if words else "", place=place))
        elif mark == "}":
            blocks = blocks[:-1] if len(blocks) > len(outer) else outer
        elif words:
            found = Directive(words=tuple(words), place=place, blocks=blocks)
            yield found
            for included in _included(found, folder) if depth < _DEPTH else ():
                yield from _read(included, folder, blocks, depth + 1)
        words = []


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield (word, mark, line) for each token; `mark` is empty for a word. An unclosed quotation is a word."""
    offset, line = 0, 1
    while offset < len(text):
        found = _TOKEN.match(text, offset)
        kind = found.lastgroup if found else None
        token = found[0] if found else text[offset]
        if kind not in ("space", "comment"):
            yield (found[kind] if found and kind else token), token if kind == "mark" else "", line
        line += token.count("\n")
        offset += len(token)


def _included(directive: Directive, folder: Path) -> list[Path]:
    if directive.words[0] != "include" or len(directive.words) != 2:  # noqa: PLR2004 (itself and its pattern)
        return []
    pattern = folder / directive.words[1]
    with suppress(ValueError, NotImplementedError):
        found = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
        return sorted(path for path in found if not path.name.startswith(".") or pattern.name.startswith("."))
    return []


def includes(found: Sequence[Directive], path: Path) -> bool:
    """Return whether the block `http` includes a file with this path, which need not exist."""
    patterns = [
        MAIN.parent / item.words[1] for item in found if item.words[0] == "include" and item.within == ("http",)
    ]
    return any(path.match(str(pattern)) for pattern in patterns)


def listens(found: Sequence[Directive], port: int, *, own: Path) -> list[Listen]:
    """Return the TCP sockets of nginx's servers with this port; `own` is the path of the runbook's site."""
    tls = {item.blocks[-1] for item in found if item.words == ("ssl", "on") and item.blocks}
    sockets: list[Listen] = []
    for item in found:
        if item.words[0] != "listen" or len(item.words) == 1 or item.within[1:] != ("server",):
            continue
        address, of_port = _address(item.words[1])
        if of_port == port and "quic" not in item.words:
            sockets.append(
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
    return sockets


def _address(text: str) -> tuple[str, int]:
    """Return address and port of a `listen` argument; a Unix domain socket has port 0."""
    if text.startswith("unix:"):
        return text, 0
    if text.isdigit():
        return ANY4, int(text)
    host, port = text, 80
    if not text.endswith("]") and (found := _PORT.fullmatch(text)) and ":" in text:
        host, port = found["host"], int(found["port"])
    any_spellings = {"0.0.0.0": ANY4, "*": ANY4, "[0:0:0:0:0:0:0:0]": ANY6}  # noqa: S104 (only compared)
    return any_spellings.get(host, host), port


def places_of(found: Sequence[Directive], name: str, port: int, *, but: Path) -> tuple[str, ...]:
    """Return FILE:LINE of each `server_name` with this name in servers with this port, except in the file `but`.

    A server without a `listen` (port 80) is not found.
    """
    of_port = {item.place for item in listens(found, port, own=but) if not item.is_own}
    servers = {item.blocks[-1] for item in found if item.place in of_port and item.words[0] == "listen"}
    return tuple(
        item.place
        for item in found
        if item.words[0] == "server_name" and name in item.words[1:] and item.blocks and item.blocks[-1] in servers
    )


def choose_listen(found: Sequence[Listen], port: int, address: str, *, has_ipv6: bool) -> tuple[str, ...]:
    """Return the `listen` arguments with which the runbook's site is reachable at an address, beside other servers.

    The site shares existing sockets, without their options, which nginx accepts only once a socket. It opens a socket
    for all addresses only if no server has one for a single address, since a reload cannot bind both. Its own sockets
    count too: it keeps them, and also one for both protocols if the other server that used it is gone.
    Raises HostError, with FILE:LINE, if a TLS site cannot share a socket.
    """
    own = f"[{address}]" if ":" in address else address
    ipv4, ipv6 = [item for item in found if not item.is_6], [item for item in found if item.is_6]
    has_any6 = any(item.address == ANY6 for item in ipv6)
    is_dual = any(item.is_dual for item in ipv6) or (has_any6 and not ipv4 and all(item.is_own for item in ipv6))
    chosen: list[str] = []
    if not is_dual and (not ipv4 or any(item.address == ANY4 for item in ipv4)):
        chosen.append(ANY4)
    if has_any6 or (has_ipv6 and not ipv6):
        chosen.append(ANY6)
    if own in [item.address for item in found] or (not is_dual and (ANY6 if ":" in address else ANY4) not in chosen):
        chosen.append(own)
    _refuse([item for item in found if not item.is_own], chosen, port)
    only_ours = is_dual and not any(item.address == ANY6 and not item.is_own for item in ipv6)
    options = {ANY6: " ipv6only=off"} if only_ours else {}
    return tuple(f"{'' if item == ANY4 else f'{item}:'}{port}{options.get(item, '')}" for item in chosen)


def _refuse(others: Sequence[Listen], chosen: Sequence[str], port: int) -> None:
    """Raise HostError for a chosen socket that a TLS site cannot share with its current server."""
    for item in (item for item in others if item.address in chosen or (item.is_dual and ANY4 in chosen)):
        listen = f"`listen {' '.join((f'{item.address}:{port}', *item.options))}` at {item.place}"
        if item.module != "http":
            found = f"{listen}, in a block `{item.module}`, which shares no port with a site"
        elif "proxy_protocol" in item.options:
            found = f"{listen}, which lets nobody in but a proxy before it (proxy_protocol)"
        elif not any(other.has_tls for other in others if other.address == item.address):
            found = f"{listen}, without TLS"
        else:
            continue
        raise HostError(
            f"port {port} of nginx for sites with TLS, whose clients come by themselves",
            found,
            "set port to another one, or let that server listen elsewhere",
        )
