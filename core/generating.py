"""Generating: from trained models to synthetic beats, rows of beats and strips of subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.beat_set import BeatSet
from core.errors import UserError, did_you_mean
from core.labels import are_several
from core.models.day_variation import LARGEST, DayVariation
from core.models.identifier_input import REFERENCE_RR_S, Window, adapt_to_rate
from core.models.storage import load_card
from core.models.succession import BLOCK, POOL, Course, Succession, Usual, chosen, traits
from core.options import MODEL_FORMATS, ModelName
from core.provenance import Provenance
from core.recording import FloatArray, StrArray
from core.rhythm import MAX_SDNN, Rhythm, draw_rr, fit_rhythms, plausible, with_wishes
from core.signal_files import Strip
from core.strips import BEYOND, Noise, join_beats, place_peaks
from core.study import CLEAN, RAW, Study

GENERATORS = ("gan", "mixture")
MAX_BEATS = 1_000_000
HEART_RATE_RANGE = (30.0, 220.0)
SECONDS_RANGE = (1, 3600)
LEAST_SDNN_MS = 5.0
"""Less is lost between two samples."""
NOISE_KINDS = ("off", "real")
LEAST_INTERVALS = 8
"""A recording of fewer RR intervals does not tell its own mean rate; its subject's serves."""
SDNN_INTERVALS = 5
"""Intervals at which a recording's own spread counts as much as its subject's."""
MAX_INTERVALS = 300
"""A row of beats is a piece of a rhythm of its recording's length, but of no more intervals."""


@lru_cache(maxsize=8)
def _load(name: str, folder: Path, stamp: int) -> Any:
    """Load a model once a version of it."""
    if name == "autoencoder":
        from core.models.autoencoder import Autoencoder

        return Autoencoder.load(folder)
    if name == "gan":
        from core.models.conditional_gan import ConditionalGan

        return ConditionalGan.load(folder)
    if name == "mixture":
        from core.models.gaussian_mixture import GaussianMixtureGenerator

        return GaussianMixtureGenerator.load(folder)
    if name == "authenticity":
        from core.models.authenticity import AuthenticityJudge

        return AuthenticityJudge.load(folder)
    if load_card(folder)["identifier"]["target"] == "label":
        from core.models.label_identifier import LabelIdentifier

        return LabelIdentifier.load(folder)
    from core.models.cnn_lstm import Identifier

    return Identifier.load(folder)


def load_model(study: Study, name: str) -> Any:
    """Return a trained model of a study, kept in memory for the next call.

    Raises:
        UserError: It was not trained, `check_current` refuses it, or its files are damaged.
    """
    check_current(study, name)
    folder = study.model_folder(name)
    stamp = (folder / "card.json").stat().st_mtime_ns
    try:
        return _load(name, folder, stamp)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            folder, f"cannot be loaded ({type(error).__name__})", "Delete it and train it again"
        ) from None


def check_current(study: Study, name: str) -> None:
    """Refuse a model of an older CardioTwin, and one whose foundations were trained anew since.

    Raises:
        UserError: It was not trained, an identifier is of an older format, or what the model
            stands on is another one now.
    """
    recipe: dict[str, Any] = study.card(name).get("recipe") or {}
    again = f"Train it again: python -m core train {study.folder} --models {name}"
    if recipe.get("format") != MODEL_FORMATS[cast(ModelName, name)]:
        raise UserError(f"model {name}", "was trained by an older CardioTwin", again)
    for needed, made_of in recipe.get("needs", {}).items():
        if study.card(needed).get("recipe") != made_of:
            raise UserError(
                f"model {name}",
                f"stands on another {needed} than the one that is there now",
                again,
            )


def choose_subjects(
    study: Study, wanted: list[str] | None, *, label: str | None = None
) -> list[str]:
    """Return the subjects to draw: those asked for, or all that have train beats (of a label).

    Raises:
        UserError: One of them is not in the study's train part.
    """
    kept = _train_rows(study)
    if label is not None and not wanted and (kept["label"] == label).any():
        kept = kept[kept["label"] == label]
    known = list(dict.fromkeys(kept["subject"]))
    for name in wanted or []:
        if name not in known:
            raise UserError(
                f"--subject {name}", "is not in the study's train part", did_you_mean(name, known)
            )
    return list(wanted or known)


