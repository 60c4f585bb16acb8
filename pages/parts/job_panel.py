"""Jobs of a study -> what a page shows of them: progress, curves, cancel, resume, outcome, log."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import streamlit as st

from core import jobs
from core.alarms import alarms
from core.errors import UserError
from core.jobs import JobState
from core.plots.figures import loss_curves
from pages.parts import uploads
from pages.parts.workspace import StudyEntry, list_studies, workspace

POLL_S = 1.0
SLOW_POLL_S = 2.0
"""Where curves are drawn again each time, or on pages that show something else."""
STOP_LOOK_S, STOP_LOOKS = 0.1, 15
"""How often, and how many times in a row, a job that was cancelled is looked at."""
LOG_LINES = 30
DONE = "done"
VERB_WORDS: dict[str, str] = {
    "demo": "Preparing the demo study",
    "prepare": "Preparing the recordings",
    "train": "Training",
    "tune": "Searching better settings",
    "generate": "Generating",
    "authenticate": "Judging the beats",
    "quiz": "Mixing real and generated beats",
    "identify": "Comparing with everybody in the study",
    "verify": "Comparing with the claimed person",
    "enroll": "Enrolling",
    "remove_enrolled": "Taking somebody out of the gallery",
    "undo_gallery": "Undoing the last change of the gallery",
    "evaluate": "Evaluating the study",
    "export": "Exporting",
    "peaks": "Finding the R peaks",
    "write_report": "Writing the report",
}
PAGES: dict[str, str] = {
    "demo": "pages/recordings.py",
    "prepare": "pages/recordings.py",
    "train": "pages/training.py",
    "tune": "pages/training.py",
}
"""Where the long jobs are shown, which the sidebar tells of on every page."""


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Show a user's error as its one sentence, and go on below."""
    try:
        yield
    except UserError as error:
        st.error(uploads.without_folder(str(error)))


def submit(folder: Path, verb: str, **arguments: Any) -> str:
    """Begin a job on a study and return its id.

    Raises:
        UserError: It cannot be started, or another one is writing to the study.
    """
    with st.spinner("Starting ..."):
        return jobs.submit(folder, verb, {"study": str(folder), **arguments}, workspace=workspace())


def of_verb(folder: Path, verb: str) -> list[JobState]:
    """Return the jobs of a verb, newest first."""
    return [job for job in jobs.list_jobs(folder) if job.verb == verb]


def newest(folder: Path, *verbs: str) -> JobState | None:
    """Return the job of these verbs that was begun last; None if there is none."""
    return next((job for job in jobs.list_jobs(folder) if job.verb in verbs), None)


def panel(folder: Path, job: JobState, *, curves: bool = False, key: str = "") -> None:
    """Show a job: live while it runs, how it ended if that was too early; nothing when it is done.

    Args:
        folder: Of the study.
        job: From `core.jobs`, of any page, tab or command line.
        curves: Whether its metrics are drawn while it runs.
        key: Tells the panels of one page from each other.
    """
    if job.active:
        watch = st.fragment(_watch, run_every=SLOW_POLL_S if curves else POLL_S)
        watch(str(folder), job.id, curves, key)
    elif job.resumable:
        _show_end(folder, job, key)


def _watch(folder: str, job_id: str, curves: bool, key: str) -> None:
    try:
        job = jobs.read_job(Path(folder), job_id)
    except UserError as error:
        st.error(str(error))
        return
    if not job.active:
        st.rerun()
    _show_progress(job)
    if not job.stopping:
        st.button(
            "Cancel",
            key=f"cancel-{key}-{job_id}",
            icon=":material/cancel:",
            help="What is finished stays, and it can be resumed",
            on_click=_cancel,
            args=(Path(folder), job_id),
        )
    for words in alarms(job.history):
        st.warning(words)
    if curves:
        show_curves(job.history, key=f"live-{key}")
    if job.stopping:
        _await_end(Path(folder), job_id)


def _await_end(folder: Path, job_id: str) -> None:
    """Draw the page again as soon as a job that was cancelled has stopped."""
    for _ in range(STOP_LOOKS):
        time.sleep(STOP_LOOK_S)
        if not jobs.read_job(folder, job_id).active:
            st.rerun()


def _cancel(folder: Path, job_id: str) -> None:
    with one_sentence():
        jobs.cancel(folder, job_id)


def _show_progress(job: JobState) -> None:
    words = VERB_WORDS.get(job.verb, job.verb)
    if job.stopping:
        st.progress(_share(job), text=f"{words}: stopping ...")
    elif job.status == "queued":
        st.progress(0.0, text=f"{words}: waiting for a worker ...")
    elif not job.stage:
        st.progress(0.0, text=f"{words}: starting ...")
    else:
        of = f", {job.done} of {job.total}" if job.total else ""
        st.progress(_share(job), text=f"{words}: {job.stage}{of}")
    told = []
    if job.started is not None:
        told.append(f"{span(time.time() - job.started)} so far")
    if job.remaining_s is not None and not job.stopping:
        told.append(f"about {span(job.remaining_s)} left of this step")
    if job.runs > 1:
        times = "once" if job.runs == 2 else f"{job.runs - 1} times"
        told.append(f"it was stopped {times} and went on from there")
    if told:
        st.caption(f"{', '.join(told)}.".capitalize())


