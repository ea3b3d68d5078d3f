"""Pictures as SVG, each with a text that says the same: a deployment, a chain's validity, who was answered what.

They bring their own paper, so that they read alike on a light and on a dark page; and letters of one width, so that
where a line ends is known without a browser.
"""

import datetime
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, SubElement, tostring

from rich.console import Console
from rich.text import Text

from runbook.model.parameters import Parameters
from runbook.model.results import Result
from runbook.sections.certificates import CertificateFacts
from runbook.system.certificates.tls import Certificate

INK, PALE, PAPER = "#1f2328", "#57606a", "#ffffff"
GREEN, ORANGE, RED, BLUE = "#116329", "#953800", "#a40e26", "#0550ae"
_WIDTH, _MARGIN = 800, 16  # in pixels, as all places and sizes; JupyterLab has room for 800 beside its contents
_LETTER, _LINE = 7.25, 17  # the room of a letter and of a line, at a font size of 12
_Area = tuple[float, float, float]  # from the left, from the top, and the width
FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A picture, and the text that says the same."""

    svg: str
    text: str

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """Return both forms for Jupyter."""
        return {"image/svg+xml": self.svg, "text/plain": self.text}

    def __repr__(self) -> str:
        """Return the text."""
        return self.text


@dataclass(frozen=True, kw_only=True, slots=True)
class _Canvas:
    """An SVG that is being drawn."""

    title: str
    root: Element = field(default_factory=lambda: Element("svg"))

    def shape(self, name: str, **attributes: object) -> Element:
        """Add an element; an underscore in an attribute's name stands for a hyphen."""
        plain = {
            key.replace("_", "-"): f"{value:g}" if isinstance(value, float) else str(value)
            for key, value in attributes.items()
        }
        return SubElement(self.root, name, plain)

    def text(self, area: _Area, words: str, *, fill: str = INK, bold: bool = False, end: bool = False) -> float:
        """Write words in as many lines as the area's width needs, and return where the last ends."""
        x, y, width = area
        for line in _lines(words, width):
            y += _LINE
            anchor = {"text_anchor": "end"} if end else {}
            weight = {"font_weight": "bold"} if bold else {}
            self.shape("text", x=x + width if end else x, y=y - 4, fill=fill, **anchor, **weight).text = line
        return y

    def box(self, x: float, y: float, width: float, height: float, *, stroke: str) -> None:
        """Draw a box with round corners."""
        self.shape("rect", x=x, y=y, width=width, height=height, rx=6, stroke=stroke, fill="none")

    def arrow(self, start: tuple[float, float], end: tuple[float, float], *, stroke: str, dashed: bool = False) -> None:
        """Draw an arrow to the right, or straight down."""
        (x1, y1), (x2, y2) = start, end
        dashes = {"stroke_dasharray": "5 4"} if dashed else {}
        self.shape("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=1.5, **dashes)
        head = [(x2, y2), (x2 - 8, y2 - 4), (x2 - 8, y2 + 4)]
        if x1 == x2:
            head = [(x2, y2), (x2 - 4, y2 - 8), (x2 + 4, y2 - 8)]
        self.shape("polygon", points=" ".join(f"{x:g},{y:g}" for x, y in head), fill=stroke)

    def drawing(self, height: float, text: str) -> Drawing:
        """Return the picture, cut to its height."""
        size = {"width": f"{_WIDTH}", "height": f"{height:g}"}
        self.root.attrib |= {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {_WIDTH} {height:g}", **size}
        self.root.attrib |= {"role": "img", "font-family": FONT, "font-size": "12", "style": "max-width:100%"}
        title, description = Element("title"), Element("desc")
        title.text, description.text = self.title, text
        paper = Element("rect", {**size, "rx": "8", "fill": PAPER})
        self.root[:0] = [title, description, paper]
        return Drawing(svg=tostring(self.root, encoding="unicode"), text=text)


def _printable(words: str) -> str:
    """Return words without what no XML may hold: a host's message may have a terminal's codes in it."""
    return "".join(letter if letter.isprintable() else " " for letter in words)


def _lines(words: str, width: float) -> list[str]:
    """Return words as lines that fit; one that is too long is broken."""
    return [line.plain.rstrip() for line in Text(_printable(words)).wrap(Console(), int(width / _LETTER))]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Something in a deployment, and what is to be said of it."""

    title: str
    said: tuple[str, ...]
    stroke: str = PALE

    def draw(self, canvas: _Canvas, x: float, y: float, width: float, *, framed: bool = True) -> float:
        """Write it, in a box unless something else frames it, and return where it ends."""
        end = canvas.text((x + 10, y + 6, width - 20), self.title, bold=True, fill=self.stroke)
        for said in self.said:
            end = canvas.text((x + 10, end, width - 20), said)
        if framed:
            canvas.box(x, y, width, end + 8 - y, stroke=self.stroke)
        return end + 8

    def text(self) -> str:
        """Return what is to be said of it as one line."""
        return _printable(f"{self.title}: {'; '.join(self.said)}")


def deployment(parameters: Parameters, address: str) -> Drawing:
    """Return how a deployment fits together on a host with this address: what listens where, and who trusts what."""
    front, basic, authority = _front(parameters), _basic(parameters), _authority(parameters)
    registry, engine, clients, insecure = (
        *(_registry(parameters), _engine(parameters, address)),
        *(_clients(parameters, address), _insecure_clients(parameters, address)),
    )
    host = _Place(title=f"This host, {address}", said=())
    canvas = _Canvas(title=f"The registry {parameters.registry_host}: what listens where, and who trusts what")
    left, inside = 352.0, 412.0  # where the boxes on the host begin, and how wide they are
    below = host.draw(canvas, left - 40, _MARGIN, inside + 60, framed=False)
    clients_end = 0.0
    if front:
        clients_end = _draw_clients(canvas, clients, below, left)
        nginx_end = front.draw(canvas, left, below, inside)
        below = max(nginx_end, clients_end) + 18
    engine_top = below
    below = engine.draw(canvas, left - 20, below, inside - 20, framed=False) + 4
    if front:
        canvas.arrow((left + inside - 20, nginx_end), (left + inside - 20, below), stroke=BLUE)
    else:
        clients_end = _draw_clients(canvas, clients, below, left)
    registry_end = registry.draw(canvas, left, below, inside)
    below = max(registry_end, clients_end) + 12
    basic_end = basic.draw(canvas, left, below, inside)
    if insecure:
        basic_end = max(basic_end, _draw_clients(canvas, insecure, below, left))
    canvas.box(left - 20, engine_top, inside + 30, basic_end + 10 - engine_top, stroke=PALE)
    authority_end = authority.draw(canvas, left - 20, basic_end + 22, inside + 30)
    canvas.box(left - 40, _MARGIN, inside + 60, authority_end + 10 - _MARGIN, stroke=INK)
    places = [host, front, engine, registry, basic, authority, clients, insecure]
    text = "\n".join(place.text().removesuffix(": ") for place in places if place)
    return canvas.drawing(authority_end + 10 + _MARGIN, text)


def _draw_clients(canvas: _Canvas, clients: _Place, y: float, left: float) -> float:
    """Draw clients on the left, with an arrow to what stands beside them, and return where they end."""
    canvas.arrow((_MARGIN + 275, y + 18), (left, y + 18), stroke=clients.stroke)
    return clients.draw(canvas, _MARGIN, y, 275)


def _front(parameters: Parameters) -> _Place | None:
    """Return the nginx that stands in front, None where there is none."""
    if parameters.proxy == "none":
        return None
    names = ", ".join((parameters.domain, *parameters.extra_names))
    return _Place(
        title=f"nginx, https://{parameters.registry_host}",
        said=(
            f"port {parameters.port}, TLS: for {names}",
            f"key and certificate in {parameters.certificate_path}",
            f"passes on to 127.0.0.1:{parameters.backend_port}, plain HTTP",
        ),
        stroke=GREEN,
    )


def _registry(parameters: Parameters) -> _Place:
    names = ", ".join((parameters.domain, *parameters.extra_names, *parameters.extra_addresses))
    if parameters.proxy == "nginx":
        title = f"Registry behind nginx, 127.0.0.1:{parameters.backend_port}"
        reached: tuple[str, ...] = ("plain HTTP, for this host alone",)
    else:
        title = f"Registry, https://{parameters.registry_host}"
        reached = (f"port {parameters.port}, TLS: for {names}", f"key and certificate in {parameters.certificate_path}")
    return _Place(
        title=title,
        said=(
            *reached,
            f"asks for a login: {parameters.username}",
            f"configuration in {parameters.configuration_directory}",
            f"images in the volume {parameters.compose_project}_{parameters.data_volume}",
        ),
        stroke=GREEN,
    )


def _is_for_this_host(parameters: Parameters) -> bool:
    return ipaddress.ip_address(parameters.basic_address).is_loopback


def _basic(parameters: Parameters) -> _Place:
    return _Place(
        title=f"Basic registry, http://{parameters.basic_address}:{parameters.basic_port}",
        said=(
            "plain HTTP, no login" + (", for this host alone" if _is_for_this_host(parameters) else ""),
            f"container {parameters.basic_container}, images in {parameters.basic_data_directory}",
        ),
        stroke=ORANGE,
    )


def _engine(parameters: Parameters, address: str) -> _Place:
    lists = (("plain HTTP allowed for", parameters.insecure_registries), ("asks first", parameters.registry_mirrors))
    return _Place(
        title="Docker Engine",
        said=(
            f"finds {parameters.domain} at {address} (/etc/hosts)",
            f"trusts {parameters.trust_path}",
            *(f"{name} {', '.join(entries)}" for name, entries in lists if entries),
        ),
    )


def _authority(parameters: Parameters) -> _Place:
    if parameters.certificate_source == "own":
        source = parameters.own_authority_file or parameters.own_certificate_file
        return _Place(title="Certificate authority, brought along", said=(f"{source}, which clients trust",))
    return _Place(
        title=f"Certificate authority, {parameters.ca_common_name}",
        said=(f"key in {parameters.ca_key_path}, for root alone", f"clients trust {parameters.ca_certificate_path}"),
    )


def _clients(parameters: Parameters, address: str) -> _Place:
    return _Place(
        title="Clients on other hosts",
        said=(
            f"find {parameters.domain} at {address}",
            f"trust the authority: ca.crt in {parameters.trust_path.parent}",
            f"get both from the kit in {parameters.client_kit_directory}",
            f"docker login {parameters.registry_host}",
        ),
        stroke=BLUE,
    )


def _insecure_clients(parameters: Parameters, address: str) -> _Place | None:
    """Return the hosts that may use the basic registry, None where it listens for this host alone."""
    if _is_for_this_host(parameters):
        return None
    everywhere = ipaddress.ip_address(parameters.basic_address).is_unspecified
    entry = f"{address if everywhere else parameters.basic_address}:{parameters.basic_port}"
    return _Place(title="Hosts that allow plain HTTP", said=(f"insecure_registries: {entry}",), stroke=ORANGE)


def validity(facts: CertificateFacts, parameters: Parameters) -> Drawing:
    """Return a chain's certificates on one time line, with today and the day from which the server's is renewed."""
    canvas = _Canvas(title="How long the certificates are valid")
    links = (facts.authority, *facts.intermediates, facts.server)
    chain = [certificate for certificate in dict.fromkeys(links) if certificate]
    wide = float(_WIDTH - 2 * _MARGIN)
    if not chain:
        none = "There is no certificate yet."
        return canvas.drawing(canvas.text((_MARGIN, 14, wide), none) + 14, none)
    now = facts.now
    first = min(now, *(certificate.not_before for certificate in chain))
    last = max(now, *(certificate.not_after for certificate in chain))

    def place(when: datetime.datetime) -> float:
        return round(_MARGIN + wide * ((when - first) / (last - first)), 1)

    today = f"today, {now:%Y-%m-%d}"
    is_late = place(now) > _WIDTH / 2
    below = canvas.text((place(now) - wide if is_late else place(now), 8, wide), today, fill=BLUE, end=is_late) + 6
    told = []
    for certificate in chain:
        renewed = None
        if certificate == facts.server and parameters.certificate_source == "issued":
            renewed = certificate.not_after - datetime.timedelta(days=parameters.renew_before_days)
        told.append(_told(certificate, facts, renewed))
        below = canvas.text((_MARGIN, below, wide), told[-1]) + 4
        start, end = place(certificate.not_before), place(certificate.not_after)
        colour = GREEN if _state(certificate, now) == "valid" else RED
        canvas.shape("rect", x=_MARGIN, y=below + 7, width=wide, height=2, fill="#d0d7de")
        canvas.shape("rect", x=start, y=below, width=max(end - start, 2.0), height=16, fill=colour)
        if renewed is not None and renewed > certificate.not_before:
            from_then = place(renewed)
            canvas.shape("rect", x=from_then, y=below + 10, width=max(end - from_then, 2.0), height=6, fill="#ffb77c")
        x = place(now)
        canvas.shape("line", x1=x, y1=below - 3, x2=x, y2=below + 19, stroke=BLUE, stroke_width=2)
        below += 28
    canvas.text((_MARGIN, below - 6, wide), f"{first:%Y-%m-%d}", fill=PALE)
    below = canvas.text((_MARGIN, below - 6, wide), f"{last:%Y-%m-%d}", fill=PALE, end=True)
    return canvas.drawing(below + 12, "\n".join(_printable(line) for line in (*told, today)))


def _state(certificate: Certificate, now: datetime.datetime) -> str:
    if certificate.not_after < now:
        return "EXPIRED"
    return "valid" if certificate.not_before <= now else "NOT YET VALID"


def _told(certificate: Certificate, facts: CertificateFacts, renewed: datetime.datetime | None) -> str:
    """Return what is to be said of a certificate."""
    roles = {facts.authority: "Authority", facts.server: "Server"}
    told = (
        f"{roles.get(certificate, 'Intermediate')} {certificate.subject}: {_state(certificate, facts.now)}, "
        f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
    )
    return told if renewed is None else f"{told}, renewed from {renewed:%Y-%m-%d}"


def conversation(results: Sequence[Result]) -> Drawing:
    """Return who asked what, and what was answered: an arrow that arrives, or a broken one that is stopped.

    What nobody was asked, as a look at the disk, is left out.
    """
    canvas = _Canvas(title="Who asked what, and what was answered")
    askers = dict.fromkeys(result.asker for result in results if result.asker)
    below, told = 8.0, []
    for asker in askers:
        below = canvas.text((_MARGIN, below + 6, 400), asker, bold=True, fill=BLUE)
        for result in [result for result in results if result.asker == asker]:
            below = _draw_answer(canvas, result, below + 4)
            told.append(_printable(f"{asker}: {result.claim}: {_answer(result)}"))
    return canvas.drawing(below + 12, "\n".join(told))


def _answer(result: Result) -> str:
    if not result.passed:
        return f"FAILED, expected {result.expected}, found {result.found}"
    word = "refused" if result.refusal else "works"
    return word if result.found == word else f"{word}, {result.found}"


def _draw_answer(canvas: _Canvas, result: Result, y: float) -> float:
    """Draw what was asked, an arrow below it, and beside that what was answered; return where it ends."""
    colour = (ORANGE if result.refusal else GREEN) if result.passed else RED
    asked_end = canvas.text((_MARGIN + 20, y, 380), result.claim)
    end = (432.0, asked_end + 4)
    canvas.arrow((_MARGIN + 20, asked_end + 4), end, stroke=colour, dashed=result.refusal)
    if result.refusal or not result.passed:
        canvas.shape("line", x1=end[0] + 3, y1=end[1] - 8, x2=end[0] + 3, y2=end[1] + 8, stroke=colour, stroke_width=3)
    answer = re.sub(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}", r"\1…", _answer(result))
    answered_end = canvas.text((452, y + 6, _WIDTH - 452 - _MARGIN), answer, fill=colour)
    return max(asked_end + 12, answered_end)
