"""JupyterLab in a real browser: opened, filled in and run as a person does it.

The way through all notebooks goes on one of two kinds of host, by the session's seed; on both with `script/test --all`.
"""

import functools
import itertools
import json
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from runbook import catalogue
from runbook.display import overview
from runbook.model.parameters import Parameters
from tests import draws
from tests.draws import tries_all

from .browser import (
    PICTURES,
    SHOWN,
    choose,
    click,
    cut_off,
    photograph,
    run_all,
    save,
    shown,
    start_browser,
    texts,
    wait,
    wait_for_notebook,
)
from .conftest import start_with_project
from .lab import Host, NewHost
from .product import PROJECT, script_run, serve_lab

TYPED, ANSWERED = (f"canary-{secrets.token_hex(8)}" for _ in range(2))
COPIES = "/root/.local/share/registry-runbook/notebooks"
IN_CHINESE = COPIES.replace("notebooks", "zh/notebooks")
STATES = {COPIES: ("✓ proven", "to do"), IN_CHINESE: ("✓ 已证明", "待办")}
# Words of other programs stay English in the Chinese notebooks; all other prose in their tables is not.
OTHERS = "certificate signed by unknown authority|no basic auth credentials|certificate verify failed|pull: .*"
PROSE = r"(?:\b[a-z]+,? ){3}[a-z]+"
PASSWORD_FILE = "/etc/registry-runbook/secrets/password-admin"  # noqa: S105 (a path)
# JupyterLab's own setting that stores what widgets hold in the notebook; off unless a person turns it on.
SAVE_STATE = "/root/.jupyter/lab/user-settings/@jupyter-widgets/jupyterlab-manager/plugin.jupyterlab-settings"


@contextmanager
def open_lab(host: Host, language: str = "en") -> Iterator[webdriver.Remote]:
    """Give a browser that has opened the address that `./script/run lab` prints."""
    host.write(SAVE_STATE, '{"saveState": true}')
    with serve_lab(host, language=language) as address, start_browser(host) as driver:
        driver.get(address)
        wait_for_notebook(driver, "00-index")
        yield driver


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Give a host with an engine and nothing else."""
    with start_with_project("bookworm") as ready:
        yield ready


@pytest.fixture(scope="module")
def browser(host: Host) -> Iterator[webdriver.Remote]:
    """Give a browser with JupyterLab on that host."""
    with open_lab(host) as driver:
        yield driver


def holding(host: Host, secret: str) -> list[str]:
    """Return the files of the host, a saved notebook or workspace among them, that hold the secret."""
    places = ("/root", "/etc", "/tmp", "/var/log", "/run")  # noqa: S108 (searched, not used)
    searched = ("grep", "-rlF", "-D", "skip", "--exclude-dir=.venv", secret, *places)
    return host.run(*searched, check=False).stdout.split()


def outputs(host: Host, name: str, copies: str) -> list[Mapping[str, Any]]:
    """Return the outputs of a notebook as it is saved among these copies on the host."""
    cells = json.loads(host.read(f"{copies}/{name}.ipynb"))["cells"]
    return [output for cell in cells for output in cell.get("outputs", ())]


def records(output: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the data behind a table that a notebook shows."""
    return output.get("metadata", {}).get("registry-runbook", {})  # type: ignore[no-any-return] # JSON


def open_next(driver: webdriver.Remote, name: str, following: str) -> None:
    """Follow the link at the end of a notebook to the next one."""
    wait_for_notebook(driver, name)
    click(driver, lambda: shown(driver, f"a[href*='{following}.ipynb']")[-1], f"the link to {following}")
    wait_for_notebook(driver, following)


def complaints(host: Host, driver: webdriver.Remote, name: str, copies: str) -> list[str]:
    """Return what a person would stumble over in the notebook that is shown and saved."""
    saved = outputs(host, name, copies)
    found = [str(output) for output in saved if output["output_type"] == "error" or output.get("name") == "stderr"]
    found += [text for text in texts(driver, ".jp-Dialog, .Toastify__toast") if text]
    found += [text for text in texts(driver, ".jp-OutputArea-output") if re.search(r"</?(?:td|table|svg|div)\b", text)]
    if copies == IN_CHINESE:
        cells = [
            re.sub(OTHERS, "", text) for text in texts(driver, f"{SHOWN} .jp-OutputArea-output :is(td, th, caption)")
        ]
        found += [text for text in cells if re.search(PROSE, text)]
    return found + cut_off(driver)


