"""A copy of the demo study -> whether jobs outlive what disturbs them, and how soon a cancel acts.

``disturb``: a quick training of the GAN is disturbed at a random moment: the page is reloaded, its
tab is closed and the link opened in another browser session, the dashboard is killed and started
again, or the worker is killed; on request the whole cluster (``scheduler``), where somebody must
click Resume. A trial passes if a page that knows the link alone shows the job again (where the
worker was killed: a process that knows the folder alone), it ends done, and its model is that of
the same training undisturbed, number for number.

``cancel``: long jobs are cancelled at random moments within each of their stages: the time until
the state says so and their process is gone or idle, and the files left behind. ``click``: the same
from a click on Cancel to the page's words.

    python benchmarks/jobs.py disturb [--trials 20] [--kinds reload,tab,server,worker] [--json OUT]
    python benchmarks/jobs.py cancel [--trials 3] [--kinds "train gan,..."] [--json OUT]
    python benchmarks/jobs.py click [--trials 3]
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core import cluster, jobs
from core.jobs import JobState

PROJECT = Path(__file__).resolve().parents[1]
CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
DISTURBANCES = ("reload", "tab", "server", "worker", "scheduler")
REQUIRED = 4
"""So many of them, the first, are what is asked for by default."""
TRAINING = {"models": ["gan"], "preset": "quick", "seed": 11}
ENOUGH_S = 150.0
PAGE_MS = 30_000
IDLE_S = 0.2
IDLE_SHARE = 0.3
"""Of one core, over `IDLE_S`: below it, a process that is there does not compute."""
LIST = """
import sys
from pathlib import Path
from core import jobs
(job,) = [job for job in jobs.list_jobs(Path(sys.argv[1])) if job.active]
print(job.id)
"""
STAGES: dict[str, tuple[str, dict[str, Any], str, float]] = {
    "starting": ("train", {"models": ["gan"]}, "", 5.0),
    "prepare": ("prepare", {"sources": [str(PROJECT / "assets" / "demo")]}, "prepare", 4.0),
    "train autoencoder": ("train", {"models": ["autoencoder"]}, "train autoencoder", 1.0),
    "train mixture": ("train", {"models": ["mixture"]}, "train mixture", 0.3),
    "train gan": ("train", {"models": ["gan"]}, "train gan", 10.0),
    "train judge": ("train", {"models": ["authenticity"]}, "train authenticity", 5.0),
    "judge's fakes": ("train", {"models": ["authenticity"]}, "", 12.0),
    "train identifier": ("train", {"models": ["identifier"]}, "train identifier", 6.0),
    "its threshold": ("train", {"models": ["identifier"]}, "choose the threshold", 10.0),
    "generate": ("generate", {"per_subject": 1000, "model": "gan"}, "generate", 3.0),
    "evaluate": ("evaluate", {}, "", 25.0),
}
"""Verb, arguments, the stage's first words, and within how long after it began a cancel comes."""


