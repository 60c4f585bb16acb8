"""The features of a study's beats -> how each is distributed by group, and one against another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from core.beat_set import concatenate, read_beats
from core.plots import points
from core.preprocessing.features import beat_features
from core.recording import FloatArray, StrArray
from core.study import Study
from pages.parts import content, feature_words, grouping, planes
from pages.parts.feature_words import RHYTHM

ONE, TWO = "One, by group", "Two, as points"
FIRST, SECOND, SINGLE = "maximum", "minimum", "peak_to_peak"
"""Features that are shown before another is chosen."""
GENERATED_GROUP = "Generated"


def draw(study: Study, files: Sequence[Path]) -> None:
    """Draw the choice of what is shown, and it.

    Args:
        study: An opened study.
        files: Of the generated beats of the study, if there are any.
    """
    shown = st.segmented_control(
        "Features",
        [ONE, TWO],
        default=ONE,
        required=True,
        key="features-shown",
        bind="query-params",
    )
    if shown == ONE:
        draw_one(study, files)
    else:
        draw_two(study, files)


def names_of(study: Study) -> list[str]:
    """Return the features that can be chosen: rhythm and quality first."""
    return [*RHYTHM, *study.features.columns]


def _pick_feature(study: Study, label: str, usual: str, key: str) -> str:
    names, leads = names_of(study), study.info.leads
    first = next((i for i, name in enumerate(names) if name.endswith(usual)), 0)
    chosen = st.selectbox(
        label,
        names,
        index=first,
        format_func=lambda name: feature_words.words_of(name, leads),
        key=key,
        persist_state="session",
    )
    return str(chosen)


@st.cache_data(max_entries=4, show_spinner=False, scope="session")
def _generated_features(stamped: tuple[tuple[str, int], ...]) -> tuple[pd.DataFrame, StrArray]:
    """Return features of all beats in files, and for whom each was drawn."""
    beats = concatenate([read_beats(Path(path)) for path, _ in stamped])
    leads = beats.leads if len(beats.leads) > 1 else None
    return beat_features(beats.signals, beats.sampling_rate, leads=leads), beats.subject


def values_by_group(
    study: Study, name: str, column: str, files: Sequence[Path], *, subject: str = ""
) -> tuple[dict[str, FloatArray], int]:
    """Return a feature's finite values by group, and how many beats have none.

    Args:
        study: An opened study.
        name: Of the feature.
        column: Of `pages.parts.grouping`.
        files: Of generated beats: what `grouping.KIND` compares with the same subjects' real ones.
        subject: Whose beats `grouping.KIND` compares; all subjects' for whom there are any by
            default.
    """
    kept = (study.beat_table["rejected"] == "").to_numpy()
    table = study.beat_table[kept]
    source = study.beat_table if name in RHYTHM else study.features
    values = source[name].to_numpy(dtype=np.float32)[kept]
    if column == grouping.KIND:
        made, subjects = _generated_features(planes.source_of(study, files).files)
        real = table["subject"].isin(np.unique(subjects)).to_numpy()
        drawn = made[name].to_numpy() if name in made else np.full(len(made), np.nan, np.float32)
        if subject:
            real, drawn = real & (table["subject"] == subject), drawn[subjects == subject]
        groups = {"Real, smoothed": values[real], GENERATED_GROUP: drawn}
    else:
        named = grouping.names_in(table, column)
        groups = {str(one): values[named == one] for one in np.unique(named)}
    found = {one: own[np.isfinite(own)] for one, own in groups.items()}
    missing = sum(len(own) for own in groups.values()) - sum(len(own) for own in found.values())
    return {one: own for one, own in found.items() if len(own)}, missing


def draw_one(study: Study, files: Sequence[Path]) -> None:
    """Draw how one feature is distributed within each group."""
    with st.grid(3, min_column_width=180):
        name = _pick_feature(study, "Feature", SINGLE, "feature-one")
        column = grouping.pick(study, files, key="features-group")
        subject = grouping.pick_subject(study)
    if column == grouping.KIND and not files:
        grouping.draw_no_generated()
        return
    only = column == grouping.KIND and grouping.pick_only(column, subject)
    groups, missing = values_by_group(study, name, column, files, subject=subject if only else "")
    title = feature_words.title_of(name, content.unit_of_beats(study), study.info.leads)
    if column == grouping.KIND and name in RHYTHM:
        st.info("Generated beats stand alone: they have no RR interval and no quality.")
    elif column == grouping.KIND and GENERATED_GROUP not in groups:
        st.info(f"No beats were generated for {subject} yet. Choose another subject.")
    if not groups:
        st.info("No beat has this feature. Choose another one.")
        return
    left_out = len(groups) - points.MOST_BOXES
    if left_out > 0:
        largest = sorted(groups, key=lambda one: -len(groups[one]))[: points.MOST_BOXES]
        wanted = {*largest, *(one for one in groups if grouping.is_of(one, subject, column))}
        groups = {one: own for one, own in groups.items() if one in wanted}
    if len(groups) <= points.MOST_CURVES:
        figure = points.value_histogram(groups, title=title, synthetic=GENERATED_GROUP)
    else:
        own = [one for one in groups if grouping.is_of(one, subject, column)]
        figure = points.value_boxes(groups, title=title, chosen=own, synthetic=GENERATED_GROUP)
    st.plotly_chart(figure, key="feature-groups", alt=f"{title} of beats, by {column}")
    n = sum(len(own) for own in groups.values())
    words = [f"{n:,} beats."]
    if len(groups) > points.MOST_CURVES:
        words.append("Box: the middle half of the beats and their median.")
    if left_out > 0:
        words.append(f"The {left_out} smallest groups are not drawn.")
    if missing:
        words.append(f"{missing:,} beats without a value are left out.")
    if column == grouping.KIND:
        words.append(f"Of {subject}." if only else "Real ones are of who has generated ones.")
    st.caption(" ".join(words))


def draw_two(study: Study, files: Sequence[Path]) -> None:
    """Draw one feature against another, a point a beat."""
    with st.grid(4, min_column_width=180):
        across = _pick_feature(study, "Across", FIRST, "feature-across")
        up = _pick_feature(study, "Up", SECOND, "feature-up")
        column = grouping.pick(study, files, key="features-group")
        subject = grouping.pick_subject(study)
    only = grouping.pick_only(column, subject)
    if column == grouping.KIND and not files:
        grouping.draw_no_generated()
        return
    source = planes.source_of(study, files if column == grouping.KIND else ())
    cloud = planes.cloud_of(source)
    found = cloud.features[[across, up]].to_numpy(dtype=np.float32)
    unit, leads = content.unit_of_beats(study), study.info.leads
    one, other = (feature_words.title_of(name, unit, leads) for name in (across, up))
    missing = int((~np.isfinite(found).all(axis=1)).sum())
    words = f"{len(found) - missing:,} beats, evenly spread over the study."
    if missing:
        words += f" {missing:,} without both values are left out."
    planes.draw_points(
        study,
        cloud,
        found,
        grouping.groups(cloud, column, subject, only=only),
        titles=(one, other),
        key="explore",
        version=f"features-{across}-{up}-{column}-{only}-{hash(source)}",
        subject=subject,
        alt=f"{other} over {one}, a point a beat, a colour a {grouping.WORDS[column].lower()}",
        caption=f"{words} Click a point to see its beat.",
    )
