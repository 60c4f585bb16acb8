"""One beat of a study -> its picture over the mean of its subject, and what is known of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from core.plots.points import beat_over_mean
from core.plots.signals import Panel
from core.plots.style import GENERATED, SMOOTHED, SYNTHETIC
from core.projection import evenly
from core.recording import FloatArray
from core.study import Study
from pages.parts import content, feature_words, selection

MEAN_BEATS = 500
"""Beats that a subject's mean is taken of, evenly spread."""
LIMIT_SHARE = 0.02
"""Share of a subject's beats that may reach beyond the usual scale; one that does widens it."""
SHOWN_FEATURES = (
    *("rr_before", "rr_after", "quality", "peak_to_peak", "maximum", "minimum"),
    *("slope_maximum", "slope_minimum"),
)
TRACE_PAGE, GENERATION_PAGE = "pages/trace.py", "pages/generation.py"


@st.cache_data(max_entries=32, show_spinner=False, scope="session")
def _usual(
    folder: str, fingerprint: str, subject: str
) -> tuple[FloatArray, FloatArray, int, pd.Series]:
    """Return mean, limits (2, n_leads) and number of a subject's beats, and its median features."""
    study = content.open_study(Path(folder))
    table = study.beat_table
    own = ((table["subject"] == subject) & (table["rejected"] == "")).to_numpy()
    kept = np.flatnonzero(own)
    rows = kept[evenly(len(kept), MEAN_BEATS)]
    signals = study.smoothed(rows)
    if not len(rows):
        return (
            np.empty((0, signals.shape[2]), np.float32),
            np.zeros((2, signals.shape[2]), np.float32),
            0,
            pd.Series(dtype=float),
        )
    low = np.quantile(signals.min(axis=1), LIMIT_SHARE, axis=0)
    high = np.quantile(signals.max(axis=1), 1 - LIMIT_SHARE, axis=0)
    told = study.features.iloc[rows].assign(
        **{name: table[name].to_numpy()[rows] for name in feature_words.RHYTHM}
    )
    return signals.mean(axis=0), np.stack([low, high]).astype(np.float32), len(rows), told.median()


def draw(
    study: Study, beat: FloatArray, known: pd.Series, features: pd.Series, *, key: str
) -> None:
    """Draw a beat over the mean beat of its subject, and below it what is known of it.

    Args:
        study: The study of the subject.
        beat: (n_samples, n_leads).
        known: Row of a `pages.parts.planes.Cloud` table.
        features: Row of its features.
        key: Of the chart.
    """
    subject, synthetic = str(known["subject"]), bool(known["synthetic"])
    lead = selection.pick_lead(study.info.leads)
    mean, ends, n, usual = _usual(str(study.folder), study.info.fingerprint, subject)
    values = np.concatenate([[*ends[:, lead]] if n else [], beat[:, lead]])
    margin = 0.08 * float(np.ptp(values)) or 1.0
    kind = GENERATED if synthetic else SMOOTHED
    panel = Panel("Generated beat" if synthetic else "This beat", kind, beat[None, :, lead])
    st.plotly_chart(
        beat_over_mean(
            panel,
            mean[:, lead] if n else mean[:0, 0],
            f"Mean of {n} of {subject}",
            content.beat_scale(study),
            (float(values.min()) - margin, float(values.max()) + margin),
        ),
        key=f"{key}-one",
        alt=f"{known['told']}, over the mean of {n} real beats of {subject}"
        + (f". {SYNTHETIC}" if synthetic else ""),
    )
    _draw_known(known)
    _draw_features(study, features, usual, lead)


def _draw_known(known: pd.Series) -> None:
    """Say who and when it was, and link to the recording."""
    told = [f"**{known['subject']}**"]
    if known["synthetic"]:
        told.append(f"generated, {SYNTHETIC}: nobody was measured")
    else:
        told += [f"session {known['session']}"] if known["session"] else []
        told.append(
            "in no part" if known["partition"] == content.GAP else f"{known['partition']} part"
        )
    told += [f"label {known['label']}"] if known["label"] else []
    st.markdown(", ".join(told))
    if known["synthetic"]:
        st.page_link(GENERATION_PAGE, label="How it was generated", icon=":material/vital_signs:")
    elif np.isfinite(known["time_s"]):
        st.page_link(
            TRACE_PAGE,
            label=f"{known['recording']} at {known['time_s']:.2f} s, on ECG paper",
            icon=":material/ecg_heart:",
            query_params={
                "recording": str(known["recording"]),
                "t": f"{known['time_s']:.2f}",
            },
        )


def _draw_features(study: Study, features: pd.Series, usual: pd.Series, number: int) -> None:
    unit, leads = content.unit_of_beats(study), study.info.leads
    lead = leads[number] if len(leads) > 1 else ""
    names = [
        name if name in feature_words.RHYTHM or not lead else f"{lead}_{name}"
        for name in SHOWN_FEATURES
    ]
    table = pd.DataFrame(
        {
            "Feature": [feature_words.title_of(name, unit, leads) for name in names],
            "This beat": [_number(features.get(name)) for name in names],
            "Median": [_number(usual.get(name)) for name in names],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "Feature": st.column_config.TextColumn(width=170),
            "This beat": st.column_config.TextColumn(width=70),
            "Median": st.column_config.TextColumn(width=70, help="Of the subject's real beats"),
        },
        alt="Features of this beat, and the median of its subject's beats",
    )


def _number(value: object) -> str:
    return (
        f"{value:.3g}"
        if isinstance(value, float | np.floating) and np.isfinite(value)
        else "not known"
    )
