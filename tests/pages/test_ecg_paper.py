"""ECG paper in headless Chromium: true scale in pixels, zoom, calipers, the address."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.pages.browser import PHONE_PX, chromium, dashboard

pytestmark = pytest.mark.browser

PX_PER_MM = 96 / 25.4
HEAD_PX, AXIS_PX, GUTTER_MM = 23, 20, 5.5
WAIT_MS = 60_000
VIEWER_PATH = "trace?subject=S01&recording=S01/session_1"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard that begins with the demo study."""
    with dashboard(tmp_path_factory.mktemp("paper") / "workspace") as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def open_paper(
    browser: Browser, url: str, *, width: int = 1280, ratio: int = 1, scheme: str = "light"
) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": 1200},
        device_scale_factor=ratio,
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
    )
    page = context.new_page()
    page.goto(url)
    expect(paper(page)).to_have_attribute("data-drawn", re.compile(r"\d"), timeout=WAIT_MS)
    settled(page)
    return page


def paper(page: Page) -> Locator:
    return page.locator("canvas.trace")


def told(page: Page, name: str) -> str:
    return paper(page).get_attribute(f"data-{name}") or ""


def settled(page: Page) -> None:
    """Wait until no fresh view was drawn for a while."""
    before = ""
    for _ in range(30):
        page.wait_for_timeout(800)
        if (now := told(page, "drawn")) == before:
            return
        before = now


def fresh(page: Page, after: str) -> None:
    """Wait until a view newer than one was drawn."""
    for _ in range(200):
        if int(told(page, "drawn")) > int(after):
            return
        page.wait_for_timeout(50)
    pytest.fail("no fresh view was drawn")


def pixels(page: Page) -> np.ndarray:
    """Return the canvas as (height, width, 4) numbers, in device pixels."""
    height, width, data = paper(page).evaluate(
        """canvas => {
          const pen = canvas.getContext("2d")
          const { data } = pen.getImageData(0, 0, canvas.width, canvas.height)
          let text = ""
          for (let i = 0; i < data.length; i += 8192)
            text += String.fromCharCode(...data.subarray(i, i + 8192))
          return [canvas.height, canvas.width, btoa(text)]
        }"""
    )
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)


def pulse_px(page: Page, speed: float, ratio: int) -> tuple[float, float]:
    """Return width and height of the calibration pulse in CSS pixels, from the pixels alone."""
    gutter = round((GUTTER_MM + 0.2 * speed) * PX_PER_MM * ratio)
    seen = pixels(page)[HEAD_PX * ratio : -AXIS_PX * ratio, :gutter, :3]
    ink = (seen < 70).all(axis=2)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    line = int(ink[:, columns[0]].sum())
    tall = rows[-1] - rows[0] + 1 - line
    upright = np.flatnonzero(ink.sum(axis=0) > 0.8 * tall)
    left, right = np.split(upright, np.flatnonzero(np.diff(upright) > 1) + 1)
    return float(right.mean() - left.mean()) / ratio, float(tall) / ratio


@pytest.mark.parametrize("ratio", [1, 2])
def test_a_millivolt_and_200_ms_are_true_in_pixels(
    browser: Browser, address: str, ratio: int
) -> None:
    page = open_paper(browser, f"{address}/{VIEWER_PATH}", ratio=ratio)
    assert float(told(page, "px-per-mm")) == pytest.approx(PX_PER_MM, abs=1e-4)
    for speed, gain in ((25, 10), (50, 20), (12.5, 5)):
        page.get_by_label("Speed").select_option(str(speed))
        page.get_by_label("Gain").select_option(str(gain))
        settled(page)
        wide, tall = pulse_px(page, speed, ratio)
        assert wide == pytest.approx(0.2 * speed * PX_PER_MM, abs=1)
        assert tall == pytest.approx(gain * PX_PER_MM, abs=1)
    page.context.close()


def test_wheel_and_keys_zoom_and_bring_new_detail(browser: Browser, address: str) -> None:
    page = open_paper(browser, f"{address}/{VIEWER_PATH}")
    span, drawn = float(told(page, "span")), told(page, "drawn")
    paper(page).focus()
    page.keyboard.press("-")
    fresh(page, drawn)
    settled(page)
    assert float(told(page, "speed")) == 12.5
    assert float(told(page, "span")) > 1.9 * span
    box = paper(page).bounding_box()
    assert box is not None
    drawn = told(page, "drawn")
    page.mouse.move(box["x"] + 300, box["y"] + 60)
    page.mouse.wheel(0, 400)
    fresh(page, drawn)
    settled(page)
    assert float(told(page, "span")) > 2.2 * span
    assert int(told(page, "bytes")) <= 20_000
    for _ in range(3):
        page.keyboard.press("2")
    settled(page)
    assert float(told(page, "speed")) == 25
    page.context.close()


def test_calipers_measure_and_are_undone(browser: Browser, address: str) -> None:
    page = open_paper(browser, f"{address}/{VIEWER_PATH}")
    page.get_by_role("button", name="Caliper").click()
    paper(page).scroll_into_view_if_needed()
    box = paper(page).bounding_box()
    assert box is not None
    for start in (200, 400):
        x, y = box["x"] + start, box["y"] + 60
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 0.8 * 25 * PX_PER_MM, y + 10 * PX_PER_MM, steps=5)
        page.mouse.up()
    expect(paper(page)).to_have_attribute(
        "data-calipers", "800 ms  75/min  1.00 mV; 800 ms  75/min  1.00 mV"
    )
    paper(page).focus()
    page.keyboard.press("Control+z")
    expect(paper(page)).to_have_attribute("data-calipers", "800 ms  75/min  1.00 mV")
    page.get_by_role("button", name="Clear").click()
    expect(paper(page)).to_have_attribute("data-calipers", "")
    page.get_by_role("button", name="Undo").click()
    expect(paper(page)).to_have_attribute("data-calipers", "800 ms  75/min  1.00 mV")
    page.context.close()


def test_the_address_holds_the_time(browser: Browser, address: str) -> None:
    page = open_paper(browser, f"{address}/{VIEWER_PATH}&t=7.5")
    assert float(told(page, "start")) == 7.5
    paper(page).focus()
    page.keyboard.press("PageDown")
    settled(page)
    start = float(told(page, "start"))
    assert start > 14
    expect(page).to_have_url(re.compile(rf"[?&]t={start:.1f}"))
    page.reload()
    expect(paper(page)).to_have_attribute("data-drawn", re.compile(r"\d"), timeout=WAIT_MS)
    assert float(told(page, "start")) == pytest.approx(start, abs=0.06)
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(browser: Browser, address: str, scheme: str) -> None:
    page = open_paper(browser, f"{address}/{VIEWER_PATH}", width=PHONE_PX, ratio=2, scheme=scheme)
    inner = page.get_by_test_id("stMain").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert inner[0] <= inner[1]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_PX
    for button in page.locator(".bar button").all():
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 24
    page.context.close()
