"""What test hosts need of this machine, and how it is said where it is not there."""

import sys

import pytest

from .hosts.needs import find_lacking

# Nothing listens on port 9 of this machine: discard, RFC 863.
NOWHERE = "http://127.0.0.1:9/debian"
FAILS = (sys.executable, "-c", "import sys; sys.exit('no index here')")
WORKS = (sys.executable, "-c", "")


@pytest.mark.parametrize(
    ("user", "mirror", "pip", "expected"),
    [
        pytest.param(1000, NOWHERE, FAILS, ["expected root, who can start test hosts; found user 1000."], id="no-root"),
        pytest.param(0, NOWHERE, WORKS, [f"expected Debian's packages at {NOWHERE}; found"], id="no-mirror"),
        pytest.param(
            0,
            NOWHERE,
            FAILS,
            ["expected Debian's packages", "expected Python's package index to give six==1.17.0; found no index here."],
            id="no-index",
        ),
    ],
)
def test_find_lacking_names_what_to_repair(
    user: int, mirror: str, pip: tuple[str, ...], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails where something that test hosts need is not missed, or is missed without words for it."""
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/apt-get")
    found = [*find_lacking(user=user, mirror=mirror, pip=pip)]
    assert [line.startswith(words) for line, words in zip(found, expected, strict=True)] == [True] * len(expected)
    assert all("To repair: " in line for line in found)


def test_find_lacking_takes_what_answers(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Fails where a mirror and an index that answer are said to be lacking."""
    mirror = tmp_path_factory.mktemp("mirror")
    (mirror / "dists" / "bookworm").mkdir(parents=True)
    (mirror / "dists" / "bookworm" / "InRelease").write_text("Suite: bookworm\n", encoding="ascii")
    assert [*find_lacking(user=0, mirror=mirror.as_uri(), pip=WORKS)] == []
