"""Real and generated beats -> points of one plane that can be clicked, by PCA or t-SNE.

The cloud of points, the plane, and the chart with the chosen beat beside it are the same on every
page that shows beats as points.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from core import apart, projection
from core.beat_set import BeatSet, concatenate, read_beats
from core.errors import UserError
from core.plots import points
from core.plots.points import Group
from core.preprocessing.features import beat_features
from core.recording import FloatArray, StrArray
from core.study import Study
from pages.parts import beat_view, content, selection
from pages.parts.feature_words import RHYTHM

METHODS = ("PCA", "t-SNE")
SHAPE, FEATURES = "shape", "features"
REAL_POINTS, GENERATED_POINTS = 800, 400
"""Beats drawn as points, evenly spread: t-SNE of so many takes about two seconds."""
POINTS_EACH = 300
"""Beats of each kind where as many of one as of the other are compared."""
LIGHT_INK, DARK_INK = "#0A0E13", "#E8EDF2"
"""Of the ring, on a light and on a dark page: the colour of text."""
WAIT_S = 0.1


@dataclass(frozen=True)
class Source:
    """What a cloud of points is made of.

    Attributes:
        folder: Of the study.
        fingerprint: Of the study.
        files: Path and time of change of each file of generated beats.
        subjects: Whose real beats; everybody's by default.
        equal: Whether there are as many real as generated beats, `POINTS_EACH` at most.
    """

    folder: str
    fingerprint: str
    files: tuple[tuple[str, int], ...] = ()
    subjects: tuple[str, ...] = ()
    equal: bool = False


def source_of(
    study: Study, files: Sequence[Path] = (), subjects: Sequence[str] = (), *, equal: bool = False
) -> Source:
    """Return what a cloud of a study's beats, and of generated ones in files, is made of."""
    stamped = tuple((str(path), path.stat().st_mtime_ns) for path in files)
    return Source(str(study.folder), study.info.fingerprint, stamped, tuple(subjects), equal)


@dataclass(frozen=True, eq=False)
class Cloud:
    """Beats that are drawn as points.

    Attributes:
        signals: (n, n_samples, n_leads), smoothed or generated.
        table: A row a beat: ``id``, ``told`` (where it is from, in words), ``synthetic``, and
            ``subject``, ``session``, ``recording``, ``label``, ``partition``, ``time_s``; for a
            generated beat, what it was drawn for.
        features: A row a beat: its features, the RR intervals and quality; NaN where unknown.
    """

    signals: FloatArray
    table: pd.DataFrame
    features: pd.DataFrame

    @property
    def synthetic(self) -> npt.NDArray[np.bool_]:
        """(n,) which beats are generated."""
        return self.table["synthetic"].to_numpy(dtype=np.bool_)

    def column(self, name: str) -> StrArray:
        """Return a column of words as an array (n,)."""
        return self.table[name].to_numpy(dtype=np.str_)


@st.cache_resource(max_entries=4, show_spinner=False, scope="session")
def cloud_of(source: Source) -> Cloud:
    """Return the beats of a cloud, evenly spread over those that there are."""
    study = content.open_study(Path(source.folder))
    kept = np.flatnonzero((study.beat_table["rejected"] == "").to_numpy())
    if source.subjects:
        kept = kept[study.beat_table["subject"].iloc[kept].isin(source.subjects)]
    made = (
        concatenate([read_beats(Path(path)) for path, _ in source.files]) if source.files else None
    )
    n_made = 0 if made is None else len(made)
    most, most_made = REAL_POINTS, GENERATED_POINTS
    if source.equal:
        most = most_made = min(len(kept), n_made, POINTS_EACH)
    rows = kept[projection.evenly(len(kept), most)]
    real = _real(study, rows)
    if made is None:
        return real
    chosen = projection.evenly(n_made, most_made)
    return _joined(real, _generated(study, made.take(chosen), chosen))


def _real(study: Study, rows: npt.NDArray[np.int64]) -> Cloud:
    beats = study.beat_table.iloc[rows].reset_index(drop=True)
    table = pd.DataFrame(
        {
            "id": [f"real-{row}" for row in rows],
            "told": [
                f"{name}, {seconds:.2f} s" if np.isfinite(seconds) else f"{name}, beat {row + 1}"
                for name, seconds, row in zip(
                    beats["recording_name"], beats["time_s"], rows, strict=True
                )
            ],
            "synthetic": False,
            "recording": beats["recording_name"],
            **{c: beats[c] for c in ("subject", "session", "label", "partition", "time_s")},
        }
    )
    features = study.features.iloc[rows].reset_index(drop=True)
    return Cloud(study.smoothed(rows), table, features.assign(**{c: beats[c] for c in RHYTHM}))


