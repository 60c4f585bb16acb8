"""Beats -> what a lone beat tells, in numbers; R peaks -> what a rhythm tells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.recording import FloatArray

MOMENTS = ("mean", "variance", "skewness", "kurtosis")
SHAPE = (
    "maximum",
    "minimum",
    "peak_to_peak",
    "rms",
    "time_of_maximum_s",
    "time_of_minimum_s",
    "slope_maximum",
    "slope_minimum",
    "slope_rms",
    "curvature_rms",
)
SPECTRUM_HZ = tuple(1.5 * k for k in range(1, 39))
"""Where the spectrum of a beat is measured, up to 57 Hz: about the resolution of 0.7 s."""
SPECTRUM_FLOOR = 4e-5
"""Added before the logarithm, in mV s: what a beat has less of than this is noise."""
CHUNK_BEATS, CHUNK_SAMPLES = 4096, 1_000_000
MANTISSA_BITS = 17
"""Features keep five significant digits, so that rounding errors never tell two sources apart."""

PNN_MS = 50.0
"""Successive intervals that differ by more than this count for pNN50 (Task Force 1996)."""
SHORTEST_RR_S = 0.25
LONGEST_RR_S = 2.5
"""RR intervals outside of 24 to 240 beats per minute are missed or false peaks, not rhythm."""

Array = npt.NDArray[Any]


def beat_features(
    signals: FloatArray, sampling_rate: float, *, leads: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return what can be told of each beat alone: a row a beat, a column a feature, float32.

    Moments (of the population; kurtosis is the excess), extremes and when they occur, slopes per
    second, and the spectrum as log10 of its magnitude in mV s. Signals are taken as float32
    whatever their type, and features rounded to five digits: the same beat has the same features.

    Args:
        signals: (n_beats, n_samples, n_leads), millivolts.
        sampling_rate: In Hz.
        leads: Names that stand before the features of each lead if there are several.
    """
    names = feature_names(signals.shape[2], sampling_rate, leads=leads)
    return pd.DataFrame(feature_values(signals, sampling_rate), columns=list(names))