def main() -> None:
    """Run what is asked for, print a line a trial and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("disturb", "cancel", "click"))
    parser.add_argument("--trials", type=int, help="of all disturbances; cancels a stage")
    parser.add_argument("--kinds", help="disturbances or stages, with commas")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--json", type=Path, help="file to append a line a trial to")
    parser.add_argument("--reference", type=Path, help="folder to keep the undisturbed model in")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    rng = np.random.default_rng(asked.seed)
    kinds = asked.kinds.split(",") if asked.kinds else None
    with tempfile.TemporaryDirectory(prefix="jobs-") as folder:
        bench = Bench(Path(folder), asked.json, asked.reference)
        try:
            if asked.what == "disturb":
                disturb(bench, asked.trials or 20, kinds or list(DISTURBANCES[:REQUIRED]), rng)
            elif asked.what == "cancel":
                cancel(bench, asked.trials or 3, kinds or list(STAGES), rng)
            else:
                click(bench, asked.trials or 3, rng)
        finally:
            cluster.stop(bench.workspace)


class Bench:
    """A workspace with copies of the demo study, and where trials are told."""

    def __init__(self, workspace: Path, told: Path | None, reference: Path | None) -> None:
        self.workspace = workspace
        self._told = told
        self._reference = reference

    def study(self, name: str) -> Path:
        """Return a fresh copy of the demo study."""
        folder = self.workspace / "studies" / name
        shutil.copytree(PROJECT / "assets" / "demo_study", folder)
        return folder

    def reference(self) -> Path:
        """Return the model of an undisturbed training."""
        kept = self._reference or self.workspace / "reference"
        if not kept.is_dir():
            study = self.study("undisturbed")
            wait(study, self.submit(study, "train", TRAINING), lambda job: job.status == "done")
            shutil.copytree(study / "models" / "gan", kept)
        return kept

    def submit(self, study: Path, verb: str, arguments: dict[str, Any]) -> str:
        """Begin a job, as the pages do."""
        return jobs.submit(study, verb, arguments, workspace=self.workspace)

    def tell(self, **row: Any) -> dict[str, Any]:
        """Print a trial, and keep it."""
        print(*(f"{name}={value}" for name, value in row.items()), flush=True)
        if self._told is not None:
            with self._told.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        return row


def wait(study: Path, job_id: str, when: Callable[[JobState], bool]) -> JobState:
    """Return a job's state once it is so."""
    deadline = time.monotonic() + ENOUGH_S
    while not when(state := jobs.read_job(study, job_id)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{job_id}: {state.status} {state.stage} {state.done}")
        time.sleep(0.02)
    return state


def worker_of(state: JobState) -> psutil.Process | None:
    """Return the process that a job runs in; None if it is gone."""
    worker = json.loads((state.folder / "state.json").read_text())["worker"]
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(worker["pid"])
    return None


# Disturbances


def disturb(bench: Bench, trials: int, kinds: list[str], rng: np.random.Generator) -> None:
    """Disturb trainings and compare what comes out with an undisturbed one."""
    reference = bench.reference()
    passed = 0
    with Dashboard(bench.workspace) as dashboard, chromium() as browser:
        for number in range(trials):
            kind = kinds[number % len(kinds)]
            study = bench.study(f"trial-{number}")
            job_id = bench.submit(study, "train", TRAINING)
            link = f"{dashboard.address}/training?study={study.name}"
            page = opened(browser, link)
            at = wait(study, job_id, _has_done(rng.uniform(0.05, 0.8)))
            began = time.monotonic()
            page = _disturb(kind, at, page, link, dashboard, browser)
            found = time.monotonic() - began
            if kind == "scheduler":
                page.get_by_role("button", name="Resume").first.click()
            after = wait(study, job_id, lambda job: job.status in ("done", "failed"))
            page.locator("[data-testid=stProgress]").first.wait_for(state="hidden")
            page.context.close()
            apart = _difference(reference, study / "models" / "gan")
            good = after.status == "done" and apart == 0
            passed += good
            bench.tell(
                kind=kind,
                at=f"{at.done}/{at.total}",
                found_s=round(found, 1),
                status=after.status,
                runs=after.runs,
                apart=apart,
                passed=good,
                left=left_behind(study),
            )
            shutil.rmtree(study)
    print(f"{passed} of {trials} found again, done, with the model of the undisturbed training")


def _has_done(share: float) -> Callable[[JobState], bool]:
    return lambda job: bool(job.total) and job.done >= share * job.total


def _has_begun(stage: str) -> Callable[[JobState], bool]:
    return lambda job: job.status != "queued" and job.stage.startswith(stage)


def _disturb(
    kind: str, at: JobState, page: Any, link: str, dashboard: Dashboard, browser: Any
) -> Any:
    """Do it, and return a page on which the job was found again."""
    study = at.folder.parents[1]
    if kind == "reload":
        page.reload()
    elif kind == "tab":
        page.context.close()
        page = opened(browser, link)
    elif kind == "server":
        dashboard.kill()
        page.context.close()
        dashboard.start()
        page = opened(browser, link)
    elif kind == "worker":
        worker = worker_of(at)
        assert worker is not None
        worker.kill()
        asked = [sys.executable, "-c", LIST, str(study)]
        told = subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=True)
        assert told.stdout.strip() == at.id
    elif kind == "scheduler":
        os.kill(cluster.ensure(study.parents[1]).pid, signal.SIGKILL)
        page.reload()
        page.get_by_text("Training was interrupted").first.wait_for(timeout=PAGE_MS)
        return page
    bar = page.locator("[data-testid=stProgress]").first
    bar.get_by_text("Training:").wait_for(timeout=PAGE_MS)
    return page


def _difference(one: Path, other: Path) -> float:
    """Return the largest difference of two models' numbers; infinite if they are not alike."""
    ones, others = _numbers(one), _numbers(other)
    if ones.keys() != others.keys() or any(ones[n].shape != others[n].shape for n in ones):
        return float("inf")
    return max(float(np.abs(ones[name] - others[name]).max(initial=0)) for name in ones)


def _numbers(model: Path) -> dict[str, Any]:
    """Return all numbers of a model's weights and arrays by name; not its layers' names."""
    import h5py

    found: dict[str, Any] = {}
    for path in sorted(model.iterdir()):
        if path.suffix == ".npz":
            arrays = dict(np.load(path))
        elif path.suffix == ".keras":
            weights = zipfile.ZipFile(path).read("model.weights.h5")
            arrays = {}
            with h5py.File(io.BytesIO(weights)) as file:
                file.visititems(
                    lambda name, item: (
                        arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None  # noqa: B023
                    )
                )
        else:
            continue
        found |= {f"{path.name}/{k}": v for k, v in arrays.items() if v.dtype.kind in "fiu"}
    return found


def left_behind(study: Path) -> list[str]:
    """Return temporary files of a study, and its lock if somebody holds it."""
    found = [
        str(path.relative_to(study))
        for path in sorted(study.rglob(".*"))
        if path.name != ".lock" and "runs" not in path.relative_to(study).parts[:-2]
    ]
    return [*found, ".lock is held"] if _is_locked(study) else found


