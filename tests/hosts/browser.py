"""A real browser beside a host, in the host's own network, with a page, or JupyterLab as a person uses it there."""

import base64
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from .images import BROWSER, ensure_image
from .lab import PROJECT, Host
from .machine import alone, execute

PICTURES = PROJECT / ".screenshots"
PORT = 9515  # chromedriver's own
DRIVER = ("chromedriver", f"--port={PORT}", "--allowed-ips=", "--allowed-origins=*")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars")
WIDTH, HEIGHT = 1280, 900
# So high that JupyterLab draws every cell of a notebook; each drawing of it costs a whole processor for a while.
TALL = 8000
AXE = files("selenium_axe_python") / "axe-core" / "axe.min.js"
PAPER = {"width": 717, "height": 1047, "deviceScaleFactor": 1, "mobile": False}  # A4 within Chromium's margins of 1 cm
SHOWN = ".jp-NotebookPanel:not(.lm-mod-hidden)"
FOUND = TypeVar("FOUND")
# What ends by itself: a part that is not there yet, is drawn anew, lies below another one, or was answered and takes
# nothing any more.
PASSING = (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
)
# The height of the window in which the notebook that is shown just fits; 0 while JupyterLab still draws it, or the
# window does not have the height yet that it was given.
FIT = """
const [selector, height, done] = arguments;
const panel = document.querySelector(selector);
const frame = window.outerHeight - window.innerHeight;
panel.querySelectorAll('.jp-WindowedPanel-outer').forEach(part => { part.scrollTop = 0; });
const fit = () => Math.ceil([...panel.querySelectorAll('.jp-Cell')].at(-1).getBoundingClientRect().bottom) + frame + 60;
const first = fit();
const whole = window.outerHeight === height && first > 500 && panel.querySelector('.jp-Cell').offsetHeight > 0;
setTimeout(() => done(whole && fit() === first ? first : 0), 200);
"""
# What of a notebook's cells is wider than its place, and so cut off or behind a scroll bar.
CUT_OFF = """
const parts = ':is(.jp-OutputArea-output, .jp-OutputArea-output *, .jp-MarkdownOutput)';
return [...document.querySelectorAll(arguments[0] + ' ' + parts)]
  .filter(part => part.clientWidth && part.scrollWidth > part.clientWidth + 1 && !part.closest('svg'))
  .map(part => part.tagName + ' ' + part.className + ': ' + part.textContent.slice(0, 80));
"""


# What of a page is wider than the page.
BEYOND = """
const width = document.documentElement.clientWidth;
return [...document.body.querySelectorAll('*')]
  .filter(part => part.getBoundingClientRect().right > width + 1 && !part.closest('svg *'))
  .map(part => part.tagName + ': ' + part.textContent.slice(0, 80));
"""


@contextmanager
def start_browser(host: Host) -> Iterator[webdriver.Remote]:
    """Give Chromium, and remove it with all that it stored."""
    name = f"{host.name}-browser-{secrets.token_hex(3)}"
    options = webdriver.ChromeOptions()
    for option in OPTIONS:
        options.add_argument(option)
    with alone():
        image = ensure_image(BROWSER)
    try:
        execute(
            *("docker", "run", "--detach", "--init", f"--name={name}", f"--network=container:{host.name}"),
            *(image, *DRIVER),
        )
        is_up = ("curl", "-sf", "--retry", "30", "--retry-connrefused", f"http://127.0.0.1:{PORT}/status")
        host.run(*is_up)
        driver = webdriver.Remote(f"http://{host.reached_at}:{PORT}", options=options)
        try:
            driver.set_window_size(WIDTH, HEIGHT)
            yield driver
        finally:
            driver.quit()
    finally:
        execute("docker", "rm", "--force", "--volumes", name)


def wait(
    driver: webdriver.Remote, condition: Callable[[], FOUND], what: str, *, timeout_seconds: float = 60.0
) -> FOUND:
    """Return what `condition` gives once it gives something; fails at the deadline with `what` was waited for."""
    waiting = WebDriverWait(driver, timeout_seconds, poll_frequency=0.1, ignored_exceptions=PASSING)
    return waiting.until(lambda _: condition(), f"waited for {what}")


def shown(driver: webdriver.Remote, selector: str) -> list[WebElement]:
    """Return what a selector finds in the notebook that is shown."""
    return driver.find_elements(By.CSS_SELECTOR, f"{SHOWN} {selector}")


def click(driver: webdriver.Remote, find: Callable[[], WebElement], what: str) -> None:
    """Click what is found, once it is there and nothing lies over it."""

    def has_clicked() -> bool:
        find().click()
        return True

    wait(driver, has_clicked, what)


def texts(driver: webdriver.Remote, selector: str) -> list[str]:
    """Return the text of all that a selector finds, in one call: an element may be drawn anew between two."""
    script = "return [...document.querySelectorAll(arguments[0])].map(part => part.textContent.trim())"
    return list(driver.execute_script(script, selector))


