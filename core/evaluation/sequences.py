"""Judge of sequences: ten beats in a row, real or generated -> whether shape and rhythm tell them.

A beat may pass alone and still stand in a row that no heart beats: intervals that never vary or
vary without memory, beats that do not resemble their neighbours, no breathing, no drift.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from core.beat_set import BeatSet
from core.errors import UserError
from core.evaluation.judges import boosting_told, svm_told
from core.models.authenticity import N_FOLDS, feature_matrix, paired_folds
from core.recording import IntArray, StrArray

Array = npt.NDArray[np.float64]

SEQUENCE_BEATS = 10
LEAST_PAIRS = 4 * N_FOLDS
"""Sequences of each kind below which no fold has enough to learn from."""
MOST_PAIRS = 400
"""Sequences of each kind of one redraw: bounds time and memory."""
SEQUENCE_JUDGES = ("svm", "boosting", "rhythm", "shape")
SEQUENCE_WORDS = {
    "svm": "an RBF SVM (C=10) on shape and rhythm together",
    "boosting": "gradient boosting (80 trees) on shape and rhythm together",
    "rhythm": "gradient boosting (80 trees) on the RR intervals alone",
    "shape": "gradient boosting (80 trees) on the beats alone",
}
LAGS = (1, 2, 3)
"""Beats apart at which a row is compared with itself."""
N_COMPONENTS = 2
"""Of a row's own deviations from its mean beat: breathing and contact are in the first."""
TINY = 1e-9
"""Added to divisors, in mV or s: a row that does not vary at all has no correlations."""


def in_a_row(beats: BeatSet, *, length: int = SEQUENCE_BEATS) -> IntArray:
    """Return (m, length) the positions of beats in a row, no beat in two rows.

    Beats are in a row if they are of one recording, with no beat between them left out: each R
    peak is as far from the one before as its `rr_before` says, within 1.5 samples.

    Args:
        beats: Measured beats, in order of time within each recording.
        length: Beats a row.
    """
    gap = np.diff(beats.r_sample) / beats.sampling_rate
    near = np.abs(gap - beats.rr_before[1:]) <= 1.5 / beats.sampling_rate
    joined = near & (beats.recording[1:] == beats.recording[:-1])
    runs = np.split(np.arange(len(beats)), np.flatnonzero(~joined) + 1)
    rows = [
        run[start : start + length]
        for run in runs
        for start in range(0, len(run) - length + 1, length)
    ]
    return np.asarray(rows, dtype=np.int64).reshape(-1, length)


