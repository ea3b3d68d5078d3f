"""Pictures: well-formed, whole, readable without seeing them, and with nothing beyond their edges."""

import dataclasses
import itertools
import re
from xml.etree.ElementTree import Element, fromstring

import pytest
from rich.cells import cell_len

from runbook.display import pictures
from runbook.display.pictures import Drawing
from runbook.model.parameters import Parameters, read
from runbook.model.results import Result, refused, works
from tests.display.test_tables import contrast
from tests.sections.test_certificates import ADDRESS, AUTHORITY, DAY, MADE, NEW, NOW, SERVER

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert('1')</script> & \" ]]> \x1b[31m\x00\ud800"
LONG_NAME = ".".join(["a-label-of-a-name-that-is-longer-than-any-box-of-the-picture-is"] * 3)
DIGEST = f"sha256:{'0123456789abcdef' * 4}"
OWN = {"certificate_source": "own", "own_certificate_file": "/own/chain.pem", "own_key_file": "/own/key.pem"}
RESULTS = (
    works("planning again finds nothing to change", expected="0 changes", found="0 changes", remedy="r"),
    works("a login", expected=200, found=200, remedy="r", asker="a client"),
    refused("no login", expected=401, found=401, remedy="r", asker="a stranger"),
    refused("delete", expected="refused", found="refused", remedy="r", asker="a client"),
    refused("plain HTTP", expected=400, found=200, remedy="r", asker="a stranger"),
    works("the digest", expected=DIGEST, found=DIGEST, remedy="r", asker="a client"),
)
INTERMEDIATE = dataclasses.replace(AUTHORITY, subject="CN=公司 Issuing CA", not_after=NOW + 900 * DAY)
EXPIRED = dataclasses.replace(SERVER, subject="CN=server", not_before=NOW - 93 * DAY, not_after=NOW - 3 * DAY)
NAME = "CN=Registry Runbook CA,O=Registry Runbook"


def parameters(**values: object) -> Parameters:
    """Return parameters with these values."""
    return read(values, where="a test")


def talk(claim: str, found: str) -> Drawing:
    """Return a conversation of one failed claim."""
    return pictures.conversation([works(claim, expected="200", found=found, remedy="r", asker="a client")])


DRAWINGS = [
    pytest.param(pictures.deployment(parameters(), ADDRESS), id="deployment"),
    pytest.param(
        pictures.deployment(
            parameters(
                proxy="nginx",
                basic_address="0.0.0.0",  # noqa: S104 (where the basic registry may listen)
                extra_names=["b.test", LONG_NAME],
                insecure_registries=["10.1.2.3:5000", f"{LONG_NAME}:5000"],
                registry_mirrors=["https://mirror.test"],
            ),
            ADDRESS,
        ),
        id="deployment-nginx",
    ),
    pytest.param(
        pictures.deployment(
            parameters(
                domain=LONG_NAME,
                port=8443,
                basic_address=ADDRESS,
                private_directory=f"/{'p' * 200}",
                extra_addresses=["2001:db8:1234:5678:9abc:def0:1234:5678"],
                ca_common_name=f"公司证书{'W' * 52}",
            ),
            ADDRESS,
        ),
        id="deployment-long",
    ),
    pytest.param(pictures.deployment(parameters(**OWN), ADDRESS), id="deployment-own"),
    pytest.param(pictures.validity(MADE, parameters()), id="validity"),
    pytest.param(pictures.validity(NEW, parameters()), id="validity-none"),
    pytest.param(
        pictures.validity(
            dataclasses.replace(MADE, intermediates=(INTERMEDIATE, AUTHORITY), server=EXPIRED), parameters(**OWN)
        ),
        id="validity-expired",
    ),
    pytest.param(
        pictures.validity(dataclasses.replace(MADE, now=NOW + 3600 * DAY, server=None), parameters()),
        id="validity-late",
    ),
    pytest.param(
        pictures.validity(
            dataclasses.replace(MADE, authority=dataclasses.replace(AUTHORITY, subject=HOSTILE * 9)), parameters()
        ),
        id="validity-hostile",
    ),
    pytest.param(pictures.conversation(RESULTS), id="conversation"),
    pytest.param(pictures.conversation(RESULTS[1:] * 40), id="conversation-many"),
    pytest.param(talk(HOSTILE * 5, f"{HOSTILE}{'x' * 300}"), id="conversation-hostile"),
]


