"""Real beats -> real beats as other hearts, leads and devices might have given them.

A judge who knows one device and some people takes what is foreign for made. What it learns of
fakes that are told on any device, such as beats that run backwards, it therefore also learns on
beats that are changed as leads, hearts and devices change them: none of the changes turns time
around, joins two people, or smooths more than devices do.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d

from core.beat_set import BeatSet

Array = npt.NDArray[np.float64]

QRS_STRETCH = (0.8, 2.5)
"""Least and most stretching of time within `QRS_S` of the R peak: narrow hearts to blocked ones."""
REST_STRETCH = (0.8, 1.25)
"""The same of what is before and after: intervals of other hearts."""
QRS_S = 0.05
"""Half width of the part that is taken for QRS."""
SLOPE_SHARE = 0.8
"""Most of a beat's slope, of its own height, that is added: another lead sees another angle."""
P_GAIN = (-0.3, 2.0)
"""Least and most factor of what is before QRS; below 0 it is upside down."""
T_GAIN = (-1.5, 2.5)
"""The same of the T wave."""
T_FROM_S = 0.12
"""Where its factor begins, and where that of P ends, in s from the R peak."""
P_UNTIL_S = -0.06
FADE_S = 0.06
"""How long one factor takes to become the next."""
DRIFT = 0.2
"""Most drift within a beat, of its height."""
NOISE = 0.02
"""Most noise, of a beat's height."""
NOISE_S = 0.02
"""Moving average of the noise, as preparing smooths it."""
SMOOTHING_S = 0.028
"""Longest moving average of a device."""


def as_elsewhere(beats: BeatSet, rng: np.random.Generator) -> BeatSet:
    """Return as many beats, changed as leads, hearts and devices change them, lead by lead alike.

    Args:
        beats: Real beats.
        rng: Draws the changes, anew for each beat.
    """
    n, n_samples, n_leads = beats.signals.shape
    if not n:
        return beats
    times = np.arange(n_samples) / beats.sampling_rate - beats.before_s
    x = beats.signals.astype(np.float64)
    x = x - np.median(x, axis=1, keepdims=True)
    x = _stretched(x, times, rng)
    x = x * _gains(times, n, rng)[..., None]
    height = np.maximum(np.ptp(x, axis=1, keepdims=True), 1e-9)
    slope = np.gradient(x, axis=1)
    slope *= height / np.maximum(np.ptp(slope, axis=1, keepdims=True), 1e-9)
    some = rng.random((n, 1, 1)) < 0.5
    x += some * rng.uniform(-SLOPE_SHARE, SLOPE_SHARE, (n, 1, 1)) * slope
    x = _smoothed(x, beats.sampling_rate, rng)
    height = np.ptp(x, axis=1, keepdims=True)
    width = max(1, round(NOISE_S * beats.sampling_rate))
    noise = uniform_filter1d(rng.standard_normal(x.shape), width, axis=1) * np.sqrt(width)
    x += noise * height * rng.uniform(0, NOISE, (n, 1, 1)) * (rng.random((n, 1, 1)) < 0.5)
    line = np.linspace(-0.5, 0.5, n_samples)[:, None]
    x += line * height * rng.uniform(-DRIFT, DRIFT, (n, 1, 1)) * (rng.random((n, 1, 1)) < 0.5)
    x *= np.where(rng.random((n, 1, n_leads)) < 0.25, -1.0, 1.0)
    return replace(beats, signals=np.ascontiguousarray(x, dtype=np.float32))


def _stretched(x: Array, times: Array, rng: np.random.Generator) -> Array:
    """Return beats (n, n_samples, n_leads) whose QRS and whose rest run at another pace."""
    result = np.empty_like(x)
    rise, fall = _factors(QRS_STRETCH, len(x), rng)
    before, after = _factors(REST_STRETCH, len(x), rng)
    for i in range(len(x)):
        knots = np.array([-1.0, -QRS_S, 0.0, QRS_S, 1.0])
        to = np.array([-1.0 * before[i], -QRS_S * rise[i], 0.0, QRS_S * fall[i], 1.0 * after[i]])
        source = np.interp(times, to, knots)
        for lead in range(x.shape[2]):
            result[i, :, lead] = np.interp(source, times, x[i, :, lead])
    return result


def _factors(limits: tuple[float, float], n: int, rng: np.random.Generator) -> Array:
    """Return (2, n) factors, halving as likely as doubling."""
    least, most = limits
    return np.exp(rng.uniform(np.log(least), np.log(most), (2, n)))


def _gains(times: Array, n: int, rng: np.random.Generator) -> Array:
    """Return (n, n_samples) factors: of what is before QRS, of QRS (1), of what is after."""
    early = np.clip((P_UNTIL_S - times) / FADE_S + 0.5, 0, 1)
    late = np.clip((times - T_FROM_S) / FADE_S + 0.5, 0, 1)
    p, t = rng.uniform(*P_GAIN, size=(n, 1)), rng.uniform(*T_GAIN, size=(n, 1))
    return np.asarray(1 + (p - 1) * early + (t - 1) * late)


def _smoothed(x: Array, sampling_rate: float, rng: np.random.Generator) -> Array:
    most = max(1, round(SMOOTHING_S * sampling_rate / 2))
    half = rng.integers(0, most + 1, len(x))
    for width in np.unique(half):
        mine = half == width
        x[mine] = uniform_filter1d(x[mine], 2 * int(width) + 1, axis=1, mode="nearest")
    return x
