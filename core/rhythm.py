"""RR intervals of recordings -> a person's rhythm -> RR intervals that were never measured.

A rhythm is a mean, a standard deviation (SDNN) and how the variance is shared between slow drift,
waves of about ten seconds, breathing, and what is irregular from beat to beat. That is the bimodal
spectrum of ECGSYN (McSharry et al. 2003, IEEE Trans Biomed Eng 50:289) with two more parts, and
fitted to the person. Premature beats are not drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

FloatSeries = npt.NDArray[np.float64]

PLAUSIBLE_RR_S = (0.27, 2.2)
"""RR intervals outside belong to missed or false peaks, in s."""
MAX_JUMP = 0.2
"""Of the median RR: an interval further from it than this is ectopy, a pause or a false peak."""
DRIFT_HZ, WAVES_HZ = 0.02, 0.1
"""Middle of the slow drift, and of the waves that blood pressure makes (Mayer), in Hz."""
BREATHING_HZ = (0.15, 0.4)
"""Where breathing is looked for: the high-frequency band of the Task Force (1996), in Hz."""
BREATHING_STEP_HZ = 0.01
WIDTHS_HZ = (0.01, 0.02, 0.05)
"""Standard deviation of the three bands, in Hz; ECGSYN takes 0.01 for both of its own, but nobody
breathes as evenly as that."""
PARTS = ("drift", "waves", "breathing", "irregular")
DEFAULT_SHARES = (0.2, 0.25, 0.4, 0.15)
"""Of the variance, where no recording tells: at rest, breathing leads."""
DEFAULT_BREATHING_HZ = 0.25
"""15 breaths a minute, as in ECGSYN."""
DEFAULT_SDNN = 0.04
"""Of the mean RR, where no recording tells: a resting adult's over a minute."""
N_LAGS = 20
"""Intervals that are compared with each other; beyond, recordings of 20 s tell nothing."""
PRIOR_INTERVALS = 10
"""Intervals of a person that weigh as much as the whole cohort's."""
LEAST_INTERVALS = 8
"""A stretch of fewer intervals tells nothing of how they vary."""
MAX_SDNN = 0.15
"""Of the mean RR: above, a rhythm without premature beats is none."""
MAX_DEVIATION = 2.8
"""Standard deviations: no interval is drawn further from the mean."""


@dataclass(frozen=True)
class Rhythm:
    """How a heart beats at rest.

    Attributes:
        mean_s: Mean RR interval, in s.
        sdnn_s: Standard deviation of RR intervals, in s.
        shares: Of the variance: drift, waves, breathing, irregular; they sum to 1.
        breathing_hz: Middle of the breathing band, in Hz.
    """

    mean_s: float
    sdnn_s: float
    shares: tuple[float, float, float, float] = DEFAULT_SHARES
    breathing_hz: float = DEFAULT_BREATHING_HZ


@dataclass(frozen=True, eq=False)
class _Variogram:
    """Half the mean squared difference of intervals 1, 2, ... apart, over their variance.

    Attributes:
        value: (N_LAGS,)
        pairs: (N_LAGS,) how many differences each stands on.
        mean_s: Mean of the intervals, in s.
        intervals: How many there are.
    """

    value: FloatSeries
    pairs: FloatSeries
    mean_s: float
    intervals: int


def plausible(rr: npt.ArrayLike) -> FloatSeries:
    """Return RR intervals (n,) in s with NaN for those that are no sinus rhythm's.

    That is, out of `PLAUSIBLE_RR_S` or further than `MAX_JUMP` from the median of five around.
    """
    values = np.asarray(rr, dtype=np.float64).copy()
    low, high = PLAUSIBLE_RR_S
    with np.errstate(invalid="ignore"):
        values[~((values >= low) & (values <= high))] = np.nan
    known = np.flatnonzero(np.isfinite(values))
    if len(known) >= 5:
        padded = np.pad(values[known], 2, mode="edge")
        usual = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
        values[known[np.abs(values[known] - usual) > MAX_JUMP * usual]] = np.nan
    return values