def elements(drawn: Drawing, name: str) -> list[Element]:
    """Return the elements of a name in a picture."""
    return fromstring(drawn.svg).findall(SVG + name)  # noqa: S314 (our own text)


def number(element: Element, *names: str) -> list[float]:
    """Return attributes of an element as numbers."""
    return [float(element.get(name, "nan")) for name in names]


def extent(element: Element) -> tuple[float, float, float, float]:
    """Return what an element covers: from left, top, to right, bottom."""
    if element.tag == f"{SVG}text":
        x, y = number(element, "x", "y")
        wide = cell_len(element.text or "") * 0.602 * 12  # the width of a letter in DejaVu Sans Mono, as in others
        left = x - wide if element.get("text-anchor") == "end" else x
        return left, y - 11, left + wide, y + 3
    if element.tag == f"{SVG}rect":
        x, y, wide, high = number(element, "x", "y", "width", "height")
        return x, y, x + wide, y + high
    if element.tag == f"{SVG}line":
        x1, y1, x2, y2 = number(element, "x1", "y1", "x2", "y2")
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
    points = [tuple(map(float, point.split(","))) for point in element.get("points", "").split()]
    across, down = zip(*points, strict=True)
    return min(across), min(down), max(across), max(down)


def squeezed(text: str) -> str:
    """Return a text without its spaces, so that it does not matter where a line ends."""
    return "".join(text.split())


@pytest.mark.parametrize("drawn", DRAWINGS)
def test_drawing_stays_inside_its_edges(drawn: Drawing) -> None:
    """Fails if a long name, many rows or a far date is cut off at an edge, or text lies over other text."""
    root = fromstring(drawn.svg)  # noqa: S314 (our own text)
    wide, high = number(root, "width", "height")
    assert root.get("viewBox") == f"0 0 {wide:g} {high:g}"
    drawn_elements = [element for element in root.iter() if element.tag in {f"{SVG}{name}" for name in SHAPES}]
    covered = [extent(element) for element in drawn_elements if element.get("fill") != pictures.PAPER]
    assert [box for box in covered if box[0] < 0 or box[1] < 0 or box[2] > wide or box[3] > high] == []
    texts = [extent(element) for element in drawn_elements if element.tag == f"{SVG}text"]
    over = [
        (one, other)
        for one, other in itertools.combinations(texts, 2)
        if one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
    ]
    assert over == []


SHAPES = ("text", "rect", "line", "polygon")


@pytest.mark.parametrize("drawn", DRAWINGS)
def test_drawing_says_the_same_in_its_text(drawn: Drawing) -> None:
    """Fails if somebody who does not see the picture is told less, or it has no title and description."""
    told = squeezed(drawn.text)
    lines = [squeezed((element.text or "").removesuffix("…")) for element in elements(drawn, "text")]
    assert [line for line in lines if line not in told] == []
    [title], [description] = elements(drawn, "title"), elements(drawn, "desc")
    assert title.text
    assert description.text == drawn.text
    assert repr(drawn) == drawn.text
    assert drawn._repr_mimebundle_() == {"image/svg+xml": drawn.svg, "text/plain": drawn.text}


