"""The data of a run: what a program that reads report.json may rely on."""

import json
from typing import Any

import jsonschema
import pytest

from runbook.record import model
from runbook.record.model import Record
from tests.records import BAD, FOLDER, GOOD, record


def published() -> dict[str, Any]:
    """Return the schema that the project publishes."""
    found: dict[str, Any] = json.loads(model.SCHEMA_FILE.read_text(encoding="utf-8"))
    return found


def test_published_schema_is_that_of_the_model() -> None:
    """Fails if the file in the tree says something else than what a run writes: make it anew as CONTRIBUTING says."""
    assert model.schema() == model.SCHEMA_FILE.read_text(encoding="utf-8")
    jsonschema.Draft202012Validator.check_schema(published())


def test_record_keeps_everything_and_fits_its_schema() -> None:
    """Fails if a part of a run is lost in its file, or the file is not what the schema says."""
    whole = record(GOOD, BAD, go_on="./script/run 50-compose")
    assert whole == Record.model_validate_json(whole.as_json())
    plain = json.loads(whole.as_json())
    jsonschema.validate(plain, published(), format_checker=jsonschema.FormatChecker())
    assert (plain["folder"], plain["passed"], plain["result"]) == (str(FOLDER), False, "failed")
    first, second = plain["notebooks"]
    assert {"notebook", "output", "seconds", "changes", "outcomes", "results", "waits", "error"} <= first.keys()
    assert first["changes"] == [
        {"change": "MakeDirectory", "summary": "make the folder /p (0700)", "path": "/p", "mode": 0o700}
    ]
    assert (first["error"], second["error"]) == (None, "CheckError: expected [401]")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("passed",), "yes", id="type"),
        pytest.param(("more",), 1, id="name"),
        pytest.param(("notebooks", 0, "result"), "perhaps", id="word"),
        pytest.param(("notebooks", 0, "outcomes", 0, "seconds"), None, id="below"),
    ],
)
def test_schema_refuses_what_no_run_writes(path: tuple[Any, ...], value: object) -> None:
    """Fails if the schema takes anything at all."""
    plain = json.loads(record(GOOD).as_json())
    *above, last = path
    part = plain
    for name in above:
        part = part[name]
    part[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain, published())


def test_counts_are_of_what_was_made_and_what_holds() -> None:
    """Fails if a change that is left to the user, or a claim that does not hold, is counted."""
    left = GOOD.outcomes[0].model_copy(update={"state": "left to you"})
    assert (GOOD.changed, GOOD.model_copy(update={"outcomes": (left, *GOOD.outcomes)}).changed) == (1, 1)
    assert (GOOD.passed, BAD.passed) == (1, 1)
