"""Real and generated beats of a person -> points of one plane, by PCA or t-SNE."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.beat_set import read_beats
from core.plots.comparisons import points_of_kinds
from core.recording import FloatArray
from core.study import Study

METHODS = ("PCA", "t-SNE")


@st.cache_data(max_entries=8, show_spinner="Computing the picture ...", scope="session")
def _points(
    folder: str, fingerprint: str, path: str, stamp: int, subjects: tuple[str, ...], method: str
) -> tuple[FloatArray, FloatArray]:
    import numpy as np

    from core.comparison import plane

    beats = Study.open(Path(folder)).beats("all")
    real = beats.take(np.isin(beats.subject, subjects))
    return plane(real.signals, read_beats(Path(path)).signals, method=method)


def draw(study: Study, path: Path, subjects: list[str]) -> None:
    """Draw the choice of a method, and the points.

    Args:
        study: The study of the real beats.
        path: The file of generated beats.
        subjects: Whose real beats to show.
    """
    method = st.segmented_control(
        "Picture", METHODS, default=METHODS[0], required=True, key="plane-method"
    )
    real, generated = _points(
        str(study.folder),
        study.info.fingerprint,
        str(path),
        path.stat().st_mtime_ns,
        tuple(subjects),
        method,
    )
    st.plotly_chart(
        points_of_kinds(real, generated, method=method),
        key="plane",
        alt=f"{method} of {len(real)} real and {len(generated)} generated beats",
    )
    meaning = (
        "t-SNE keeps neighbours together; distances between groups mean nothing."
        if method == "t-SNE"
        else "The two directions in which these beats differ most."
    )
    st.caption(
        f"{len(real)} real and as many generated beats of {', '.join(subjects)}, all days. "
        f"{meaning} Good ones lie among the real ones: neither apart nor in a heap."
    )