def fit_rhythms(series: Sequence[Sequence[npt.ArrayLike]]) -> list[Rhythm]:
    """Return a rhythm for each person, from all persons' RR intervals.

    The mean is the mean of recordings; SDNN is within recordings; the spectrum is a person's own as
    far as there are intervals, else the cohort's (`PRIOR_INTERVALS`).

    Args:
        series: For each person the RR intervals of each recording in order, in s; NaN stands
            for an interval that is not known, and keeps its place.
    """
    clean = [[plausible(rr) for rr in recordings] for recordings in series]
    own = [_variogram(recordings) for recordings in clean]
    cohort = _pooled([one for one in own if one is not None])
    cohort_spread = [s for s in map(_relative_sdnn, clean) if s is not None]
    usual_spread = float(np.median(cohort_spread)) if cohort_spread else DEFAULT_SDNN
    rhythms = []
    for recordings, variogram in zip(clean, own, strict=True):
        means = [float(np.nanmean(rr)) for rr in recordings if np.isfinite(rr).any()]
        mean = float(np.mean(means)) if means else _usual_mean(clean)
        spread = _relative_sdnn(recordings)
        sdnn = min(usual_spread if spread is None else spread, MAX_SDNN) * mean
        shares, breathing = _fit_spectrum(_shrunk(variogram, cohort))
        rhythms.append(Rhythm(mean, sdnn, shares, breathing))
    return rhythms


def draw_rr(rhythm: Rhythm, n: int, rng: np.random.Generator) -> FloatSeries:
    """Return (n,) RR intervals in s, whose mean and SDNN are the rhythm's exactly.

    SDNN is the standard deviation with n - 1 beneath; fewer than three intervals have none to
    meet, and are drawn around the mean. No interval is further from the mean than
    `MAX_DEVIATION` standard deviations.
    """
    waves = _waves(rhythm, n, rng)
    if n < 3 or rhythm.sdnn_s == 0:
        return rhythm.mean_s + rhythm.sdnn_s * np.clip(waves, -1, 1)
    values = _standard(waves)
    for _ in range(50):
        if np.abs(values).max() <= MAX_DEVIATION:
            break
        values = _standard(np.clip(values, -0.97 * MAX_DEVIATION, 0.97 * MAX_DEVIATION))
    return rhythm.mean_s + rhythm.sdnn_s * values


def with_wishes(
    rhythm: Rhythm, *, mean_s: float | None = None, sdnn_s: float | None = None
) -> Rhythm:
    """Return a rhythm with another mean and SDNN, in s; an SDNN not asked for follows the mean."""
    mean = rhythm.mean_s if mean_s is None else mean_s
    own = rhythm.sdnn_s * mean / rhythm.mean_s
    return replace(rhythm, mean_s=mean, sdnn_s=own if sdnn_s is None else sdnn_s)


def _standard(values: FloatSeries) -> FloatSeries:
    centred = values - values.mean()
    return centred / max(float(centred.std(ddof=1)), np.finfo(np.float64).tiny)


def _bands(breathing_hz: float) -> tuple[tuple[float, float], ...]:
    """Return middle and standard deviation of each band, in Hz."""
    return tuple(zip((DRIFT_HZ, WAVES_HZ, breathing_hz), WIDTHS_HZ, strict=True))


def _waves(rhythm: Rhythm, n: int, rng: np.random.Generator) -> FloatSeries:
    """Return (n,) normal numbers of variance 1 with the rhythm's spectrum.

    Drawn on a circle of twice the length, where each band is a Gaussian over frequency; what lies
    above half a cycle a beat is folded back, as it is by a heart that samples breathing.
    """
    size = 1 << max(9, int(np.ceil(np.log2(2 * n + 1))))
    frequency = np.fft.rfftfreq(size, d=rhythm.mean_s)
    weight = np.full(len(frequency), 2.0)
    weight[[0, -1]] = 1
    power = np.full(len(frequency), rhythm.shares[3])
    for share, (middle, width) in zip(rhythm.shares, _bands(rhythm.breathing_hz), strict=False):
        folded = (frequency, 2 * frequency[-1] - frequency)
        band = np.sum([np.exp(-np.square((f - middle) / width) / 2) for f in folded], axis=0)
        power = power + share * size * band / (weight * band).sum()
    white = np.fft.rfft(rng.standard_normal(size))
    values: FloatSeries = np.fft.irfft(white * np.sqrt(power), size)[:n]
    return values


