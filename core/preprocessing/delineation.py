"""Beats around their R peaks -> where P, QRS and T begin, peak and end, and PR, QRS, QT."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy

from core.recording import FloatArray

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

# Times in seconds. Where no source is named, the value was chosen on train recordings of ECG-ID
# for little scatter of a recording's intervals, and on made beats of known onsets for little bias.
WORKING_RATE_HZ = 500.0
"""Beats of any rate are brought to this one by cubic splines; times are told between samples."""
CHUNK_BEATS = 2048
"""Beats worked on at once: bounds memory."""

LINE_S = 0.007
"""Standard deviation of the Gaussian that slope and curvature are taken with."""
CURVATURE_S = 0.008
"""Curvature times this counts like slope: the envelope does not fall to 0 at the tip of a wave."""
QRS_PEAK_S = 0.08
"""The steepest point of the QRS complex lies this near to R."""
QRS_BEFORE_S, QRS_AFTER_S = 0.14, 0.20
"""Farthest that a QRS complex begins before R and ends after it."""
QRS_EDGE = 0.15
"""Share of its largest value at which the envelope leaves and enters the QRS complex."""
QUIET_S = 0.012
"""The envelope stays below that share at least so long."""
LEAST_QRS_OVER_REST = 4.0
"""A QRS complex is at least so many times steeper than the median of its beat."""

P_WIDTH_S, T_WIDTH_S = 0.022, 0.035
"""Standard deviation of the Gaussian whose second derivative finds the wave."""
P_BEFORE_S = 0.32
"""Earliest peak of a P wave before R."""
P_GUARD_S = 0.02
"""A P wave peaks at least so long before the QRS complex begins."""
T_GUARD_S = 0.06
"""A T wave peaks at least so long after the QRS complex ends."""
PEAK_NEAR_S = 0.03
"""How far the tip of a wave may be from where the second derivative is largest."""
P_AREA_S, T_AREA_S = 0.060, 0.128
"""Width of the window whose area tells the end of a wave; for T that of Zhang et al. 2006."""
LEVEL_S = 0.020
"""Over how long to each side of a supposed end its level is taken; 0.016 in Zhang et al. 2006."""
BORDER_S = 0.012
"""An end nearer than this to the border of where it is sought is not told."""
LEAST_P, LEAST_T = 0.012, 0.02
"""Height of a wave that can be told, as a share of the QRS complex's."""
LEAST_OVER_NOISE = 4.0
"""Height of a wave that can be told, in standard deviations of what is left by `NOISE_S`."""
NOISE_S = 0.010

