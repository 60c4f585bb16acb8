"""Golden pictures: the paper and the beats side by side look as they did, within a tolerance.

They are compared thumb-sized, so that another version of a font does not matter. After a change
that is meant, run this file with ``CARDIOTWIN_KEEP_PICTURES=1`` and look at what it kept.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

from tests.pages import browser
from tests.pages.browser import SHORT_MS, at, idle

pytestmark = pytest.mark.browser

GOLDEN = Path(__file__).parent / "golden"
KEEP = bool(os.environ.get("CARDIOTWIN_KEEP_PICTURES"))
THUMB_PX = 120
MOST_APART = 6.0
"""Mean difference of two thumbs, of 255."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard on the shipped study."""
    with browser.dashboard(tmp_path_factory.mktemp("demo") / "workspace") as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as found:
        yield found


def thumb(picture: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    return image.resize((THUMB_PX, max(1, round(THUMB_PX * image.height / image.width))))


def apart(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures; 255 if their shapes differ."""
    if abs(one.height - other.height) > 2:
        return 255.0
    pair: list[npt.NDArray[np.float64]] = [
        np.asarray(image.resize(other.size), dtype=np.float64) for image in (one, other)
    ]
    return float(np.abs(pair[0] - pair[1]).mean())


def look(chromium: Browser, address: str, *, dark: bool, width: int, what: str) -> Image.Image:
    """Return the thumb of the ECG paper or of the beats side by side."""
    tab = browser.context(chromium, dark=dark, width=width)
    page = tab.new_page()
    place = "trace?subject=S02&recording=S02%2Fsession_1" if what == "paper" else ""
    page.goto(f"{address}/{place}")
    at(page, "Trace" if what == "paper" else "Overview")
    found: Locator = (
        page.locator("canvas.trace")
        if what == "paper"
        else page.locator(".stEChartsChart canvas").first
    )
    expect(found).to_be_visible(timeout=SHORT_MS)
    page.wait_for_timeout(browser.SETTLE_MS)
    idle(page)
    found.scroll_into_view_if_needed()
    picture = thumb(found.screenshot())
    tab.close()
    return picture


@pytest.mark.parametrize("what", ["paper", "beside"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [browser.DESK_PX, browser.PHONE_PX])
def test_it_looks_as_it_did(
    demo: str, chromium: Browser, what: str, dark: bool, width: int
) -> None:
    seen = look(chromium, demo, dark=dark, width=width, what=what)
    name = f"{what}-{width}-{'dark' if dark else 'light'}.png"
    if KEEP:
        GOLDEN.mkdir(exist_ok=True)
        seen.save(GOLDEN / name)
    assert apart(seen, Image.open(GOLDEN / name).convert("RGB")) < MOST_APART


def test_a_picture_of_another_theme_is_told_apart() -> None:
    pictures = [
        Image.open(GOLDEN / f"paper-{browser.DESK_PX}-{theme}.png") for theme in ("light", "dark")
    ]
    assert apart(*pictures) > 2 * MOST_APART
