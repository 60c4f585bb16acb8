"""Beats and their R peaks -> one continuous signal; real recordings -> noise of their kind.

All arrays are time first; all leads of a beat or a strip are treated alike, so that what holds
between leads (II = I + III) holds in the strip as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.models.identifier_input import REFERENCE_RR_S, ST_START_S, Window, rate_times
from core.recording import FloatArray, IntArray
from core.rhythm import Rhythm, draw_rr

EDGE_RR = 0.25
"""Of the mean RR: no R peak lies nearer to either end of a strip, within or outside it."""
BEYOND = 2
"""Beats drawn before the first and after the last R peak, whose waves reach into the strip."""
RR_MEMORY_BEATS = 10
"""Beats over which the QT interval follows RR: it lags behind (Pueyo et al. 2004)."""
T_END_S = 0.36
"""From the R peak to the end of T at 60 beats a minute, in s: a QT of 0.40 s less 0.04 s."""
T_END_EXPONENT = 0.4
"""How it follows RR, as `rate_times` does."""
T_HEIGHT_EXPONENT = 0.5
"""How the height of T follows RR: 0.50 with a standard error of 0.22 between recordings of one
person (train part of ECG-ID), and less within them; a faster heart has a flatter T at rest."""
T_HEIGHTS = (0.6, 1.4)
"""Times its own, T is made no flatter and no taller."""
T_FADE_S = (ST_START_S, 0.16)
"""Where the height of a beat becomes that of T, in s after R."""
T_FALL_S = 0.06
"""After the end of T, over which it becomes what it was, in s."""
P_START_S = 0.20
"""From the beginning of P to the R peak, in s: a PR of 0.16 s and 0.04 s; it hardly changes."""
HALF_BLEND_S = 0.05
"""Half of the shortest cross-fade between two beats, in s."""
OVERLAP_S = 0.03
"""Of each beat's end that a cross-fade over a gap takes in, in s."""
LEVEL_S = 0.06
"""End of a beat whose mean its continuation goes to, in s."""
SETTLE_S = 0.02
"""How fast a continuation goes from a beat's last sample to its level, in s."""
TEXTURE_S = 0.12
"""End of a beat from which the texture between beats is learned, in s."""
TEXTURE_ORDER = 6
"""Samples that the texture's autoregression looks back on."""
NOISE_SEGMENT_S = 8.0
"""Segments that noise is learned from and drawn in, in s: down to an eighth of a hertz."""
QRS_S = 0.08
"""Around each R peak what a filter took of the QRS complex is no noise, in s."""


def place_peaks(
    rhythm: Rhythm, seconds: float, sampling_rate: float, rng: np.random.Generator
) -> tuple[IntArray, int]:
    """Return the sample numbers of R peaks, and how many samples the strip has.

    Mean and SDNN of the intervals between the peaks within the strip are the rhythm's, as nearly
    as whole samples permit.

    Returns:
        (n + 2 `BEYOND`,) ascending, the first and last `BEYOND` of them outside the strip; and the
        strip's number of samples.
    """
    n_samples = round(seconds * sampling_rate)
    length = n_samples / sampling_rate
    mean = rhythm.mean_s
    n = max(0, int((length - 2 * EDGE_RR * mean) / mean))
    rr = draw_rr(rhythm, n, rng)
    rest = length - n * mean
    earliest = max(EDGE_RR * mean, rest - (1 - EDGE_RR) * mean)
    latest = min(rest - EDGE_RR * mean, (1 - EDGE_RR) * mean)
    start = earliest + (max(latest, earliest) - earliest) * rng.random()
    shape, spread = rr - mean, 1.0
    for _ in range(5):
        times = start + np.concatenate([[0.0], np.cumsum(mean + spread * shape)])
        peaks = np.rint(times * sampling_rate).astype(np.int64)
        found = float(np.diff(peaks).std(ddof=1)) / sampling_rate if n > 2 else 0.0
        if found <= 0:
            break
        spread *= rhythm.sdnn_s / found
    step = max(1, round(mean * sampling_rate))
    before = peaks[0] - step * np.arange(BEYOND, 0, -1)
    after = peaks[-1] + step * np.arange(1, BEYOND + 1)
    return np.concatenate([before, peaks, after]), n_samples


