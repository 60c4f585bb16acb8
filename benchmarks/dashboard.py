"""The dashboard in headless Chromium -> how quick, how light and how quiet it is.

    python -m benchmarks.dashboard [--repeats 5] [--json]

Protocol, in one run: each figure is the median of the repeats, or the 95th percentile of all of
them. Times are taken in the browser, from the click, key or navigation on. A page or widget is done
when its script has ended and nothing in the page has changed for a third of a second: the last
change counts. A bare Streamlit app of one slider is measured the same way, in turn. The training
that runs meanwhile is that of a copy of the demo study, preset quick, in its own worker. The long
recording is 24 h at 250 Hz, the demo's beats in a row. Memory is the resident set of the server's
process after all pages, several visits, a generation and a training; with the long recording open,
it stands among the details. Libraries are read from the system's list of mapped files.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import wfdb
from playwright.sync_api import BrowserContext, Locator, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core import cluster, jobs

PROJECT = Path(__file__).resolve().parents[1]
CHROMIUM = "/usr/bin/chromium"
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
PLOTTED = ("Overview", "Recordings", "Trace", "Explore", "Generation")
"""Pages that open on a plot of the trained study."""
PLOT = "[data-testid='stMain'] canvas, [data-testid='stPlotlyChart'] svg .trace"
WAIT_MS = 120_000
QUIET_MS = 350
TURNS = 10
"""Widget changes and zooms a repeat."""
HOURS, RATE_HZ = 24, 250
BARE = """
import streamlit as st
number = st.slider("Number", 0, 1000, 500)
st.markdown(f"The number is {number}.")
"""
WATCH = """
const watch = (window.watch = {start: 0, ran: true, ended: null, changed: 0})
const begin = () => Object.assign(watch, {start: performance.now(), ran: false, ended: null})
addEventListener("click", begin, true)
addEventListener("keydown", begin, true)
new MutationObserver(changes => {
  watch.changed = performance.now()
  const app = document.querySelector("[data-testid='stApp']")
  if (!app) return
  if (app.dataset.testScriptState === "running") Object.assign(watch, {ran: true, ended: null})
  else if (watch.ran && watch.ended === null) watch.ended = watch.changed
}).observe(document, {subtree: true, childList: true, attributes: true, characterData: true})
"""
UNSEEN_MS = 1_500
"""A script that ran faster than the page could say so has ended by then."""
SETTLED = f"""() => {{
  const now = performance.now()
  const ended = watch.ran ? watch.ended !== null : now - watch.start > {UNSEEN_MS}
  return ended && now - Math.max(watch.ended ?? 0, watch.changed) > {QUIET_MS}
}}"""
ZOOM = """(canvas, key) => new Promise(done => {
  const before = canvas.dataset.drawn, start = performance.now()
  canvas.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, composed: true}))
  const look = () => {
    const ms = performance.now() - start
    if (canvas.dataset.drawn !== before) {
      const {bytes, serverMs} = canvas.dataset
      done({ms, bytes: Number(bytes), server_ms: Number(serverMs)})
    } else if (ms > 3000) done(null)
    else requestAnimationFrame(look)
  }
  look()
})"""


@dataclass
class Figures:
    """What was measured: rows for a table, each with its limit.

    Attributes:
        rows: Name -> figure, limit, unit.
        hosts: Hosts that the browser asked.
        details: Figures behind the rows.
    """

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)
    details: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, figure: float, limit: float, unit: str, bare: float = 0.0) -> None:
        """Add a row; of a figure of a slower machine, what the bare app allows is its limit."""
        allowed = max(limit, bare)
        row = {"figure": round(figure, 3), "limit": limit, "unit": unit, "met": figure <= allowed}
        self.rows[name] = row | ({"bare_allows": round(bare, 3)} if bare else {})


@contextlib.contextmanager
def serving(script: Path, workspace: Path) -> Iterator[tuple[str, psutil.Process, float]]:
    """Serve an app as ``make run`` does; give its address, process and when it was started."""
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", script.name, f"--server.port={port}"]
    began = time.perf_counter()
    process = subprocess.Popen(
        [
            *command,
            "--server.headless=true",
            "--server.address=127.0.0.1",
            "--browser.gatherUsageStats=false",
        ],
        cwd=script.parent,
        env={**os.environ, "CARDIOTWIN_WORKSPACE": str(workspace), "MALLOC_ARENA_MAX": "2"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(1200):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5)
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid), began
    finally:
        process.terminate()
        process.wait(30)


def settled(page: Page) -> float:
    """Wait until what was begun in the page is done; return the seconds that it took."""
    page.wait_for_function(SETTLED, timeout=WAIT_MS)
    last = page.evaluate("Math.max(watch.ended ?? 0, watch.changed) - watch.start")
    return float(last) / 1000


def go(page: Page, name: str) -> float:
    """Open a page by the navigation; return the seconds until it is whole."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    page.get_by_test_id("stMain").get_by_role("heading", name=name, exact=True).wait_for()
    return settled(page)


