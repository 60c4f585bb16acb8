"""A subject's beats -> the panels real, smoothed and generated, the same on every page."""

from __future__ import annotations

import streamlit as st

from core.plots import linked
from core.plots.signals import Panel, mean_and_spread
from core.plots.style import GENERATED
from core.recording import FloatArray
from core.study import Study
from pages.parts import content


def panels_of(
    study: Study,
    subject: str,
    lead: int,
    *,
    generated: FloatArray | None = None,
    label: str | None = None,
) -> tuple[list[Panel], str]:
    """Return the panels of a subject's beats of one lead, and why one of them is missing.

    Args:
        study: An opened study.
        subject: Whose beats.
        lead: Number of the lead.
        generated: (n, n_samples, n_leads) generated beats, if there are any.
        label: Real beats of this label only; of any by default.
    """
    panels, missing = content.real_panels(study, subject, lead, label=label)
    if generated is not None:
        panels = [*panels, Panel("Generated", GENERATED, generated[:, :, lead])]
    return panels, missing


def draw(study: Study, subject: str, panels: list[Panel], missing: str) -> None:
    """Draw panels of one scale and one cursor, and below the mean and spread of each."""
    scale = content.beat_scale(study)
    names = ", ".join(panel.name.lower() for panel in panels)
    st.echarts_chart(
        linked.side_by_side(panels, scale),
        key="side-by-side",
        height=linked.HEIGHT_PX,
        alt=f"Beats of {subject} on one scale: {names}",
    )
    st.caption("Point anywhere: the cursor shows in every panel, with the value of each mean.")
    st.plotly_chart(
        mean_and_spread(panels, scale),
        key="generated-spread",
        alt=f"Mean and spread of the beats of {subject}: {names}",
    )
    st.caption(
        "Lines: means; bands: one standard deviation. Real: the filtered signal; smoothed: what "
        f"the models learn. {missing}"
    )