def photograph_both(driver: webdriver.Remote, name: str) -> None:
    """Store pictures of the notebook that is shown, in the dark theme and in the light one, which stays."""
    PICTURES.mkdir(exist_ok=True)
    for theme in ("Dark", "Light"):
        choose(driver, f"Use Theme: JupyterLab {theme}")
        chosen = f"body[data-jp-theme-name='JupyterLab {theme}']"
        wait(driver, functools.partial(driver.find_elements, By.CSS_SELECTOR, chosen), theme)
        photograph(driver, PICTURES / f"{name}-{theme.lower()}.png")


def field(driver: webdriver.Remote, name: str) -> Any:  # noqa: ANN401 (an element of selenium)
    """Return the form's field for a parameter."""
    xpath = f"//label[.='{name}']/following-sibling::*/descendant-or-self::*[self::input or self::textarea]"
    return wait(driver, lambda: driver.find_element(By.XPATH, xpath), name)


def retype(driver: webdriver.Remote, name: str, text: str) -> None:
    """Type a text into the form's field in place of what is there."""
    field(driver, name).send_keys(Keys.CONTROL, "a", Keys.NULL, text)


def said_of(driver: webdriver.Remote, name: str) -> tuple[str | None, str]:
    """Return what a screen reader says of a field: whether its value is wrong, and the text that describes it."""
    found = field(driver, name)
    note = driver.find_element(By.ID, str(found.get_attribute("aria-describedby")))
    return found.get_attribute("aria-invalid"), note.text


def press(driver: webdriver.Remote, label: str) -> None:
    """Press a button of the form, once it can be pressed."""
    button = f"//button[.='{label}' and not(@disabled)]"
    click(driver, lambda: driver.find_element(By.XPATH, button), label)


def test_index_opens_with_the_contents_beside_it(browser: webdriver.Remote) -> None:
    """Fails where the address leads elsewhere, its contents are not shown, or outputs of another host are."""
    headings = texts(browser, ".jp-tocItem-content")
    assert {"The way through", "The state of every section", "What comes next"} <= set(headings)
    assert browser.find_element(By.CSS_SELECTOR, ".jp-TableOfContents").is_displayed()
    assert texts(browser, ".jp-Dialog, .Toastify__toast") == []
    assert browser.find_elements(By.CSS_SELECTOR, "[title*='Notebook trusted'], [title*='is trusted']")
    assert texts(browser, ".jp-OutputArea-output") == []


def test_form_writes_the_file_and_keeps_the_password_to_itself(host: Host, browser: webdriver.Remote) -> None:
    """Fails where a wrong value is not named beside its field, the file is not what was typed, or a password is."""
    run_all(browser)
    retype(browser, "port", "70000")
    error = wait(browser, lambda: texts(browser, "[role=alert]"), "an error")
    assert any(
        "for port: input should be less than or equal to 65535; found 70000 (typed here)" in text for text in error
    )
    beside = field(browser, "port").find_element(By.XPATH, "following::*[@role='alert'][1]")
    assert "for port" in beside.text
    assert said_of(browser, "port") == ("true", beside.text)
    press(browser, "Write parameters/mine.yml")
    mine = f"{PROJECT}/parameters/mine.yml"
    assert host.run("test", "-e", mine, check=False).code == 1
    retype(browser, "port", "5443")
    retype(browser, "domain", "images.example.org")
    press(browser, "Write parameters/mine.yml")  # at once: not all that was typed has arrived
    wait(browser, lambda: "Written" in "".join(texts(browser, "[role=status]")), "the file")
    wait(browser, lambda: "images.example.org" in host.read(mine), "what was typed to be in the file")
    assert texts(browser, "[role=alert]") == []
    assert said_of(browser, "port") == ("false", "port of the registry over TLS")
    text = host.read(mine)
    assert ('domain: "images.example.org"' in text, "port: 5443" in text, "username" in text) == (True, True, False)

    field(browser, "password").send_keys(TYPED, Keys.TAB)
    wait(browser, lambda: field(browser, "password").get_attribute("value") == "", "the field to be empty")
    save(browser)
    assert holding(host, TYPED) == []
    press(browser, "Keep the password")
    wait(browser, lambda: PASSWORD_FILE in "".join(texts(browser, "[role=status]")), "the password's file")
    save(browser)
    assert holding(host, TYPED) == [PASSWORD_FILE]
    assert host.run("stat", "-c", "%a", PASSWORD_FILE).stdout.strip() == "600"
    assert "images.example.org" in host.read(f"{COPIES}/00-index.ipynb")  # what widgets hold is saved
    run_all(browser)
    loaded = texts(browser, f"{SHOWN} .jp-RenderedHTML table")[0]
    assert "images.example.org" in loaded
    host.run("rm", PASSWORD_FILE, f"{PROJECT}/parameters/mine.yml")


