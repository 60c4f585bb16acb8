"""Privacy: generated beats -> how close they come to the very beats they were learned from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from core.beat_set import BeatSet
from core.evaluation.identification import bootstrap_interval
from core.recording import FloatArray, IntArray

Array = npt.NDArray[np.floating[Any]]

CLOSE_PERCENTILE = 5.0
"""Of unseen real beats' distances; closer than this percentage of them counts as close."""
NEAR_COPY_DISTANCE = 0.03
"""Closer than this is a near copy: a train beat under noise of 3 % of its own size. No unseen
ECG-ID beat of 0.5 to 40 Hz and 20 ms smoothing came closer than 0.04."""
COPY_SHIFT_S = 0.012
"""How far a copy may be shifted in time and still be found."""
CHUNK_BEATS = 512
"""Beats compared at once with all of train: bounds memory."""
MOST_COMPARED = 2000
"""Beats of each kind that are compared with all of train; of more, a random part."""
AUC_DRAWS = 200
"""Draws of subjects for the interval of an area under a curve: it takes a sort each."""
LEAST_NORM_MV = 1e-6
"""Below this a beat is flat, and is not divided by its size."""


def evaluate_privacy(
    train: BeatSet, validation: BeatSet, generated: BeatSet, *, seed: int
) -> dict[str, Any]:
    """Return how close generated beats come to train beats, and real unseen beats beside.

    Args:
        train: The beats that the generator was fitted to.
        validation: Real beats of the same recordings that it has not seen.
        generated: Its beats, of the same rate and window, in train's shares.
        seed: Of the random part, where there are more than `MOST_COMPARED` beats.

    Returns:
        JSON-ready figures by name: ``distance``, ``close``, ``near_copies``, ``membership``; the
        last three with ``interval``, 95 % over resampled subjects.
    """
    rng = np.random.default_rng(seed)
    rate = train.sampling_rate
    unseen = validation.take(_at_most(len(validation), rng))
    released = generated.take(_at_most(len(generated), rng))
    of_unseen = nearest_distances(unseen.signals, train.signals, rate)
    of_released = nearest_distances(released.signals, train.signals, rate)
    limit = float(np.percentile(of_unseen, CLOSE_PERCENTILE))
    means = (
        "distance: root of the summed squared difference of two beats of unit size, each lead's "
        f"mean removed, at the best shift within {COPY_SHIFT_S * 1000:g} ms, to the closest of "
        f"{len(train)} train beats"
    )
    members = train.take(_at_most(len(train), rng))
    halves = rng.permutation(len(train)) % 2 == 0
    one, other = np.flatnonzero(halves), np.flatnonzero(~halves)
    asked = np.concatenate([members.subject, unseen.subject])
    is_member = np.repeat([True, False], [len(members), len(unseen)])
    to_released = np.concatenate(
        [nearest_distances(b.signals, released.signals, rate) for b in (members, unseen)]
    )

    def share(near: npt.NDArray[np.bool_]) -> dict[str, Any]:
        interval = bootstrap_interval(
            lambda rows: float(near[rows].mean()), released.subject, seed=seed
        )
        return {"value": float(near.mean()), "interval": interval, "interval_over": "subjects"}

    return {
        "distance": {
            "value": float(np.median(of_released)),
            "percentile_5": float(np.percentile(of_released, 5)),
            "smallest": float(of_released.min()),
            "ceiling": float(np.median(of_unseen)),
            "ceiling_percentile_5": limit,
            "ceiling_smallest": float(of_unseen.min()),
            "n": len(of_released),
            "protocol": f"{means}; median over generated beats, beside validation beats",
        },
        "close": {
            **share(of_released < limit),
            "ceiling": CLOSE_PERCENTILE / 100,
            "n": len(of_released),
            "protocol": "share of generated beats closer to train than all but "
            f"{CLOSE_PERCENTILE:g} % of validation beats are",
        },
        "near_copies": {
            **share(of_released < NEAR_COPY_DISTANCE),
            "ceiling": float(np.mean(of_unseen < NEAR_COPY_DISTANCE)),
            "n": len(of_released),
            "protocol": "share of generated beats closer to a train beat than "
            f"{NEAR_COPY_DISTANCE:g}, beside validation beats",
        },
        "membership": {
            "value": _auc(is_member, to_released),
            "interval": bootstrap_interval(
                lambda rows: _auc(is_member[rows], to_released[rows]),
                asked,
                seed=seed,
                draws=AUC_DRAWS,
            ),
            "interval_over": "subjects",
            "ceiling": membership_auc(
                train.signals[one[_at_most(len(one), rng)]],
                unseen.signals,
                train.signals[other[_at_most(len(other), rng)]],
                rate,
            ),
            "n": len(members) + len(unseen),
            "protocol": "area under the ROC curve of telling train from validation beats by their "
            "distance to the closest generated beat; 0.5 is safe; beside, what time alone gives: "
            "one half of train told from validation by its distance to the other half",
        },
    }


