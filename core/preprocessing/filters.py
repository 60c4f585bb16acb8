"""A raw signal -> the same signal at another rate, without gaps, baseline, mains, or noise.

All filters run forwards and backwards (zero phase) and are given in Hz or in milliseconds.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy

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
MAINS_LEAST = 0.005
"""The mains matter if their amplitude is this share of the signal's standard deviation."""
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
    result = scipy.signal.resample_poly(signal, up, down, axis=0, window=window, padtype="line")
    return np.ascontiguousarray(result, dtype=np.float32)


@lru_cache(maxsize=32)
def _factors(source_rate: float, sampling_rate: float) -> tuple[int, int]:
    ratio = Fraction(sampling_rate / source_rate).limit_denominator(LARGEST_FACTOR)
    return ratio.numerator, ratio.denominator


@lru_cache(maxsize=32)
def _resampling_window(up: int, down: int) -> FloatArray:
    """Return the low-pass that `resample_poly` would design anew at each call."""
    largest = max(up, down)
    window = scipy.signal.firwin(20 * largest + 1, 1.0 / largest, window=("kaiser", 5.0))
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
    the lead where it stands out most; a hum too small to matter does not count.
    """
    length = min(signal.shape[0], int(MAINS_SECONDS * sampling_rate))
    if length < sampling_rate:
        return None
    start = (signal.shape[0] - length) // 2
    part = signal[start : start + length]
    spectrum = scipy.fft.rfft((part - part.mean(axis=0)) * _taper(length), axis=0)
    power = spectrum.real**2 + spectrum.imag**2
    # The power of a sine under this taper is the square of its amplitude times a quarter length.
    least = (MAINS_LEAST * part.std(axis=0) * length / 4) ** 2
    bins_per_hz = length / sampling_rate
    best: tuple[float, Literal[50, 60] | None] = (MAINS_RATIO, None)
    for mains in MAINS_HZ:
        if mains + 1 > sampling_rate / 2:
            continue
        at = [round((mains + away) * bins_per_hz) for away in (-6.0, -1.5, -0.5, 0.5, 1.5, 6.0)]
        near = power[at[2] : at[3] + 1]
        around = np.median(np.concatenate([power[at[0] : at[1]], power[at[4] : at[5]]]), axis=0)
        peak = np.where(near.max(axis=0) >= least, near.max(axis=0), 0)
        ratio = float(np.max(np.divide(peak, around, out=np.zeros_like(peak), where=around > 0)))
        # The largest of k bins of noise is about ln k / ln 2 times their median.
        ratio /= max(1.0, math.log2(len(near)))
        if ratio > best[0]:
            best = (ratio, mains)
    return best[1]


@lru_cache(maxsize=4)
def _taper(length: int) -> FloatArray:
    return np.hanning(length).astype(np.float32)[:, None]


def clean(
    signal: FloatArray,
    sampling_rate: float,
    *,
    highpass_hz: float,
    lowpass_hz: float,
    notch_hz: Literal[50, 60] | None = None,
) -> FloatArray:
    """Return a signal (n_samples, n_leads) without baseline, noise and, if asked, mains.

    Butterworth band-pass of second order, run forwards and backwards, as `sosfiltfilt` does it:
    here as a product in the domain of the cosine transform, which mirrors the signal at its ends,
    without end, and so has no transients of its own. The signal must be free of NaN: see `bridge`.

    Raises:
        UserError: The low-pass lies above what the sampling rate can hold.
    """
    n_samples = signal.shape[0]
    chunk = int(CHUNK_SECONDS * sampling_rate)
    overlap = int(SETTLING_PERIODS / highpass_hz * sampling_rate)
    result = np.empty(signal.shape, dtype=np.float32)
    for start in range(0, n_samples, chunk):
        stop = min(start + chunk, n_samples)
        first, last = max(0, start - overlap), min(n_samples, stop + overlap)
        gain = _gain(last - first, sampling_rate, highpass_hz, lowpass_hz, notch_hz)
        spectrum = scipy.fft.dct(signal[first:last].astype(np.float64), axis=0, overwrite_x=True)
        spectrum *= gain[:, None]
        filtered = scipy.fft.idct(spectrum, axis=0, overwrite_x=True)
        result[start:stop] = filtered[start - first : stop - first]
    return result


@lru_cache(maxsize=4)
def _gain(
    n_samples: int,
    sampling_rate: float,
    highpass_hz: float,
    lowpass_hz: float,
    notch_hz: int | None,
) -> npt.NDArray[np.float64]:
    """Return the gain of both directions together at each frequency of the cosine transform."""
    highest = 0.45 * sampling_rate
    if lowpass_hz > highest:
        raise UserError(
            "--lowpass-hz",
            f"{lowpass_hz:g} Hz is more than {sampling_rate:g} samples per second can hold",
            f"Give at most {highest:g}, or raise --sampling-rate",
        )
    band = (highpass_hz, lowpass_hz)
    sos = scipy.signal.butter(FILTER_ORDER, band, "bandpass", fs=sampling_rate, output="sos")
    if notch_hz is not None and notch_hz < sampling_rate / 2:
        sos = np.vstack(
            [
                sos,
                scipy.signal.tf2sos(
                    *scipy.signal.iirnotch(notch_hz, NOTCH_QUALITY, fs=sampling_rate)
                ),
            ]
        )
    frequencies = np.arange(n_samples) * sampling_rate / (2 * n_samples)
    return np.asarray(np.abs(scipy.signal.sosfreqz(sos, frequencies, fs=sampling_rate)[1]) ** 2)


def moving_average(signal: FloatArray, sampling_rate: float, window_ms: float) -> FloatArray:
    """Return the centred moving average of a signal (n_samples, ...) along time.

    The window is the odd number of samples nearest to `window_ms`; the ends are held.
    """
    size = odd_samples(window_ms, sampling_rate)
    if size == 1:
        return signal
    return scipy.ndimage.uniform_filter1d(signal, size, axis=0, mode="nearest")


def odd_samples(window_ms: float, sampling_rate: float) -> int:
    """Return the odd number of samples nearest to a window; the larger of two equally near."""
    return 2 * int(window_ms / 1000 * sampling_rate / 2) + 1
