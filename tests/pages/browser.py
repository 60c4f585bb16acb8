"""What browser tests share: a dashboard of their own, a tab of Chromium, and how to use a page."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from core import cluster
from tests.pages.conftest import PROJECT

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PAGES = (
    *("Overview", "Recordings", "Trace", "Explore", "Training"),
    *("Generation", "Authenticity", "Identification", "Report"),
)
KNOWN_UPSTREAM = {"svg-img-alt", "presentation-role-conflict"}
SHORT_MS, LONG_MS = 60_000, 240_000
SETTLE_MS, HEARD_MS = 1_000, 20_000
DESK_PX, PHONE_PX, TALL_PX = 1280, 390, 1400
MOST_TABS = 150


@contextmanager
def dashboard(workspace: Path) -> Iterator[str]:
    """Run a dashboard of its own on a workspace; yield its address."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log_path = workspace.with_name(f"{workspace.name}.log")
    with log_path.open("w") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "streamlit", "run", "app.py"),
                *("--server.headless=true", f"--server.port={port}"),
                "--server.fileWatcherType=none",
            ],
            cwd=PROJECT,
            env={**os.environ, "CARDIOTWIN_WORKSPACE": str(workspace)},
            stdout=log,
            stderr=log,
        )
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}/_stcore/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)
        cluster.stop(workspace)


def _wait_until_healthy(url: str) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.read() == b"ok":
                    return
        except OSError:
            time.sleep(0.25)
    pytest.fail("the dashboard did not start")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run headless Chromium; skipped without it, but an error in CI."""
    if not CHROMIUM.exists():
        if os.environ.get("CARDIOTWIN_REQUIRE_DATA"):
            pytest.fail(f"there is no {CHROMIUM}")
        pytest.skip(f"there is no {CHROMIUM}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield browser
        browser.close()


def context(browser: Browser, *, dark: bool = False, width: int = DESK_PX) -> BrowserContext:
    """Return a context whose pages look the same everywhere."""
    return browser.new_context(
        viewport={"width": width, "height": TALL_PX},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
    )


def hosts_asked(tab: BrowserContext) -> set[str]:
    """Return the set that the hosts of all requests from now on will be put into."""
    hosts: set[str] = set()

    def note(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss"):
            hosts.add(parts.hostname or "")

    tab.on("request", lambda request: note(request.url))
    tab.on("page", lambda page: page.on("websocket", lambda socket: note(socket.url)))
    return hosts


def see(page: Page, text: str, *, timeout: int = SHORT_MS) -> Locator:
    """Wait until the page's main part shows a text."""
    found = page.get_by_test_id("stMain").get_by_text(text).first
    expect(found).to_be_visible(timeout=timeout)
    return found


def at(page: Page, name: str) -> None:
    """Wait until a page bears its title and notice; nothing may have raised."""
    expect(
        page.get_by_test_id("stMain").get_by_role("heading", name=name, exact=True).first
    ).to_be_visible(timeout=SHORT_MS)
    see(page, "Research use only. Not a medical device.")
    idle(page)
    sound(page)


def go(page: Page, name: str) -> None:
    """Open a page by the navigation."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    at(page, name)


def press(page: Page, name: str) -> None:
    """Press a button that goes once it is heard; again if a rerun under way swallowed the click."""
    button = page.get_by_role("button", name=name, exact=True)
    for _ in range(3):
        page.wait_for_timeout(SETTLE_MS)
        idle(page)
        button.click()
        try:
            expect(button).to_have_count(0, timeout=HEARD_MS)
        except AssertionError:
            continue
        return
    pytest.fail(f"{name} was not heard")


def idle(page: Page) -> None:
    """Wait until the page's script has ended."""
    page.wait_for_selector(
        "[data-testid='stApp'][data-test-connection-state='CONNECTED']"
        "[data-test-script-state='notRunning']",
        timeout=SHORT_MS,
    )


def accessible(page: Page) -> None:
    """Assert that axe finds nothing but what Streamlit itself is known for."""
    found = {
        entry["id"]: [node["html"] for node in entry["nodes"]]
        for entry in Axe().run(page).response["violations"]
    }
    assert {name: found[name] for name in found if name not in KNOWN_UPSTREAM} == {}


def sound(page: Page) -> None:
    """Assert that nothing raised and that no error is shown."""
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_test_id("stAlertContentError")).to_have_count(0)
    expect(page.get_by_text("ECharts chart error")).to_have_count(0)


def drawn(page: Page, number: int) -> None:
    """Assert that so many charts are there, each with a line or bar in it."""
    charts = page.get_by_test_id("stPlotlyChart")
    expect(charts.locator("svg .trace")).not_to_have_count(0, timeout=SHORT_MS)
    expect(charts).to_have_count(number, timeout=SHORT_MS)


def fits(page: Page) -> None:
    """Assert that a page of a phone's width does not scroll sideways."""
    wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
    assert wide <= PHONE_PX


def tab_to(page: Page, target: Locator) -> None:
    """Press the tabulator until an element, or one within it, has the focus."""
    expect(target).to_be_attached(timeout=SHORT_MS)
    for _ in range(MOST_TABS):
        focused = target.evaluate(
            "e => { let a = document.activeElement;"
            " while (a && a.shadowRoot && a.shadowRoot.activeElement)"
            " a = a.shadowRoot.activeElement;"
            " return e === a || e.contains(a) }"
        )
        if focused:
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{target} cannot be reached by the keyboard")