def _is_locked(study: Path) -> bool:
    """Return whether somebody has the right to write to a study."""
    if not (study / ".lock").exists():
        return False
    with (study / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _is_resumed_from(name: str) -> bool:
    """Return whether a file is of what a resumed job goes on from, or makes anew."""
    first = name.removeprefix("models/").split("/")[0]
    return first == ".prepare" or first.endswith((".checkpoint", ".new"))


# Cancels


def cancel(bench: Bench, trials: int, kinds: list[str], rng: np.random.Generator) -> None:
    """Cancel jobs in each stage and time it."""
    study = bench.study("cancel")
    took: dict[str, list[float]] = {}
    for kind in kinds:
        verb, given, begins, within_s = STAGES[kind]
        for number in range(trials):
            arguments = dict(given)
            folder = study
            if verb == "train":
                arguments |= {"preset": "full", "seed": int(rng.integers(1, 2**31))}
            elif verb == "generate":
                arguments |= {"out": str(study / "exports" / f"{number}.npz"), "seed": number}
                (study / "exports").mkdir(exist_ok=True)
            elif verb == "prepare":
                folder = bench.workspace / "studies" / f"new-{number}"
            job_id = bench.submit(folder, verb, arguments)
            wait(folder, job_id, _has_begun(begins))
            time.sleep(rng.uniform(0, within_s))
            at = jobs.read_job(folder, job_id)
            seconds = _timed_cancel(folder, job_id)
            after = jobs.read_job(folder, job_id)
            if after.status == "cancelled":
                took.setdefault(kind, []).append(seconds)
            bench.tell(
                stage=kind,
                at=f"{at.stage} {at.done}/{at.total}",
                status=after.status,
                stopped_s=round(seconds, 2),
                left=[name for name in left_behind(folder) if not _is_resumed_from(name)],
            )
    for kind, seconds_of in took.items():
        median, most = float(np.median(seconds_of)), max(seconds_of)
        print(f"{kind}: {len(seconds_of)} cancels, median {median:.2f} s, max {most:.2f} s")
    every = [one for seconds_of in took.values() for one in seconds_of]
    if every:
        print(f"all {len(every)}: median {np.median(every):.2f} s, max {max(every):.2f} s")


def _timed_cancel(folder: Path, job_id: str) -> float:
    """Cancel a job; return the seconds until it says so, and nothing of it computes or writes."""
    state = jobs.read_job(folder, job_id)
    worker = worker_of(state)
    began = time.monotonic()
    jobs.cancel(folder, job_id)
    wait(folder, job_id, lambda job: not job.active)
    stopped = time.monotonic()
    while worker is not None and (_computes(worker) or _is_locked(folder)):
        stopped = time.monotonic()
    return stopped - began


def _computes(process: psutil.Process) -> bool:
    """Return whether a process that is there used the processor just now."""
    try:
        before = process.cpu_times()
        time.sleep(IDLE_S)
        after = process.cpu_times()
    except psutil.NoSuchProcess:
        return False
    return after.user + after.system - before.user - before.system > IDLE_SHARE * IDLE_S


def click(bench: Bench, trials: int, rng: np.random.Generator) -> None:
    """Click Cancel on the page and time what it says."""
    study = bench.study("click")
    with Dashboard(bench.workspace) as dashboard, chromium() as browser:
        for _ in range(trials):
            arguments = {**TRAINING, "preset": "full", "seed": int(rng.integers(1, 2**31))}
            job_id = bench.submit(study, "train", arguments)
            page = opened(browser, f"{dashboard.address}/training?study={study.name}")
            wait(study, job_id, lambda job: bool(job.total))
            time.sleep(rng.uniform(0, 3))
            button = page.get_by_role("button", name="Cancel").first
            button.wait_for(timeout=PAGE_MS)
            began = time.monotonic()
            button.click()
            page.get_by_text("stopping ...").first.wait_for(timeout=PAGE_MS)
            answered = time.monotonic() - began
            page.get_by_text("was cancelled").first.wait_for(timeout=PAGE_MS)
            told = time.monotonic() - began
            page.context.close()
            bench.tell(answered_s=round(answered, 2), told_s=round(told, 2))


# The dashboard and its browser


class Dashboard:
    """A dashboard on a free port, which may be killed and started again there."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Dashboard:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "streamlit", "run", "app.py"),
                *("--server.headless=true", f"--server.port={self._port}"),
                "--server.fileWatcherType=none",
            ],
            cwd=PROJECT,
            env={**os.environ, "CARDIOTWIN_WORKSPACE": str(self._workspace)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + ENOUGH_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=1).read():
                    return
            time.sleep(0.1)
        raise TimeoutError("the dashboard does not answer")

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Yield a headless browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def opened(browser: Any, link: str) -> Any:
    """Return a page of a browser session that knows nothing but the link."""
    page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    page.goto(link)
    return page


if __name__ == "__main__":
    main()
