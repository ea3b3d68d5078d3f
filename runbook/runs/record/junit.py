"""The record for programs that read test results: one suite a notebook, one case a claim."""

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from runbook.model.results import Result
from runbook.runs.record.model import NotebookRun, Proof, Record

_NO_XML = r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # XML 1.0, section 2.2


def text(record: Record) -> bytes:
    """Return the record as JUnit XML; characters that XML cannot hold are shown as ?."""
    return _text(_suite(done) for done in record.notebooks)


def proof_text(sections: Mapping[str, Sequence[Result]], started: datetime.datetime) -> bytes:
    """Return a proof as JUnit XML: one suite a section."""
    suites = []
    for name, results in sections.items():
        suite = TestSuite(name)
        suite.timestamp = started.isoformat()
        suite.add_testcases([_case(name, result) for result in results])
        suites.append(suite)
    return _text(suites)


def _text(suites: Iterable[TestSuite]) -> bytes:
    whole = JUnitXml("registry-runbook")
    for suite in suites:
        whole.add_testsuite(suite)
    return bytes(whole.tostring())  # type: ignore[no-untyped-call] # junitparser leaves it untyped


def _suite(done: NotebookRun) -> TestSuite:
    suite = TestSuite(done.notebook)
    suite.timestamp = done.started.isoformat()
    ran = TestCase(f"{done.notebook} runs to its end", done.notebook, done.seconds)
    if done.error:
        ran.result = [Error(_clean(done.error), done.result)]
    suite.add_testcase(ran)
    suite.add_testcases([_case(done.notebook, proof) for proof in done.results])
    return suite


def _case(section: str, proof: Proof | Result) -> TestCase:
    case = TestCase(_clean(f"{proof.claim}: {'refused' if proof.refusal else 'works'}"), section, 0.0)
    if not proof.passed:
        message = f"expected {proof.expected}; found {proof.found}. To repair: {proof.remedy}."
        case.result = [Failure(_clean(message), "proof")]
    return case


def _clean(said: str) -> str:
    return re.sub(_NO_XML, "?", said)
