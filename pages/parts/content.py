"""A study folder -> what pages show of it, read once and kept for the session."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.beat_set import BeatSet, read_beats, write_beats
from core.errors import UserError
from core.gallery import enrolled_beats, list_gallery
from core.plots.signals import Panel, Scale
from core.plots.style import REAL, SMOOTHED
from core.recording import FloatArray
from core.study import STUDY_FILE, Study
from core.workflow import read_probe, summarise

GAP = "gap"
PROJECTED_BEATS = 1500
"""Beats drawn as points; t-SNE's time grows faster than their number."""


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
    beats = study.beats("all")
    return beats.take(beats.subject == subject)


def real_panels(
    study: Study, subject: str, lead: int, *, label: str | None = None
) -> tuple[list[Panel], str]:
    """Return a subject's real and smoothed beats of one lead, and why one is missing.

    The real beats are those of the filtered signal, before the moving average. With a label, only
    beats of it are among them.
    """
    smoothed = subject_beats(study, subject)
    if label is not None:
        smoothed = smoothed.take(smoothed.label == label)
    panels = [Panel("Smoothed", SMOOTHED, smoothed.signals[:, :, lead])]
    if study.info.options.normalisation != "none":
        return panels, "Real beats are not shown: those of the study are normalised."
    try:
        clean = study.beats("all", signal="clean")
    except UserError:
        return panels, "Real beats are not shown: the study holds none before smoothing."
    own = clean.take(clean.subject == subject)
    if label is not None:
        own = own.take(own.label == label)
    return [Panel("Real", REAL, own.signals[:, :, lead]), *panels], ""


def lead_picker(study: Study, key: str) -> int:
    """Let the user choose a lead where there are several; return its number."""
    leads = study.info.leads
    if len(leads) == 1:
        return 0
    name = st.selectbox("Lead", leads, key=key, persist_state="session")
    return leads.index(name) if name in leads else 0


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


@st.cache_data(max_entries=4, show_spinner=False, scope="session")
def _as_bytes(path: str, stamp: int, ending: str) -> bytes:
    source = Path(path)
    if source.suffix == ending:
        return source.read_bytes()
    target = source.with_suffix(ending)
    write_beats(read_beats(source), target)
    try:
        return target.read_bytes()
    finally:
        target.unlink(missing_ok=True)


def beats_as_bytes(path: Path, ending: str) -> bytes:
    """Return a file of beats, as ``.npz`` or ``.csv``."""
    return _as_bytes(str(path), path.stat().st_mtime_ns, ending)


@st.cache_data(max_entries=4, show_spinner=False, scope="session")
def _probe(folder: str, fingerprint: str, path: str, stamp: int) -> FloatArray:
    if Path(path).is_relative_to(Path(folder) / "exports"):
        return read_beats(Path(path)).signals
    return read_probe(Study.open(Path(folder)), path)[0].signals


def probe_signals(study: Study, path: Path) -> FloatArray:
    """Return the beats (n, n_samples, n_leads) of a file, cut as the study's."""
    return _probe(str(study.folder), study.info.fingerprint, str(path), path.stat().st_mtime_ns)


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


@st.cache_data(max_entries=4, show_spinner="Computing the picture ...", scope="session")
def _projection(
    folder: str, fingerprint: str, method: str, column: str
) -> tuple[FloatArray, np.ndarray]:
    from core import projection

    study = Study.open(Path(folder))
    kept = kept_beats(study)
    rows = np.unique(
        np.linspace(0, len(kept) - 1, min(PROJECTED_BEATS, len(kept))).round().astype(int)
    )
    signals = study.beats("all").signals[rows]
    points = projection.pca(signals) if method == "PCA" else projection.tsne(signals, seed=0)
    return points, kept[column].to_numpy(dtype=np.str_)[rows]


def projected(study: Study, method: str, column: str) -> tuple[FloatArray, np.ndarray]:
    """Return the points (n, 2) of beats in a plane by ``PCA`` or ``t-SNE``, and their groups."""
    return _projection(str(study.folder), study.info.fingerprint, method, column)