def draw_beats(
    study: Study,
    model: str,
    subjects: StrArray,
    *,
    seed: int,
    days: str = "recorded",
    label: str | None = None,
    heart_rate: float | None = None,
) -> BeatSet:
    """Draw one synthetic beat for each entry of `subjects`.

    Args:
        study: A study whose autoencoder and `model` are trained.
        model: ``gan`` or ``mixture``.
        subjects: (n,) a subject's name a beat.
        seed: Seed of every random step.
        days: ``recorded``: as on the days in the study; ``new``: as on other days, five beats
            each, which ``session`` numbers; the heart rate changes too.
        label: Beats of this label only; any by default.
        heart_rate: Beats per minute that ST and T are brought to; the subject's own by default.

    Raises:
        UserError: A model is missing, a subject or label is unknown.
    """
    autoencoder = load_model(study, "autoencoder")
    generator = load_model(study, model)
    labels = _labels(study, subjects, seed) if label is None else np.full(len(subjects), label)
    codes = generator.sample(subjects, seed=seed, days=days, labels=labels)
    signals = autoencoder.decode(codes)
    if heart_rate is not None:
        usual = _median_rr(study)
        rr = np.asarray([usual.get(str(s), np.nan) for s in subjects], dtype=np.float64)
        window = Window(before_s=study.info.before_s, sampling_rate=study.sampling_rate)
        signals = adapt_to_rate(signals, REFERENCE_RR_S * rr * heart_rate / 60.0, window)
    before, after = _intervals(study, subjects, labels, seed=seed, heart_rate=heart_rate)
    beats = BeatSet.build(
        signals,
        sampling_rate=study.sampling_rate,
        before_s=study.info.before_s,
        leads=study.info.leads,
        subject=subjects,
        label="" if labels is None else labels,
        rr_before=before,
        rr_after=after,
        synthetic=np.ones(len(signals), dtype=np.bool_),
    )
    if days == "new":
        stamp = _version(study)
        variation = _day_variation(study.folder, stamp)
        beats = variation.apply(beats, seed=seed, change_rate=heart_rate is None)
    return replace(beats, signals=_normalised(study, beats.signals))


def _normalised(study: Study, signals: FloatArray) -> FloatArray:
    """Return generated beats scaled as the study's own are, after all that was done to them."""
    if study.info.options.normalisation == "none":
        return signals
    from core.preprocessing.beats import normalise

    return normalise(signals, study.info.options.normalisation)


def _version(study: Study) -> int:
    """Return what changes when the study's beat table does: caches go by it."""
    return (study.folder / "beats.parquet").stat().st_mtime_ns


@lru_cache(maxsize=8)
def _day_variation(folder: Path, stamp: int) -> DayVariation:
    """Return how a subject's days differ, learned from a study's train part."""
    return DayVariation.fit(_train_beats(folder, stamp))


