"""The data of a run: the content of `report.json` and of `--json`; report.schema.json is its schema."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

SCHEMA_FILE = Path(__file__).with_name("report.schema.json")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
Ending = Literal["done", "failed", "interrupted"]

_CLOSED = ConfigDict(frozen=True, extra="forbid")


class Change(BaseModel):
    """One change; further names are those of its kind."""

    model_config = ConfigDict(frozen=True, extra="allow")

    change: str = Field(description="kind of the change")
    summary: str = Field(description="the change in one line")


class Outcome(BaseModel):
    """What became of one change."""

    model_config = _CLOSED

    change: Change
    state: str = Field(description="done, or left to you")
    seconds: float
    note: str = Field(description="what the change says of itself, or empty")


class Proof(BaseModel):
    """One claim, tried from outside."""

    model_config = _CLOSED

    claim: str
    refusal: bool = Field(description="whether the claim is that something is refused")
    expected: str
    found: str
    passed: bool
    remedy: str


class Diagnosis(BaseModel):
    """A cause of what went wrong that a check has confirmed."""

    model_config = _CLOSED

    name: str = Field(description="name of the cause in the catalogue")
    cause: str
    found: str = Field(description="what the check found")
    remedy: str
    command: str = Field(description="what carries the remedy out; empty where that is left to a person")


class Step(BaseModel):
    """The cells below one heading."""

    model_config = _CLOSED

    heading: str
    started: AwareDatetime
    seconds: float


class NotebookRun(BaseModel):
    """What one notebook's run did: the data behind its tables, its times, and its error where it failed."""

    model_config = _CLOSED

    notebook: str
    title: str = Field(default="", description="first heading of the notebook")
    output: Path = Field(description="the executed notebook")
    result: Ending
    started: AwareDatetime
    seconds: float
    steps: tuple[Step, ...] = Field(default=(), description="in their order; the kernel starts before the first")
    changes: tuple[Change, ...] = Field(default=(), description="the plan")
    outcomes: tuple[Outcome, ...] = Field(default=(), description="what became of the changes; none in mode plan")
    results: tuple[Proof, ...] = Field(default=(), description="the proof; none in mode plan")
    waits: str | None = Field(default=None, description="what an earlier notebook has to provide before the plan")
    error: str | None = None
    note: str = Field(default="", description="what somebody wrote in the notebook's cell for it")
    diagnosis: tuple[Diagnosis, ...] = Field(default=(), description="the causes that are confirmed, the root first")

    @property
    def changed(self) -> int:
        """The number of changes that were made."""
        return sum(outcome.state == "done" for outcome in self.outcomes)

    @property
    def passed(self) -> int:
        """The number of claims that hold."""
        return sum(result.passed for result in self.results)

    @property
    def failed(self) -> list[str]:
        """The claims that do not hold, each once, with what repairs it."""
        failed = [item for item in self.results if not item.passed]
        return list(
            dict.fromkeys(
                f"{item.claim}: expected {item.expected}; found {item.found}. To repair: {item.remedy}."
                for item in failed
            )
        )

    @property
    def failure(self) -> str:
        """What ended it: how many proofs failed, or else the error."""
        failed = len(self.results) - self.passed
        return f"{failed} of {len(self.results)} proofs failed" if failed else self.error or ""


class Record(BaseModel):
    """A run of registry-runbook."""

    model_config = _CLOSED

    folder: Path = Field(description="folder of the record")
    passed: bool = Field(description="whether all notebooks ended without an error")
    result: Ending
    mode: Literal["apply", "plan"]
    started: AwareDatetime
    seconds: float
    go_on: str | None = Field(description="command that goes on after a failure, where it is known")
    parameters: dict[str, Any] = Field(description="the parameters that were given; all others had their defaults")
    versions: dict[str, str] = Field(description="versions of the parts, as they were at the end of the run")
    host: dict[str, str] = Field(description="what the host is")
    notebooks: tuple[NotebookRun, ...]

    def as_json(self) -> str:
        """Return the content of `report.json`."""
        return self.model_dump_json(indent=2) + "\n"


def schema() -> str:
    """Return the JSON Schema of `report.json`."""
    plain = {"$schema": DIALECT, **Record.model_json_schema(mode="serialization")}
    return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