def _variogram(recordings: Sequence[FloatSeries]) -> _Variogram | None:
    """Return how intervals of one person differ with their distance; None if too few are known."""
    total, pairs = np.zeros(N_LAGS), np.zeros(N_LAGS)
    seconds, intervals = 0.0, 0
    for rr in recordings:
        known = np.isfinite(rr)
        n = int(known.sum())
        spread = float(np.nanstd(rr, ddof=1)) if n >= LEAST_INTERVALS else 0.0
        if spread == 0:
            continue
        seconds, intervals = seconds + float(np.nansum(rr)), intervals + n
        for lag in range(1, min(N_LAGS, len(rr) - 1) + 1):
            difference = (rr[lag:] - rr[:-lag])[known[lag:] & known[:-lag]] / spread
            total[lag - 1] += np.square(difference).sum() / 2
            pairs[lag - 1] += len(difference)
    if not intervals:
        return None
    return _Variogram(total / np.maximum(pairs, 1), pairs, seconds / intervals, intervals)


def _pooled(all_of_them: Sequence[_Variogram]) -> _Variogram | None:
    if not all_of_them:
        return None
    pairs = np.sum([one.pairs for one in all_of_them], axis=0)
    total = np.sum([one.value * one.pairs for one in all_of_them], axis=0)
    intervals = sum(one.intervals for one in all_of_them)
    mean = sum(one.mean_s * one.intervals for one in all_of_them) / intervals
    return _Variogram(total / np.maximum(pairs, 1), pairs, mean, intervals)


def _shrunk(own: _Variogram | None, cohort: _Variogram | None) -> _Variogram | None:
    """Return a person's variogram, drawn towards the cohort's where little is known."""
    if own is None or cohort is None:
        return cohort
    prior = PRIOR_INTERVALS * cohort.pairs / max(cohort.pairs.max(), 1)
    pairs = own.pairs + prior
    value = (own.value * own.pairs + cohort.value * prior) / np.maximum(pairs, 1e-9)
    return _Variogram(value, pairs, own.mean_s, own.intervals)


def _fit_spectrum(
    variogram: _Variogram | None,
) -> tuple[tuple[float, float, float, float], float]:
    """Return the shares of the variance and the breathing frequency that explain a variogram best.

    Least squares, weighted by pairs, over shares that are not negative, for each frequency in
    turn. A band's correlation a time t apart is ``cos(2 pi f t) exp(-(2 pi s t)^2 / 2)``.
    """
    from scipy.optimize import nnls

    if variogram is None:
        return DEFAULT_SHARES, DEFAULT_BREATHING_HZ
    time = np.arange(1, N_LAGS + 1) * variogram.mean_s
    weight = np.sqrt(variogram.pairs)
    low, high = BREATHING_HZ
    best: tuple[float, float, FloatSeries] | None = None
    for breathing in np.arange(low, high + BREATHING_STEP_HZ / 2, BREATHING_STEP_HZ):
        columns = [
            1 - np.cos(2 * np.pi * f * time) * np.exp(-np.square(2 * np.pi * s * time) / 2)
            for f, s in _bands(float(breathing))
        ]
        design = np.column_stack([*columns, np.ones(N_LAGS)])
        shares, residual = nnls(design * weight[:, None], variogram.value * weight)
        if best is None or residual < best[0]:
            best = residual, float(breathing), shares
    if best is None or best[2].sum() <= 0:
        return DEFAULT_SHARES, DEFAULT_BREATHING_HZ
    drift, waves, breath, irregular = (float(s) for s in best[2] / best[2].sum())
    return (drift, waves, breath, irregular), round(best[1], 3)


def _relative_sdnn(recordings: Sequence[FloatSeries]) -> float | None:
    """Return the standard deviation within recordings over the mean RR; None if unknown."""
    square, freedom = 0.0, 0
    for rr in recordings:
        known = rr[np.isfinite(rr)]
        if len(known) >= LEAST_INTERVALS:
            square += float(np.square(known / known.mean() - 1).sum())
            freedom += len(known) - 1
    return float(np.sqrt(square / freedom)) if freedom else None


def _usual_mean(clean: Sequence[Sequence[FloatSeries]]) -> float:
    known = [rr[np.isfinite(rr)] for recordings in clean for rr in recordings]
    values = np.concatenate(known) if known else np.empty(0)
    return float(values.mean()) if len(values) else 0.8