def walk(
    host: Host, driver: webdriver.Remote, parameters: Parameters, *, copies: str = COPIES, pictures: Collection[str]
) -> None:
    """Run all cells of each notebook but the tear-down, in order, as a person does; each must prove itself."""
    first, *others = catalogue.names()
    open_next(driver, first, others[0])
    for name, following in itertools.pairwise(others):
        if name != "55-nginx" or parameters.proxy == "nginx":
            run_all(driver, answer=ANSWERED)
            save(driver)
            results = [
                result for output in outputs(host, name, copies) for result in records(output).get("results", ())
            ]
            assert bool(results) == (name != "80-diagnosis"), name  # which proves nothing
            assert [result["claim"] for result in results if not result["passed"]] == []
        assert complaints(host, driver, name, copies) == []
        if name in pictures:
            photograph_both(driver, name)
        open_next(driver, name, following)
    if others[-1] in pictures:
        photograph_both(driver, others[-1])
    assert holding(host, ANSWERED) == [PASSWORD_FILE]
    tab = "//li[contains(@class, 'lm-TabBar-tab')][.='00-index.ipynb']"
    click(driver, lambda: driver.find_element(By.XPATH, tab), "the tab of 00-index")
    run_all(driver)
    save(driver)
    table = texts(driver, f"{SHOWN} .jp-RenderedHTML table")[-1]
    proven, to_do = STATES[copies]
    assert (table.count(proven), to_do in table) == (len(overview.sections(parameters)), False)
    [record] = json.loads(script_run(host, "runs", "--json").stdout)
    report = json.loads(host.read(f"{record['folder']}/report.json"))
    walked = [run["notebook"] for run in report["notebooks"]]
    assert (report["result"], set(walked) >= {*overview.sections(parameters), "75-prove"}) == ("done", True)
    assert complaints(host, driver, first, copies) == []
    if first in pictures:
        photograph_both(driver, first)
    for name in catalogue.names():  # a clone that JupyterLab was used in stays clean
        path = catalogue.NOTEBOOKS / f"{name}.ipynb"
        assert host.read(f"{PROJECT}/notebooks/{path.name}") == path.read_text(encoding="utf-8")


# Debian 12 in English, and Debian 13 in Chinese with nginx in front, as parameters/mine.yml asks for it.
BOTH = ["bookworm", "trixie-nginx"]


@pytest.mark.one_of("front ends")
@pytest.mark.parametrize("kind", draws.one_of(BOTH, "walk"))
def test_notebooks_run_from_bare_to_proven(request: pytest.FixtureRequest, new_host: NewHost, kind: str) -> None:
    """Fails where a notebook does not run or prove itself, looks broken, leads nowhere, or stores a typed password."""
    if kind == "bookworm":
        host: Host = request.getfixturevalue("host")
        walk(host, request.getfixturevalue("browser"), Parameters(), pictures=pictures() - {"55-nginx"})
        return
    host = new_host("trixie")
    host.write(f"{PROJECT}/parameters/mine.yml", "proxy: nginx\nproxy_layer_megabytes: 2\n")
    with open_lab(host, "zh") as driver:
        walk(host, driver, Parameters(proxy="nginx"), copies=IN_CHINESE, pictures=pictures())


def pictures() -> set[str]:
    """Return the notebooks to be photographed: all where there is time for it."""
    return {*catalogue.names()} if tries_all() else {"00-index"}
