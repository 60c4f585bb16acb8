"""Judges of beats: at chance on beats of one distribution, sure of beats of another."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluation.judges import (
    JUDGES,
    boosting_told,
    cnn_told,
    judge_pairs,
    svm_told,
)
from core.models.authenticity import paired_folds
from tests.core.evaluation.simulated import RATE, draw, subject_names

SUBJECTS = np.repeat(subject_names(6), 30)
REAL = draw(SUBJECTS, 1).signals
FOLDS = paired_folds(SUBJECTS, np.random.default_rng(0))
CHANCE = 4 * np.sqrt(0.25 / (2 * len(SUBJECTS)))
"""Four standard errors of an accuracy at chance."""


def accuracies(fake: np.ndarray, seed: int = 0) -> dict[str, float]:
    told = judge_pairs(REAL, fake, REAL, fake, FOLDS, RATE, seed=seed)
    assert all(right.shape == SUBJECTS.shape for right in told.values())
    assert all(set(np.unique(right)) <= {0.0, 0.5, 1.0} for right in told.values())
    return {judge: float(right.mean()) for judge, right in told.items()}


def test_every_judge_is_at_chance_on_beats_of_one_distribution() -> None:
    runs = [accuracies(draw(SUBJECTS, seed).signals, seed) for seed in (2, 3, 4)]
    for judge in JUDGES:
        assert np.mean([run[judge] for run in runs]) == pytest.approx(0.5, abs=CHANCE)


def test_every_judge_catches_beats_with_other_noise() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, REAL.shape)
    found = accuracies((draw(SUBJECTS, 2).signals + noise).astype(np.float32))
    for judge in JUDGES:
        assert found[judge] > 0.85, judge


def test_judges_repeat_themselves() -> None:
    fake = draw(SUBJECTS, 2).signals
    assert accuracies(fake) == accuracies(fake)


@pytest.mark.parametrize("told", [svm_told, boosting_told])
def test_rounding_alone_tells_nothing(told: object) -> None:
    """Each row as float64 beside itself as float32: one of two is right, whatever is said."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 5))
    rows[:, 0] = 1 / 3
    other = rows.astype(np.float32)
    folds = paired_folds(np.repeat("a", 200), rng)
    more = {"seed": 0} if told is boosting_told else {}
    assert (told(rows, other, folds, **more) == 0.5).all()  # type: ignore[operator]


def test_the_network_sees_what_no_mean_shows() -> None:
    """Both kinds have the same mean and spread at every sample; only the order in time differs."""
    rng = np.random.default_rng(0)
    slow = np.cumsum(rng.normal(size=(150, 64, 1)), axis=1)
    slow = (slow - slow.mean(axis=0)) / slow.std(axis=0)
    fast = rng.normal(size=(150, 64, 1))
    folds = paired_folds(np.repeat("a", 150), rng)
    assert cnn_told(slow, fast, folds, seed=0).mean() > 0.95


def test_two_leads_are_judged_together() -> None:
    """Each lead alone is real; together they are of two different beats."""
    first = np.concatenate([REAL, REAL], axis=2)
    order = np.concatenate(
        [
            np.random.default_rng(0).permutation(np.flatnonzero(s == SUBJECTS))
            for s in subject_names(6)
        ]
    )
    mixed = np.concatenate([REAL, REAL[order]], axis=2)
    assert cnn_told(first, mixed, FOLDS, seed=0).mean() > 0.6
