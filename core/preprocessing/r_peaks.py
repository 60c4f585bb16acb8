"""ECG signal, raw or clean, at its own rate -> its R peaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sleepecg
from scipy import signal as sps

from core.recording import FloatArray, IntArray

BAND_HZ = (5.0, 20.0)
SHORTEST_S = 2.0
REFINE_S = 0.08


@dataclass(frozen=True, eq=False)
class RPeaks:
    """R peaks of one recording.

    Attributes:
        samples: (n,) sample numbers at the signal's own rate, ascending, unique.
        positions: (n,) float64 the same at sub-sample precision.
        polarity: (n_leads,) +1 or -1: the sign of the marked deflection in each lead.
    """

    samples: IntArray
    positions: npt.NDArray[np.float64]
    polarity: IntArray


def detect_r_peaks(signal: FloatArray, sampling_rate: float) -> RPeaks:
    """Find the R peaks of a recording.

    Args:
        signal: (n_samples,) or (n_samples, n_leads), raw or clean, any unit, NaN where missing.
        sampling_rate: In Hz.
    """
    x = np.asarray(signal, dtype=np.float64)
    x = x.reshape(len(x), -1)
    none = RPeaks(np.empty(0, np.int64), np.empty(0), np.ones(x.shape[1], np.int64))
    first = x[:, 0]
    finite = np.isfinite(first)
    if finite.sum() < SHORTEST_S * sampling_rate:
        return none
    first = np.interp(np.arange(len(first)), np.flatnonzero(finite), first[finite])
    sos = sps.butter(2, BAND_HZ, "bandpass", fs=sampling_rate, output="sos")
    band = sps.sosfiltfilt(sos, first)
    if np.ptp(band) <= 1e-6 * max(1e-12, float(np.abs(first).max())):
        return none
    rough = np.asarray(sleepecg.detect_heartbeats(first, sampling_rate), dtype=np.int64)
    reach = round(REFINE_S * sampling_rate)
    rough = rough[(rough > reach) & (rough < len(first) - reach - 1)]
    if not len(rough):
        return none
    windows = band[rough[:, None] + np.arange(-reach, reach + 1)]
    polarity = 1 if np.median(windows.max(1)) >= np.median(-windows.min(1)) else -1
    samples = np.unique(rough - reach + np.argmax(polarity * windows, axis=1))
    samples = samples[finite[samples]]
    before, at, after = (polarity * band[samples + k] for k in (-1, 0, 1))
    curvature = before - 2 * at + after
    step = np.where(curvature < 0, 0.5 * (before - after) / np.minimum(curvature, -1e-300), 0.0)
    polarities = np.full(x.shape[1], polarity, np.int64)
    return RPeaks(samples, samples + np.clip(step, -0.5, 0.5), polarities)
