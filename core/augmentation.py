"""Beats -> the same beats shifted, warped, scaled, noised, as another recording may show them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.beat_set import BeatSet
from core.options import AugmentationOptions
from core.recording import FloatArray

BASELINE_HZ = (0.15, 0.5)
"""Frequencies of baseline wander: breathing and slow movement."""
RIGID_S = 0.08
"""Around the R peak, on either side, nothing is warped: the QRS complex keeps its width at any
rate, while PR and ST-T give way."""
PREVIEW_BEATS = 6


def shift(
    beats: FloatArray, rng: np.random.Generator, max_s: float, sampling_rate: float
) -> FloatArray:
    """Return beats, each moved in time by up to `max_s` seconds either way, all its leads alike.

    Shifts are not whole samples: values between samples are interpolated, the ends held.

    Args:
        beats: (n_beats, n_samples, n_leads).
        rng: Where the shifts are drawn from.
        max_s: Largest shift, in seconds.
        sampling_rate: In Hz.
    """
    moved = rng.uniform(-max_s, max_s, (len(beats), 1)) * sampling_rate
    return _read_at(beats, np.arange(beats.shape[1]) - moved)


def warp(
    beats: FloatArray,
    rng: np.random.Generator,
    largest: float,
    sampling_rate: float,
    *,
    before_s: float,
) -> FloatArray:
    """Return beats, what lies before and after the QRS complex stretched or squeezed in time.

    Both sides have a factor of their own, within 1 - `largest` to 1 + `largest`, all leads alike.
    The R peak and `RIGID_S` on either side of it stay where they are; the ends are held.

    Args:
        beats: (n_beats, n_samples, n_leads).
        rng: Where the factors are drawn from.
        largest: Largest relative change of a side's length, below 1.
        sampling_rate: In Hz.
        before_s: Seconds from the first sample to the R peak.
    """
    times = np.arange(beats.shape[1]) / sampling_rate - before_s
    outside = np.maximum(0, np.abs(times) - RIGID_S)
    factor = rng.uniform(1 - largest, 1 + largest, (len(beats), 2))
    side = (times > 0).astype(np.int64)
    moved = np.sign(times) * outside * (1 / factor[:, side] - 1)
    return _read_at(beats, np.arange(len(times)) + moved * sampling_rate)


def scale(beats: FloatArray, rng: np.random.Generator, largest: float) -> FloatArray:
    """Return beats, each times a factor within 1 - `largest` to 1 + `largest`, all leads alike."""
    factor = rng.uniform(1 - largest, 1 + largest, (len(beats), 1, 1))
    return (beats * factor).astype(np.float32)


def add_noise(
    beats: FloatArray,
    rng: np.random.Generator,
    sampling_rate: float,
    *,
    white: float = 0.0,
    baseline: float = 0.0,
) -> FloatArray:
    """Return beats with white noise and baseline wander, drawn for each beat and lead.

    Args:
        beats: (n_beats, n_samples, n_leads), millivolts.
        rng: Where the noise is drawn from.
        sampling_rate: In Hz.
        white: Standard deviation of white noise, in millivolts.
        baseline: Largest amplitude of a sine of 0.15 to 0.5 Hz, in millivolts.
    """
    n_beats, n_samples, n_leads = beats.shape
    result = beats.astype(np.float32)
    if white:
        result = result + np.float32(white) * rng.standard_normal(beats.shape, dtype=np.float32)
    if baseline:
        each = (n_beats, 1, n_leads)
        time = np.arange(n_samples)[None, :, None] / sampling_rate
        turns = rng.uniform(*BASELINE_HZ, each) * time + rng.uniform(0, 1, each)
        wander = rng.uniform(0, baseline, each) * np.sin(2 * np.pi * turns)
        result = result + wander.astype(np.float32)
    return result


def augment(
    beats: FloatArray,
    rng: np.random.Generator,
    sampling_rate: float,
    options: AugmentationOptions | None = None,
    *,
    before_s: float,
) -> FloatArray:
    """Return beats shifted, warped, scaled and noised, in this order.

    Args:
        beats: (n_beats, n_samples, n_leads), millivolts.
        rng: Where every change is drawn from.
        sampling_rate: In Hz.
        options: How far; the usual ones by default.
        before_s: Seconds from the first sample to the R peak.
    """
    options = options or AugmentationOptions()
    result = beats.astype(np.float32)
    if options.shift_s:
        result = shift(result, rng, options.shift_s, sampling_rate)
    if options.warp:
        result = warp(result, rng, options.warp, sampling_rate, before_s=before_s)
    if options.scale:
        result = scale(result, rng, options.scale)
    return add_noise(
        result, rng, sampling_rate, white=options.noise_mv, baseline=options.baseline_mv
    )


def preview(
    beats: BeatSet,
    options: AugmentationOptions | None = None,
    *,
    seed: int = 0,
    n: int = PREVIEW_BEATS,
) -> tuple[FloatArray, FloatArray]:
    """Return some real beats and what `augment` makes of each, both (n, n_samples, n_leads).

    Args:
        beats: To choose from, at random; where there are fewer than `n`, all are taken.
        options: How far they may be changed.
        seed: The same seed, beats and options give the same arrays.
        n: How many.
    """
    rng = np.random.default_rng([seed, len(beats)])
    chosen = np.sort(rng.permutation(len(beats))[:n])
    real = np.asarray(beats.signals[chosen], dtype=np.float32)
    changed = augment(real, rng, beats.sampling_rate, options, before_s=beats.before_s)
    return real, changed


def _read_at(beats: FloatArray, at: npt.NDArray[np.float64]) -> FloatArray:
    """Return the values of beats at places (n_beats, n_samples) between samples, the ends held."""
    n_beats, n_samples = beats.shape[:2]
    at = np.clip(at, 0, n_samples - 1)
    left = np.minimum(at.astype(np.int64), max(0, n_samples - 2))
    share = (at - left)[:, :, None].astype(np.float32)
    row = np.arange(n_beats)[:, None]
    right = np.minimum(left + 1, n_samples - 1)
    return (beats[row, left] * (1 - share) + beats[row, right] * share).astype(np.float32)
