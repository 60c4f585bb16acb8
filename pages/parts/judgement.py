"""What the judge said of a file -> the verdict, what gave it away, and every beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.jobs import JobState
from core.plots.figures import probability_histogram
from core.plots.signals import Panel, beats_overlay
from core.plots.style import GENERATED, SMOOTHED
from core.study import Study
from pages.parts import content, job_panel, probe_choice, selection
from pages.parts.probe_choice import Probe
from pages.parts.words import count

UNSURE = 0.1
"""A mean probability that is closer than this to 0.5 is no verdict."""
HEADS = {"unknown": "Cannot tell", "copies": "Copies of real beats"}
"""Outcomes that a probability does not tell."""
SHOWN_REASONS = 8
JUDGED_PX = 280


def draw(study: Study, job: JobState, probe: Probe) -> None:
    """Draw the verdict with its probability, its reasons, the histogram and the list of beats.

    Args:
        study: An opened study.
        job: A finished ``authenticate``.
        probe: What was judged.
    """
    result = job.result
    probability = result["beats"]
    copies = [bool(one) for one in result.get("copies") or []]
    mean = sum(probability) / len(probability)
    said = "Synthetic" if result["synthetic"] else "Real"
    sure = mean if result["synthetic"] else 1 - mean
    outcome = result.get("outcome")
    if outcome in HEADS:
        st.header(HEADS[outcome])
    elif result.get("marked") and result.get("judge") != "synthetic":
        st.header("Synthetic: the file says so")
    elif outcome or abs(mean - 0.5) >= UNSURE:
        st.header(f"{said}, with probability {max(sure, 0.5):.2f}")
    else:
        st.header(f"Too close to call: synthetic with probability {mean:.2f}")
    if result.get("verdict"):
        st.markdown(str(result["verdict"]))
    if probe.kind == probe_choice.OF_GENERATED:
        st.markdown("In truth, this study generated them.")
    if outcome == "copies":
        st.warning(
            f"{sum(copies)} of {count(len(copies), 'beat')} are copies of the study's: their "
            "shapes are real, but nobody measured them anew.",
            icon=":material/content_copy:",
        )
    st.caption(
        f"{probe.told}: mean over {count(len(probability), 'beat')}. A judge "
        "of beats, trained on this study's people and generators; of others it knows nothing."
    )
    left, right = st.columns([3, 2])
    with left:
        st.plotly_chart(
            probability_histogram(probability),
            key="judge-histogram",
            alt=f"Probabilities of {len(probability)} beats of being synthetic",
        )
    with right:
        draw_beats(study, probe, synthetic=bool(result.get("marked")))
    if result.get("reasons"):
        away = result.get("judge", outcome) != "real" and result["synthetic"]
        st.subheader("What gave it away" if away else "What was weighed")
        draw_reasons(result["reasons"])
    with st.expander("Each beat"):
        table: dict[str, Any] = {
            "Beat": range(1, len(probability) + 1),
            "Probability that it is synthetic": probability,
            "Said": ["synthetic" if p > 0.5 else "real" for p in probability],
        }
        if copies:
            table["Copy"] = ["yes" if one else "" for one in copies]
        st.dataframe(pd.DataFrame(table), hide_index=True, alt="Probability of each beat")


def draw_beats(study: Study, probe: Probe, *, synthetic: bool) -> None:
    """Draw the beats that were judged, one over the other, with their mean."""
    if not probe.file.is_file():
        st.caption("The file is gone, so its beats are not shown.")
        return
    with job_panel.one_sentence():
        signals = probe_choice.signals_of(study, probe)
        lead = selection.pick_lead(study.info.leads)
        kind = GENERATED if synthetic or probe.kind == probe_choice.OF_GENERATED else SMOOTHED
        figure = beats_overlay(
            Panel(probe.told, kind, signals[:, :, lead]), content.beat_scale(study)
        )
        st.plotly_chart(
            figure.update_layout(height=JUDGED_PX),
            key="judged-beats",
            alt=f"The {len(signals)} beats that were judged, and their mean",
        )


def draw_reasons(reasons: Sequence[Mapping[str, Any]]) -> None:
    """Draw what gave the beats away, or spoke for them, the weightiest first."""
    weightiest = sorted(reasons, key=lambda one: -abs(float(one.get("weight", 0))))
    most = max((abs(float(one.get("weight", 0))) for one in weightiest), default=0.0) or 1.0
    table = pd.DataFrame(
        {
            "What": [_told(one) for one in weightiest],
            "Speaks for": [
                "synthetic" if float(one.get("weight", 0)) >= 0 else "real" for one in weightiest
            ],
            "Weight": [abs(float(one.get("weight", 0))) / most for one in weightiest],
        }
    ).head(SHOWN_REASONS)
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "Weight": st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format=" ")
        },
        alt="Features that weighed most in the verdict",
    )
    st.caption(
        "Weight: beside the weightiest. Features of the shape of lone beats, not of a heart."
    )


def _told(reason: Mapping[str, Any]) -> str:
    """Return a sign of synthetic beats, or that it was not there."""
    words = str(reason.get("words") or reason["feature"])
    return words if float(reason.get("weight", 0)) >= 0 else f"no sign of: {words}"
