"""Explore: beats as points in a plane, their features, and what augmentation makes of them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.study import Study
from pages.parts import (
    augmentation_preview,
    features_view,
    frame,
    grouping,
    job_panel,
    planes,
    sidebar,
)

POINTS, FEATURES, AUGMENTATION = "Points", "Features", "Augmentation"


@st.fragment
def draw_points(study: Study, files: list[Path]) -> None:
    """Draw beats as points in a plane, and the one that is chosen."""
    with st.grid(4, min_column_width=170):
        method = st.segmented_control(
            "Picture",
            planes.METHODS,
            default=planes.METHODS[0],
            required=True,
            key="points-method",
            persist_state="session",
        )
        of = st.segmented_control(
            "Compared by",
            [planes.SHAPE, planes.FEATURES],
            default=planes.SHAPE,
            required=True,
            key="points-of",
            persist_state="session",
        )
        column = grouping.pick(study, files, key="points-colour")
        subject = grouping.pick_subject(study)
    only = grouping.pick_only(column, subject)
    if column == grouping.KIND and not files:
        grouping.draw_no_generated()
        return
    source = planes.source_of(study, files if column == grouping.KIND else ())
    cloud = planes.cloud_of(source)
    with job_panel.one_sentence():
        found, titles = planes.plane(source, str(of), str(method))
        groups = grouping.groups(cloud, column, subject, only=only)
        planes.draw_points(
            study,
            cloud,
            found,
            groups,
            titles=titles,
            numbers=method == "PCA",
            key="explore",
            version=f"{method}-{of}-{column}-{only}-{hash(source)}",
            subject=subject,
            alt=f"{method} of {len(found)} beats, a colour a {grouping.WORDS[column].lower()}",
            caption=_what(cloud, str(method)),
        )


def _what(cloud: planes.Cloud, method: str) -> str:
    """Return what the points are, and what the picture does not tell."""
    n_made = int(cloud.synthetic.sum())
    words = f"{len(cloud.table) - n_made:,} real beats, evenly spread over the study"
    words += f", and {n_made:,} generated ones." if n_made else "."
    return f"{words} {planes.meaning(method)} Click a point to see its beat."


@st.fragment
def draw_features(study: Study, files: list[Path]) -> None:
    """Draw the features of beats."""
    features_view.draw(study, files)


def draw(study: Study) -> None:
    """Draw the open one of three sections."""
    files = grouping.generated_files(study)
    names = (POINTS, FEATURES, AUGMENTATION)
    tabs = st.tabs(names, key="explore-section", on_change="rerun")
    for name, tab in zip(names, tabs, strict=True):
        if not tab.open:
            continue
        with tab:
            if name == POINTS:
                draw_points(study, files)
            elif name == FEATURES:
                draw_features(study, files)
            else:
                augmentation_preview.draw(study)


frame.ensure_app()
chosen = sidebar.chosen_study()
if chosen is not None:
    draw(chosen)