def _generated(study: Study, beats: BeatSet, numbers: npt.NDArray[np.int64]) -> Cloud:
    table = pd.DataFrame(
        {
            "id": [f"generated-{number}" for number in numbers],
            "told": [
                f"{subject}, generated beat {number + 1}"
                for subject, number in zip(beats.subject, numbers, strict=True)
            ],
            "synthetic": True,
            "recording": "",
            "subject": beats.subject,
            "session": "",
            "label": beats.label,
            "partition": "generated",
            "time_s": np.nan,
        }
    )
    leads = study.info.leads if len(study.info.leads) > 1 else None
    features = beat_features(beats.signals, beats.sampling_rate, leads=leads)
    return Cloud(beats.signals, table, features.assign(**dict.fromkeys(RHYTHM, np.nan)))


def _joined(one: Cloud, other: Cloud) -> Cloud:
    return replace(
        one,
        signals=np.concatenate([one.signals, other.signals]),
        table=_one_below_the_other(one.table, other.table),
        features=_one_below_the_other(one.features, other.features),
    )


def _one_below_the_other(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of both; pandas' own way warns of columns without a value."""
    columns = {name: np.concatenate([one[name], other[name]]) for name in one.columns}
    return pd.DataFrame(columns)


def _rows(source: Source, of: str) -> FloatArray:
    """Return the rows (n, n_values) that a plane is computed from."""
    cloud = cloud_of(source)
    if of == SHAPE:
        return cloud.signals.reshape(len(cloud.signals), -1)
    shape = cloud.features.drop(columns=list(RHYTHM))
    return projection.standardised(shape.to_numpy(dtype=np.float32))


@st.cache_data(max_entries=8, show_spinner=False, scope="session")
def _pca(source: Source, of: str) -> tuple[FloatArray, FloatArray]:
    return projection.pca(_rows(source, of))


@st.cache_resource(max_entries=8, show_spinner=False, scope="session")
def _tsne(source: Source, of: str) -> Future[FloatArray]:
    return apart.begin(projection.tsne, _rows(source, of), seed=0)


def plane(source: Source, of: str, method: str) -> tuple[FloatArray, tuple[str, str]]:
    """Return the points (n, 2) of a cloud in a plane, and the titles of its axes.

    t-SNE is waited for with a word of it; whatever else the user does meanwhile ends the wait.

    Args:
        source: Of the cloud.
        of: `SHAPE` or `FEATURES`: what the beats are compared by.
        method: Of `METHODS`.

    Raises:
        UserError: t-SNE failed.
    """
    if method == "PCA":
        found, shares = _pca(source, of)
        one, other = (
            f"PCA {i + 1}: {100 * share:.0f} % of the variance" for i, share in enumerate(shares)
        )
        return found, (one, other)
    future = _tsne(source, of)
    if not future.done():
        words = "Computing t-SNE, a few seconds. You can go on meanwhile."
        slot = st.empty()
        begun = time.monotonic()
        while not future.done():
            slot.info(f"{words} {time.monotonic() - begun:.0f} s", icon=":material/hourglass_top:")
            time.sleep(WAIT_S)
        slot.empty()
    if future.exception() is not None:
        _tsne.clear()
        raise UserError("t-SNE", "could not be computed", "Try again, or choose PCA")
    return future.result(), ("t-SNE 1 (no unit)", "t-SNE 2 (no unit)")


def meaning(method: str) -> str:
    """Return what a plane shows and what it does not, in a sentence."""
    if method == "t-SNE":
        return "t-SNE keeps neighbours together; distances between groups mean nothing."
    return "PCA: the two directions in which these beats differ most."


def draw_points(
    study: Study,
    cloud: Cloud,
    found: FloatArray,
    groups: Sequence[Group],
    *,
    titles: tuple[str, str],
    numbers: bool = True,
    key: str,
    version: str,
    subject: str | None = None,
    alt: str,
    caption: str,
) -> None:
    """Draw points, and beside them the beat that is chosen: by a click, a list, or two buttons.

    Args:
        study: The study of the beats.
        cloud: Of the points.
        found: (n, 2) where they are; a point that is not finite is not drawn.
        groups: Their colours and markers.
        titles: Of both axes.
        numbers: Whether the numbers along the axes mean something.
        key: Of the widgets; what is chosen stays with it.
        version: Another one is another chart, that is drawn anew without zoom.
        subject: Whose beats the list names, where a click chooses the subject, too; else all.
        alt: What the chart shows, in words.
        caption: Below the chart.
    """
    there = np.asarray(np.isfinite(found).all(axis=1))
    groups = [replace(group, rows=group.rows[there[group.rows]]) for group in groups]
    listed = there if subject is None else there & (cloud.column("subject") == subject)
    chosen_key = f"{key}-beat"
    ids = cloud.table["id"].to_numpy(dtype=np.str_)
    options = ids[listed].tolist()
    if st.session_state.get(chosen_key) not in options:
        st.session_state.pop(chosen_key, None)
    chosen = str(st.session_state.get(chosen_key) or (options[0] if options else ""))
    place = int(np.flatnonzero(ids == chosen)[0]) if chosen else None
    left, right = st.columns([3, 2])
    chart_key = f"{key}-chart-{version}"
    left.echarts_chart(
        points.scatter(
            found,
            groups,
            cloud.column("told"),
            titles=titles,
            ring=place,
            ink=DARK_INK if st.context.theme.type == "dark" else LIGHT_INK,
            numbers=numbers,
        ),
        key=chart_key,
        height=points.HEIGHT_PX,
        on_select=partial(_take_click, chart_key, chosen_key, groups, cloud, subject is not None),
        alt=alt,
    )
    left.caption(caption)
    with right:
        if place is None:
            st.info("No beat of this subject has both values. Choose another subject.")
            return
        told = dict(zip(ids[listed].tolist(), cloud.column("told")[listed].tolist(), strict=True))
        _draw_list(options, told, chosen_key)
        beat_view.draw(
            study,
            cloud.signals[place],
            cloud.table.iloc[place],
            cloud.features.iloc[place],
            key=key,
        )


def _draw_list(options: list[str], told: dict[str, str], chosen_key: str) -> None:
    """Draw the list of beats, with a button to the one before and the one after."""
    st.selectbox(
        "Beat",
        options,
        key=chosen_key,
        format_func=lambda one: told.get(one, one),
        persist_state="session",
        help="Or click a point: it is ringed",
    )
    with st.container(horizontal=True):
        for step, icon, words in ((-1, "arrow_back", "Previous"), (1, "arrow_forward", "Next")):
            st.button(
                words,
                icon=f":material/{icon}:",
                key=f"{chosen_key}-{words.lower()}",
                on_click=_step,
                args=(options, chosen_key, step),
            )


def _step(options: list[str], chosen_key: str, step: int) -> None:
    place = options.index(st.session_state[chosen_key])
    st.session_state[chosen_key] = options[(place + step) % len(options)]


def _take_click(
    chart_key: str, chosen_key: str, groups: Sequence[Group], cloud: Cloud, whose: bool
) -> None:
    """Choose the beat whose point was clicked, and its subject.

    The chart reports every point that is selected, one a group; a second click on one ends that.
    """
    state: Any = st.session_state[chart_key]
    now = points.clicked(groups, state["selection"]["selected"])
    before: list[int] = st.session_state.get(f"{chart_key}-before", [])
    st.session_state[f"{chart_key}-before"] = now
    changed = [row for row in now if row not in before] or [r for r in before if r not in now]
    if len(changed) != 1:
        return
    row = cloud.table.iloc[changed[0]]
    st.session_state[chosen_key] = str(row["id"])
    if whose:
        st.session_state[selection.SUBJECT_KEY] = str(row["subject"])


def draw(study: Study, path: Path, subjects: list[str]) -> None:
    """Draw real beats of some subjects and generated ones of a file, as many of each, as points.

    Args:
        study: The study of the real beats.
        path: The file of generated beats.
        subjects: Whose real beats to show.
    """
    method = st.segmented_control(
        "Picture", METHODS, default=METHODS[0], required=True, key="plane-method"
    )
    source = source_of(study, [path], subjects, equal=True)
    cloud = cloud_of(source)
    found, titles = plane(source, SHAPE, str(method))
    n = int((~cloud.synthetic).sum())
    draw_points(
        study,
        cloud,
        found,
        points.real_and_generated(cloud.synthetic, ~cloud.synthetic),
        titles=titles,
        numbers=method == "PCA",
        key="plane",
        version=f"{method}-{hash(source)}",
        alt=f"{method} of {n} real and {n} generated beats",
        caption=f"{n} real and as many generated beats of {', '.join(subjects)}, all days. "
        f"{meaning(str(method))} Good ones lie among the real ones: neither apart nor in a heap.",
    )
