"""JUnit XML for programs that read test results: one suite a notebook, one case a claim."""

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from runbook.model.results import Result
from runbook.record.model import NotebookRun, Proof, Record

_NO_XML = r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # XML 1.0, section 2.2


def text(record: Record) -> bytes:
    """Return the record as JUnit XML; characters that XML forbids become question marks."""
    return _text(_suite(done.notebook, done.started, done.results, _run_case(done)) for done in record.notebooks)


def proof_text(sections: Mapping[str, Sequence[Result]], started: datetime.datetime) -> bytes:
    """Return a proof as JUnit XML: one suite a section."""
    return _text(_suite(name, started, results) for name, results in sections.items())


def _text(suites: Iterable[TestSuite]) -> bytes:
    document = JUnitXml("registry-runbook")
    for suite in suites:
        document.add_testsuite(suite)
    return bytes(document.tostring())  # type: ignore[no-untyped-call] # junitparser leaves it untyped


def _suite(name: str, started: datetime.datetime, claims: Iterable[Proof | Result], *first: TestCase) -> TestSuite:
    suite = TestSuite(name)
    suite.timestamp = started.isoformat()
    suite.add_testcases([*first, *(_case(name, claim) for claim in claims)])
    return suite


def _run_case(done: NotebookRun) -> TestCase:
    case = TestCase(f"{done.notebook} runs to its end", done.notebook, done.seconds)
    if done.error:
        case.result = [Error(_clean(done.error), done.result)]
    return case


def _case(section: str, claim: Proof | Result) -> TestCase:
    case = TestCase(_clean(f"{claim.claim}: {'refused' if claim.refusal else 'works'}"), section, 0.0)
    if not claim.passed:
        message = f"expected {claim.expected}; found {claim.found}. To repair: {claim.remedy}."
        case.result = [Failure(_clean(message), "proof")]
    return case


def _clean(message: str) -> str:
    return re.sub(_NO_XML, "?", message)