@pytest.mark.parametrize("drawn", DRAWINGS)
def test_drawing_needs_nothing_from_outside_and_runs_nothing(drawn: Drawing) -> None:
    """Fails if text of a host becomes an element, or a page that shows the picture asks another address for a part."""
    found = list(fromstring(drawn.svg).iter())  # noqa: S314 (our own text)
    assert {element.tag for element in found} <= {f"{SVG}{name}" for name in ("svg", "title", "desc", *SHAPES)}
    attributes = [(name, value) for element in found for name, value in element.attrib.items()]
    assert [pair for pair in attributes if re.search(r"://|url\(|^on|href", " ".join(pair))] == []


def test_drawing_tells_text_from_markup() -> None:
    """Fails if a host's message is lost, because no XML may hold a part of it."""
    drawn = talk("a claim", HOSTILE)
    assert "found <script>alert('1')</script> & \" ]]>  [31m" in drawn.text
    assert "found<script>alert('1')</script>&\"]]>[31m" in squeezed(
        "".join(element.text or "" for element in elements(drawn, "text"))
    )


@pytest.mark.parametrize(
    ("values", "expected", "absent"),
    [
        pytest.param(
            {},
            [
                "This host, 192.168.1.2\n",
                "Docker Engine: finds registry.test at 192.168.1.2 (/etc/hosts); trusts /etc/docker/certs.d/",
                "Registry, https://registry.test: port 443, TLS: for registry.test; key and certificate in",
                "asks for a login: admin; configuration in /etc/docker/registry; images in the volume registry_",
                "http://127.0.0.1:5000: plain HTTP, no login, for this host alone; container registry, images in /opt/",
                "key in /etc/registry-runbook/ca/ca.key, for root alone",
                "Clients on other hosts: find registry.test at 192.168.1.2; trust the authority: ca.crt in /etc",
                "get both from the kit in /opt/registry-client-kit; docker login registry.test",
            ],
            ["nginx", "plain HTTP allowed", "asks first", "insecure_registries"],
            id="defaults",
        ),
        pytest.param(
            {"proxy": "nginx", "port": 8443, "extra_names": ["b.test"], "extra_addresses": ["10.1.1.1"]},
            [
                "nginx, https://registry.test:8443: port 8443, TLS: for registry.test, b.test; key and certificate in",
                "passes on to 127.0.0.1:5002, plain HTTP",
                "Registry behind nginx, 127.0.0.1:5002: plain HTTP, for this host alone; asks for a login",
                "/etc/docker/certs.d/registry.test:8443",
            ],
            ["Registry, https"],
            id="nginx",
        ),
        pytest.param(
            {"basic_address": "0.0.0.0", "insecure_registries": ["a:1", "b:2"], "registry_mirrors": ["https://m.test"]},  # noqa: S104
            ["plain HTTP allowed for a:1, b:2; asks first https://m.test", "insecure_registries: 192.168.1.2:5000"],
            ["for this host alone"],
            id="open-basic-registry",
        ),
        pytest.param({"basic_address": "10.1.1.1"}, ["insecure_registries: 10.1.1.1:5000"], [], id="one-address"),
        pytest.param(
            OWN, ["brought along: /own/chain.pem, which clients trust"], ["ca.key"], id="own-chain-with-its-root"
        ),
        pytest.param({**OWN, "own_authority_file": "/own/root.pem"}, ["along: /own/root.pem"], ["ca.key"], id="own"),
        pytest.param({"extra_addresses": ["2001:db8::1"]}, ["TLS: for registry.test, 2001:db8::1;"], [], id="ipv6"),
    ],
)
def test_deployment_says_what_the_parameters_say(
    values: dict[str, object], expected: list[str], absent: list[str]
) -> None:
    """Fails if a name, a port or a trust is left out, or something is drawn that this deployment does not have."""
    text = pictures.deployment(parameters(**values), ADDRESS).text
    assert [part for part in expected if part not in text] == []
    assert [part for part in absent if part in text] == []