PR_MS = (60.0, 400.0)
QRS_MS = (30.0, 250.0)
QT_MS = (150.0, 700.0)
"""Intervals outside of these are mistakes; far wider than the normal ranges."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Delineation:
    """Where the waves of each beat begin and end: (n,) seconds from R; NaN where it is not told.

    Attributes:
        p_onset: Beginning of the P wave.
        p_peak: Its tip.
        p_offset: Its end.
        qrs_onset: Beginning of the QRS complex.
        qrs_offset: Its end.
        t_peak: Tip of the T wave.
        t_offset: Its end.
    """

    p_onset: Array
    p_peak: Array
    p_offset: Array
    qrs_onset: Array
    qrs_offset: Array
    t_peak: Array
    t_offset: Array

    def __len__(self) -> int:
        return len(self.qrs_onset)

    @property
    def pr_ms(self) -> Array:
        """(n,) from the beginning of P to that of QRS."""
        return _within(1000 * (self.qrs_onset - self.p_onset), PR_MS)

    @property
    def qrs_ms(self) -> Array:
        """(n,) from the beginning of QRS to its end."""
        return _within(1000 * (self.qrs_offset - self.qrs_onset), QRS_MS)

    @property
    def qt_ms(self) -> Array:
        """(n,) from the beginning of QRS to the end of T."""
        return _within(1000 * (self.t_offset - self.qrs_onset), QT_MS)

    @property
    def success(self) -> BoolArray:
        """(n,) whether PR, QRS and QT could all be told."""
        found: BoolArray = np.isfinite(self.pr_ms + self.qrs_ms + self.qt_ms)
        return found


def delineate(
    signals: FloatArray, sampling_rate: float, before_s: float, rr: FloatArray | None = None
) -> Delineation:
    """Find where the waves of beats begin, peak and end.

    QRS: an envelope, the root of squared slope and (scaled) squared curvature summed over leads,
    falls below a share of its largest value and stays there, sought outwards from the steepest
    point (slope thresholds as Laguna et al. 1994). Curvature keeps the envelope up at the tips of
    Q and S waves, where slope alone would end the complex.

    P and T: the tip is where a Gaussian's second derivative answers most strongly to the beat
    without its QRS complex (one scale of the wavelet of Martinez et al. 2004; here P and T each
    have their own). Leads are then summed with their answers as weights, so that the wave is
    upright and as high as it can be. End of T: the largest area between the curve and the level of
    its end in a window that slides over it (Zhang et al. 2006). The same, in both directions, with
    a narrower window, tells P.

    Deviations: Zhang's sign rule for biphasic T waves is left out (the larger phase is the wave);
    its search begins at the tip of T, and levels are taken a little longer.

    An end at the border of where it is sought is not told rather than guessed: T that outlasts
    the beat, P that begins before it. Times are told between samples. Nothing depends on the unit
    or sign of the signal. Whether there is a P wave is judged by its height alone: fibrillation
    waves may pass for it.

    Args:
        signals: (n, n_samples, n_leads) beats, smoothed or not, any unit, without baseline wander
            and mains.
        sampling_rate: In Hz, from 100 to 2000.
        before_s: Seconds from the first sample to R; 0.25 or more for P to be told.
        rr: (n,) RR interval in seconds: T is not sought after 0.7 RR - 0.036 s, or
            0.2 RR + 0.404 s from 0.88 s on (Zhang et al. 2006); NaN or None if unknown.

    Returns:
        Times in seconds from R.
    """
    signals = np.asarray(signals)
    n = len(signals)
    known = np.full(n, np.nan) if rr is None else np.asarray(rr, dtype=np.float64)
    parts = [
        _delineate(
            np.asarray(signals[i : i + CHUNK_BEATS], dtype=np.float64),
            sampling_rate,
            before_s,
            known[i : i + CHUNK_BEATS],
        )
        for i in range(0, n, CHUNK_BEATS)
    ]
    names = [field.name for field in fields(Delineation)]
    if not parts:
        return Delineation(**{name: np.empty(0) for name in names})
    return Delineation(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    )


@dataclass(frozen=True)
class _Search:
    """How one kind of wave is found.

    Attributes:
        width_s: Standard deviation of the Gaussian whose second derivative finds it.
        area_s: Width of the window whose area tells its ends.
        least: Its least height, as a share of the QRS complex's.
    """

    width_s: float
    area_s: float
    least: float


_P = _Search(P_WIDTH_S, P_AREA_S, LEAST_P)
_T = _Search(T_WIDTH_S, T_AREA_S, LEAST_T)


def _delineate(x: Array, sampling_rate: float, before_s: float, rr: Array) -> Delineation:
    """Delineate beats (n, n_samples, n_leads) that fit into memory."""
    broken = np.asarray(~np.isfinite(x).all(axis=(1, 2)))
    x = np.where(broken[:, None, None], 0.0, x)
    x, time = _at_working_rate(x - x.mean(axis=1, keepdims=True), sampling_rate, before_s)
    onset, offset = _qrs(x, time)
    told = np.isfinite(onset) & np.isfinite(offset) & ~broken
    onset[~told] = np.nan
    offset[~told] = np.nan
    first, last = np.where(told, onset, -0.04), np.where(told, offset, 0.04)
    rest = _without_qrs(x, time, first, last)

    latest = np.where(rr < 0.88, 0.7 * rr - 0.036, 0.2 * rr + 0.404)
    latest = np.where(np.isfinite(latest), np.minimum(latest, time[-1]), time[-1])
    _, t_peak, t_offset = _wave(_T, x, rest, time, last + T_GUARD_S, latest, last, latest)
    start = np.full(len(x), time[0])
    p_onset, p_peak, p_offset = _wave(
        _P, x, rest, time, np.maximum(start, -P_BEFORE_S), first - P_GUARD_S, start, first
    )
    for values in (t_peak, t_offset, p_peak, p_onset, p_offset):
        values[~told] = np.nan
    return Delineation(
        p_onset=p_onset,
        p_peak=p_peak,
        p_offset=p_offset,
        qrs_onset=onset,
        qrs_offset=offset,
        t_peak=t_peak,
        t_offset=t_offset,
    )


def _at_working_rate(x: Array, sampling_rate: float, before_s: float) -> tuple[Array, Array]:
    """Return beats at `WORKING_RATE_HZ` (n, n_times, n_leads), and the times (n_times,) from R."""
    matrix = _interpolation(x.shape[1], sampling_rate)
    return np.einsum("ijk,lj->ilk", x, matrix, optimize=True), (
        np.arange(len(matrix)) / WORKING_RATE_HZ - before_s
    )


@lru_cache(maxsize=16)
def _interpolation(n_samples: int, sampling_rate: float) -> Array:
    """Return the matrix (n_times, n_samples) of cubic splines, behind a low-pass if needed."""
    unit = np.eye(n_samples)
    if sampling_rate > WORKING_RATE_HZ:
        unit = scipy.ndimage.gaussian_filter1d(
            unit, 0.5 * sampling_rate / WORKING_RATE_HZ, axis=0, mode="nearest"
        )
    last = (n_samples - 1) / sampling_rate
    times = np.arange(int(last * WORKING_RATE_HZ + 1e-9) + 1) / WORKING_RATE_HZ
    matrix: Array = scipy.interpolate.make_interp_spline(
        np.arange(n_samples) / sampling_rate, unit, k=3
    )(times)
    return matrix


def _qrs(x: Array, time: Array) -> tuple[Array, Array]:
    """Return (n,) where the QRS complexes begin and end; NaN where it cannot be told."""
    sigma = LINE_S * WORKING_RATE_HZ
    slope = (
        scipy.ndimage.gaussian_filter1d(x, sigma, axis=1, order=1, mode="nearest") * WORKING_RATE_HZ
    )
    bend = (
        scipy.ndimage.gaussian_filter1d(x, sigma, axis=1, order=2, mode="nearest")
        * WORKING_RATE_HZ**2
    )
    envelope = np.sqrt((slope**2 + (CURVATURE_S * bend) ** 2).sum(axis=2))
    near = np.abs(time) <= QRS_PEAK_S
    peak = np.flatnonzero(near)[0] + envelope[:, near].argmax(axis=1)
    largest = envelope[np.arange(len(x)), peak]
    clear = largest > LEAST_QRS_OVER_REST * np.median(envelope, axis=1)
    onset = time[0] + _leaves(envelope[:, ::-1], envelope.shape[1] - 1 - peak, QRS_EDGE * largest)
    onset = time[-1] + time[0] - onset
    offset = time[0] + _leaves(envelope, peak, QRS_EDGE * largest)
    onset = np.where(clear & (onset >= -QRS_BEFORE_S), onset, np.nan)
    return onset, np.where(clear & (offset <= QRS_AFTER_S), offset, np.nan)


def _leaves(envelope: Array, start: IntArray, level: Array) -> Array:
    """Return (n,) seconds from the first time to where envelopes fall below a level for a while.

    Sought from `start` on; NaN if they never do.
    """
    n_quiet = round(QUIET_S * WORKING_RATE_HZ)
    highest = scipy.ndimage.maximum_filter1d(
        envelope, n_quiet, axis=1, origin=-(n_quiet // 2), mode="constant", cval=np.inf
    )
    below = (highest < level[:, None]) & (np.arange(envelope.shape[1]) > start[:, None])
    at = below.argmax(axis=1)
    row = np.arange(len(envelope))
    low, high = envelope[row, at], envelope[row, np.maximum(at - 1, 0)]
    share = np.clip((level - low) / np.maximum(high - low, 1e-300), 0.0, 1.0)
    return np.where(below.any(axis=1), (at - share) / WORKING_RATE_HZ, np.nan)


def _without_qrs(x: Array, time: Array, onset: Array, offset: Array) -> Array:
    """Return beats with a straight line in each lead in the place of the QRS complex."""
    row = np.arange(len(x))
    before = np.clip(np.searchsorted(time, onset) - 1, 0, len(time) - 1)
    after = np.clip(np.searchsorted(time, offset), 0, len(time) - 1)
    share = (time - time[before][:, None]) / (time[after] - time[before])[:, None]
    inside = (share > 0) & (share < 1)
    line = (
        x[row, before][:, None] * (1 - share)[..., None] + x[row, after][:, None] * share[..., None]
    )
    return np.where(inside[..., None], line, x)


def _wave(
    search: _Search,
    x: Array,
    rest: Array,
    time: Array,
    earliest: Array,
    latest: Array,
    first: Array,
    last: Array,
) -> tuple[Array, Array, Array]:
    """Return (n,) where a wave begins, peaks and ends; NaN where it cannot be told.

    Args:
        search: What kind of wave.
        x: (n, n_times, n_leads) beats.
        rest: The same without QRS complexes.
        time: (n_times,) seconds from R.
        earliest: (n,) the wave peaks after this.
        latest: (n,) and before this.
        first: (n,) its beginning is sought from here on.
        last: (n,) and its end until here.
    """
    rate = WORKING_RATE_HZ
    answer = -scipy.ndimage.gaussian_filter1d(
        rest, search.width_s * rate, axis=1, order=2, mode="nearest"
    )
    tip, at = _largest(np.sqrt((answer**2).sum(axis=2)), time, earliest, latest, 0.0)
    row = np.arange(len(x))
    direction = answer[row, at]
    y = np.einsum("ijk,ik->ij", rest, direction)
    smooth = scipy.ndimage.gaussian_filter1d(y, LINE_S * rate, axis=1, mode="nearest")
    centre = time[at]
    peak, top = _largest(smooth, time, centre - PEAK_NEAR_S, centre + PEAK_NEAR_S, 0.0)

    level = scipy.ndimage.uniform_filter1d(y, 2 * round(LEVEL_S * rate) + 1, axis=1, mode="nearest")
    n_area = round(search.area_s * rate)
    ahead = scipy.ndimage.uniform_filter1d(y, n_area, axis=1, origin=-(n_area // 2), mode="nearest")
    behind = scipy.ndimage.uniform_filter1d(
        y, n_area, axis=1, origin=(n_area - 1) // 2, mode="nearest"
    )
    onset, since = _largest(ahead - level, time, first, centre, BORDER_S)
    offset, until = _largest(behind - level, time, centre, last, BORDER_S)

    noise = (
        np.median(np.abs(y - scipy.ndimage.gaussian_filter1d(y, NOISE_S * rate, axis=1)), axis=1)
        / 0.6745
    )
    whole = np.ptp(np.einsum("ijk,ik->ij", x, direction), axis=1)
    height = smooth[row, top] - np.maximum(level[row, since], level[row, until])
    told = np.isfinite(tip) & (height > np.maximum(search.least * whole, LEAST_OVER_NOISE * noise))
    nothing = np.full(len(x), np.nan)
    return (
        np.where(told, onset, nothing),
        np.where(told, peak, nothing),
        np.where(told, offset, nothing),
    )


def _largest(
    values: Array, time: Array, low: Array, high: Array, border_s: float
) -> tuple[Array, IntArray]:
    """Return (n,) when values (n, n_times) are largest between two times, and that sample.

    A time is told between samples, by a parabola; it is NaN within `border_s` of either end.
    """
    allowed = (time >= low[:, None]) & (time <= high[:, None])
    at = np.where(allowed, values, -np.inf).argmax(axis=1)
    row = np.arange(len(values))
    n = len(time)
    inner = np.clip(at, 1, n - 2)
    before, middle, after = values[row, inner - 1], values[row, inner], values[row, inner + 1]
    bend = before - 2 * middle + after
    peaked = (at == inner) & (middle >= before) & (middle >= after) & (bend < 0)
    shift = np.divide(0.5 * (before - after), bend, out=np.zeros_like(bend), where=peaked)
    found = time[at] + shift / WORKING_RATE_HZ
    inside = (time[at] - low > border_s) & (high - time[at] > border_s)
    return np.where(peaked & inside, found, np.nan), at


def _within(values: Array, limits: tuple[float, float]) -> Array:
    """Return values, NaN for those outside of limits."""
    return np.where((values >= limits[0]) & (values <= limits[1]), values, np.nan)