def first_drawn(page: Page, address: str, what: str = PLOT) -> float:
    """Open an address; return the seconds until the first plot, or what is told, is there."""
    page.goto(address)
    page.locator(what).first.wait_for(timeout=WAIT_MS)
    seconds = float(page.evaluate("performance.now()")) / 1000
    settled(page)
    return seconds


def compared_by(page: Page) -> Callable[[int], Locator]:
    """Return the button that changes the picture of the Explore page at a turn."""
    buttons = page.get_by_test_id("stMain").get_by_role("radiogroup").nth(1).get_by_role("radio")
    return lambda turn: buttons.nth((turn + 1) % 2)


def turned(page: Page, turns: int) -> list[float]:
    """Return the seconds of so many new pictures on the Explore page, which is open."""
    button = compared_by(page)
    seconds = []
    for turn in range(turns):
        button(turn).click()
        seconds.append(settled(page))
    return seconds


def slid(page: Page, turns: int) -> list[float]:
    """Return the seconds of so many moves of the bare app's slider."""
    slider = page.get_by_role("slider")
    seconds = []
    for _ in range(turns):
        slider.press("ArrowRight")
        seconds.append(settled(page))
    return seconds


def write_long_recording(folder: Path) -> list[Path]:
    """Write 24 h at 250 Hz as WFDB: a recording of the demo cohort, in a row."""
    source = next(path for path in sorted((PROJECT / "assets" / "demo").rglob("*.hea")))
    record = wfdb.rdrecord(str(source.with_suffix("")))
    rate = float(record.fs)
    lead = np.interp(
        np.arange(0, record.sig_len / rate, 1 / RATE_HZ),
        np.arange(record.sig_len) / rate,
        record.p_signal[:, 0],
    )
    signal = np.resize(np.round(lead * 1000).astype(np.int16), HOURS * 3600 * RATE_HZ)
    wfdb.wrsamp(
        "long",
        fs=RATE_HZ,
        units=["mV"],
        sig_name=["I"],
        d_signal=signal[:, None],
        fmt=["16"],
        adc_gain=[1000.0],
        baseline=[0],
        write_dir=str(folder),
    )
    return [folder / "long.hea", folder / "long.dat"]


def zoomed(page: Page, files: list[Path], turns: int) -> list[dict[str, float]]:
    """Open a recording from files on the Trace page; return what zooms of it cost."""
    go(page, "Trace")
    page.get_by_test_id("stMain").get_by_text("A file", exact=True).click()
    upload = page.get_by_test_id("stFileUploader").locator("input[type=file]")
    upload.set_input_files(files)
    canvas = page.locator("canvas.trace[data-drawn][aria-label*='long']")
    canvas.wait_for(timeout=2 * WAIT_MS)
    settled(page)
    found = []
    for _ in range(turns):
        canvas.evaluate(ZOOM, "0")
        page.wait_for_timeout(300)
        for key in "+++++-+++++":
            found.append(canvas.evaluate(ZOOM, key))
            page.wait_for_timeout(150)
    return [one for one in found if one is not None]


