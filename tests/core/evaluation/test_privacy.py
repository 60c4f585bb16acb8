"""Copies are caught, also when they are disguised; fresh beats of the same kind are not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from core.beat_set import BeatSet
from core.evaluation import privacy
from core.evaluation.privacy import (
    COPY_SHIFT_S,
    evaluate_privacy,
    membership_auc,
    nearest_distances,
)
from tests.core.evaluation.simulated import RATE, draw, subject_names

SUBJECTS = np.repeat(subject_names(4), 60)


@pytest.fixture(scope="module")
def train() -> BeatSet:
    return draw(SUBJECTS, 1)


@pytest.fixture(scope="module")
def validation() -> BeatSet:
    return draw(SUBJECTS[::3], 2)


def with_signals(beats: BeatSet, signals: np.ndarray) -> BeatSet:
    return replace(beats, signals=np.asarray(signals, dtype=np.float32))


def test_fresh_beats_are_as_far_as_unseen_real_ones(train: BeatSet, validation: BeatSet) -> None:
    figures = evaluate_privacy(train, validation, draw(SUBJECTS, 3), seed=0)
    assert figures["close"]["value"] == pytest.approx(0.05, abs=0.08)
    assert figures["distance"]["value"] == pytest.approx(figures["distance"]["ceiling"], rel=0.1)
    assert figures["near_copies"]["value"] == 0
    assert figures["membership"]["value"] == pytest.approx(0.5, abs=0.12)
    json.dumps(figures, allow_nan=False)
    assert all(figure["protocol"] for figure in figures.values())


@pytest.mark.parametrize("disguise", ["none", "noise", "gain and offset", "shift", "only a tenth"])
def test_copies_are_caught(disguise: str, train: BeatSet, validation: BeatSet) -> None:
    x = train.signals
    rng = np.random.default_rng(0)
    size = x.std(axis=1, keepdims=True)
    fresh = draw(SUBJECTS, 3).signals
    tenth = (np.arange(len(x)) % 10 == 0)[:, None, None]
    copies = {
        "none": x,
        "noise": x + 0.015 * size * rng.standard_normal(x.shape),
        "gain and offset": 1.2 * x - 0.1,
        "shift": np.roll(x, round(COPY_SHIFT_S * RATE), axis=1),
        "only a tenth": np.where(tenth, x, fresh),
    }[disguise]
    figures = evaluate_privacy(train, validation, with_signals(train, copies), seed=0)
    share = 0.1 if disguise == "only a tenth" else 1.0
    assert figures["near_copies"]["value"] == pytest.approx(share, abs=0.01)
    assert figures["near_copies"]["ceiling"] == 0
    assert figures["close"]["value"] >= share - 0.01
    if share == 1.0:
        assert figures["membership"]["value"] > 0.99


def test_distance_is_that_of_unit_beats(train: BeatSet) -> None:
    """Expected values by a loop over pairs and shifts, with numpy's own correlation."""
    beats, known = draw(SUBJECTS[:5], 9).signals, train.signals[:7]
    expected = []
    for beat in beats[..., 0]:
        best = -1.0
        for other in known[..., 0]:
            for lag in range(-3, 4):
                one = beat[max(0, lag) : len(beat) + min(0, lag)]
                two = other[max(0, -lag) : len(beat) + min(0, -lag)]
                best = max(best, float(np.corrcoef(one, two)[0, 1]))
        expected.append(np.sqrt(2 * (1 - best)))
    np.testing.assert_allclose(nearest_distances(beats, known, RATE), expected, atol=2e-3)


def test_flat_beats_copy_nothing(train: BeatSet) -> None:
    flat = np.zeros_like(train.signals[:3])
    np.testing.assert_allclose(nearest_distances(flat, train.signals, RATE), np.sqrt(2))


def test_membership_is_certain_of_released_beats(train: BeatSet, validation: BeatSet) -> None:
    x = train.signals
    assert membership_auc(x, validation.signals, x, RATE) == 1.0
    assert membership_auc(x[::2], x[1::2], validation.signals, RATE) == pytest.approx(0.5, abs=0.12)


def test_chunks_do_not_change_distances(train: BeatSet, monkeypatch: pytest.MonkeyPatch) -> None:
    beats = draw(SUBJECTS, 4).signals
    whole = nearest_distances(beats, train.signals, RATE)
    monkeypatch.setattr(privacy, "CHUNK_BEATS", 7)
    np.testing.assert_allclose(nearest_distances(beats, train.signals, RATE), whole, atol=1e-3)
