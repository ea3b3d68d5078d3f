"""70-clients: what a kit is made of, when it is made anew, and what is never written over."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.changes.base import Change
from runbook.changes.containers import PushClientImage
from runbook.changes.files import CopyFile, MakeDirectory, SetMode, WriteFile
from runbook.model.errors import HostError, MissingError
from runbook.model.parameters import Parameters, read
from runbook.operations import clients
from runbook.operations.clients import ClientFacts
from runbook.system.registry import client_kit

PARAMETERS = read({"port": 8443}, where="a test")
FOLDER = Path("/opt/registry-client-kit")
AUTHORITY, FINGERPRINT = "-----BEGIN CERTIFICATE-----\n…\n", "ab" * 32
SCRIPT = client_kit.script(
    registry="registry.test:8443", name="registry.test", address="192.168.1.2", reference="runbook/client-check:1"
)
TOLD = client_kit.fingerprint_text(FINGERPRINT)
NEW = ClientFacts(
    address="192.168.1.2",
    authority=AUTHORITY,
    fingerprint=FINGERPRINT,
    directory_exists=False,
    kit=(),
    others=(),
    in_registry=None,
)
KIT = {
    client_kit.SCRIPT: (SCRIPT, 0o755),
    client_kit.CERTIFICATE: (AUTHORITY, 0o644),
    client_kit.FINGERPRINT: (TOLD, 0o644),
}
MADE = dataclasses.replace(NEW, directory_exists=True, kit=tuple(KIT.items()), in_registry=client_kit.image().digest)
WRITE_SCRIPT = WriteFile(path=FOLDER / client_kit.SCRIPT, before=None, after=SCRIPT, mode=0o755)
COPY = CopyFile(source=Path("/etc/registry-runbook/ca/ca.crt"), path=FOLDER / client_kit.CERTIFICATE, mode=0o644)
WRITE_TOLD = WriteFile(path=FOLDER / client_kit.FINGERPRINT, before=None, after=TOLD, mode=0o644)
PUSH = PushClientImage(
    registry="registry.test:8443",
    reference="runbook/client-check:1",
    digest=client_kit.image().digest,
    authority_path=Path("/etc/registry-runbook/ca/ca.crt"),
    username="admin",
    password_file=Path("/etc/registry-runbook/secrets/password-admin"),
)


def but(**files: tuple[str, int]) -> ClientFacts:
    """Return the facts of a kit that is there, but for some of its files."""
    named = {name.replace("_", "-").replace("--", "."): found for name, found in files.items()}
    return dataclasses.replace(MADE, kit=tuple((KIT | named).items()))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(
            NEW, [MakeDirectory(path=FOLDER, mode=0o755), WRITE_SCRIPT, COPY, WRITE_TOLD, PUSH], id="nothing-there"
        ),
        pytest.param(MADE, [], id="made"),
        pytest.param(dataclasses.replace(MADE, in_registry=None), [PUSH], id="image-gone"),
        pytest.param(
            dataclasses.replace(MADE, kit=((client_kit.SCRIPT, (SCRIPT, 0o755)),)), [COPY, WRITE_TOLD], id="broken-off"
        ),
        pytest.param(
            but(ca__crt=("of an earlier authority", 0o644), ca__crt__fingerprint=("earlier\n", 0o644)),
            [COPY, dataclasses.replace(WRITE_TOLD, before="earlier\n")],
            id="another-authority",
        ),
        pytest.param(
            but(trust_registry__sh=("of another address", 0o755)),
            [dataclasses.replace(WRITE_SCRIPT, before="of another address")],
            id="another-script",
        ),
        pytest.param(
            but(trust_registry__sh=(SCRIPT, 0o777)),
            [SetMode(path=FOLDER / client_kit.SCRIPT, before=0o777, after=0o755)],
            id="anybody-may-write-it",
        ),
    ],
)
def test_plan_makes_what_is_missing(facts: ClientFacts, expected: list[Change]) -> None:
    """Fails if a kit lacks a file, is older than the authority, or a second run makes it again."""
    assert clients.plan(PARAMETERS, facts) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(dataclasses.replace(MADE, others=("id_rsa",)), "id_rsa", id="beside-the-kit"),
        pytest.param(dataclasses.replace(NEW, others=("notes",)), "notes", id="no-kit"),
        pytest.param(
            dataclasses.replace(NEW, kit=((client_kit.CERTIFICATE, ("theirs", 0o644)),)), "ca.crt", id="their-ca"
        ),
        pytest.param(dataclasses.replace(NEW, in_registry="sha256:theirs"), "sha256:theirs", id="their-image"),
    ],
)
def test_plan_refuses_what_is_somebody_else_s(facts: ClientFacts, expected: str) -> None:
    """Fails if a file of somebody else's is handed out or written over, or a tag of theirs moved."""
    with pytest.raises(HostError) as caught:
        clients.plan(PARAMETERS, facts)
    assert caught.value.found == expected


def test_plan_hands_out_no_secret() -> None:
    """Fails if a text of the kit could hold a secret: none has a placeholder, and the authority's key is not copied."""
    changes = clients.plan(PARAMETERS, NEW)
    assert [change.secrets for change in changes if isinstance(change, WriteFile)] == [(), ()]
    assert [change.source.name for change in changes if isinstance(change, CopyFile)] == ["ca.crt"]


def test_gather_names_the_notebook_that_is_missing(make_parameters: Callable[..., Parameters]) -> None:
    """Fails if a host without an authority ends in a traceback."""
    with pytest.raises(MissingError, match="run the notebook 30-certificates"):
        clients.gather(make_parameters())
