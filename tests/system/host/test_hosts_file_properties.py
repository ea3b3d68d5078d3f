"""/etc/hosts whatever it holds: the name gets its one address, and what others wrote stays, byte for byte."""

from hypothesis import given
from hypothesis import strategies as st

from runbook.system.host.hosts_file import is_made_from, with_name, without_block

NAME, ADDRESS = "registry.test", "192.168.1.2"
BEGIN, END = "# registry-runbook begin", "# registry-runbook end"
BLOCK = f"{BEGIN}\n{ADDRESS} {NAME}\n{END}\n"
ANY_LINE = st.text(st.characters(codec="utf-8", exclude_characters="\n"))
NAMES = st.sampled_from(["localhost", "other.test", "my.registry.test", "registry.test.org", "x"])
ENTRY = st.builds(
    lambda address, blank, names, end: f"{address}{blank}{blank.join(names)}{end}",
    st.sampled_from(["127.0.0.1", "10.0.0.9", "::1"]),
    st.sampled_from([" ", "\t", "  \t "]),
    st.lists(NAMES, min_size=1, max_size=4),
    st.sampled_from(["", " ", " # a comment", "#registry.test", "\r"]),
)
FOREIGN = st.lists((ANY_LINE | ENTRY).filter(lambda line: NAME not in line.partition("#")[0].lower().split()))
OURS = st.sampled_from(
    [f"{ADDRESS} {NAME}", f"127.0.0.1\t{NAME.upper()} # old", f"{NAME} 127.0.0.1", *BLOCK.splitlines(), BLOCK[:-1]]
)


@given(lines=FOREIGN, end=st.sampled_from(["", "\n"]))
def test_with_name_keeps_every_foreign_line(lines: list[str], end: str) -> None:
    """Fails if a byte of a line without the name is lost, added or moved, whatever control characters it holds."""
    text = "\n".join(lines) + (end if lines else "")
    expected = "".join(f"{line}\n" for line in text.removesuffix("\n").split("\n")) if text else ""
    found = with_name(text, ADDRESS, NAME)
    assert expected + BLOCK == found
    assert found == with_name(found, ADDRESS, NAME)
    assert is_made_from(found, text)
    assert expected == without_block(found)


def others(lines: list[str]) -> list[str]:
    """Return the lines that are not the name's, nor between a marker that begins a block and the next that ends one."""
    kept: list[str] = []
    begun: int | None = None
    for line in lines:
        if line == BEGIN:
            begun = len(kept)
        elif line == END:
            del kept[len(kept) if begun is None else begun :]
            begun = None
        elif NAME not in line.partition("#")[0].lower().split():
            kept.append(line)
    return kept


@given(st.lists(ENTRY | OURS))
def test_with_name_among_lines_of_ours_keeps_the_others(drawn: list[str]) -> None:
    """Fails if an old line, a block or half of one takes a foreign line with it, or a second run writes again."""
    text = "".join(f"{line}\n" for line in drawn)
    found = with_name(text, ADDRESS, NAME)
    assert "".join(f"{line}\n" for line in others(text.split("\n")[:-1])) + BLOCK == found
    assert found == with_name(found, ADDRESS, NAME)
