"""Train beats -> a few of them as they are, beside what augmentation makes of them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.augmentation import preview
from core.beat_set import BeatSet
from core.options import AugmentationOptions
from core.plots import linked
from core.plots.signals import Panel
from core.plots.style import AUGMENTED, SMOOTHED
from core.projection import evenly
from core.study import Study
from pages.parts import content, selection

SHOWN = 12
CANDIDATES = 400
"""Train beats that the shown ones are drawn from, evenly spread."""


@st.cache_resource(max_entries=4, show_spinner=False, scope="session")
def _train(folder: str, fingerprint: str, subject: str) -> BeatSet:
    beats = content.open_study(Path(folder)).beats("train", subject=subject)
    return beats.take(evenly(len(beats), CANDIDATES))


def pick_options(unit: str) -> AugmentationOptions:
    """Let the user choose how far beats are changed; what training uses, at first."""
    usual = AugmentationOptions()
    with st.grid(3, min_column_width=200):
        shift = st.slider(
            "Shift, up to (ms)", 0, 50, round(1000 * usual.shift_s), key="augment-shift"
        )
        warp = st.slider(
            "Stretch of PR and ST-T, up to (%)", 0, 30, round(100 * usual.warp), key="augment-warp"
        )
        scale = st.slider(
            "Amplitude, up to (± %)", 0, 50, round(100 * usual.scale), key="augment-scale"
        )
        noise = st.slider(
            f"Noise, standard deviation ({unit})",
            0.0,
            0.1,
            usual.noise_mv,
            0.005,
            format="%.3f",
            key="augment-noise",
        )
        baseline = st.slider(
            f"Baseline wander, up to ({unit})",
            0.0,
            0.5,
            usual.baseline_mv,
            0.01,
            key="augment-baseline",
        )
    return AugmentationOptions(
        shift_s=shift / 1000,
        warp=warp / 100,
        scale=scale / 100,
        noise_mv=noise,
        baseline_mv=baseline,
    )


@st.fragment
def draw(study: Study) -> None:
    """Draw the sliders, and beats beside what is made of them."""
    st.caption(
        "Augmentation makes varied copies of train beats. A training uses it where it is told to "
        "fill up rare classes with them; generators learn from the beats as they are. The sliders "
        "start at what training uses, and change this preview only."
    )
    left, right = st.columns(2)
    with left:
        subject = selection.pick_subject(study.subjects) or ""
    with right:
        seed = st.number_input(
            "Seed", 0, 999, 0, key="augment-seed", help="Another one: other beats"
        )
    unit = content.unit_of_beats(study)
    options = pick_options(unit)
    train = _train(str(study.folder), study.info.fingerprint, subject)
    if not len(train):
        st.info(f"{subject} has no train beats. Choose another subject.")
        return
    real, changed = preview(train, options, seed=int(seed), n=SHOWN)
    lead = selection.pick_lead(study.info.leads)
    panels = [
        Panel("As measured, smoothed", SMOOTHED, real[:, :, lead]),
        Panel("Augmented", AUGMENTED, changed[:, :, lead]),
    ]
    st.echarts_chart(
        linked.side_by_side(panels, content.beat_scale(study)),
        key="augmented",
        height=linked.HEIGHT_PX,
        alt=f"{len(real)} train beats of {subject} beside what augmentation makes of them",
    )
    st.caption(f"The same {len(real)} train beats of {subject} on both sides, on one scale.")
    st.page_link(
        "pages/training.py", label="Fill up rare classes in a training", icon=":material/school:"
    )