def nearest_distances(beats: FloatArray, train: FloatArray, sampling_rate: float) -> Array:
    """Return (n,) the distance of each beat to the closest train beat, 0 (a copy) to 2.

    The distance is sqrt(2 (1 - r)), r the largest correlation of the two within a shift of
    `COPY_SHIFT_S`: offset, gain and a small shift hide no copy. Flat beats are at sqrt(2).

    Args:
        beats: (n, n_samples, n_leads).
        train: (n_train, n_samples, n_leads), at least one.
        sampling_rate: In Hz.
    """
    largest_lag = round(COPY_SHIFT_S * sampling_rate)
    n_samples = train.shape[1]
    best = np.full(len(beats), -1.0)
    for lag in range(-largest_lag, largest_lag + 1):
        here = slice(max(0, lag), n_samples + min(0, lag))
        there = slice(max(0, -lag), n_samples + min(0, -lag))
        known = _unit(train[:, there])
        for start in range(0, len(beats), CHUNK_BEATS):
            part = slice(start, start + CHUNK_BEATS)
            correlation = _unit(beats[part, here]) @ known.T
            best[part] = np.maximum(best[part], correlation.max(axis=1))
    return np.sqrt(np.maximum(0.0, 2.0 * (1.0 - best)))


def membership_auc(
    members: FloatArray, others: FloatArray, released: FloatArray, sampling_rate: float
) -> float:
    """Return how well the distance to what was released tells members from others: 0.5 to 1.

    Args:
        members: (n_members, n_samples, n_leads) beats that the release was learned from.
        others: (n_others, n_samples, n_leads) beats that it was not.
        released: (n, n_samples, n_leads) what was released.
        sampling_rate: In Hz.
    """
    distances = np.concatenate(
        [nearest_distances(beats, released, sampling_rate) for beats in (members, others)]
    )
    is_member = np.repeat([True, False], [len(members), len(others)])
    return _auc(is_member, distances)


def _auc(is_member: npt.NDArray[np.bool_], distances: Array) -> float:
    """Return the area under the ROC curve; 0.5 where there is nothing to tell apart."""
    if is_member.all() or not is_member.any():
        return 0.5
    return float(roc_auc_score(is_member, -distances))


def _unit(beats: FloatArray) -> FloatArray:
    """Return (n, n_samples * n_leads) beats of norm 1, the mean of each lead removed."""
    centred = beats - beats.mean(axis=1, keepdims=True)
    rows = centred.reshape(len(beats), -1)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(norms > LEAST_NORM_MV, rows / np.maximum(norms, LEAST_NORM_MV), 0.0).astype(
        np.float32
    )


def _at_most(n: int, rng: np.random.Generator) -> IntArray:
    """Return positions of at most `MOST_COMPARED` of n beats, ascending."""
    if n <= MOST_COMPARED:
        return np.arange(n)
    return np.sort(rng.choice(n, MOST_COMPARED, replace=False))