def wait_for_notebook(driver: webdriver.Remote, name: str) -> None:
    """Wait until a notebook is shown, and its kernel is ready."""
    current = f"{name}.ipynb"

    def is_ready() -> bool:
        tabs = texts(
            driver, ".jp-MainAreaWidget-ContainStrict, .lm-DockPanel-tabBar .lm-mod-current .lm-TabBar-tabLabel"
        )
        return (
            current in tabs
            and "Idle" in "".join(texts(driver, "#jp-main-statusbar"))
            and bool(shown(driver, ".jp-Cell"))
        )

    wait(driver, is_ready, f"{name} with its kernel")


def choose(driver: webdriver.Remote, label: str) -> None:
    """Choose a command by its name from JupyterLab's palette, as Ctrl-Shift-C offers it.

    Tries again where the palette is gone before it: a notebook that has just opened takes the focus from it.
    """
    focused = "#modal-command-palette .lm-CommandPalette-input:focus"
    active = "#modal-command-palette .lm-mod-active .lm-CommandPalette-itemLabel"

    def has_chosen() -> bool:
        keys = webdriver.ActionChains(driver)
        keys.key_down(Keys.CONTROL).key_down(Keys.SHIFT).send_keys("c").key_up(Keys.SHIFT).key_up(Keys.CONTROL)
        keys.perform()
        field = wait(driver, lambda: driver.find_element(By.CSS_SELECTOR, focused), "the palette", timeout_seconds=5)
        field.send_keys(Keys.CONTROL, "a", Keys.NULL, label)
        wait(driver, lambda: texts(driver, active) == [label], label, timeout_seconds=5)
        driver.find_element(By.CSS_SELECTOR, focused).send_keys(Keys.ENTER)
        return True

    wait(driver, has_chosen, f"the command {label}")


def run_all(driver: webdriver.Remote, *, answer: str = "") -> None:
    """Run all cells of the notebook that is shown, and wait for the last; a prompt gets the answer."""
    choose(driver, "Clear Outputs of All Cells")  # stored ones look like those of a run
    choose(driver, "Run All Cells")

    def has_run() -> bool:
        for field in shown(driver, ".jp-Stdin-input"):
            field.send_keys(answer, Keys.ENTER)
        prompts = texts(driver, f"{SHOWN} .jp-CodeCell .jp-InputArea-prompt")
        return all(prompt.strip("[]:").isdigit() for prompt in prompts)

    wait(driver, has_run, "all cells to have run", timeout_seconds=180)


def save(driver: webdriver.Remote) -> None:
    """Save the notebook that is shown, and wait until it is."""
    choose(driver, "Save Notebook")
    wait(
        driver,
        lambda: not driver.find_elements(By.CSS_SELECTOR, ".lm-DockPanel-tabBar .lm-mod-current.jp-mod-dirty"),
        "it to be saved",
    )


def photograph(driver: webdriver.Remote, path: Path) -> None:
    """Store a picture of the whole notebook that is shown."""
    with drawn(driver) as height:
        resize(driver, height)
        driver.save_screenshot(str(path))


def cut_off(driver: webdriver.Remote) -> list[str]:
    """Return what of the notebook that is shown is cut off at its right."""
    with drawn(driver):
        return list(driver.execute_script(CUT_OFF, SHOWN))


@contextmanager
def drawn(driver: webdriver.Remote) -> Iterator[int]:
    """Have the whole notebook drawn that is shown, and give the height of the window in which it just fits."""
    try:
        yield resize(driver, TALL)
    finally:
        driver.set_window_size(WIDTH, HEIGHT)


def resize(driver: webdriver.Remote, height: int) -> int:
    """Give the window this height, wait until the notebook is drawn in it, and return the height that it needs."""
    driver.set_window_size(WIDTH, height)
    return int(wait(driver, lambda: driver.execute_async_script(FIT, SHOWN, height), "the notebook to be drawn"))


def open_page(driver: webdriver.Remote, text: str, *, scheme: str = "light", paper: bool = False) -> None:
    """Open a page of HTML as if it came by mail: in the light theme or the dark one, on a screen or on A4."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"media": "print" if paper else "screen", "features": features}
    )
    if paper:
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PAPER)
    else:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.get(f"data:text/html;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}")


def requested(driver: webdriver.Remote) -> list[str]:
    """Return the addresses that the open page has asked for, answered or not.

    Source: W3C Resource Timing, PerformanceResourceTiming.
    """
    return list(driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)"))


def barriers(driver: webdriver.Remote) -> list[str]:
    """Return the rules of axe-core that the open page breaks with a serious or critical impact."""
    driver.execute_script(AXE.read_text(encoding="utf-8"))
    broken = driver.execute_async_script("axe.run().then(found => arguments[0](found.violations))")
    return [rule["id"] for rule in broken if rule["impact"] in {"serious", "critical"}]


def beyond(driver: webdriver.Remote) -> list[str]:
    """Return what reaches over the right edge of the open page."""
    return list(driver.execute_script(BEYOND))