def first_minute(context: BrowserContext, figures: Figures) -> None:
    """Measure a first start: clicks and seconds to real beats beside generated ones."""
    with tempfile.TemporaryDirectory() as folder:
        with serving(PROJECT / "app.py", Path(folder)) as (address, _, began):
            page = context.new_page()
            page.goto(address)
            beside = page.get_by_test_id("stMain").get_by_text("Real beside generated")
            asked = page.get_by_role("button", name="See real beside generated")
            beside.or_(asked).first.wait_for(timeout=WAIT_MS)
            clicks = 0
            if asked.count():
                asked.click()
                clicks += 1
                page.get_by_test_id("stMain").get_by_text("SYNTHETIC").first.wait_for(
                    timeout=WAIT_MS
                )
            page.locator(PLOT).first.wait_for(timeout=WAIT_MS)
            figures.add("first real beside generated", time.perf_counter() - began, 30, "s")
            figures.add("clicks to it", clicks, 2, "")
            page.close()
        cluster.stop(Path(folder))


def imported(repeats: int) -> float:
    """Return the seconds that a fresh process takes to import what draws the first page."""
    code = "import time; t = time.perf_counter(); import streamlit, pages.parts.frame; "
    code += "print(time.perf_counter() - t)"
    runs = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(repeats)
    ]
    return float(np.median([float(run.stdout.split()[-1]) for run in runs]))


def with_training(workspace: Path, work: Callable[[], None]) -> None:
    """Do something while a copy of the demo study is being trained."""
    folder = workspace / "studies" / "copy"
    shutil.copytree(
        workspace / "studies" / "demo", folder, ignore=shutil.ignore_patterns("runs", "models")
    )
    arguments = {"study": str(folder), "preset": "quick"}
    job = jobs.submit(folder, "train", arguments, workspace=workspace)
    try:
        for _ in range(600):
            found = next(state for state in jobs.list_jobs(folder) if state.id == job)
            if found.status == "running" and found.done:
                break
            time.sleep(0.2)
        work()
    finally:
        jobs.cancel(folder, job)


def measure(repeats: int) -> Figures:
    """Measure everything; see the protocol above."""
    figures = Figures()
    figures.add("import", imported(repeats), 1.5, "s")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        context = browser.new_context(
            viewport={"width": 1280, "height": 1400}, reduced_motion="reduce", locale="en-GB"
        )
        context.add_init_script(WATCH)
        context.on("request", lambda request: figures.hosts.add(request.url.split("/")[2]))
        first_minute(context, figures)
        workspace = Path(folder) / "workspace"
        script = Path(folder) / "bare" / "bare.py"
        script.parent.mkdir()
        script.write_text(BARE)
        with (
            serving(script, workspace) as (bare_address, _, _),
            serving(PROJECT / "app.py", workspace) as (address, process, _),
        ):
            bare, page = context.new_page(), context.new_page()
            try:
                _measure_pages(figures, page, bare, address, bare_address, workspace, repeats)
                _measure_process(figures, process)
                _measure_zoom(figures, page, Path(folder), repeats)
                figures.details["memory_with_24_h_open_mb"] = process.memory_info().rss / 1e6
            finally:
                cluster.stop(workspace)
        browser.close()
    away = {host for host in figures.hosts if host and not host.startswith("127.0.0.1:")}
    figures.add("hosts asked besides this one", len(away), 0, "")
    return figures


