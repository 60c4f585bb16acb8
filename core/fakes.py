"""Real beats -> fakes of known kinds, for a judge that must know more than its own generators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import ndimage

from core.beat_set import BeatSet, concatenate
from core.recording import FloatArray

OVER_SMOOTHED_S = 0.06
NOISE_SMOOTHED_S = 0.02
SPLICE_S = 0.12
"""Where a spliced beat goes over to another person's, in s after the R peak: within ST."""
SPLICE_FADE_S = 0.02


def time_reversed(beats: BeatSet, rng: np.random.Generator) -> FloatArray:
    """Return beats (n, n_samples, n_leads) that run backwards around the R peak."""
    n_samples = beats.signals.shape[1]
    before = round(beats.before_s * beats.sampling_rate)
    mirrored = np.clip(2 * before - np.arange(n_samples), 0, n_samples - 1)
    return beats.signals[:, mirrored]


def over_smoothed(beats: BeatSet, rng: np.random.Generator) -> FloatArray:
    """Return beats without their fine structure: a second, longer moving average."""
    width = round(OVER_SMOOTHED_S * beats.sampling_rate) | 1
    return ndimage.uniform_filter1d(beats.signals, width, axis=1, mode="nearest")


def smoothed_noise(beats: BeatSet, rng: np.random.Generator) -> FloatArray:
    """Return noise of each beat's mean and variance, smoothed as beats are."""
    width = round(NOISE_SMOOTHED_S * beats.sampling_rate) | 1
    noise = rng.standard_normal(beats.signals.shape).astype(np.float32)
    noise = ndimage.uniform_filter1d(noise, width, axis=1, mode="nearest")
    noise /= noise.std(axis=1, keepdims=True)
    spread = beats.signals.std(axis=1, keepdims=True)
    level = beats.signals.mean(axis=1, keepdims=True)
    return np.asarray(noise * spread + level, dtype=np.float32)


def spliced(beats: BeatSet, rng: np.random.Generator) -> FloatArray:
    """Return beats whose ST-T is that of another beat of the set, joined at one level."""
    times = np.arange(beats.signals.shape[1]) / beats.sampling_rate - beats.before_s
    share = np.clip((times - SPLICE_S) / SPLICE_FADE_S + 0.5, 0, 1).astype(np.float32)[:, None]
    at = int(np.argmin(np.abs(times - SPLICE_S)))
    other = beats.signals[rng.permutation(len(beats))]
    level = beats.signals[:, at : at + 1] - other[:, at : at + 1]
    joined = beats.signals * (1 - share) + (other + level) * share
    return np.asarray(joined, dtype=np.float32)


KINDS: dict[str, Callable[[BeatSet, np.random.Generator], FloatArray]] = {
    "time_reversed": time_reversed,
    "over_smoothed": over_smoothed,
    "smoothed_noise": smoothed_noise,
    "spliced": spliced,
}


def make_fakes(beats: BeatSet, *, seed: int) -> BeatSet:
    """Return one fake for each beat, of the same subject, the kinds in turn."""
    rng = np.random.default_rng(seed)
    turn = np.arange(len(beats)) % len(KINDS)
    sets = []
    for number, make in enumerate(KINDS.values()):
        mine = beats.take(turn == number)
        if len(mine):
            signals = np.ascontiguousarray(make(mine, rng), dtype=np.float32)
            sets.append(replace(mine, signals=signals, synthetic=np.ones(len(mine), np.bool_)))
    return concatenate(sets)