def draw_sequences(
    study: Study,
    model: str,
    subjects: StrArray,
    n_in_a_row: int,
    *,
    seed: int,
    days: str = "recorded",
) -> BeatSet:
    """Draw a row of beats for each entry of `subjects`, as they would follow each other.

    All beats of a row are of one recording and day of the subject, chosen by its number of train
    beats, and of its most common label. Successive beats are as alike as they are in the train
    part; RR intervals are a piece of the subject's rhythm, and ``rr_after`` of a beat is
    ``rr_before`` of the next.

    Args:
        study: A study whose autoencoder and `model` are trained.
        model: ``gan`` or ``mixture``.
        subjects: (m,) a subject's name a row.
        n_in_a_row: Beats in each row.
        seed: Seed of every random step.
        days: ``recorded`` or ``new``, as in `draw_beats`.

    Returns:
        (m * n_in_a_row,) beats, row after row; ``recording`` is empty, since none was measured.

    Raises:
        UserError: A model is missing, or a subject is unknown.
    """
    rng = np.random.default_rng([seed, 3])
    rhythms = _study_rhythms(study)
    homes = [_choose_home(study, str(s), None, rng) for s in subjects]
    rows = np.repeat(np.arange(len(homes)), n_in_a_row)
    before, after, courses = [], [], []
    for home in homes:
        rhythm = _rhythm_of_day(study, rhythms, home, days, rng)
        length = max(n_in_a_row + 1, home.intervals)
        rr = draw_rr(rhythm, length, rng)
        start = int(rng.integers(0, length - n_in_a_row))
        piece = rr[start : start + n_in_a_row + 1]
        before.append(piece[:-1])
        after.append(piece[1:])
        courses.append(_course_of(study, home, piece, rhythm, rng))
    signals = _draw_rows(study, model, homes, courses, seed=seed, days=days, kinds="all")
    signals = _normalised(study, signals)
    return BeatSet.build(
        signals,
        sampling_rate=study.sampling_rate,
        before_s=study.info.before_s,
        leads=study.info.leads,
        subject=np.asarray([homes[i].subject for i in rows], dtype=np.str_),
        label=np.asarray([homes[i].label for i in rows], dtype=np.str_),
        rr_before=np.concatenate(before).astype(np.float32),
        rr_after=np.concatenate(after).astype(np.float32),
        synthetic=np.ones(len(signals), dtype=np.bool_),
    )


def draw_strip(
    study: Study,
    model: str,
    subject: str,
    *,
    seconds: int,
    seed: int,
    days: str = "recorded",
    label: str | None = None,
    heart_rate: float | None = None,
    sdnn: float | None = None,
    noise: str = "off",
) -> Strip:
    """Draw a continuous strip of one subject, of all the study's leads together.

    The strip is of one recording and day, chosen by its number of train beats, and of its most
    common kind of beat. RR follows the subject's rhythm; the QT interval follows RR.

    Args:
        study: A study of fixed windows without normalisation, whose autoencoder and `model` are
            trained.
        model: ``gan`` or ``mixture``.
        subject: Who is drawn.
        seconds: Length.
        seed: Seed of every random step.
        days: ``recorded`` or ``new``, as in `draw_beats`.
        label: Beats of this label; the subject's most common one by default.
        heart_rate: Beats per minute, the mean over the strip; the recording's own by default.
        sdnn: Standard deviation of RR in ms; the subject's own by default.
        noise: ``real`` adds wander and noise like the recording's; ``off`` leaves the strip as
            clean as the smoothed signal.

    Raises:
        UserError: A model is missing, the subject or label is unknown, the study's
            beats cannot be joined, or the SDNN is too large for the rate.
    """
    _check_joinable(study)
    rng = np.random.default_rng([seed, 4])
    home = _choose_home(study, subject, label, rng)
    own = _rhythm_of_day(study, _study_rhythms(study), home, days, rng)
    rhythm = with_wishes(
        own,
        mean_s=None if heart_rate is None else 60.0 / heart_rate,
        sdnn_s=None if sdnn is None else sdnn / 1000.0,
    )
    most = MAX_SDNN * rhythm.mean_s
    if sdnn is not None and rhythm.sdnn_s > most:
        raise UserError(
            "--sdnn",
            f"{sdnn:g} ms is too much at {60 / rhythm.mean_s:.0f} beats a minute",
            f"Give at most {most * 1000:.0f}",
        )
    rhythm = replace(rhythm, sdnn_s=min(rhythm.sdnn_s, most))
    peaks, n_samples = place_peaks(rhythm, seconds, study.sampling_rate, rng)
    between = np.diff(peaks) / study.sampling_rate
    rr = np.concatenate([[rhythm.mean_s], between, [rhythm.mean_s]])
    course = _course_of(study, home, rr, rhythm, rng)
    beats = _draw_rows(study, model, [home], [course], seed=seed, days=days, kinds="main")
    signal = join_beats(
        beats,
        peaks,
        Window(before_s=study.info.before_s, sampling_rate=study.sampling_rate),
        home_rr_s=home.rr_s,
        n_samples=n_samples,
        rng=rng,
    )
    if noise == "real":
        inside = peaks[BEYOND:-BEYOND]
        signal = signal + _noise_of(study, home.recording).draw(n_samples, rng, inside)
    return Strip(
        signal=signal,
        sampling_rate=study.sampling_rate,
        leads=study.info.leads,
        unit=study.info.unit,
        r_peaks=peaks[BEYOND:-BEYOND],
        subject=subject,
        provenance=Provenance(
            model=model,
            seed=seed,
            study=study.info.name,
            days=days,
            more=(
                ("Heart rate", f"{60 / rhythm.mean_s:.4g} a minute"),
                ("SDNN", f"{rhythm.sdnn_s * 1000:.4g} ms"),
                ("Noise", noise),
                *((("Label", home.label),) if home.label else ()),
            ),
        ),
    )