def _share(job: JobState) -> float:
    return min(1.0, job.done / job.total) if job.total else 0.0


def span(seconds: float) -> str:
    """Return a duration as one reads it: ``40 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def _show_end(folder: Path, job: JobState, key: str) -> None:
    words = VERB_WORDS.get(job.verb, job.verb)
    if job.status == "cancelled":
        st.info(f"{words} was cancelled. What is finished stays.")
    elif job.status == "interrupted":
        st.warning(f"{words} was interrupted. Resume it, and it goes on from there.")
    else:
        st.error(uploads.without_folder(job.message) or f"{words} failed.")
    with st.container(horizontal=True):
        if st.button("Resume", key=f"resume-{key}-{job.id}", icon=":material/resume:"):
            with one_sentence(), st.spinner("Starting ..."):
                jobs.resume(folder, job.id, workspace=workspace())
                st.rerun()
        if job.status == "interrupted":
            st.button(
                "Leave it",
                key=f"leave-{key}-{job.id}",
                icon=":material/close:",
                help="What is finished stays, and it can be resumed later",
                on_click=_cancel,
                args=(folder, job.id),
            )
    if job.status != "cancelled":
        with st.expander("Log", icon=":material/notes:"):
            lines = "\n".join(last_log_lines(job)) or "It had not begun."
            st.code(lines, language=None, wrap_lines=True)
            st.caption(f"All of it is in the study's folder, as runs/{job.id}/log.txt.")


def last_log_lines(job: JobState) -> list[str]:
    """Return what a job logged last: a line an event, no traceback, files without their folders."""
    try:
        text = (job.folder / "log.txt").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    events = [line for line in text.splitlines() if re.match(r"\d{4}-\d\d-\d\d ", line)]
    return [re.sub(r"(?<!\w)/(?:[^\s/:'\"]+/)+", "", line) for line in events[-LOG_LINES:]]


def draw_running() -> None:
    """Tell of the long jobs of all studies, with links to them; draw nothing if there is none.

    It is for the sidebar of every page: a job that was begun elsewhere is found there.
    """
    unfinished = _unfinished()
    if any(job.active for _, job in unfinished):
        st.fragment(_watch_running, run_every=SLOW_POLL_S)()
    else:
        _show_running(unfinished)


def _unfinished() -> list[tuple[StudyEntry, JobState]]:
    """Return each study whose newest long job runs or was interrupted, with that job."""
    newest_of = ((entry, newest(entry.folder, *PAGES)) for entry in list_studies())
    return [
        (entry, job)
        for entry, job in newest_of
        if job is not None and (job.active or job.status == "interrupted")
    ]


def _watch_running() -> None:
    unfinished = _unfinished()
    if not any(job.active for _, job in unfinished):
        st.rerun()
    _show_running(unfinished)


def _state_words(job: JobState) -> str:
    if job.status != "running":
        return "waiting" if job.active else "interrupted"
    if job.stopping:
        return "stopping"
    return f"{_share(job):.0%}" if job.stage and job.total else job.stage or "starting"


def _show_running(unfinished: list[tuple[StudyEntry, JobState]]) -> None:
    from pages.parts import sidebar

    for entry, job in unfinished:
        if st.button(
            f"{VERB_WORDS[job.verb]}: {_state_words(job)}. {entry.title}",
            key=f"running-{entry.folder.name}",
            icon=":material/progress_activity:" if job.active else ":material/pause_circle:",
            help=job.stage or None,
            type="tertiary",
        ):
            sidebar.go_to(entry.folder)
            sidebar.switch_to(PAGES[job.verb])


def show_curves(history: list[dict[str, Any]], *, key: str) -> None:
    """Draw the metrics of each stage of a job."""
    stages: dict[str, list[dict[str, Any]]] = {}
    for entry in history:
        if entry.get("metrics"):
            stages.setdefault(str(entry["stage"]), []).append(entry)
    with st.grid(2, min_column_width=320):
        for stage, entries in stages.items():
            total = entries[-1]["total"]
            figure = loss_curves(
                [entry["metrics"] for entry in entries],
                steps=[entry["done"] for entry in entries],
                x_title=f"{stage}: done of {total}",
            )
            st.plotly_chart(figure, key=f"{key}-{stage}", alt=f"Curves of {stage}")


def outcome(folder: Path, job_id: str | None, *, key: str) -> JobState | None:
    """Show a job while it runs or when it failed; return it once it is done."""
    if job_id is None:
        return None
    try:
        job = jobs.read_job(folder, job_id)
    except UserError:
        return None
    if job.status == DONE:
        return job
    panel(folder, job, key=key)
    return None
