"""The dashboard in headless Chromium: a journey of each kind of user, and one by keyboard alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.pages import browser
from tests.pages.browser import (
    LONG_MS,
    PAGES,
    PHONE_PX,
    SHORT_MS,
    TALL_PX,
    accessible,
    at,
    drawn,
    fits,
    go,
    idle,
    press,
    see,
    sound,
    tab_to,
)

pytestmark = pytest.mark.browser

PERSONS = ("Person_01", "Person_03", "Person_05")
MOST_CLICKS = 2


@pytest.fixture
def recordings(shared_data: Path, tmp_path: Path) -> Path:
    """Two recordings of each of three persons, in their folders."""
    folder = tmp_path / "cohort"
    for person in PERSONS:
        (folder / person).mkdir(parents=True)
        for path in (shared_data / "ecgid" / person).glob("rec_[12].*"):
            shutil.copy(path, folder / person)
    return folder


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard as a newcomer first starts it: on the shipped study."""
    with browser.dashboard(tmp_path_factory.mktemp("demo") / "workspace") as address:
        yield address


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[str]:
    """A dashboard on a workspace without a study."""
    (tmp_path / "workspace" / "studies").mkdir(parents=True)
    with browser.dashboard(tmp_path / "workspace") as address:
        yield address


@pytest.fixture
def page() -> Iterator[Page]:
    """A tab of headless Chromium."""
    with browser.chromium() as chromium:
        yield browser.context(chromium).new_page()


def test_a_demonstrator_sees_real_beside_generated_at_once(demo: str, page: Page) -> None:
    clicks = 0
    page.goto(demo)
    at(page, "Overview")
    see(page, "Simulated cohort: nobody was measured")
    beside = page.get_by_role("button", name="See real beside generated")
    if beside.count():
        beside.click()
        clicks += 1
        at(page, "Generation")
    expect(page.get_by_label("generated").first).to_be_visible(timeout=LONG_MS)
    assert clicks <= MOST_CLICKS
    sound(page)
    go(page, "Generation")
    see(page, "SYNTHETIC")

    go(page, "Authenticity")
    page.get_by_role("tab", name="Real or generated?").click()
    page.get_by_role("button", name="Begin").click()
    for number in range(1, 11):
        see(page, f"Beat {number} of 10", timeout=LONG_MS)
        page.keyboard.press("1")
    see(page, "5 of 10 is what a coin gets")
    sound(page)


def test_a_clinician_reads_one_file_with_the_keyboard_alone(
    demo: str, page: Page, shared_data: Path
) -> None:
    page.goto(demo)
    at(page, "Overview")
    tab_to(page, page.get_by_test_id("stSidebarNav").get_by_role("link", name="Trace"))
    page.keyboard.press("Enter")
    at(page, "Trace")
    tab_to(page, page.get_by_role("radio", name="A recording of the study"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    see(page, "Choose one ECG file")
    idle(page)
    with page.expect_file_chooser() as chooser:
        tab_to(page, page.get_by_role("button", name="Upload", exact=True))
        page.keyboard.press("Enter")
    chooser.value.set_files(
        [shared_data / "ecgid" / "Person_01" / f"rec_1.{ending}" for ending in ("hea", "dat")]
    )
    see(page, "Heart rate", timeout=LONG_MS)
    for words in ("RR interval", "Signal quality"):
        see(page, words)
    paper = page.locator("canvas.trace")
    expect(paper).to_have_attribute("data-drawn", re.compile(r"\d+"), timeout=SHORT_MS)
    tab_to(page, paper)
    idle(page)
    shown_s = str(paper.get_attribute("data-span"))
    page.keyboard.press("+")
    expect(paper).not_to_have_attribute("data-span", shown_s, timeout=SHORT_MS)
    idle(page)
    sound(page)
    tab_to(page, page.get_by_role("button", name="Who is it?"))
    page.keyboard.press("Enter")
    at(page, "Identification")
    see(page, "Cannot tell", timeout=LONG_MS)
    sound(page)


def test_a_link_brings_a_colleague_to_the_same_place(demo: str, page: Page) -> None:
    page.goto(f"{demo}/trace?subject=S04&recording=S04%2Fsession_2&t=12")
    at(page, "Trace")
    see(page, "S04/session_2")
    expect(page.get_by_test_id("stNumberInputField")).to_have_value("12.0", timeout=SHORT_MS)
    page.reload()
    see(page, "S04/session_2")
    expect(page.get_by_test_id("stNumberInputField")).to_have_value("12.0", timeout=SHORT_MS)
    go(page, "Explore")
    assert "subject=S04" in page.url
    see(page, "S04")


def test_a_researcher_goes_from_upload_to_identification(
    empty: str, page: Page, recordings: Path
) -> None:
    page.goto(f"{empty}/training")
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
    sound(page)

    go(page, "Training")
    press(page, "Train")
    see(page, "Cancel")
    page.reload()
    see(page, "Cancel")
    go(page, "Overview")
    running = page.get_by_test_id("stSidebar").get_by_role("button", name="Training")
    expect(running).to_be_visible(timeout=SHORT_MS)
    go(page, "Training")
    see(page, "these models are trained so already", timeout=LONG_MS)
    sound(page)

    go(page, "Generation")
    see(page, "SYNTHETIC", timeout=LONG_MS)
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
    drawn(page, 2)
    sound(page)

    go(page, "Identification")
    see(page, "It is Person_01", timeout=LONG_MS)
    sound(page)

    page.set_viewport_size({"width": PHONE_PX, "height": TALL_PX})
    for name in PAGES:
        page.goto(f"{empty}/{'' if name == 'Overview' else name.lower()}")
        at(page, name)
        fits(page)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_is_accessible_fits_a_phone_and_asks_nobody_else(demo: str, dark: bool) -> None:
    with browser.chromium() as chromium:
        for width in (browser.DESK_PX, PHONE_PX):
            tab = browser.context(chromium, dark=dark, width=width)
            hosts = browser.hosts_asked(tab)
            page = tab.new_page()
            for name in PAGES:
                page.goto(f"{demo}/{'' if name == 'Overview' else name.lower()}")
                at(page, name)
                page.wait_for_timeout(browser.SETTLE_MS)
                idle(page)
                accessible(page)
                if width == PHONE_PX:
                    fits(page)
            assert hosts == {"127.0.0.1"}
            tab.close()
