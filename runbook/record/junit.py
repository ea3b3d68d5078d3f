"""The record for programs that read test results: one suite a notebook, one case a claim."""

import re

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from runbook.record.model import NotebookRun, Record

_NO_XML = r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # XML 1.0, section 2.2


def text(record: Record) -> bytes:
    """Return the record as JUnit XML; characters that XML cannot hold are shown as ?."""
    whole = JUnitXml("registry-runbook")
    for done in record.notebooks:
        whole.add_testsuite(_suite(done))
    return bytes(whole.tostring())  # type: ignore[no-untyped-call] # junitparser leaves it untyped


def _suite(done: NotebookRun) -> TestSuite:
    suite = TestSuite(done.notebook)
    suite.timestamp = done.started.isoformat()
    ran = TestCase(f"{done.notebook} runs to its end", done.notebook, done.seconds)
    if done.error:
        ran.result = [Error(_clean(done.error), done.result)]
    suite.add_testcase(ran)
    for proof in done.results:
        case = TestCase(_clean(f"{proof.claim}: {'refused' if proof.refusal else 'works'}"), done.notebook, 0.0)
        if not proof.passed:
            message = f"expected {proof.expected}; found {proof.found}. To repair: {proof.remedy}."
            case.result = [Failure(_clean(message), "proof")]
        suite.add_testcase(case)
    return suite


def _clean(said: str) -> str:
    return re.sub(_NO_XML, "?", said)
