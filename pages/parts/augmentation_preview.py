"""Train beats -> a few of them as they are, beside what augmentation makes of them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.augmentation import preview
from core.plots import linked
from core.plots.signals import Panel
from core.plots.style import AUGMENTED, SMOOTHED
from core.recording import FloatArray
from core.study import Study
from pages.parts import content

SHOWN = 12


@st.cache_data(max_entries=4, show_spinner=False, scope="session")
def _beats(folder: str, fingerprint: str, seed: int) -> tuple[FloatArray, FloatArray]:
    train = content.open_study(Path(folder)).beats("train")
    return preview(train, seed=seed, n=SHOWN)


def draw(study: Study) -> None:
    """Draw the preview in an expander; nothing is computed as long as it is closed."""
    expander = st.expander("Preview of augmented beats", on_change="rerun", key="augment-preview")
    if not expander.open:
        return
    with expander:
        seed = st.number_input("Which beats (seed)", 0, 999, 0, key="augment-seed")
        real, changed = _beats(str(study.folder), study.info.fingerprint, int(seed))
        lead = content.lead_picker(study, "augment-lead")
        panels = [
            Panel("Train beats", SMOOTHED, real[:, :, lead]),
            Panel("Augmented", AUGMENTED, changed[:, :, lead]),
        ]
        st.echarts_chart(
            linked.side_by_side(panels, content.beat_scale(study)),
            key="augmented",
            height=linked.HEIGHT_PX,
            alt="Train beats beside what augmentation makes of them",
        )
        st.caption(
            f"The same {len(real)} train beats on both sides, on one scale: shifted, stretched, "
            "scaled, with noise and a wandering baseline, as another measurement might show them."
        )
