from __future__ import annotations

import numpy as np
import pytest

from core.augmentation import AugmentationOptions, add_noise, augment, scale, shift

RATE = 250.0


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


@pytest.mark.parametrize("shape", [(0, 175, 1), (3, 1, 1), (3, 174, 1), (3, 175, 12)])
def test_augmentation_keeps_shape_and_type_and_its_input(shape):
    beats = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    before = beats.copy()
    made = augment(beats, np.random.default_rng(1), RATE)
    assert made.shape == shape
    assert made.dtype == np.float32
    assert np.array_equal(beats, before)
    assert np.array_equal(made, augment(beats, np.random.default_rng(1), RATE))


def test_nothing_asked_changes_nothing():
    nothing = AugmentationOptions(shift_s=0, scale=0, noise_mv=0, baseline_mv=0)
    assert np.array_equal(augment(bumps(), np.random.default_rng(0), RATE, nothing), bumps())
    with pytest.raises(ValueError, match="noise_mv must be 0 or more"):
        AugmentationOptions(noise_mv=-1)
