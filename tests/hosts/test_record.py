"""The record of a real run: all of it there, for its owner alone, no secret in it; and its page in a real browser."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from junitparser import JUnitXml
from selenium import webdriver

from runbook.display import overview
from runbook.model.parameters import Parameters
from runbook.record import folder, model

from .browser import PICTURES, barriers, beyond, open_page, requested, start_browser
from .lab import Host
from .product import script_run

SECRETS = "/etc/registry-runbook/secrets"
WAY = overview.default_notebooks(Parameters())
OUTSIDE = "http://127.0.0.1:5000/pixel.png"


@pytest.fixture(scope="module")
def record(proven_trixie: Host) -> dict[str, Any]:
    """Return the record of the run that proved the registry: the oldest one on the host."""
    listed = json.loads(script_run(proven_trixie, "runs", "--json").stdout)
    assert [item["folder"] for item in listed] == sorted((item["folder"] for item in listed), reverse=True)
    assert (listed[-1]["result"], listed[-1]["notebooks"]) == ("done", "00-index … 60-push-pull")
    found: dict[str, Any] = json.loads(proven_trixie.read(f"{listed[-1]['folder']}/{folder.DATA}"))
    return found


@pytest.fixture(scope="module")
def page(proven_trixie: Host, record: dict[str, Any]) -> str:
    """Return the page of that run."""
    return proven_trixie.read(f"{record['folder']}/{folder.PAGE}")


@pytest.fixture(scope="module")
def browser(proven_trixie: Host) -> Iterator[webdriver.Remote]:
    """Give a browser."""
    with start_browser(proven_trixie) as driver:
        yield driver


def test_run_in_chinese_has_the_same_data(proven_trixie: Host, record: dict[str, Any]) -> None:
    """Fails where a reader of Chinese gets English, or a program that reads the record gets Chinese."""
    notebook = "60-push-pull"
    told = script_run(proven_trixie, notebook, "--language", "zh").stdout
    shown = told.partition("\n\n")[0].splitlines()
    assert (shown[0].split()[:2], {line.split()[-1] for line in shown[1:]}) == (["笔记本", "断言"], {"通过"})
    [newest, *_] = json.loads(script_run(proven_trixie, "runs", "--json", environment={"LANG": "zh_CN.UTF-8"}).stdout)
    found = json.loads(proven_trixie.read(f"{newest['folder']}/{folder.DATA}"))
    [before] = [item for item in record["notebooks"] if item["notebook"] == notebook]
    claims = [[result["claim"] for result in item["results"]] for item in (*found["notebooks"], before)]
    assert (found["result"], claims[0]) == ("done", claims[1])
    written = proven_trixie.read(f"{newest['folder']}/{folder.PAGE}")
    assert ('<html lang="zh-CN">' in written, "已推送" in written or "推送" in written) == (True, True)
    assert "done" in script_run(proven_trixie, notebook, "-p", "language", "en", environment={"LANG": "zh_CN"}).stderr


def test_record_holds_all_of_the_run(proven_trixie: Host, record: dict[str, Any]) -> None:
    """Fails where a run leaves a part out: a notebook, a proof, the time of a change, a version."""
    jsonschema.validate(record, json.loads(model.schema()))
    assert (record["result"], record["mode"], record["go_on"]) == ("done", "apply", None)
    assert [item["notebook"] for item in record["notebooks"]] == WAY
    proofs = sum(len(item["results"]) for item in record["notebooks"])
    assert proofs >= 65
    for item in record["notebooks"][1:]:
        assert [step["heading"] for step in item["steps"][:5]] == ["Parameters", "Load", "Plan", "Apply", "Verify"]
        changing = sum(outcome["seconds"] for outcome in item["outcomes"])
        assert changing <= item["steps"][3]["seconds"] <= item["seconds"]
    versions = {name: said.rpartition(" ")[2] for name, said in record["versions"].items()}
    assert versions["engine"].startswith("26.1")
    assert versions["compose"].startswith("2.26")
    assert versions["registry"].startswith("registry-runbook/docker-registry:")
    assert record["host"]["name"] == "trixie"
    assert record["host"]["distribution"] == "Debian GNU/Linux 13 (trixie)"
    assert record["host"]["address"] == proven_trixie.address
    cases = JUnitXml.fromstring(proven_trixie.read(f"{record['folder']}/{folder.CASES}").encode())
    assert [(suite.failures, suite.errors) for suite in cases] == [(0, 0)] * len(WAY)
    assert sum(suite.tests for suite in cases) == proofs + len(WAY)


def test_report_of_a_run_is_made_again(proven_trixie: Host, record: dict[str, Any]) -> None:
    """Fails where the page cannot be made again from the data, or from the executed notebooks alone."""
    copy = "/root/copy"
    proven_trixie.run("cp", "-r", record["folder"], copy)
    page = f"{copy}/{folder.PAGE}"
    first = proven_trixie.read(page)
    assert script_run(proven_trixie, "report", copy).stdout == f"{page}\n"
    assert first == proven_trixie.read(page)
    proven_trixie.run("rm", f"{copy}/{folder.DATA}", page)
    assert script_run(proven_trixie, "report", copy).stdout == f"{page}\n"
    again = json.loads(proven_trixie.read(f"{copy}/{folder.DATA}"))
    kept = ("notebook", "title", "result", "steps", "changes", "outcomes", "results", "error")
    for part in kept:
        assert [item[part] for item in record["notebooks"]] == [item[part] for item in again["notebooks"]]
    proven_trixie.run("rm", "-r", copy)


def test_record_is_private_and_holds_no_secret(proven_trixie: Host, record: dict[str, Any]) -> None:
    """Fails where others can read a record, or a password, a key or a hash stands in any file of it."""
    above = record["folder"].rpartition("/")[0]
    open_to_others = proven_trixie.run("find", above, "-perm", "/077").stdout
    assert open_to_others == ""
    names = set(proven_trixie.run("ls", record["folder"]).stdout.split())
    assert names == {folder.DATA, folder.PAGE, folder.CASES, *(f"{name}.ipynb" for name in WAY)}
    key = proven_trixie.read("/etc/registry-runbook/ca/ca.key").splitlines()[1]
    hashed = proven_trixie.read("/etc/docker/registry/auth/htpasswd").strip().partition(":")[2]
    kept = [proven_trixie.read(f"{SECRETS}/{name}").strip() for name in ("password-admin", "http-secret")]
    patterns = [word for secret in (*kept, key, hashed, "PRIVATE KEY") for word in ("-e", secret)]
    assert proven_trixie.run("grep", "-rlF", *patterns, above, check=False).stdout == ""
    seen = proven_trixie.run("grep", "-rlF", "-e", "a wrong password for admin", record["folder"]).stdout.split()
    assert len(seen) == 4  # the search sees what is there: the notebook, and the three files made of it


def test_page_sends_no_request(browser: webdriver.Remote, page: str) -> None:
    """Fails where opening the page asks for anything; and where an image from outside would not be seen to do so."""
    open_page(browser, page)
    assert browser.title == "Registry runbook: done, and proven"
    assert requested(browser) == []
    open_page(browser, page.replace("<main>", f'<main><img alt="" src="{OUTSIDE}">'))
    assert requested(browser) == [OUTSIDE]


@pytest.mark.parametrize(
    ("scheme", "spoilt", "expected"),
    [
        pytest.param("light", (' lang="en"', ""), "html-has-lang", id="no-language"),
        pytest.param("dark", ("--quiet: #9da7b3", "--quiet: #404040"), "color-contrast", id="dim-on-black"),
    ],
)
def test_spoilt_page_has_a_barrier(
    browser: webdriver.Remote, page: str, scheme: str, spoilt: tuple[str, str], expected: str
) -> None:
    """Fails where axe-core would miss what makes the page hard to read: the next test would pass on nothing."""
    open_page(browser, page.replace(*spoilt), scheme=scheme)
    assert barriers(browser) == [expected]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_barrier(browser: webdriver.Remote, page: str, scheme: str) -> None:
    """Fails where axe-core finds a serious or a critical fault in the page, in one of its themes."""
    open_page(browser, page, scheme=scheme)
    assert barriers(browser) == []
    PICTURES.mkdir(exist_ok=True)
    browser.save_screenshot(str(PICTURES / f"report-{scheme}.png"))


def test_page_fits_on_paper(browser: webdriver.Remote, page: str) -> None:
    """Fails where a print cuts something off at its right; and where a digest that does not break would not be seen."""
    open_page(browser, page, scheme="dark", paper=True)
    assert browser.execute_script("return getComputedStyle(document.documentElement).colorScheme") == "light"
    assert beyond(browser) == []
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "report.pdf").write_bytes(base64.b64decode(browser.print_page()))
    open_page(browser, page.replace("overflow-wrap: anywhere", "white-space: nowrap"), paper=True)
    assert re.search("sha256:[0-9a-f]{64}", " ".join(beyond(browser)))
