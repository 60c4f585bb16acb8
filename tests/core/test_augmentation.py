from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from core.augmentation import (
    RIGID_S,
    add_noise,
    augment,
    preview,
    scale,
    shift,
    warp,
)
from core.beat_set import BeatSet
from core.options import AugmentationOptions

RATE, BEFORE_S = 250.0, 0.25
NOTHING = AugmentationOptions(shift_s=0, warp=0, scale=0, noise_mv=0, baseline_mv=0)


def bumps(n: int = 400, n_leads: int = 2):
    t = np.arange(-0.25, 0.45, 1 / RATE)
    one = np.exp(-0.5 * (t / 0.03) ** 2)
    return np.repeat(np.repeat(one[None, :, None], n, 0), n_leads, 2).astype(np.float32)


def centres(beats):
    t = np.arange(beats.shape[1]) / RATE
    return (beats * t[None, :, None]).sum(1) / beats.sum(1)


def test_a_shift_moves_all_leads_alike_and_no_farther_than_asked():
    beats = bumps()
    moved = centres(shift(beats, np.random.default_rng(0), 0.02, RATE)) - centres(beats)
    assert moved[:, 0] == pytest.approx(moved[:, 1], abs=1e-6)
    assert np.abs(moved).max() <= 0.0201
    assert moved.std() == pytest.approx(0.02 / np.sqrt(3), rel=0.1)
    assert abs(moved.mean()) < 0.002


def test_a_scale_multiplies_all_leads_alike():
    beats = bumps()
    factor = scale(beats, np.random.default_rng(0), 0.1).max(axis=1) / beats.max(axis=1)
    assert factor[:, 0] == pytest.approx(factor[:, 1])
    assert 0.9 <= factor.min() < 0.92
    assert 1.08 < factor.max() <= 1.1


def test_noise_has_the_size_asked_and_wander_is_slow():
    beats = bumps()
    white = add_noise(beats, np.random.default_rng(0), RATE, white=0.05) - beats
    assert white.std() == pytest.approx(0.05, rel=0.02)
    assert abs(np.corrcoef(white[:, :, 0].ravel(), white[:, :, 1].ravel())[0, 1]) < 0.02
    wander = add_noise(beats, np.random.default_rng(0), RATE, baseline=0.1) - beats
    assert 0.08 < np.abs(wander).max() <= 0.1001
    assert np.abs(np.diff(wander, axis=1)).max() <= 0.1 * 2 * np.pi * 0.5 / RATE * 1.01


def test_a_warp_keeps_the_qrs_complex_and_moves_what_lies_around_it():
    times = np.arange(175) / RATE - BEFORE_S
    waves = [np.exp(-0.5 * ((times - at) / 0.012) ** 2) for at in (-0.16, 0.0, 0.28)]
    beats = np.repeat(sum(waves)[None, :, None], 300, 0).astype(np.float32)
    beats = np.concatenate([beats, 2 * beats], axis=2)
    warped = warp(beats, np.random.default_rng(0), 0.1, RATE, before_s=BEFORE_S)
    rigid = np.abs(times) <= RIGID_S
    np.testing.assert_allclose(warped[:, rigid], beats[:, rigid], atol=1e-4)
    np.testing.assert_allclose(warped[:, :, 1], 2 * warped[:, :, 0], atol=1e-5)
    t_wave = times[(times > 0.2)][warped[:, times > 0.2, 0].argmax(axis=1)]
    p_wave = times[(times < -0.1)][warped[:, times < -0.1, 0].argmax(axis=1)]
    reach = 0.1 * (0.28 - RIGID_S)
    assert np.abs(t_wave - 0.28).max() <= reach + 1 / RATE
    assert t_wave.std() == pytest.approx(reach / np.sqrt(3), rel=0.15)
    assert abs(np.corrcoef(t_wave, p_wave)[0, 1]) < 0.2, "each side has a factor of its own"


@pytest.mark.parametrize("shape", [(0, 175, 1), (3, 1, 1), (3, 174, 1), (3, 175, 12)])
def test_augmentation_keeps_shape_and_type_and_its_input(shape):
    beats = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    before = beats.copy()
    made = augment(beats, np.random.default_rng(1), RATE, before_s=BEFORE_S)
    assert made.shape == shape
    assert made.dtype == np.float32
    assert np.array_equal(beats, before)
    again = augment(beats, np.random.default_rng(1), RATE, before_s=BEFORE_S)
    assert np.array_equal(made, again)


def test_nothing_asked_changes_nothing():
    same = augment(bumps(), np.random.default_rng(0), RATE, NOTHING, before_s=BEFORE_S)
    assert np.array_equal(same, bumps())


@pytest.mark.parametrize("name", AugmentationOptions.model_fields)
def test_options_out_of_range_are_refused(name):
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        AugmentationOptions(**{name: -1})
    with pytest.raises(ValidationError, match="less than or equal to"):
        AugmentationOptions(**{name: 100})


def test_a_preview_shows_real_beats_and_what_becomes_of_them():
    signals = np.random.default_rng(0).standard_normal((20, 175, 2)).astype(np.float32)
    beats = BeatSet.build(signals, sampling_rate=RATE, before_s=BEFORE_S, leads=("I", "II"))
    real, changed = preview(beats, AugmentationOptions(scale=0.5), seed=1, n=4)
    assert real.shape == changed.shape == (4, 175, 2)
    assert all((signals == one).all(axis=(1, 2)).any() for one in real)
    assert not np.array_equal(real, changed)
    assert np.array_equal(changed, preview(beats, AugmentationOptions(scale=0.5), seed=1, n=4)[1])
    np.testing.assert_array_equal(*preview(beats, NOTHING, seed=1))
    assert len(preview(beats.take(slice(0, 2)), NOTHING)[0]) == 2
