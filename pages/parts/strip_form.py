"""Subject, seconds and format -> a continuous synthetic strip on ECG paper, and its download."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from core.generating import HEART_RATE_RANGE
from core.jobs import JobState
from core.plots.paper import PAGE_PX, PHONE_PX, rows_of, strip
from core.readers import read_recording
from core.recording import Recording
from core.study import Study
from pages.parts import content, generated, job_panel

FORMATS = {".hea": "WFDB (.hea, .dat, .atr)", ".edf": "EDF+", ".csv": "CSV"}
SECONDS_RANGE = (5, 600)
"""What is drawn on a page; the command line makes longer ones."""
USUAL_SECONDS = 30
ROW_CHOICES_S = (2.5, 5.0, 10.0)
USUAL_ROW_S, PHONE_ROW_S = 5.0, 2.5
ROWS_A_PAGE_S = 10.0
"""What a page shows of a strip."""


def begin(study: Study, ending: str, **arguments: Any) -> str:
    """Begin a job that makes a strip; return its id."""
    told = " ".join(f"{key}={value}" for key, value in sorted(arguments.items()))
    told += f" {study.model_recipes().get(arguments['model'])}"
    words = ("strip", arguments["model"], *arguments["subjects"])
    # Of a WFDB record's name, these letters are allowed.
    name = re.sub(r"[^A-Za-z0-9_-]", "_", content.file_name(*words, ending="", version=told))
    out = study.folder / "exports" / f"{name}{ending}"
    out.parent.mkdir(exist_ok=True)
    return job_panel.submit(study.folder, "generate", out=str(out), **arguments)


def newest(study: Study, subject: str) -> JobState | None:
    """Return the strip of a subject that was asked for last."""
    own = (j for j in job_panel.of_verb(study.folder, "generate") if j.arguments.get("seconds"))
    return next((job for job in own if job.arguments["subjects"] == [subject]), None)


def draw(study: Study, subject: str, model: str, days: str, max_seed: int, lead: int) -> None:
    """Draw what can be chosen, and the strip that was made last.

    Args:
        study: A study with a generator.
        subject: Whose strip.
        model: The generator.
        days: ``recorded`` or ``new``.
        max_seed: The highest seed.
        lead: Number of the lead to show.
    """
    st.markdown(
        f"Beats of **{subject}** one after the other, in a rhythm like the person's own, as a "
        "recording. Its header says that it is synthetic."
    )
    with st.form("strip"):
        with st.grid(2):
            seconds = st.number_input(
                "Length (s)", *SECONDS_RANGE, USUAL_SECONDS, key="strip-seconds"
            )
            ending = st.selectbox(
                "Format", list(FORMATS), format_func=FORMATS.__getitem__, key="strip-format"
            )
            rate = st.number_input(
                "Heart rate (beats a minute)",
                *HEART_RATE_RANGE,
                None,
                step=1.0,
                placeholder="the person's own",
                help="QT and T follow the rate, as in the person's own recordings",
                key="strip-rate",
            )
            seed = st.number_input(
                "Seed",
                0,
                max_seed,
                0,
                help="The same seed gives the same strip again; another one, another strip",
                key="strip-seed",
            )
        noisy = st.checkbox(
            "With wander and noise as in the person's recordings", key="strip-noise"
        )
        asked = st.form_submit_button("Make a strip", icon=":material/show_chart:")
    if asked:
        with job_panel.one_sentence():
            begin(
                study,
                ending,
                model=model,
                subjects=[subject],
                seconds=float(seconds),
                days=days,
                seed=int(seed),
                **({} if rate is None else {"heart_rate": float(rate)}),
                **({"noise": "real"} if noisy else {}),
            )
            st.rerun()
    job = newest(study, subject)
    if job is None:
        st.info("No strip of this person yet. Choose its length and make one.")
        return
    done = job_panel.outcome(study.folder, job.id, key="strip")
    if done is not None:
        draw_strip(study, done, lead)


def is_phone() -> bool:
    """Tell whether the browser says that it is a phone's."""
    return "Mobi" in (st.context.headers.get("User-Agent") or "")


def pick_row_s() -> float:
    """Let the user choose how many seconds a row of paper holds; fewer are drawn larger."""
    return st.segmented_control(
        "Seconds a row",
        ROW_CHOICES_S,
        format_func=lambda seconds: f"{seconds:g}",
        default=PHONE_ROW_S if is_phone() else USUAL_ROW_S,
        required=True,
        help="Fewer seconds are drawn larger: 2.5 suits a phone",
        key="strip-row-s",
        persist_state="session",
    )


@st.cache_data(max_entries=4, show_spinner=False, scope="session")
def _read(path: str, stamp: int) -> Recording:
    return read_recording(Path(path))


def draw_strip(study: Study, job: JobState, lead: int) -> None:
    """Draw a strip on ECG paper, a few rows at a time, and offer its files."""
    path = generated.file_of(study, job)
    if not path.is_file():
        st.info("The strip is no longer there. Make it again.")
        return
    recording = _read(str(path), path.stat().st_mtime_ns)
    signal = recording.signal[:, min(lead, recording.signal.shape[1] - 1)]
    unit = content.unit_of_beats(study)
    row_s = pick_row_s()
    each = max(1, round(ROWS_A_PAGE_S / row_s))
    rows = rows_of(len(signal), round(row_s * recording.sampling_rate))
    pages = -(-len(rows) // each)
    page = st.pagination(pages, key=f"strip-page-{job.id}-{row_s:g}") if pages > 1 else 1
    peaks = np.empty(0, np.int64)
    if recording.annotations is not None:
        peaks = recording.annotations.samples
    height_mv = float(np.nanmax(signal) - np.nanmin(signal)) if unit == "mV" else None
    for row in rows[(page - 1) * each : page * each]:
        inside = peaks[(peaks >= row.start) & (peaks < row.stop)] - row.start
        st.plotly_chart(
            strip(
                signal[row],
                sampling_rate=recording.sampling_rate,
                unit=unit,
                start_s=row.start / recording.sampling_rate,
                length_s=row_s,
                peaks=inside,
                height_mv=height_mv,
                page_px=PHONE_PX if row_s == PHONE_ROW_S else PAGE_PX,
            ),
            key=f"strip-row-{row.start}",
            alt=f"Synthetic strip from {row.start / recording.sampling_rate:g} s",
            config={"displayModeBar": False},
        )
    true = "25 mm/s to 10 mm/mV; small squares 0.04 s and 0.1 mV. " if unit == "mV" else ""
    st.caption(
        f"{recording.duration:g} s at {recording.sampling_rate:g} Hz. {true}"
        "Triangles: R peaks as written."
    )
    files = [path.with_name(Path(file).name) for file in job.result["files"]]
    st.download_button(
        "Download the strip",
        as_zip(files) if len(files) > 1 else path.read_bytes(),
        f"synthetic-{path.stem}.zip" if len(files) > 1 else f"synthetic-{path.name}",
        icon=":material/download:",
        key="download-strip",
    )


def as_zip(files: list[Path]) -> bytes:
    """Return files in one zip, without folders."""
    content_ = io.BytesIO()
    with zipfile.ZipFile(content_, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.name)
    return content_.getvalue()
