"""Pictures as SVG, each with an equivalent text: a deployment, a chain's validity, requests and their responses.

Each has its own background, which makes it readable on light and dark pages, and a monospaced font, which makes the
width of a line known without a browser.
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
from runbook.model.words import say
from runbook.sections.certificates import CertificateFacts
from runbook.system.certificates.tls import Certificate

INK, PALE, PAPER = "#1f2328", "#57606a", "#ffffff"
GREEN, ORANGE, RED, BLUE = "#116329", "#953800", "#a40e26", "#0550ae"
_WIDTH, _MARGIN = 800, 16  # in pixels, as all positions and sizes; JupyterLab has 800 beside its table of contents
_LETTER, _LINE = 7.25, 17  # width of a letter and height of a line at font size 12
_Area = tuple[float, float, float]  # left, top, width
FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A picture and its equivalent text."""

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
    """An SVG under construction."""

    title: str
    root: Element = field(default_factory=lambda: Element("svg"))

    def shape(self, name: str, **attributes: object) -> Element:
        """Add an element; an underscore in an attribute's name becomes a hyphen."""
        plain = {
            key.replace("_", "-"): f"{value:g}" if isinstance(value, float) else str(value)
            for key, value in attributes.items()
        }
        return SubElement(self.root, name, plain)

    def text(self, area: _Area, content: str, *, fill: str = INK, bold: bool = False, end: bool = False) -> float:
        """Write a text, wrapped to the area's width, and return its bottom edge; `end` aligns it right."""
        x, y, width = area
        anchor = {"text_anchor": "end"} if end else {}
        weight = {"font_weight": "bold"} if bold else {}
        for line in _lines(say(content), width):
            y += _LINE
            self.shape("text", x=x + width if end else x, y=y - 4, fill=fill, **anchor, **weight).text = line
        return y

    def box(self, x: float, y: float, width: float, height: float, *, stroke: str) -> None:
        """Draw a box with rounded corners."""
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
        """Return the finished picture with this height."""
        size = {"width": f"{_WIDTH}", "height": f"{height:g}"}
        self.root.attrib |= {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {_WIDTH} {height:g}", **size}
        self.root.attrib |= {"role": "img", "font-family": FONT, "font-size": "12", "style": "max-width:100%"}
        title, description = Element("title"), Element("desc")
        title.text, description.text = say(self.title), text
        background = Element("rect", {**size, "rx": "8", "fill": PAPER})
        self.root[:0] = [title, description, background]
        return Drawing(svg=tostring(self.root, encoding="unicode"), text=text)


def _printable(text: str) -> str:
    """Replace unprintable characters, which XML forbids, by spaces: a message may hold terminal codes."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _lines(text: str, width: float) -> list[str]:
    """Wrap a text to a width in pixels; a word that is too long is split."""
    return [line.plain.rstrip() for line in Text(_printable(text)).wrap(Console(), int(width / _LETTER))]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """A part of a deployment, with a line for each fact about it."""

    title: str
    facts: tuple[str, ...]
    stroke: str = PALE

    def draw(self, canvas: _Canvas, x: float, y: float, width: float, *, framed: bool = True) -> float:
        """Write title and facts, in a box if `framed`, and return the bottom edge."""
        end = canvas.text((x + 10, y + 6, width - 20), self.title, bold=True, fill=self.stroke)
        for fact in self.facts:
            end = canvas.text((x + 10, end, width - 20), fact)
        if framed:
            canvas.box(x, y, width, end + 8 - y, stroke=self.stroke)
        return end + 8

    def text(self) -> str:
        """Return title and facts as one line."""
        return _printable(f"{say(self.title)}: {'; '.join(map(say, self.facts))}")


def deployment(parameters: Parameters, address: str) -> Drawing:
    """Return a deployment on a host with this address: what listens where, and who trusts what."""
    front, registry, basic = _front(parameters), _registry(parameters), _basic(parameters)
    engine, authority = _engine(parameters, address), _authority(parameters)
    clients, insecure = _clients(parameters, address), _insecure_clients(parameters, address)
    host = _Part(title=f"This host, {address}", facts=())
    canvas = _Canvas(title=f"The registry {parameters.registry_host}: what listens where, and who trusts what")
    left, inside = 352.0, 412.0  # left edge and width of the boxes on the host
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
    parts = [host, front, engine, registry, basic, authority, clients, insecure]
    text = "\n".join(part.text().removesuffix(": ") for part in parts if part)
    return canvas.drawing(authority_end + 10 + _MARGIN, text)


def _draw_clients(canvas: _Canvas, clients: _Part, y: float, left: float) -> float:
    """Draw clients on the left, with an arrow to the box beside them, and return their bottom edge."""
    canvas.arrow((_MARGIN + 275, y + 18), (left, y + 18), stroke=clients.stroke)
    return clients.draw(canvas, _MARGIN, y, 275)


def _tls(parameters: Parameters, *names: str) -> tuple[str, str]:
    """Return the facts about an endpoint with TLS for these names."""
    return (
        f"port {parameters.port}, TLS: for {', '.join((parameters.domain, *names))}",
        f"key and certificate in {parameters.certificate_path}",
    )


def _front(parameters: Parameters) -> _Part | None:
    """Return nginx in front of the registry, None if there is none."""
    if parameters.proxy == "none":
        return None
    return _Part(
        title=f"nginx, https://{parameters.registry_host}",
        facts=(
            *_tls(parameters, *parameters.extra_names),
            f"passes on to 127.0.0.1:{parameters.backend_port}, plain HTTP",
        ),
        stroke=GREEN,
    )


def _registry(parameters: Parameters) -> _Part:
    title = f"Registry, https://{parameters.registry_host}"
    endpoint: tuple[str, ...] = _tls(parameters, *parameters.extra_names, *parameters.extra_addresses)
    if parameters.proxy == "nginx":
        title = f"Registry behind nginx, 127.0.0.1:{parameters.backend_port}"
        endpoint = ("plain HTTP, for this host alone",)
    return _Part(
        title=title,
        facts=(
            *endpoint,
            f"asks for a login: {parameters.username}",
            f"configuration in {parameters.configuration_directory}",
            f"images in the volume {parameters.compose_project}_{parameters.data_volume}",
        ),
        stroke=GREEN,
    )


def _basic(parameters: Parameters) -> _Part:
    is_local = ipaddress.ip_address(parameters.basic_address).is_loopback
    return _Part(
        title=f"Basic registry, http://{parameters.basic_address}:{parameters.basic_port}",
        facts=(
            "plain HTTP, no login, for this host alone" if is_local else "plain HTTP, no login",
            f"container {parameters.basic_container}, images in {parameters.basic_data_directory}",
        ),
        stroke=ORANGE,
    )


def _engine(parameters: Parameters, address: str) -> _Part:
    lists = (("plain HTTP allowed for", parameters.insecure_registries), ("asks first", parameters.registry_mirrors))
    return _Part(
        title="Docker Engine",
        facts=(
            f"finds {parameters.domain} at {address} (/etc/hosts)",
            f"trusts {parameters.trust_path}",
            *(f"{name} {', '.join(entries)}" for name, entries in lists if entries),
        ),
    )


def _authority(parameters: Parameters) -> _Part:
    if parameters.certificate_source == "own":
        source = parameters.own_authority_file or parameters.own_certificate_file
        return _Part(title="Certificate authority, brought along", facts=(f"{source}, which clients trust",))
    return _Part(
        title=f"Certificate authority, {parameters.ca_common_name}",
        facts=(f"key in {parameters.ca_key_path}, for root alone", f"clients trust {parameters.ca_certificate_path}"),
    )


def _clients(parameters: Parameters, address: str) -> _Part:
    return _Part(
        title="Clients on other hosts",
        facts=(
            f"find {parameters.domain} at {address}",
            f"trust the authority: ca.crt in {parameters.trust_path.parent}",
            f"get both from the kit in {parameters.client_kit_directory}",
            f"docker login {parameters.registry_host}",
        ),
        stroke=BLUE,
    )


def _insecure_clients(parameters: Parameters, address: str) -> _Part | None:
    """Return the hosts that may use the basic registry, None if it listens on the loopback."""
    basic_address = ipaddress.ip_address(parameters.basic_address)
    if basic_address.is_loopback:
        return None
    entry = f"{address if basic_address.is_unspecified else parameters.basic_address}:{parameters.basic_port}"
    return _Part(title="Hosts that allow plain HTTP", facts=(f"insecure_registries: {entry}",), stroke=ORANGE)


def validity(facts: CertificateFacts, parameters: Parameters) -> Drawing:
    """Return a chain's certificates on one time line, with today and the first day of the server's renewal."""
    canvas = _Canvas(title="How long the certificates are valid")
    links = (facts.authority, *facts.intermediates, facts.server)
    chain = [certificate for certificate in dict.fromkeys(links) if certificate]
    width = float(_WIDTH - 2 * _MARGIN)
    if not chain:
        text = say("There is no certificate yet.")
        return canvas.drawing(canvas.text((_MARGIN, 14, width), text) + 14, text)
    now = facts.now
    first = min(now, *(certificate.not_before for certificate in chain))
    last = max(now, *(certificate.not_after for certificate in chain))

    def position(time: datetime.datetime) -> float:
        return round(_MARGIN + width * ((time - first) / (last - first)), 1)

    today, x = say(f"today, {now:%Y-%m-%d}"), position(now)
    is_late = x > _WIDTH / 2
    below = canvas.text((x - width if is_late else x, 8, width), today, fill=BLUE, end=is_late) + 6
    descriptions = []
    for certificate in chain:
        renewed = None
        if certificate == facts.server and parameters.certificate_source == "issued":
            renewed = certificate.not_after - datetime.timedelta(days=parameters.renew_before_days)
        descriptions.append(_description(certificate, facts, renewed))
        below = canvas.text((_MARGIN, below, width), descriptions[-1]) + 4
        start, end = position(certificate.not_before), position(certificate.not_after)
        colour = GREEN if _state(certificate, now) == "valid" else RED
        canvas.shape("rect", x=_MARGIN, y=below + 7, width=width, height=2, fill="#d0d7de")
        canvas.shape("rect", x=start, y=below, width=max(end - start, 2.0), height=16, fill=colour)
        if renewed is not None and renewed > certificate.not_before:
            renewal = position(renewed)
            canvas.shape("rect", x=renewal, y=below + 10, width=max(end - renewal, 2.0), height=6, fill="#ffb77c")
        canvas.shape("line", x1=x, y1=below - 3, x2=x, y2=below + 19, stroke=BLUE, stroke_width=2)
        below += 28
    canvas.text((_MARGIN, below - 6, width), f"{first:%Y-%m-%d}", fill=PALE)
    below = canvas.text((_MARGIN, below - 6, width), f"{last:%Y-%m-%d}", fill=PALE, end=True)
    return canvas.drawing(below + 12, "\n".join(_printable(line) for line in (*descriptions, today)))


def _state(certificate: Certificate, now: datetime.datetime) -> str:
    if certificate.not_after < now:
        return "EXPIRED"
    return "valid" if certificate.not_before <= now else "NOT YET VALID"


def _description(certificate: Certificate, facts: CertificateFacts, renewed: datetime.datetime | None) -> str:
    """Return a certificate's role, subject, state and validity."""
    roles = {facts.authority: "Authority", facts.server: "Server"}
    text = (
        f"{roles.get(certificate, 'Intermediate')} {certificate.subject}: {_state(certificate, facts.now)}, "
        f"from {certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
    )
    return say(text if renewed is None else f"{text}, renewed from {renewed:%Y-%m-%d}")


def conversation(results: Sequence[Result]) -> Drawing:
    """Return requests and their responses: a solid arrow if accepted, a dashed and stopped one if refused.

    Results without an asker, such as those about files, are left out.
    """
    canvas = _Canvas(title="Who asked what, and what was answered")
    askers = dict.fromkeys(result.asker for result in results if result.asker)
    below, lines = 8.0, []
    for asker in askers:
        below = canvas.text((_MARGIN, below + 6, 400), asker, bold=True, fill=BLUE)
        for result in [result for result in results if result.asker == asker]:
            below = _draw_result(canvas, result, below + 4)
            lines.append(_printable(f"{say(asker)}: {say(result.claim)}: {_answer(result)}"))
    return canvas.drawing(below + 12, "\n".join(lines))


def _answer(result: Result) -> str:
    if not result.passed:
        return say(f"FAILED, expected {result.expected}, found {result.found}")
    status = "refused" if result.refusal else "works"
    return say(status) if result.found == status else f"{say(status)}, {say(result.found)}"


def _draw_result(canvas: _Canvas, result: Result, y: float) -> float:
    """Draw a claim, an arrow below it, and the answer on the right; return the bottom edge."""
    colour = (ORANGE if result.refusal else GREEN) if result.passed else RED
    claim_end = canvas.text((_MARGIN + 20, y, 380), result.claim)
    arrow_x, arrow_y = 432.0, claim_end + 4
    canvas.arrow((_MARGIN + 20, arrow_y), (arrow_x, arrow_y), stroke=colour, dashed=result.refusal)
    if result.refusal or not result.passed:
        x = arrow_x + 3
        canvas.shape("line", x1=x, y1=arrow_y - 8, x2=x, y2=arrow_y + 8, stroke=colour, stroke_width=3)
    answer = re.sub(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}", r"\1…", _answer(result))
    answer_end = canvas.text((452, y + 6, _WIDTH - 452 - _MARGIN), answer, fill=colour)
    return max(claim_end + 12, answer_end)