@dataclass(frozen=True)
class _Home:
    """The recording that a row of beats is drawn as one of.

    Attributes:
        subject: Whose it is.
        recording: Its name.
        label: Its most common label; empty where the study has but one.
        rr_s: Its mean RR, in s.
        sdnn_s: Standard deviation of its RR, in s; NaN if not known.
        intervals: How many RR intervals it has, `MAX_INTERVALS` at most.
    """

    subject: str
    recording: str
    label: str
    rr_s: float
    sdnn_s: float
    intervals: int


def _choose_home(study: Study, subject: str, label: str | None, rng: np.random.Generator) -> _Home:
    """Choose a recording of a subject by its share of the train beats (of a label)."""
    kept = _train_rows(study)
    kept = kept[kept["subject"] == subject]
    if not len(kept):
        choose_subjects(study, [subject])
    if label is not None:
        known = sorted(set(kept["label"]))
        kept = kept[kept["label"] == label]
        if not len(kept):
            raise UserError(
                "--label",
                f"subject {subject!r} has no beats labelled {label!r}",
                "Leave it out" if known == [""] else did_you_mean(label, known),
            )
    counts = kept["recording_name"].value_counts().sort_index()
    name = str(counts.index[rng.choice(len(counts), p=counts.to_numpy() / counts.sum())])
    own = kept[kept["recording_name"] == name]
    told = ""
    if are_several(_train_rows(study)["label"]):
        told = str(own["label"].value_counts().sort_index().idxmax())
    rr = plausible(own["rr_before"])
    sdnn = float(np.nanstd(rr, ddof=1)) if np.isfinite(rr).sum() >= LEAST_INTERVALS else np.nan
    if np.isnan(sdnn):
        rr = plausible(kept["rr_before"])
    mean = float(np.nanmean(rr)) if np.isfinite(rr).any() else REFERENCE_RR_S
    return _Home(subject, name, told, mean, sdnn, min(len(own), MAX_INTERVALS))


def _rhythm_of_day(
    study: Study,
    rhythms: dict[str, Rhythm],
    home: _Home,
    days: str,
    rng: np.random.Generator,
) -> Rhythm:
    """Return a subject's rhythm at the rate of a recorded day, or at that of a new one."""
    usual = rhythms[home.subject]
    if days == "recorded":
        own = with_wishes(usual, mean_s=home.rr_s)
        if np.isnan(home.sdnn_s):
            return own
        weight = home.intervals / (home.intervals + SDNN_INTERVALS)
        square = weight * home.sdnn_s**2 + (1 - weight) * own.sdnn_s**2
        return replace(own, sdnn_s=min(float(np.sqrt(square)), MAX_SDNN * home.rr_s))
    stamp = _version(study)
    spread = _day_variation(study.folder, stamp).rate_spread
    deviation = float(np.clip(rng.standard_normal(), -LARGEST, LARGEST))
    mean = usual.mean_s * float(np.exp(spread * deviation))
    low, high = HEART_RATE_RANGE
    return with_wishes(usual, mean_s=float(np.clip(mean, 60 / high, 60 / low)))


