"""Beats -> the same beats shifted, scaled and noised, as another measurement might show them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.recording import FloatArray

BASELINE_HZ = (0.15, 0.5)
"""Frequencies of baseline wander: breathing and slow movement."""


@dataclass(frozen=True, kw_only=True)
class AugmentationOptions:
    """How far beats may be changed; 0 leaves them as they are.

    Attributes:
        shift_s: Largest shift in time, either way, in seconds.
        scale: Largest relative change of amplitude, either way.
        noise_mv: Standard deviation of white noise, in millivolts.
        baseline_mv: Largest amplitude of baseline wander, in millivolts.
    """

    shift_s: float = 0.006
    scale: float = 0.03
    noise_mv: float = 0.005
    baseline_mv: float = 0.02

    def __post_init__(self) -> None:
        for name in ("shift_s", "scale", "noise_mv", "baseline_mv"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


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
    n_beats, n_samples = beats.shape[:2]
    moved = rng.uniform(-max_s, max_s, (n_beats, 1)) * sampling_rate
    at = np.clip(np.arange(n_samples) - moved, 0, n_samples - 1)
    left = np.minimum(at.astype(np.int64), max(0, n_samples - 2))
    share = (at - left)[:, :, None].astype(np.float32)
    row = np.arange(n_beats)[:, None]
    right = np.minimum(left + 1, n_samples - 1)
    return (beats[row, left] * (1 - share) + beats[row, right] * share).astype(np.float32)


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
) -> FloatArray:
    """Return beats (n_beats, n_samples, n_leads) shifted, scaled and noised, in this order."""
    options = options or AugmentationOptions()
    result = beats.astype(np.float32)
    if options.shift_s:
        result = shift(result, rng, options.shift_s, sampling_rate)
    if options.scale:
        result = scale(result, rng, options.scale)
    return add_noise(
        result, rng, sampling_rate, white=options.noise_mv, baseline=options.baseline_mv
    )