def test_validity_gives_dates_and_state_of_each_certificate() -> None:
    """Fails if an expired certificate looks like a valid one, or a renewal is promised that nobody makes."""
    assert pictures.validity(MADE, parameters()).text.splitlines() == [
        f"Authority {NAME}: valid, from 2025-12-22 to 2035-12-20",
        f"Server {NAME}: valid, from 2025-12-22 to 2026-12-23, renewed from 2026-11-23",
        "today, 2026-01-01",
    ]
    future = dataclasses.replace(INTERMEDIATE, not_before=NOW + DAY)
    brought = dataclasses.replace(MADE, intermediates=(future,), server=EXPIRED)
    assert pictures.validity(brought, parameters(**OWN)).text.splitlines()[1:] == [
        "Intermediate CN=公司 Issuing CA: NOT YET VALID, from 2026-01-02 to 2028-06-19",
        "Server CN=server: EXPIRED, from 2025-09-30 to 2025-12-29",
        "today, 2026-01-01",
    ]


def test_validity_places_dates_on_one_line() -> None:
    """Fails if a bar is not as long as its certificate lasts, or today and the renewal stand elsewhere."""
    later = dataclasses.replace(SERVER, not_before=NOW, not_after=NOW + 366 * DAY)
    drawn = pictures.validity(dataclasses.replace(MADE, server=later), parameters())
    a_day = 768 / 3650
    bars = [
        number(element, "x", "width") for element in elements(drawn, "rect") if element.get("height") in ("16", "6")
    ]
    today = [number(element, "x1")[0] for element in elements(drawn, "line")]
    expected = [[16, 768], [16 + 10 * a_day, 366 * a_day], [16 + 346 * a_day, 30 * a_day]]
    assert bars == [pytest.approx(pair, abs=0.15) for pair in expected]
    assert today == [pytest.approx(16 + 10 * a_day, abs=0.15)] * 2
    colours = [
        element.get("fill")
        for element in elements(pictures.validity(dataclasses.replace(MADE, server=EXPIRED), parameters()), "rect")
        if element.get("height") == "16"
    ]
    assert colours == [pictures.GREEN, pictures.RED]


def test_conversation_groups_by_asker_and_stops_what_is_refused() -> None:
    """Fails if an answer stands under another asker, what nobody asked is drawn, or only colour tells refusals."""
    drawn = pictures.conversation(RESULTS)
    assert drawn.text.splitlines() == [
        "a client: a login: works, 200",
        "a client: delete: refused",
        f"a client: the digest: works, {DIGEST}",
        "a stranger: no login: refused, 401",
        "a stranger: plain HTTP: FAILED, expected 400, found 200",
    ]
    lines = elements(drawn, "line")
    arrows = [line.get("stroke-dasharray") is not None for line in lines if line.get("stroke-width") == "1.5"]
    bars = [line.get("stroke") for line in lines if line.get("stroke-width") == "3"]
    assert arrows == [False, True, False, True, True]
    assert bars == [pictures.ORANGE, pictures.ORANGE, pictures.RED]


def test_conversation_is_stopped_where_a_claim_failed() -> None:
    """Fails if what should work, and does not, is drawn as if it had arrived."""
    failed = dataclasses.replace(RESULTS[1], passed=False, found="500")
    lines = elements(pictures.conversation([failed]), "line")
    assert [line.get("stroke") for line in lines] == [pictures.RED] * 2


@pytest.mark.parametrize("colour", ["INK", "PALE", "GREEN", "ORANGE", "RED", "BLUE"])
def test_colours_read_on_the_paper(colour: str) -> None:
    """Fails if text is too pale to be read: 4.5 to 1 is asked for."""
    parts = [[int(text[n : n + 2], 16) for n in (1, 3, 5)] for text in (getattr(pictures, colour), pictures.PAPER)]
    assert contrast(*parts) >= 4.5


def test_result_without_asker_leaves_an_empty_conversation() -> None:
    """Fails if a picture of nothing raises."""
    results: list[Result] = [RESULTS[0]]
    assert pictures.conversation(results).text == ""
