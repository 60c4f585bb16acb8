"""Jobs of a study -> what a page shows of them: progress, curves, cancel, resume, outcome."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import streamlit as st

from core import jobs
from core.alarms import alarms
from core.errors import UserError
from core.jobs import JobState
from core.plots.figures import loss_curves
from pages.parts import uploads
from pages.parts.workspace import workspace

POLL_S = 1.0
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
}


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Show a user's error as its one sentence, and go on below."""
    try:
        yield
    except UserError as error:
        st.error(str(error))


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
    """Show a job: live while it runs, its failure when it failed; nothing when it is done."""
    if job.active:
        watch = st.fragment(_watch, run_every=POLL_S)
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
    if st.button("Cancel", key=f"cancel-{key}-{job_id}", icon=":material/cancel:"):
        with one_sentence():
            jobs.cancel(Path(folder), job_id)
            st.toast("It stops at the next step")
    for words in alarms(job.history):
        st.warning(words)
    if curves:
        show_curves(job.history, key=f"live-{key}")


def _show_progress(job: JobState) -> None:
    words = VERB_WORDS.get(job.verb, job.verb)
    if job.status != "running" or not job.total:
        st.progress(0.0, text=f"{words} ... {job.stage or 'waiting for a worker'}")
        return
    text = f"{words}: {job.stage}, {job.done} of {job.total}"
    st.progress(min(1.0, job.done / job.total), text=text)


def _show_end(folder: Path, job: JobState, key: str) -> None:
    words = VERB_WORDS.get(job.verb, job.verb)
    if job.status == "cancelled":
        st.info(f"{words} was cancelled.")
    elif job.status == "interrupted":
        st.warning(f"{words} was interrupted.")
    else:
        st.error(uploads.without_folder(job.message) or f"{words} failed.")
    if st.button("Resume", key=f"resume-{key}-{job.id}", icon=":material/resume:"):
        with one_sentence():
            jobs.resume(folder, job.id, workspace=workspace())
            st.rerun()


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


def first_time(
    folder: Path,
    verb: str,
    begin: Callable[[], str],
    *,
    counts: Callable[[JobState], bool] = lambda job: True,
    **arguments: Any,
) -> str | None:
    """Return the id of the newest job of a verb; begin one if there never was any.

    Args:
        folder: Of the study.
        verb: Of `core.jobs`.
        begin: Begins the job and returns its id.
        counts: Tells which jobs of the verb are meant.
        **arguments: What one of the jobs must have been told for it to count as the first.
    """
    own = [job for job in of_verb(folder, verb) if counts(job)]
    if any(arguments.items() <= job.arguments.items() for job in own):
        return own[0].id
    return begin()
