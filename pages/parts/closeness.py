"""Generated beats -> how close each comes to the beats it was learned from: is it a copy?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from core.beat_set import read_beats
from core.plots.comparisons import distance_histogram, one_over_another
from core.plots.signals import Panel
from core.plots.style import GENERATED, SMOOTHED
from core.recording import FloatArray
from core.study import Study
from pages.parts import content

LEAST_UNSEEN = 10
"""Unseen beats of the same person that are enough; with fewer, everybody's are taken."""
MOST_UNSEEN = 500
"""Unseen real beats that are compared; of more, evenly spread ones."""


class Closest(NamedTuple):
    """The train beat that is closest to a generated one."""

    signal: FloatArray
    told: str
    among: int


class Closeness(NamedTuple):
    """Distances to the closest train beat, and the copy's limit."""

    generated: FloatArray
    unseen: FloatArray
    unseen_of: str
    copy_below: float


@st.cache_data(max_entries=4, show_spinner="Comparing with every train beat ...", scope="session")
def _measure(folder: str, fingerprint: str, path: str, stamp: int, subject: str) -> Closeness:
    from core.evaluation.privacy import NEAR_COPY_DISTANCE, nearest_distances

    study = Study.open(Path(folder))
    train = study.beats("train")
    generated = _own(path, subject)
    part = "validation" if len(study.beats("validation")) else "test"
    unseen, who = study.beats(part), "of everybody"
    own = unseen.subject == subject
    if np.count_nonzero(own) >= LEAST_UNSEEN:
        unseen, who = unseen.take(own), "of the same person"
    rows = np.linspace(0, len(unseen) - 1, min(MOST_UNSEEN, len(unseen))).round().astype(int)
    distances = [
        nearest_distances(beats, train.signals, train.sampling_rate)
        for beats in (generated, unseen.signals[np.unique(rows)])
        if len(beats)
    ]
    of_unseen = distances[1] if len(distances) > 1 else np.empty(0)
    return Closeness(
        np.asarray(distances[0], np.float32),
        np.asarray(of_unseen, np.float32),
        f"the {part} part {who}",
        NEAR_COPY_DISTANCE,
    )


@st.cache_data(max_entries=64, show_spinner=False, scope="session")
def _closest(
    folder: str, fingerprint: str, path: str, stamp: int, subject: str, number: int
) -> Closest:
    from core.comparison import nearest_beat

    train = Study.open(Path(folder)).beats("train")
    at = nearest_beat(_own(path, subject)[number], train.signals, train.sampling_rate)
    told = " ".join(filter(None, (train.subject[at], train.record[at])))
    return Closest(train.signals[at], told, len(train))


def _own(path: str, subject: str) -> FloatArray:
    beats = read_beats(Path(path))
    return beats.signals[beats.subject == subject]


def draw(study: Study, path: Path, subject: str, lead: int) -> None:
    """Draw the distances, and one generated beat over the train beat that is closest to it.

    Args:
        study: The study that the beats were learned from.
        path: The file of generated beats.
        subject: Of whom.
        lead: Number of the lead to show.
    """
    key = (str(study.folder), study.info.fingerprint, str(path), path.stat().st_mtime_ns, subject)
    found = _measure(*key)
    order = np.argsort(found.generated, kind="stable")
    st.markdown(in_words(found))
    st.plotly_chart(
        distance_histogram(found.generated, found.unseen, copy_below=found.copy_below),
        key="closeness",
        alt="Distances of generated and of unseen real beats to the closest train beat",
    )
    rank = 1
    if len(order) > 1:
        rank = st.slider(
            "Generated beat, the closest to a train beat first",
            1,
            len(order),
            1,
            key="closest-rank",
        )
    number = int(order[rank - 1])
    beat, closest = _own(str(path), subject)[number], _closest(*key, number)
    st.plotly_chart(
        one_over_another(
            Panel(f"Closest train beat ({closest.told})", SMOOTHED, closest.signal[None, :, lead]),
            Panel(f"Generated beat {number + 1}", GENERATED, beat[None, :, lead]),
            content.beat_scale(study),
        ),
        key="closest-pair",
        alt=f"Generated beat {number + 1} over the closest of {closest.among} train beats",
    )
    distance = float(found.generated[number])
    st.caption(
        f"They differ by {percent(distance)} of a beat's size. Offset, size and a shift of up to "
        "12 ms, which the picture shows, count for nothing: they would hide no copy."
    )


def in_words(found: Closeness) -> str:
    """Return in a sentence or two whether there are copies, beside unseen real beats."""
    copies = int(np.count_nonzero(found.generated < found.copy_below))
    n = len(found.generated)
    if copies:
        said = f"**{copies} of {n} generated beats are near copies** of a train beat"
    else:
        said = f"**None of the {n} generated beats is a near copy**"
    said += (
        f" (a near copy differs by less than {percent(found.copy_below)}). The closest differs by "
        f"{percent(found.generated.min())}, half of them by more than "
        f"{percent(np.median(found.generated))}."
    )
    if len(found.unseen):
        said += (
            f" Real beats of {found.unseen_of}, which no model has seen: closest "
            f"{percent(found.unseen.min())}, half by more than {percent(np.median(found.unseen))}."
        )
        further = np.median(found.generated) >= np.median(found.unseen)
        said += f" So the generated ones are {'further away' if further else 'closer'}."
    return said


def percent(value: float | np.floating[Any]) -> str:
    """Return a distance as a share of a beat's size."""
    return f"{100 * float(value):.3g}\u00a0%"
