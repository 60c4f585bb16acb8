"""Beats as of elsewhere stay beats: R where it was, time forward, each drawn anew."""

from __future__ import annotations

import numpy as np

from core.elsewhere import as_elsewhere
from tests.core.evaluation.simulated import draw, subject_names


def test_changed_beats_keep_their_owner_and_mostly_their_peak() -> None:
    beats = draw(np.repeat(subject_names(3), 40), 1)
    changed = as_elsewhere(beats, np.random.default_rng(0))
    assert changed.signals.shape == beats.signals.shape and changed.signals.dtype == np.float32
    assert np.isfinite(changed.signals).all()
    assert (changed.recording == beats.recording).all()
    again = as_elsewhere(beats, np.random.default_rng(0))
    np.testing.assert_array_equal(again.signals, changed.signals)
    peak = round(beats.before_s * beats.sampling_rate)
    away = changed.signals - np.median(changed.signals, axis=1, keepdims=True)
    far = np.abs(np.abs(away[:, :, 0]).argmax(axis=1) - peak) / beats.sampling_rate
    assert np.mean(far < 0.06) > 0.6
    upside_down = away[:, peak, 0] < 0
    assert 0.1 < upside_down.mean() < 0.45
    assert len(as_elsewhere(beats.take(slice(0, 0)), np.random.default_rng(0))) == 0