def followed_rr(rr: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return (n,) the RR that each beat's QT answers to: a running mean of those up to it."""
    if not len(rr):
        return rr
    result = np.empty(len(rr))
    state = float(rr.mean())
    for i, interval in enumerate(rr):
        state += (float(interval) - state) / RR_MEMORY_BEATS
        result[i] = state
    return result


def join_beats(
    beats: FloatArray,
    peaks: IntArray,
    window: Window,
    *,
    home_rr_s: float,
    n_samples: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Return the continuous signal (n_samples, n_leads) of beats that stand at their R peaks.

    ST and T of each beat are read at the speed that its RR asks for (`rate_times`), and T is as
    tall as goes with it (`T_HEIGHT_EXPONENT`); PR stays. Two
    beats in a row are cross-faded between the end of T and the beginning of P. Where neither
    reaches, the level goes smoothly from one to the other, with a texture like that of the beats'
    own ends.

    Args:
        beats: (n, n_beat_samples, n_leads).
        peaks: (n,) sample number of each R peak, ascending; may lie outside the strip.
        window: How the beats are cut.
        home_rr_s: RR at which ST and T have the length that the beats have, in s.
        n_samples: Length of the strip.
        rng: For the texture.
    """
    rate = window.sampling_rate
    n, length, n_leads = beats.shape
    values = beats.astype(np.float64)
    after_s = (length - 1) / rate - window.before_s
    rr = np.diff(peaks) / rate
    rr = np.append(rr, rr[-1] if len(rr) else home_rr_s)
    slow = followed_rr(rr) / home_rr_s
    speed = REFERENCE_RR_S / slow
    values = _with_t_heights(
        values, np.clip(slow**T_HEIGHT_EXPONENT, *T_HEIGHTS), home_rr_s, window
    )
    end_s = _ends(rr, home_rr_s, after_s)
    seams = seam_spans(rr, window, home_rr_s=home_rr_s, after_s=after_s)
    texture = _Texture.fit(values, rate)
    margin = 4 * length + int(np.ceil(rr.max() * rate))
    first = min(0, int(peaks[0]) - margin)
    total = max(n_samples, int(peaks[-1]) + margin) - first
    result = np.zeros((total, n_leads))
    for i in range(n):
        left = -window.before_s if i == 0 else float(seams[i - 1, 0] - rr[i - 1])
        right = float(end_s[i]) if i == n - 1 else float(seams[i, 1])
        offsets = np.arange(int(np.floor(left * rate)), int(np.ceil(right * rate)) + 1)
        times = offsets / rate
        read = _read(values[i], times, float(speed[i]), float(end_s[i]), window)
        weight = np.ones(len(times))
        if i:
            weight *= _rise(times + rr[i - 1], *seams[i - 1])
        if i < n - 1:
            weight *= 1 - _rise(times, *seams[i])
        result[peaks[i] + offsets - first] += read * weight[:, None]
    for i, gap in enumerate(rr[:-1]):
        bare = (
            peaks[i] + int(np.ceil(end_s[i] * rate)),
            peaks[i + 1] - round(window.before_s * rate),
        )
        if gap > 0 and bare[1] - bare[0] > 2:
            result[bare[0] - first : bare[1] - first] += texture.draw(bare[1] - bare[0], rate, rng)
    return result[-first : n_samples - first].astype(np.float32)


def seam_spans(
    rr: npt.NDArray[np.float64], window: Window, *, home_rr_s: float, after_s: float
) -> npt.NDArray[np.float64]:
    """Return (n - 1, 2) where the cross-fade from each beat to the next begins and ends.

    In s after the R peak of the first of the two.

    Args:
        rr: (n,) RR after each beat, in s.
        window: How the beats are cut.
        home_rr_s: RR at which ST and T have the length that the beats have, in s.
        after_s: Seconds from the R peak of a beat to its last sample.
    """
    gap, end_s = rr[:-1], _ends(rr, home_rr_s, after_s)[:-1]
    middle = (T_END_S * gap**T_END_EXPONENT + gap - P_START_S) / 2
    begin = np.minimum(middle - HALF_BLEND_S, end_s - OVERLAP_S)
    end = np.maximum(middle + HALF_BLEND_S, gap - window.before_s + OVERLAP_S)
    return np.stack([begin, np.maximum(end, begin + HALF_BLEND_S)], axis=1)


def _with_t_heights(
    beats: npt.NDArray[np.float64],
    height: npt.NDArray[np.float64],
    home_rr_s: float,
    window: Window,
) -> npt.NDArray[np.float64]:
    """Return beats (n, n_samples, n_leads) whose T is `height` (n,) times as tall.

    Measured from the straight line between the levels of their two ends.
    """
    times = window.times(beats.shape[1])
    n_level = max(1, round(LEVEL_S * window.sampling_rate))
    first = beats[:, :n_level].mean(axis=1)[:, None, :]
    last = beats[:, -n_level:].mean(axis=1)[:, None, :]
    line = first + (last - first) * np.linspace(0, 1, len(times))[None, :, None]
    t_end = T_END_S * home_rr_s**T_END_EXPONENT
    wave = _rise(times, *T_FADE_S) * (1 - _rise(times, t_end, t_end + T_FALL_S))
    more = (height[:, None] - 1) * wave
    result: npt.NDArray[np.float64] = beats + (beats - line) * more[:, :, None]
    return result


def _ends(rr: npt.NDArray[np.float64], home_rr_s: float, after_s: float) -> npt.NDArray[np.float64]:
    """Return (n,) when each beat has no more samples once it fits its RR, in s after R."""
    stretch = (home_rr_s / followed_rr(rr)) ** T_END_EXPONENT
    return np.maximum(ST_START_S + (after_s - ST_START_S) / stretch, OVERLAP_S)


def _rise(times: npt.NDArray[np.float64], begin: float, end: float) -> npt.NDArray[np.float64]:
    """Return 0 before `begin`, 1 after `end`, and half a cosine between."""
    share = np.clip((times - begin) / (end - begin), 0, 1)
    rise: npt.NDArray[np.float64] = (1 - np.cos(np.pi * share)) / 2
    return rise


def _read(
    beat: npt.NDArray[np.float64],
    times: npt.NDArray[np.float64],
    speed: float,
    end_s: float,
    window: Window,
) -> npt.NDArray[np.float64]:
    """Return a beat (n_samples, n_leads) at `times` from its R peak, continued beyond its ends."""
    from scipy.interpolate import CubicSpline

    grid = window.times(len(beat))
    source = rate_times(times, np.asarray([speed]), T_END_EXPONENT)[0]
    inside = np.clip(source, grid[0], grid[-1])
    result: npt.NDArray[np.float64] = CubicSpline(grid, beat)(inside)
    n_level = max(1, round(LEVEL_S * window.sampling_rate))
    for beyond, edge, level in (
        (grid[0] - times, beat[0], beat[:n_level].mean(axis=0)),
        (times - end_s, beat[-1], beat[-n_level:].mean(axis=0)),
    ):
        outside = beyond > 0
        fade = np.exp(-beyond[outside] / SETTLE_S)[:, None]
        result[outside] = level + (edge - level) * fade
    return result


@dataclass(frozen=True, eq=False)
class _Texture:
    """What the ends of beats have besides their level and slope: an autoregression.

    Attributes:
        weights: (order,) of the samples before, the last one first; the same for all leads.
        innovation: (n_leads, n_leads) factor of the covariance of what is new in each sample.
    """

    weights: npt.NDArray[np.float64]
    innovation: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, beats: npt.NDArray[np.float64], sampling_rate: float) -> _Texture:
        """Learn from the ends of beats (n, n_samples, n_leads)."""
        from scipy.linalg import solve_toeplitz

        n, length, n_leads = beats.shape
        size = min(length, max(TEXTURE_ORDER + 2, round(TEXTURE_S * sampling_rate)))
        ends = beats[:, length - size :] - beats[:, length - size :].mean(axis=0)
        ends = ends - ends.mean(axis=1, keepdims=True)
        order = min(TEXTURE_ORDER, size - 2)
        scale = ends.std()
        if n < 3 or not scale > 0:
            return cls(np.zeros(1), np.zeros((n_leads, n_leads)))
        acf = np.asarray(
            [np.mean(ends[:, lag:] * ends[:, : size - lag]) for lag in range(order + 1)]
        )
        acf *= (size - np.arange(order + 1)) / size
        acf[0] *= 1 + 1e-6
        weights = solve_toeplitz(acf[:-1], acf[1:])
        share = max(0.0, 1 - float(weights @ acf[1:]) / float(acf[0]))
        covariance = np.einsum("nti,ntj->ij", ends, ends) / (n * size) * share
        values, vectors = np.linalg.eigh(covariance)
        return cls(weights, vectors * np.sqrt(np.maximum(values, 0)))

    def draw(
        self, n: int, sampling_rate: float, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """Return (n, n_leads) of it, fading in and out."""
        from scipy.signal import lfilter

        settle = 50
        white = rng.standard_normal((n + settle, len(self.innovation))) @ self.innovation.T
        values = lfilter([1.0], np.concatenate([[1.0], -self.weights]), white, axis=0)[settle:]
        fade = max(1, round(OVERLAP_S * sampling_rate))
        edge = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) / fade
        faded: npt.NDArray[np.float64] = values * _rise(edge, 0, 1)[:, None]
        return faded


@dataclass(frozen=True, eq=False)
class Noise:
    """How the noise of a recording is spread over frequencies and leads.

    Attributes:
        factor: (n_frequencies, n_leads, n_leads) of the spectrum of a segment.
        size: Samples of a segment.
        qrs: (n, n_leads) what smoothing takes of a QRS complex, its middle at the R peak;
            as nothing smooths a raw signal, it goes with the noise.
    """

    factor: npt.NDArray[np.complex128]
    size: int
    qrs: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, noise: FloatArray, peaks: IntArray, sampling_rate: float) -> Noise:
        """Learn from what a recording has besides its smoothed signal.

        Args:
            noise: (n_samples, n_leads) raw less smoothed; NaN where there is no signal.
            peaks: Its R peaks; around each, what filters took of the QRS complex is bridged.
            sampling_rate: In Hz.
        """
        values = noise.astype(np.float64)
        reach = round(QRS_S * sampling_rate)
        taken = _mean_around(values, peaks, reach)
        for peak in peaks:
            values[max(0, int(peak) - reach) : int(peak) + reach + 1] = np.nan
        known = np.isfinite(values).all(axis=1)
        n, n_leads = values.shape
        size = min(n, 2 * round(NOISE_SEGMENT_S * sampling_rate / 2)) // 2 * 2
        if known.sum() < 2 or size < 2:
            return cls(np.zeros((2, n_leads, n_leads), np.complex128), 2, taken)
        at = np.flatnonzero(known)
        for lead in range(n_leads):
            values[:, lead] = np.interp(np.arange(n), at, values[at, lead])
        values -= values.mean(axis=0)
        taper = np.sin(np.pi * (np.arange(size) + 0.5) / size)[:, None]
        starts = range(0, n - size + 1, max(1, size // 2))
        spectra = np.stack([np.fft.rfft(values[i : i + size] * taper, axis=0) for i in starts])
        cross = np.einsum("sfi,sfj->fij", spectra, spectra.conj()) / len(spectra)
        power, vectors = np.linalg.eigh(cross)
        return cls(vectors * np.sqrt(np.maximum(power, 0))[:, None, :], size, taken)

    def draw(
        self, n_samples: int, rng: np.random.Generator, peaks: IntArray | None = None
    ) -> FloatArray:
        """Return (n_samples, n_leads) noise of that kind, in segments that overlap by half.

        Phases are drawn, magnitudes are kept: mains hum stays as loud as it was.

        Args:
            n_samples: Length.
            rng: For the phases.
            peaks: R peaks of the smooth signal that it is for: `qrs` stands at each.
        """
        half = self.size // 2
        n_leads = self.factor.shape[1]
        n_segments = n_samples // half + 2
        taper = np.sin(np.pi * (np.arange(self.size) + 0.5) / self.size)[:, None]
        result = np.zeros((half * (n_segments + 1), n_leads))
        for i in range(n_segments):
            phase = rng.uniform(0, 2 * np.pi, (len(self.factor), n_leads))
            spectrum = np.einsum("fij,fj->fi", self.factor, np.exp(1j * phase))
            # The taper halves the power of what it was fitted to: a factor of the root of two.
            segment = np.fft.irfft(spectrum, self.size, axis=0) * np.sqrt(2)
            result[i * half : i * half + self.size] += segment * taper
        result = result[half : half + n_samples]
        reach = len(self.qrs) // 2
        for peak in () if peaks is None else peaks:
            begin, end = max(0, int(peak) - reach), min(n_samples, int(peak) + reach + 1)
            result[begin:end] += self.qrs[begin - int(peak) + reach : end - int(peak) + reach]
        return result.astype(np.float32)


def _mean_around(
    values: npt.NDArray[np.float64], peaks: IntArray, reach: int
) -> npt.NDArray[np.float64]:
    """Return (2 reach + 1, n_leads) the mean around peaks, less the line between its ends."""
    inside = [int(p) for p in peaks if reach <= p < len(values) - reach]
    pieces = np.asarray([values[p - reach : p + reach + 1] for p in inside])
    pieces = pieces.reshape(len(inside), 2 * reach + 1, values.shape[1])
    pieces = pieces[np.isfinite(pieces).all(axis=(1, 2))]
    if not len(pieces):
        return np.zeros((2 * reach + 1, values.shape[1]))
    mean: npt.NDArray[np.float64] = pieces.mean(axis=0)
    share = np.linspace(0, 1, 2 * reach + 1)[:, None]
    return mean - (mean[0] + (mean[-1] - mean[0]) * share)