def sequence_features(beats: BeatSet, rows: IntArray) -> tuple[Array, Array, Array]:
    """Return what rows of beats tell: (m, n) of the rhythm, of the shapes, and of both together.

    Rhythm: mean, spread and successive differences of the RR intervals within the row, how they
    depend on those before, their trend. Shape: mean and spread of lone-beat features; how alike
    beats are to their neighbours; trend and memory of level, height, roughness and of the row's
    first components. Together: how these five go with the RR interval before.

    Args:
        beats: Beats with `rr_before`, each the time since the beat before it in its row.
        rows: (m, length) positions of the beats of each row, in order.

    Raises:
        UserError: An RR interval within a row is not known.
    """
    m, length = rows.shape
    rr = beats.rr_before[rows[:, 1:]].astype(np.float64)
    if not np.isfinite(rr).all():
        raise UserError(
            "sequences", "an RR interval within a row is not known", "Give rr_before of every beat"
        )
    used, places = np.unique(rows, return_inverse=True)
    signals = beats.signals[used].astype(np.float32)
    alone = feature_matrix(signals, beats.sampling_rate)[places.reshape(m, length)]
    shapes = signals.reshape(len(used), -1).astype(np.float64)[places.reshape(m, length)]
    level = shapes.mean(axis=2)
    height = shapes.max(axis=2) - shapes.min(axis=2)
    roughness = np.log(np.sqrt(np.mean(np.diff(shapes, 2, axis=2) ** 2, axis=2)) + TINY)
    deviation = shapes - shapes.mean(axis=1, keepdims=True)
    energy = (deviation**2).sum(axis=(1, 2))
    size = ((shapes - level[..., None]) ** 2).mean(axis=(1, 2))
    memory = [
        (deviation[:, lag:] * deviation[:, :-lag]).sum(axis=(1, 2)) / (energy + TINY)
        for lag in LAGS
    ]
    unit = shapes - level[..., None]
    unit /= np.sqrt((unit**2).sum(axis=2, keepdims=True)) + TINY
    next_one = (unit[:, 1:] * unit[:, :-1]).sum(axis=2)
    far = (unit[:, length // 2 :] * unit[:, : -(length // 2)]).sum(axis=2)
    gram = np.einsum("mik,mjk->mij", deviation, deviation)
    values, vectors = np.linalg.eigh(gram)
    components = [vectors[:, :, -1 - k] for k in range(N_COMPONENTS)]
    shares = [values[:, -1 - k] / (energy + TINY) for k in range(N_COMPONENTS)]
    series = [level, height, roughness, *components]
    with_rr = [_correlation(one[:, 1:], rr) for one in series]
    with_rr[-N_COMPONENTS:] = [np.abs(one) for one in with_rr[-N_COMPONENTS:]]
    shape = [
        alone.mean(axis=1),
        alone.std(axis=1),
        *(np.log(v + TINY) for v in (energy, size)),
        *memory,
        next_one.mean(axis=1),
        next_one.std(axis=1),
        next_one.min(axis=1),
        next_one.mean(axis=1) - far.mean(axis=1),
        *shares,
        *(column for one in series for column in _of_series(one)),
    ]
    difference = np.diff(rr, axis=1)
    rhythm = [
        rr.mean(axis=1),
        np.log(rr.std(axis=1) + 1e-4),
        np.log(np.sqrt((difference**2).mean(axis=1)) + 1e-4),
        rr.max(axis=1) - rr.min(axis=1),
        np.abs(difference).max(axis=1),
        np.abs(difference).min(axis=1),
        (np.diff(np.sign(difference), axis=1) != 0).mean(axis=1),
        *_of_series(rr),
    ]
    return _columns(rhythm), _columns(shape), _columns(with_rr)


def judge_sequences(
    real: BeatSet,
    real_rows: IntArray,
    generated: BeatSet,
    generated_rows: IntArray,
    folds: IntArray,
    *,
    seed: int,
) -> dict[str, Array]:
    """Return for each of `SEQUENCE_JUDGES` (m,) the share of each held-out pair told rightly.

    Its mean is the judge's accuracy; 0.5 is chance.

    Args:
        real: Beats with `rr_before`.
        real_rows: (m, length) positions of the beats of each real row.
        generated: Beats with `rr_before`.
        generated_rows: (m, length); row i is of the same subject as real row i.
        folds: (m,) fold of each pair of rows, from `row_folds`.
        seed: Of the trees.
    """
    of_real = sequence_features(real, real_rows)
    of_generated = sequence_features(generated, generated_rows)
    both, other_both = np.hstack(of_real), np.hstack(of_generated)
    return {
        "svm": svm_told(both, other_both, folds),
        "boosting": boosting_told(both, other_both, folds, seed=seed),
        "rhythm": boosting_told(of_real[0], of_generated[0], folds, seed=seed),
        "shape": boosting_told(of_real[1], of_generated[1], folds, seed=seed),
    }


def row_folds(subjects: StrArray, rng: np.random.Generator) -> IntArray:
    """Return (m,) a fold for each pair of rows: whole subjects where there are enough of them.

    Rows of one person are alike, so that a judge who knows some of them knows the rest. Fewer
    subjects than folds are spread over the folds instead, as beats are (`paired_folds`).
    """
    names, index = np.unique(subjects, return_inverse=True)
    if len(names) < N_FOLDS:
        return paired_folds(subjects, rng)
    return (rng.permutation(len(names)) % N_FOLDS)[index.reshape(-1)]


def paired_rows(
    real: StrArray, other: StrArray, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Return numbers of real and of other rows, as many of each subject; at most `MOST_PAIRS`."""
    pairs = []
    for subject in np.intersect1d(real, other):
        one, two = (rng.permutation(np.flatnonzero(rows == subject)) for rows in (real, other))
        n = min(len(one), len(two))
        pairs.append((one[:n], two[:n]))
    of_real, of_other = (
        np.concatenate([np.empty(0, np.int64), *(pair[side] for pair in pairs)]) for side in (0, 1)
    )
    kept = rng.permutation(len(of_real))[:MOST_PAIRS]
    return of_real[kept], of_other[kept]


def _of_series(series: Array) -> list[Array]:
    """Return (m,) columns of a value in a row (m, length): memory, and trend over all spread."""
    centred = series - series.mean(axis=1, keepdims=True)
    energy = (centred**2).sum(axis=1) + TINY**2
    time = np.arange(series.shape[1]) - (series.shape[1] - 1) / 2
    trend = (centred @ time) ** 2 / ((time**2).sum() * energy)
    memory = [(centred[:, lag:] * centred[:, :-lag]).sum(axis=1) / energy for lag in LAGS]
    return [np.log(energy), trend, *memory]


def _correlation(one: Array, other: Array) -> Array:
    one, other = (x - x.mean(axis=1, keepdims=True) for x in (one, other))
    size = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return np.asarray((one * other).sum(axis=1) / (size + TINY**2))


def _columns(parts: list[Any]) -> Array:
    return np.column_stack([np.asarray(part, dtype=np.float32) for part in parts]).astype(
        np.float64
    )
