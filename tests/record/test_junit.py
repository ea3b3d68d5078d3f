"""The record as JUnit XML, read back by the library that CI systems share."""

import pytest
from junitparser import Error, Failure, JUnitXml, TestSuite

from runbook.record import junit
from runbook.record.model import NotebookRun
from tests.records import BAD, GOOD, OPEN, record


def suites(*runs: NotebookRun) -> list[TestSuite]:
    """Return the suites that a program finds in the record of these runs."""
    return list(JUnitXml.fromstring(junit.text(record(*runs))))


def test_each_notebook_is_a_suite_and_each_claim_a_case() -> None:
    """Fails if CI counts other proofs than the run has, or takes a failed one for passed."""
    good, bad = suites(GOOD, BAD)
    assert [(suite.name, suite.tests, suite.failures, suite.errors) for suite in (good, bad)] == [
        ("10-host", 2, 0, 0),
        ("50-compose", 3, 1, 1),
    ]
    assert [case.name for case in bad] == ["50-compose runs to its end", "a login: works", "no login: refused"]
    assert {case.classname for case in bad} == {"50-compose"}
    ran, proven, refused = bad
    assert (ran.time, proven.result) == (6.0, [])
    assert [type(item) for item in (*ran.result, *refused.result)] == [Error, Failure]
    assert ran.result[0].message == "CheckError: expected [401]"
    assert refused.result[0].message == "expected 401; found 200. To repair: close it."


@pytest.mark.parametrize("hostile", ["<a>&\"'", "bell \x07", "\x1b[31mred", "\x00", "\ufffe", "\ud800"], ids=ascii)
def test_text_of_a_host_stays_xml(hostile: str) -> None:
    """Fails if what a host answers makes a file that no parser takes."""
    proof = OPEN.model_copy(update={"claim": f"claim {hostile}", "found": hostile})
    run = BAD.model_copy(update={"results": (proof,), "error": hostile})
    [suite] = suites(run)
    [_, case] = suite
    assert case.name.startswith("claim ")
    assert ("<" in case.name) == ("<" in hostile)