def _course_of(
    study: Study,
    home: _Home,
    rr: npt.NDArray[np.float64],
    rhythm: Rhythm,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """Return the traits (n, q) that beats in a row are to have, by the intervals around them."""
    stamp = _version(study)
    spread = max(rhythm.sdnn_s, np.finfo(np.float64).tiny)
    return _fitted_course(study.folder, stamp).draw(
        home.subject, (rr - rhythm.mean_s) / spread, rng
    )


@lru_cache(maxsize=8)
def _fitted_course(folder: Path, stamp: int) -> Course:
    """Learn how beats go on once a version of the beat table."""
    return Course.fit(_train_beats(folder, stamp))


def _draw_rows(
    study: Study,
    model: str,
    homes: Sequence[_Home],
    courses: Sequence[npt.NDArray[np.float64]],
    *,
    seed: int,
    days: str,
    kinds: Literal["main", "all"],
) -> FloatArray:
    """Return the signals of beats in rows, each of a home and in the order of its course.

    `POOL` times as many are drawn, and those taken whose traits go on as they should; with only the
    main kind of beats, those are left that look as no usual beat of the recording does.
    """
    autoencoder = load_model(study, "autoencoder")
    generator = load_model(study, model)
    parts = getattr(generator, "mixture", generator).components
    labelled = any(parts.label != "")
    sizes = [POOL * len(course) for course in courses]
    rows = np.repeat(np.arange(len(homes)), sizes)
    labels = np.repeat([home.label for home in homes], sizes) if labelled else None
    codes = generator.sample(
        np.repeat([home.subject for home in homes], sizes),
        seed=seed,
        days=days,
        labels=labels,
        succession=Succession(
            recording=np.repeat([home.recording for home in homes], sizes),
            row=rows,
            kinds=kinds,
        ),
    )
    window = Window(before_s=study.info.before_s, sampling_rate=study.sampling_rate)
    taken = []
    for i, course in enumerate(courses):
        usual = _usual(study, homes[i]) if kinds == "main" else None
        pool = codes[rows == i]
        for start in range(0, len(course), BLOCK):
            wanted = course[start : start + BLOCK]
            offer = pool[start * POOL : (start + len(wanted)) * POOL]
            signals = autoencoder.decode(offer)
            unwanted = None if usual is None else usual.excess(signals)
            taken.append(signals[chosen(traits(signals, window), wanted, unwanted)])
    return np.concatenate(taken)


def _usual(study: Study, home: _Home) -> Usual:
    """Return what most train beats of a home look like."""
    stamp = _version(study)
    beats = _train_beats(study.folder, stamp)
    mine = beats.recording == home.recording
    if home.label:
        mine &= beats.label == home.label
    return Usual.fit(beats.signals[mine])


@lru_cache(maxsize=2)
def _train_beats(folder: Path, stamp: int) -> BeatSet:
    """Load the train beats once a version of the beat table."""
    return Study.open(folder).beats("train")


def _check_joinable(study: Study) -> None:
    options = study.info.options
    for name, value, needed in (
        ("--window", options.window, "fixed"),
        ("--normalisation", options.normalisation, "none"),
    ):
        if value != needed:
            raise UserError(
                study.folder,
                f"was prepared with {name} {value}, whose beats cannot be joined",
                f"Prepare it with {name} {needed}",
            )


def _noise_of(study: Study, recording: str) -> Noise:
    """Return the noise of a recording, from its stretch of train beats."""
    from core.preprocessing.filters import moving_average

    kept = _train_rows(study)
    peaks = np.sort(kept.loc[kept["recording_name"] == recording, "r_sample"].to_numpy())
    signals = study.signals(recording)
    part = slice(0, int(peaks[-1]) + 1)
    options = study.info.options
    clean = np.asarray(signals[CLEAN][part])
    smoothed = moving_average(clean, study.sampling_rate, options.smoothing_ms)
    noise = np.asarray(signals[RAW][part]) - smoothed
    return Noise.fit(noise.astype(np.float32), peaks, study.sampling_rate)


def _series(study: Study) -> dict[str, list[npt.NDArray[np.float64]]]:
    """Return the RR intervals of each subject's train recordings; NaN where a beat was rejected."""
    table = study.beat_table[study.beat_table["partition"] == "train"]
    rr = table["rr_before"].where(table["rejected"] == "").to_numpy(dtype=np.float64)
    names = table["recording_name"].to_numpy()
    found: dict[str, dict[str, list[float]]] = {}
    for subject, name, value in zip(table["subject"], names, rr, strict=True):
        found.setdefault(str(subject), {}).setdefault(str(name), []).append(value)
    return {s: [np.asarray(v) for v in own.values()] for s, own in found.items()}


def _study_rhythms(study: Study) -> dict[str, Rhythm]:
    """Return each subject's rhythm, from the train part."""
    stamp = _version(study)
    return _fitted(study.folder, stamp)


@lru_cache(maxsize=8)
def _fitted(folder: Path, stamp: int) -> dict[str, Rhythm]:
    """Fit the rhythms once a version of the beat table."""
    series = _series(Study.open(folder))
    return dict(zip(series, fit_rhythms(list(series.values())), strict=True))


def _intervals(
    study: Study,
    subjects: StrArray,
    labels: StrArray | None,
    *,
    seed: int,
    heart_rate: float | None,
) -> tuple[FloatArray, FloatArray]:
    """Return RR before and after (n,) each beat in s: the beats of a subject follow each other.

    Where one recording has beats of several labels, an interval belongs to the label (an early
    beat comes early): each beat then takes those of a train beat of its subject and label.
    """
    rng = np.random.default_rng([seed, 2])
    before = np.full(len(subjects), np.nan, np.float32)
    after = before.copy()
    kept = _train_rows(study)
    kinds = kept[["recording_name", "label"]].drop_duplicates()
    mixed = bool(kinds["recording_name"].duplicated().any())
    rhythms = _study_rhythms(study)
    known = dict(iter(kept.groupby("subject")))
    for name in dict.fromkeys(str(s) for s in subjects):
        mine = np.flatnonzero(subjects == name)
        if labels is not None and mixed:
            own = known[name]
            scale = 1.0 if heart_rate is None else 60 / heart_rate / own["rr_before"].median()
            for label in np.unique(labels[mine]):
                some = mine[labels[mine] == label]
                pairs = own.loc[own["label"] == label, ["rr_before", "rr_after"]].to_numpy()
                if len(pairs):
                    chosen = pairs[rng.integers(0, len(pairs), len(some))] * scale
                    before[some], after[some] = chosen.T
            continue
        wanted = None if heart_rate is None else 60 / heart_rate
        rr = draw_rr(with_wishes(rhythms[name], mean_s=wanted), len(mine) + 1, rng)
        before[mine], after[mine] = rr[:-1], rr[1:]
    return before, after


def _train_rows(study: Study) -> pd.DataFrame:
    """Return the rows of the beat table that generators were fitted to."""
    table = study.beat_table
    return table[(table["rejected"] == "") & (table["partition"] == "train")]


def _labels(study: Study, subjects: StrArray, seed: int) -> StrArray | None:
    """Return a label for each beat, as often as each subject has it; None if they are not several.

    What a generator is conditioned on is `core.training.generator_labels` of the train beats.
    """
    kept = _train_rows(study)
    if not are_several(kept["label"]):
        return None
    rng = np.random.default_rng([seed, 6])
    labels = np.full(len(subjects), "", dtype=object)
    known = dict(iter(kept.groupby("subject")["label"]))
    for name in dict.fromkeys(str(s) for s in subjects):
        mine = np.flatnonzero(subjects == name)
        if name in known:
            own = known[name].to_numpy()
            labels[mine] = own[rng.integers(0, len(own), len(mine))]
    return labels.astype(np.str_)


def _median_rr(study: Study) -> dict[str, float]:
    """Return each subject's median RR interval in its train beats, in seconds."""
    kept = _train_rows(study)
    return {str(s): float(v) for s, v in kept.groupby("subject")["rr_before"].median().items()}