def _measure_pages(
    figures: Figures,
    page: Page,
    bare: Page,
    address: str,
    bare_address: str,
    workspace: Path,
    repeats: int,
) -> None:
    text = "text=The number is"
    first_drawn(bare, bare_address, text)
    page.goto(address)
    settled(page)
    for name in PAGES:
        go(page, name)
    page.get_by_test_id("stMain").wait_for()
    _generate(page)

    opened: dict[str, list[float]] = {name: [] for name in PLOTTED}
    switched: dict[str, list[float]] = {name: [] for name in PAGES}
    bare_opened: list[float] = []
    for _ in range(repeats):
        bare_opened.append(first_drawn(bare, bare_address, text))
        for name in PLOTTED:
            where = "" if name == "Overview" else name.lower()
            opened[name].append(first_drawn(page, f"{address}/{where}"))
        for name in PAGES:
            switched[name].append(go(page, name))
    go(page, "Explore")
    turned(page, 4)
    widget, bare_widget = turned(page, repeats * TURNS), slid(bare, repeats * TURNS)
    busy: dict[str, list[float]] = {}

    def meanwhile() -> None:
        busy["ours"] = turned(page, repeats * TURNS)
        busy["bare"] = slid(bare, repeats * TURNS)
        busy["switch"] = [go(page, name) for name in PAGES]

    with_training(workspace, meanwhile)

    p95 = _p95(bare_widget)
    worst = max(opened, key=lambda name: np.median(opened[name]))
    figures.add(
        f"warm page to first plot ({worst})",
        float(np.median(opened[worst])),
        0.8,
        "s",
        1.3 * float(np.median(bare_opened)),
    )
    every = [seconds for found in switched.values() for seconds in found]
    figures.add("page switch, median", float(np.median(every)), 0.6, "s", 1.3 * p95)
    worst = max(switched, key=lambda name: np.median(switched[name]))
    figures.add(
        f"page switch, slowest ({worst})", float(np.median(switched[worst])), 0.6, "s", 1.3 * p95
    )
    figures.add("widget to new result, p95", _p95(widget), 0.3, "s", 1.3 * p95)
    figures.add(
        "the same while training, p95", _p95(busy["ours"]), 0.5, "s", 1.8 * _p95(busy["bare"])
    )
    figures.details |= {
        "page_to_plot_s": _medians(opened),
        "page_switch_s": _medians(switched),
        "page_switch_while_training_s": dict(zip(PAGES, busy["switch"], strict=True)),
        "bare": {
            "page_s": float(np.median(bare_opened)),
            "widget_p95_s": p95,
            "widget_while_training_p95_s": _p95(busy["bare"]),
        },
    }


def _generate(page: Page) -> None:
    """See to it that there are generated beats, so that pages have what to draw."""
    go(page, "Generation")
    button = page.get_by_test_id("stMain").get_by_role("button", name="Generate", exact=True)
    shown = page.get_by_test_id("stMain").get_by_text("SYNTHETIC")
    if not shown.count() and button.count():
        button.first.click()
    shown.first.wait_for(timeout=WAIT_MS)


def _measure_zoom(figures: Figures, page: Page, folder: Path, repeats: int) -> None:
    found = zoomed(page, write_long_recording(folder), repeats)
    bare = figures.details["bare"]["widget_p95_s"]
    figures.add("zoom on 24 h, p95", _p95([z["ms"] / 1000 for z in found]), 0.25, "s", 1.3 * bare)
    figures.add("its server part, p95", _p95([z["server_ms"] for z in found]), 20, "ms")
    figures.add("its payload, largest", max(z["bytes"] for z in found) / 1000, 20, "kB")
    figures.details["zooms"] = len(found)


def _measure_process(figures: Figures, process: psutil.Process) -> None:
    figures.add("memory after a journey", process.memory_info().rss / 1e6, 300, "MB")
    heavy = {m.path for m in process.memory_maps() if "/tensorflow/" in m.path}
    figures.add("TensorFlow's libraries in it", len(heavy), 0, "")
    figures.details["memory_of_its_own_mb"] = round(process.memory_full_info().uss / 1e6)


def _p95(values: list[float]) -> float:
    return float(np.percentile(values, 95))


def _medians(found: dict[str, list[float]]) -> dict[str, float]:
    return {name: round(float(np.median(values)), 3) for name, values in found.items()}


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    figures = measure(arguments.repeats)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, load {load:.1f} at the start"
    if arguments.json:
        told = {"protocol": __doc__, "machine": machine, "repeats": arguments.repeats}
        print(json.dumps(told | {"rows": figures.rows, "details": figures.details}))
        return
    print(machine)
    for name, row in figures.rows.items():
        allowed = f"  (bare app allows {row['bare_allows']:g})" if "bare_allows" in row else ""
        mark = "" if row["met"] else "  MISSED"
        print(f"{name:45}{row['figure']:10.3f} {row['unit']:3} <= {row['limit']:g}{allowed}{mark}")
    print(json.dumps(figures.details, indent=1))


if __name__ == "__main__":
    main()
