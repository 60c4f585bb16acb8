"""One recording and the options of preprocessing -> raw, clean and smoothed, at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core import apart
from core.options import PrepareOptions
from core.plots.style import RAW, REAL, SMOOTHED
from core.readers import read_recording
from core.recording import Recording
from core.study import Study
from pages.parts.words import count

if TYPE_CHECKING:
    from core.preprocessing.pipeline import Preprocessed

SHOWN_S = 8
LONGEST_S = 60
"""Of a longer recording, its first minute is tried."""


@st.cache_resource(max_entries=4, show_spinner="Reading ...", scope="session")
def _parsed(path: str, stamp: int, source_rate: float | None) -> Recording:
    return _shortened(read_recording(path, source_rate=source_rate))


def _shortened(recording: Recording) -> Recording:
    end = round(LONGEST_S * recording.sampling_rate)
    return replace(
        recording,
        signal=np.array(recording.signal[:end], dtype=np.float32),
        annotations=None,
    )


def of_file(path: Path, *, source_rate: float | None) -> Recording:
    """Return the first minute of a file's recording, read once a session.

    Raises:
        UserError: It cannot be read.
    """
    return _parsed(str(path), path.stat().st_mtime_ns, source_rate)


def of_study(study: Study, name: str) -> Recording:
    """Return the first minute of a recording of a study, as it was before it was filtered.

    Raises:
        UserError: The study holds no signal of it.
    """
    raw = study.signals(name)[0]
    end = round(LONGEST_S * study.sampling_rate)
    return Recording(
        signal=np.array(raw[:end], dtype=np.float32),
        sampling_rate=study.sampling_rate,
        leads=study.info.leads,
        units=(study.info.unit,) * len(study.info.leads),
        record=name,
        path=study.folder / name,
    )


@st.cache_resource(max_entries=8, show_spinner=False, scope="session")
def _processed(name: str, options: PrepareOptions, _recording: Recording) -> Preprocessed:
    from core.preprocessing.pipeline import preprocess

    return apart.run(preprocess, _recording, options, leads=options.leads)


def draw(recording: Recording, options: PrepareOptions, *, version: str) -> None:
    """Draw what the options make of a recording: the verdict, and the signal's three stages.

    Args:
        recording: At most `LONGEST_S` of it.
        options: How it is cleaned.
        version: Differs wherever the recordings do.

    Raises:
        UserError: A lead is not there, or the options do not fit one another.
    """
    from core.plots.cohort import cleaning_stages

    found = _processed(version, options, recording)
    draw_verdict(found)
    rate = found.sampling_rate
    duration = len(found.clean) / rate
    if duration <= 0:
        return
    last = max(0, int(duration - SHOWN_S))
    lead = 0
    if len(found.leads) > 1:
        name = st.selectbox("Lead shown", found.leads, key="preview-lead", persist_state="page")
        lead = found.leads.index(name) if name in found.leads else 0
    chart = st.container()
    start = st.slider("From second", 0, last, 0, key=f"preview-start-{last}") if last else 0
    first, end = round(start * rate), round((start + SHOWN_S) * rate)
    within = (found.r_peaks >= first) & (found.r_peaks < min(end, len(found.clean)))
    kept = found.rejected[within] == ""
    at = found.r_peaks[within] - first
    notch = f", {found.notch_hz} Hz hum removed" if found.notch_hz else ""
    titles = {
        RAW: "Raw",
        REAL: f"Clean: {options.highpass_hz:g} to {options.lowpass_hz:g} Hz{notch}",
        SMOOTHED: f"Smoothed: moving average of {options.smoothing_ms:g} ms",
    }
    signals = {RAW: found.raw, REAL: found.clean, SMOOTHED: found.smoothed}
    figure = cleaning_stages(
        {kind: (titles[kind], signals[kind][first:end, lead]) for kind in titles},
        sampling_rate=rate,
        unit=found.unit if found.unit == "mV" else "unit unknown",
        start_s=float(start),
        peaks=at[kept],
        refused=at[~kept],
    )
    chart.plotly_chart(
        figure,
        key="cleaning-preview",
        alt=f"{recording.record}, {SHOWN_S} s: raw, clean and smoothed, one scale, R peaks marked",
    )
    whole = f"the first {LONGEST_S} s" if duration >= LONGEST_S - 1 else f"{duration:.0f} s"
    st.caption(
        f"Lead {found.leads[lead]} at {rate:g} Hz; {whole} were tried. One amplitude scale in all "
        f"three. {' '.join(found.remarks)}"
    )


def draw_verdict(found: Preprocessed) -> None:
    """Say whether a recording can be used, how many beats were found, and why some are left out."""
    from core.preprocessing.quality import REASONS

    beats, kept = len(found.rejected), int((found.rejected == "").sum())
    if found.recording_rejected:
        st.warning(f"It would not be used. {found.recording_rejected}", icon=":material/block:")
    else:
        st.success(
            f"**{kept} of {count(beats, 'beat')} usable**, quality "
            f"{found.recording_quality:.2f} of 1.",
            icon=":material/check:",
        )
    reasons = Counter(str(r) for r in found.rejected if r)
    if reasons:
        said = "; ".join(f"{n}: {REASONS.get(r, r).lower()}" for r, n in reasons.most_common())
        st.caption(f"Left out: {said}.")
