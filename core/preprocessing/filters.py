"""A raw signal -> the same signal at another rate, without gaps, baseline, mains, or noise.

All filters run forwards and backwards (zero phase) and are given in Hz or in milliseconds.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, firwin, iirnotch, resample_poly, sosfiltfilt, tf2sos

from core.errors import UserError
from core.recording import FloatArray

BoolArray = npt.NDArray[np.bool_]
Notch = Literal["auto", "off", 50, 60]

FILTER_ORDER = 2
"""Of the Butterworth filter in one direction; both directions together double it."""
NOTCH_QUALITY = 25.0
"""Mains frequency over the notch's width at half power: 2 Hz wide at 50 Hz."""
MAINS_HZ: tuple[Literal[50, 60], ...] = (50, 60)
MAINS_RATIO = 8.0
"""The mains stand out if their power is this many times the median power around them."""
MAINS_SECONDS = 60.0
"""How much of a recording is searched for the mains, from its middle."""
CHUNK_SECONDS = 1800.0
"""Long recordings are filtered piece by piece, so that memory does not grow with them."""
SETTLING_PERIODS = 10.0
"""Overlap of those pieces, in periods of the high-pass: beyond it nothing of an edge is left."""
LARGEST_FACTOR = 2000
"""Largest up-sampling or down-sampling factor, for rates without a small common divisor."""


def resample(signal: FloatArray, source_rate: float, sampling_rate: float) -> FloatArray:
    """Return a signal (n_samples, n_leads) at another rate, in Hz.

    Polyphase, with the Kaiser window of `scipy.signal.resample_poly`; the low-pass is at the lower
    of both Nyquist frequencies. Sample i of the result is at i / sampling_rate seconds. The signal
    must be free of NaN: see `bridge`.
    """
    up, down = _factors(source_rate, sampling_rate)
    if up == down:
        return np.ascontiguousarray(signal, dtype=np.float32)
    window = _resampling_window(up, down)
    result = resample_poly(signal, up, down, axis=0, window=window, padtype="line")
    return np.ascontiguousarray(result, dtype=np.float32)


@lru_cache(maxsize=32)
def _factors(source_rate: float, sampling_rate: float) -> tuple[int, int]:
    ratio = Fraction(sampling_rate / source_rate).limit_denominator(LARGEST_FACTOR)
    return ratio.numerator, ratio.denominator


@lru_cache(maxsize=32)
def _resampling_window(up: int, down: int) -> FloatArray:
    """Return the low-pass that `resample_poly` would design anew at each call."""
    largest = max(up, down)
    window = firwin(20 * largest + 1, 1.0 / largest, window=("kaiser", 5.0))
    return window.astype(np.float32)


def bridge(signal: FloatArray, missing: BoolArray | None = None) -> tuple[FloatArray, BoolArray]:
    """Return a signal (n_samples, n_leads) with gaps bridged by straight lines, and the gaps.

    A gap is where the signal is not finite, or where `missing` (n_samples, n_leads) says so. Gaps
    at the ends take the nearest value; a lead that is missing altogether becomes zero.
    """
    gaps = ~np.isfinite(signal)
    if missing is not None:
        gaps |= missing
    if not gaps.any():
        return signal, gaps
    filled = signal.copy()
    for lead in np.flatnonzero(gaps.any(axis=0)):
        gap = gaps[:, lead]
        there = np.flatnonzero(~gap)
        filled[gap, lead] = (
            np.interp(np.flatnonzero(gap), there, signal[there, lead]) if there.size else 0.0
        )
    return filled, gaps


