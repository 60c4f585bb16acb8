"""A study folder -> what pages show of it, read once and kept for the session."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.beat_set import BeatSet, write_beats
from core.errors import UserError
from core.gallery import enrolled_beats, list_gallery
from core.plots.signals import Panel, Scale
from core.plots.style import REAL, SMOOTHED
from core.recording import FloatArray
from core.study import STUDY_FILE, Study
from core.workflow import summarise

GAP = "gap"


def open_study(folder: Path) -> Study:
    """Return the study in a folder, opened once a version of it."""
    path = folder / STUDY_FILE
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    return _open(str(folder), stamp)


@st.cache_resource(max_entries=4, show_spinner=False, scope="session")
def _open(folder: str, stamp: int) -> Study:
    return Study.open(Path(folder))


@st.cache_data(max_entries=8, show_spinner=False, scope="session")
def _summary(folder: str, fingerprint: str) -> dict[str, Any]:
    return summarise(Study.open(Path(folder)))


def summary(study: Study) -> dict[str, Any]:
    """Return the study's counts, partitions, refused files and remarks."""
    return _summary(str(study.folder), study.info.fingerprint)


def unit_of_signals(study: Study) -> str:
    """Return the unit of raw and clean signals, for an axis."""
    return study.info.unit if study.info.unit == "mV" else "unit unknown"


def unit_of_beats(study: Study) -> str:
    """Return the unit of smoothed and generated beats, for an axis."""
    if study.info.options.normalisation != "none":
        return f"normalised: {study.info.options.normalisation}"
    return unit_of_signals(study)


def beat_scale(study: Study) -> Scale:
    """Return the scale of the study's smoothed and generated beats."""
    return Scale(
        sampling_rate=study.sampling_rate,
        before_s=study.info.before_s,
        unit=unit_of_beats(study),
    )


def kept_beats(study: Study) -> pd.DataFrame:
    """Return the table of beats that were not rejected."""
    table = study.beat_table
    return table[table["rejected"] == ""]


def counts_by(study: Study, column: str) -> dict[str, dict[str, int]]:
    """Return beats a subject or label, and of these how many are in which part."""
    kept = kept_beats(study)
    counts: dict[str, dict[str, int]] = {}
    sizes = kept.groupby([column, "partition"], sort=False).size().reset_index(name="beats")
    for name, part, n in sizes.itertuples(index=False):
        counts.setdefault(str(name) or "none", {})[str(part)] = int(n)
    return counts


def subject_beats(study: Study, subject: str) -> BeatSet:
    """Return the smoothed beats of one subject that were kept, of every part."""
    return study.beats(subject=subject)


def real_panels(
    study: Study, subject: str, lead: int, *, label: str | None = None
) -> tuple[list[Panel], str]:
    """Return a subject's real and smoothed beats of one lead, and why one is missing.

    The real beats are those of the filtered signal, before the moving average. With a label, only
    beats of it are among them.
    """
    return _real_panels(str(study.folder), study.info.fingerprint, subject, lead, label)


@st.cache_data(max_entries=16, show_spinner=False, scope="session")
def _real_panels(
    folder: str, fingerprint: str, subject: str, lead: int, label: str | None
) -> tuple[list[Panel], str]:
    study = Study.open(Path(folder))
    smoothed = subject_beats(study, subject)
    if label is not None:
        smoothed = smoothed.take(smoothed.label == label)
    panels = [Panel("Smoothed", SMOOTHED, smoothed.signals[:, :, lead])]
    if study.info.options.normalisation != "none":
        return panels, "Real beats are not shown: those of the study are normalised."
    try:
        own = study.beats(signal="clean", subject=subject)
    except UserError:
        return panels, "Real beats are not shown: the study holds none before smoothing."
    if label is not None:
        own = own.take(own.label == label)
    return [Panel("Real", REAL, own.signals[:, :, lead]), *panels], ""


def file_name(*words: object, ending: str, version: str = "") -> str:
    """Return a name that tells what a file holds; other words or versions give another one."""
    text = "-".join(str(word) for word in words)
    plain = re.sub(r"[^\w.-]+", "_", text)[:60]
    digest = hashlib.sha256(f"{text} {version}".encode()).hexdigest()[:8]
    return f"{plain}-{digest}{ending}"


def write_part(study: Study, beats: BeatSet, *words: object) -> Path:
    """Write beats into the study's exports, once; return the file."""
    name = file_name(*words, ending=".npz", version=study.info.fingerprint)
    path = study.folder / "exports" / name
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        write_beats(beats, path)
    return path


def gallery_beats(study: Study, subject: str) -> FloatArray:
    """Return the beats (n, n_samples, n_leads) by which somebody in the gallery is known.

    These are the train beats of who was trained, and those of the enrolled templates.
    """
    people = {one["subject"]: one for one in list_gallery(study)["subjects"]}
    if subject not in people:
        return np.empty((0, 0, len(study.info.leads)), dtype=np.float32)
    train = study.beats("train")
    own = (train.subject == subject) & people[subject]["trained"]
    enrolled = enrolled_beats(study, subject)
    return np.concatenate([train.signals[own], *(beats.signals for beats in enrolled)])