def feature_names(
    n_leads: int, sampling_rate: float, *, leads: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Return the names of the columns of `feature_values`."""
    spectrum = [f"spectrum_{f:g}_hz" for f in _frequencies(sampling_rate)]
    one = (*MOMENTS, *SHAPE, *spectrum)
    if n_leads == 1:
        return one
    leads = leads or [f"lead_{i + 1}" for i in range(n_leads)]
    return tuple(f"{lead}_{name}" for lead in leads for name in one)


def feature_values(signals: FloatArray, sampling_rate: float) -> FloatArray:
    """Return the features of `beat_features` as an array (n_beats, n_features), float32."""
    n_beats, n_samples, n_leads = signals.shape
    n_features = len(feature_names(1, sampling_rate))
    result = np.empty((n_beats, n_leads, n_features), dtype=np.float32)
    for start in range(0, n_beats, CHUNK_BEATS):
        part = slice(start, start + CHUNK_BEATS)
        rows = signals[part].astype(np.float32).transpose(0, 2, 1).reshape(-1, n_samples)
        result[part] = _features(rows.astype(np.float64), sampling_rate).reshape(
            -1, n_leads, n_features
        )
    return result.reshape(n_beats, n_leads * n_features)


def _features(x: Array, sampling_rate: float) -> Array:
    """Return the features of single-lead beats (n, n_samples), float64."""
    n_samples = x.shape[1]
    mean = x.mean(axis=1)
    centred = x - mean[:, None]
    square = centred * centred
    variance = square.mean(axis=1)
    third = np.einsum("ij,ij->i", square, centred) / n_samples
    fourth = np.einsum("ij,ij->i", square, square) / n_samples
    maximum, minimum = x.max(axis=1), x.min(axis=1)
    span = maximum - minimum
    flat = variance <= (1e-6 * np.maximum(np.abs(maximum), np.abs(minimum))) ** 2
    safe = np.where(flat, 1.0, variance)
    slope = np.diff(x, axis=1) * sampling_rate
    curvature = np.diff(slope, axis=1) * sampling_rate
    cosine_sine = _fourier(n_samples, sampling_rate)
    parts = (centred @ cosine_sine).reshape(len(x), 2, -1)
    magnitude = np.hypot(parts[:, 0], parts[:, 1])
    columns = [
        np.where(np.abs(mean) < 1e-6 * span, 0.0, mean),
        variance,
        np.where(flat, 0.0, third / safe**1.5),
        np.where(flat, 0.0, fourth / safe**2 - 3.0),
        maximum,
        minimum,
        span,
        np.sqrt(variance + mean * mean),
        x.argmax(axis=1) / sampling_rate,
        x.argmin(axis=1) / sampling_rate,
        slope.max(axis=1),
        slope.min(axis=1),
        np.sqrt(np.einsum("ij,ij->i", slope, slope) / slope.shape[1]),
        np.sqrt(np.einsum("ij,ij->i", curvature, curvature) / max(1, curvature.shape[1])),
    ]
    values = np.concatenate(
        [np.stack(columns, axis=1), np.log10(magnitude + SPECTRUM_FLOOR)], axis=1
    )
    fraction, exponent = np.frexp(values)
    scale = float(2**MANTISSA_BITS)
    return np.ldexp(np.rint(fraction * scale) / scale, exponent)


def _frequencies(sampling_rate: float) -> tuple[float, ...]:
    return tuple(f for f in SPECTRUM_HZ if f < 0.45 * sampling_rate)


@lru_cache(maxsize=16)
def _fourier(n_samples: int, sampling_rate: float) -> Array:
    """Return cosines and sines (n_samples, 2 n_frequencies), scaled by the time of a sample."""
    angle = 2 * np.pi * np.outer(np.arange(n_samples) / sampling_rate, _frequencies(sampling_rate))
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1) / sampling_rate


def recording_features(
    signal: FloatArray,
    r_times: npt.NDArray[np.float64],
    *,
    leads: Sequence[str],
    usable: npt.NDArray[np.bool_] | None = None,
) -> dict[str, float]:
    """Return what a recording tells as a whole; NaN where it cannot be told.

    Rate and variability (Task Force 1996) are of the RR intervals between R peaks that are both
    usable, and only of lengths a heart can have.

    Args:
        signal: (n_samples, n_leads) clean signal, millivolts.
        r_times: (n_beats,) times of the R peaks, in seconds.
        leads: Name of each lead; it stands before its moments if there are several.
        usable: (n_beats,) R peaks to count; all by default.
    """
    result = {"n_beats": float(len(r_times)), **rhythm_features(r_times, usable=usable)}
    moments = _moments(signal)
    nothing = np.full((1, len(leads)), np.nan, dtype=np.float32)
    highest = (signal if len(signal) else nothing).max(axis=0)
    lowest = (signal if len(signal) else nothing).min(axis=0)
    for i, lead in enumerate(leads):
        prefix = f"{lead}_" if len(leads) > 1 else ""
        result |= {prefix + name: float(v[i]) for name, v in zip(MOMENTS, moments, strict=True)}
        result[f"{prefix}maximum"] = float(highest[i])
        result[f"{prefix}minimum"] = float(lowest[i])
    return result


def _moments(signal: FloatArray) -> Array:
    """Return mean, variance, skewness and excess kurtosis (4, n_leads) of (n_samples, n_leads)."""
    n_samples, n_leads = signal.shape
    if not n_samples:
        return np.full((len(MOMENTS), n_leads), np.nan)
    mean = signal.mean(axis=0, dtype=np.float64)
    power = np.zeros((3, n_leads))
    for start in range(0, n_samples, CHUNK_SAMPLES):
        centred = signal[start : start + CHUNK_SAMPLES] - mean
        square = centred * centred
        power[0] += square.sum(axis=0)
        power[1] += np.einsum("ij,ij->j", square, centred)
        power[2] += np.einsum("ij,ij->j", square, square)
    power /= n_samples
    safe = np.where(power[0] > 0, power[0], np.nan)
    return np.stack([mean, power[0], power[1] / safe**1.5, power[2] / safe**2 - 3.0])


def rhythm_features(
    r_times: npt.NDArray[np.float64], *, usable: npt.NDArray[np.bool_] | None = None
) -> dict[str, float]:
    """Return rate and heart rate variability in the time domain (Task Force 1996); NaN if unknown.

    ``sdnn_ms`` is the standard deviation (n - 1) of RR intervals; ``rmssd_ms`` and ``pnn50`` (a
    share, 0 to 1, of differences above 50 ms) are of intervals that follow one another.

    Args:
        r_times: (n_beats,) times of the R peaks, in seconds.
        usable: (n_beats,) R peaks to count; all by default.
    """
    rr = np.diff(r_times)
    good = (rr >= SHORTEST_RR_S) & (rr <= LONGEST_RR_S)
    if usable is not None:
        good &= usable[1:] & usable[:-1]
    kept = rr[good] * 1000
    steps = np.diff(rr)[good[1:] & good[:-1]] * 1000
    nan = float("nan")
    mean = float(kept.mean()) if kept.size else nan
    return {
        "heart_rate_bpm": 60_000 / mean,
        "rr_mean_ms": mean,
        "rr_minimum_ms": float(kept.min()) if kept.size else nan,
        "rr_maximum_ms": float(kept.max()) if kept.size else nan,
        "sdnn_ms": float(kept.std(ddof=1)) if kept.size > 1 else nan,
        "rmssd_ms": float(np.sqrt((steps**2).mean())) if steps.size else nan,
        "pnn50": float((np.abs(steps) > PNN_MS + 1e-6).mean()) if steps.size else nan,
    }