def power_line_frequency(signal: FloatArray, sampling_rate: float) -> Literal[50, 60] | None:
    """Return 50 or 60 if that frequency stands out in a signal (n_samples, n_leads), else None.

    Compares the power within 0.5 Hz of the mains with the median power from 1.5 to 6 Hz away, in
    the lead where it stands out most.
    """
    length = min(signal.shape[0], int(MAINS_SECONDS * sampling_rate))
    if length < sampling_rate:
        return None
    start = (signal.shape[0] - length) // 2
    part = signal[start : start + length]
    taper = np.hanning(length).astype(np.float32)[:, None]
    power = np.abs(np.fft.rfft((part - part.mean(axis=0)) * taper, axis=0)) ** 2
    frequency = np.fft.rfftfreq(length, 1 / sampling_rate)
    best: tuple[float, Literal[50, 60] | None] = (MAINS_RATIO, None)
    for mains in MAINS_HZ:
        if mains + 1 > frequency[-1]:
            continue
        away = np.abs(frequency - mains)
        peak = power[away <= 0.5].max(axis=0)
        around = np.median(power[(away >= 1.5) & (away <= 6.0)], axis=0)
        ratio = float(np.max(np.divide(peak, around, out=np.zeros_like(peak), where=around > 0)))
        # The largest of k bins of noise is about ln k / ln 2 times their median.
        ratio /= max(1.0, float(np.log2(np.count_nonzero(away <= 0.5))))
        if ratio > best[0]:
            best = (ratio, mains)
    return best[1]


def clean(
    signal: FloatArray,
    sampling_rate: float,
    *,
    highpass_hz: float,
    lowpass_hz: float,
    notch_hz: Literal[50, 60] | None = None,
) -> FloatArray:
    """Return a signal (n_samples, n_leads) without baseline, noise and, if asked, mains.

    Butterworth band-pass of second order, run both ways; the ends are mirrored for one period of
    the high-pass. The signal must be free of NaN: see `bridge`.

    Raises:
        UserError: The low-pass lies above what the sampling rate can hold.
    """
    sos = _sections(sampling_rate, highpass_hz, lowpass_hz, notch_hz)
    n_samples = signal.shape[0]
    chunk = int(CHUNK_SECONDS * sampling_rate)
    overlap = int(SETTLING_PERIODS / highpass_hz * sampling_rate)
    padding = int(sampling_rate / highpass_hz)
    result = np.empty(signal.shape, dtype=np.float32)
    for start in range(0, n_samples, chunk):
        stop = min(start + chunk, n_samples)
        first, last = max(0, start - overlap), min(n_samples, stop + overlap)
        part = signal[first:last].astype(np.float64)
        padlen = min(padding, len(part) - 1)
        filtered = sosfiltfilt(sos, part, axis=0, padtype="even", padlen=padlen)
        result[start:stop] = filtered[start - first : stop - first]
    return result


@lru_cache(maxsize=32)
def _sections(
    sampling_rate: float, highpass_hz: float, lowpass_hz: float, notch_hz: int | None
) -> npt.NDArray[Any]:
    highest = 0.45 * sampling_rate
    if lowpass_hz > highest:
        raise UserError(
            "--lowpass-hz",
            f"{lowpass_hz:g} Hz is more than {sampling_rate:g} samples per second can hold",
            f"Give at most {highest:g}, or raise --sampling-rate",
        )
    sos = butter(
        FILTER_ORDER, (highpass_hz, lowpass_hz), "bandpass", fs=sampling_rate, output="sos"
    )
    if notch_hz is not None and notch_hz < sampling_rate / 2:
        sos = np.vstack([sos, tf2sos(*iirnotch(notch_hz, NOTCH_QUALITY, fs=sampling_rate))])
    return sos


def moving_average(signal: FloatArray, sampling_rate: float, window_ms: float) -> FloatArray:
    """Return the centred moving average of a signal (n_samples, ...) along time.

    The window is the odd number of samples nearest to `window_ms`; the ends are held.
    """
    size = odd_samples(window_ms, sampling_rate)
    if size == 1:
        return signal
    return uniform_filter1d(signal, size, axis=0, mode="nearest")


def odd_samples(window_ms: float, sampling_rate: float) -> int:
    """Return the odd number of samples nearest to a window; the larger of two equally near."""
    return 2 * int(window_ms / 1000 * sampling_rate / 2) + 1
