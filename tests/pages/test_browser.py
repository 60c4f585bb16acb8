"""The dashboard in headless Chromium: from uploaded recordings to a person's name."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect, sync_playwright

from core import cluster
from tests.pages.conftest import PROJECT

pytestmark = pytest.mark.browser

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
PAGES = ("Recordings", "Training", "Generation", "Authenticity", "Identification")
PERSONS = ("Person_01", "Person_03", "Person_05")
KNOWN_UPSTREAM = {"svg-img-alt", "presentation-role-conflict"}
SHORT_MS, LONG_MS = 60_000, 400_000
SETTLE_MS, HEARD_MS = 1_000, 20_000
PHONE_PX = 390


@pytest.fixture
def recordings(shared_data: Path, tmp_path: Path) -> Path:
    """Two recordings of each of three persons, in their folders."""
    folder = tmp_path / "cohort"
    for person in PERSONS:
        (folder / person).mkdir(parents=True)
        for path in (shared_data / "ecgid" / person).glob("rec_[12].*"):
            shutil.copy(path, folder / person)
    return folder


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A dashboard of its own on a workspace without a study."""
    workspace = tmp_path / "workspace"
    (workspace / "studies").mkdir(parents=True)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (tmp_path / "log.txt").open("w") as log:
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


@pytest.fixture
def page() -> Iterator[Page]:
    """A tab of headless Chromium; skipped without it, but an error in CI."""
    if not CHROMIUM.exists():
        if os.environ.get("CARDIOTWIN_REQUIRE_DATA"):
            pytest.fail(f"there is no {CHROMIUM}")
        pytest.skip(f"there is no {CHROMIUM}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        context = browser.new_context(
            viewport={"width": 1280, "height": 1400},
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
        )
        yield context.new_page()
        browser.close()


def see(page: Page, text: str, *, timeout: int = SHORT_MS) -> Locator:
    """Wait until the page's main part shows a text."""
    found = page.get_by_test_id("stMain").get_by_text(text).first
    expect(found).to_be_visible(timeout=timeout)
    return found


def go(page: Page, name: str) -> None:
    """Open a page by the navigation; it must bear its title and notice, and not raise."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    expect(
        page.get_by_test_id("stMain").get_by_role("heading", name=name, exact=True)
    ).to_be_visible(timeout=SHORT_MS)
    see(page, "Research use only. Not a medical device.")
    idle(page)
    sound(page)


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
    found = {entry["id"] for entry in Axe().run(page).response["violations"]}
    assert found <= KNOWN_UPSTREAM


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


def test_from_upload_to_identification(address: str, page: Page, recordings: Path) -> None:
    page.goto(f"{address}/training")
    for name in PAGES:
        go(page, name)
        see(page, "There is no study yet.")

    go(page, "Recordings")
    page.get_by_test_id("stMain").get_by_text("A folder", exact=True).click()
    upload = page.get_by_test_id("stFileUploader").locator("input[type=file]")
    see(page, "Upload directories")
    expect(upload).to_have_count(1)
    upload.set_input_files(recordings)
    expect(page.get_by_role("button", name="Remove cohort/").first).to_be_visible(timeout=SHORT_MS)
    press(page, "Prepare")
    see(page, "Recordings used", timeout=LONG_MS)
    see(page, "6 of 6")
    drawn(page, 1)
    sound(page)

    go(page, "Training")
    page.get_by_test_id("stMain").get_by_role("button", name="Train", exact=True).click()
    see(page, "Trainings so far", timeout=LONG_MS)
    expect(page.get_by_role("button", name="Train", exact=True)).to_be_visible(timeout=LONG_MS)
    see(page, "Conditional GAN")
    sound(page)

    go(page, "Generation")
    see(page, "50 beats by the GAN (conditional)", timeout=LONG_MS)
    see(page, "SYNTHETIC")
    drawn(page, 1)
    sound(page)
    sections = {
        "Points": "PCA",
        "Not a copy?": "They differ by",
        "Strip": "No strip of this person",
    }
    for name, text in sections.items():
        page.get_by_role("tab", name=name).click()
        see(page, text)
        idle(page)
        sound(page)

    go(page, "Authenticity")
    see(page, "mean over", timeout=LONG_MS)
    drawn(page, 1)
    sound(page)
    page.get_by_role("tab", name="Real or generated?").click()
    page.get_by_role("button", name="Begin").click()
    for number in range(1, 11):
        see(page, f"Beat {number} of 10", timeout=LONG_MS)
        page.keyboard.press("1")
    see(page, "5 of 10 is what a coin gets")
    sound(page)

    go(page, "Identification")
    see(page, "It is Person_01", timeout=LONG_MS)
    drawn(page, 3)
    sound(page)

    page.set_viewport_size({"width": PHONE_PX, "height": 1400})
    for name in PAGES:
        page.goto(f"{address}/{'' if name == 'Recordings' else name.lower()}")
        see(page, "Research use only. Not a medical device.")
        idle(page)
        sound(page)
        fits(page)
        accessible(page)
    for name, text in (("Gallery", "3 people may be named"), ("Evaluation", "run the evaluation")):
        page.get_by_role("tab", name=name).click()
        see(page, text)
        idle(page)
        sound(page)
        fits(page)
        accessible(page)
