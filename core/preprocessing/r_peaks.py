"""ECG signal, raw or clean, at its own rate -> its R peaks, all marked at the same feature."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy

from core.errors import UserError
from core.recording import FloatArray, IntArray

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Times in seconds and rates in Hz. Where no source is named, the value was chosen on every other
# record of MIT-BIH DS1 (101, 108, 112, ...) and checked on the rest; none is critical: one of them
# moved by a fifth changes the errors by less than a third, most by less than a tenth.
SHORTEST_S = 1.0
LOWEST_RATE_HZ = 50.0
WORKING_RATE_HZ = 120.0
"""The signal is averaged down to about this rate, or up to twice it, to find beats."""
BAND_HZ = (3.0, 20.0)
"""Narrow enough to drop T waves and muscle, wide enough for ventricular beats."""
MAINS_S = 0.018
"""A mean over this long removes both 50 Hz and 60 Hz."""
ENVELOPE_S = 0.08
FLAT = 1e-6
"""A lead whose beats are this small beside its largest value has none."""

LEVEL_BLOCK_S = 2.0
LEVEL_BLOCKS = 9
LEVEL_BEATS = 15
LEVEL_TRUST = 2.0
"""Beats found so far may move the usual strength of a beat by this factor."""
CANDIDATE = 0.12
THRESHOLD = 0.35
"""Strength, as a share of the usual, at which a candidate is as likely a beat as not."""
NOISE_CANDIDATES = 41
NOISE_SHARE = 0.3
NOISE_MOST = 0.5
GAIN_LIMITS = (-3.0, 1.5)

REFRACTORY_S = 0.2
"""No two beats are nearer than this (Pan and Tompkins 1985)."""
T_WAVE_S = 0.36
"""Nearer than this, the blunter or weaker of two is suspect (Pan and Tompkins 1985)."""
T_WAVE_COST = 3.0
EARLY_RR = 0.65
EARLY_COST = 3.0
LATE_RR = 1.5
"""An interval this many times the usual suggests a missed beat (1.66 in Pan and Tompkins 1985)."""
LATE_COST = 1.5
LATE_COST_MOST = 2.5
PREDECESSORS = 6
PASSES = 2

FILTER_PAD = 15
"""Samples mirrored at both ends before filtering; what `sosfiltfilt` takes for two sections."""
SHAPE_S = 0.12
SHAPE_LAG_S = 0.04
ALIKE = 0.8
CLASSES = 4
CLASS_SHARE = 0.01
SHAPE_MID = 0.7
SHAPE_GAIN = 1.5

MARK_S = 0.1
MARK_ALIKE = 0.7
MARK_SEARCH_S = 0.02
OTHER_POLARITY = 1.5
"""A class of beats is marked against the recording's polarity if its other side is this larger."""
APART_S = 0.12
DEAD = 0.05
"""A lead that shows a beat this small beside its others has come off."""


@dataclass(frozen=True, eq=False)
class RPeaks:
    """R peaks of one recording.

    Attributes:
        samples: (n,) sample numbers at the signal's own rate, ascending, unique.
        positions: (n,) float64 the same to a part of a sample (parabola through three samples).
        polarity: (n_leads,) +1 or -1: the side of the marked deflection in each lead, of the
            recording's commonest shape of beat; decided once a recording.
        confidence: (n,) float32, 0 to 1: correlation of each beat with the nearest of the
            recording's common shapes; 0 for all if there are fewer than three beats.
    """

    samples: IntArray
    positions: Float64Array
    polarity: IntArray
    confidence: FloatArray


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Points that may be beats, in order of time, at the working rate.

    Attributes:
        index: (n,) sample number.
        time: (n,) seconds.
        strength: (n,) height of the slope's envelope.
        sharpness: (n,) height of the curvature's envelope: large in QRS, small in T waves.
        shapes: (n, n_lags, n_values) windows around each, of mean 0 and length 1.
    """

    index: IntArray
    time: Float64Array
    strength: Float64Array
    sharpness: Float64Array
    shapes: FloatArray


def detect_r_peaks(signal: FloatArray, sampling_rate: float) -> RPeaks:
    """Find the R peaks of a recording.

    Candidates are the peaks of the slope's energy in `BAND_HZ`. Of these the most plausible
    rhythm is chosen by dynamic programming: each beat gains by its strength beside the beats and
    the noise around it and by its likeness to the recording's common shapes; intervals cost that
    are too short for a beat so weak or blunt (T and P waves), or so long that a beat is missing.
    Strength, noise, shapes and rhythm are then measured anew on what was chosen. At last, all
    beats of one shape are marked at the same feature, the deflection that is largest in their
    median.

    Nothing depends on the unit or the sign of the signal. Several leads are used jointly, each
    weighted by how far its beats stand out; the first that shows a beat decides its mark.

    Args:
        signal: (n_samples,) or (n_samples, n_leads), raw or clean, any unit, NaN where missing.
        sampling_rate: In Hz, at least `LOWEST_RATE_HZ`.

    Returns:
        The peaks; none if the signal is flat, missing or shorter than `SHORTEST_S`. None lies
        where every lead is missing.

    Raises:
        UserError: The rate is too low to tell a QRS complex from a T wave.
    """
    if not sampling_rate >= LOWEST_RATE_HZ:
        raise UserError(
            "sampling rate",
            f"R peaks cannot be found at {sampling_rate:g} Hz",
            f"Give a recording of {LOWEST_RATE_HZ:g} Hz or more",
        )
    x = np.asarray(signal, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    if len(x) < SHORTEST_S * sampling_rate:
        return _no_peaks(x.shape[1])
    x, known = _fill_gaps(x)
    step = max(1, int(sampling_rate // WORKING_RATE_HZ))
    rate = sampling_rate / step
    band = _band_pass(x[: len(x) // step * step].reshape(-1, step, x.shape[1]).mean(axis=1), rate)
    usable, scale = _weigh_leads(band, np.abs(x).max(axis=0), rate)
    if not usable.size:
        return _no_peaks(x.shape[1])
    weighted = band[:, usable] * scale
    slope = np.gradient(weighted, axis=0)
    strength = _envelope(slope, rate)
    level = _level(strength, rate)
    index = scipy.signal.argrelmax(strength)[0]
    index = index[strength[index] > CANDIDATE * level[index]]
    if known is not None:
        index = index[known[index * step + step // 2]]
    if not len(index):
        return _no_peaks(x.shape[1])
    candidates = _Candidates(
        index=index,
        time=index / rate,
        strength=strength[index],
        sharpness=_envelope(np.gradient(slope, axis=0), rate)[index],
        shapes=_shapes(weighted, index, rate),
    )
    chosen, templates = _choose(candidates, level[index])
    lag, kind, confidence = _classify(candidates.shapes[chosen], templates)
    centre = (index[chosen] + lag) * step + step // 2
    samples, shift = centre.copy(), np.zeros(len(centre))
    usual = np.zeros(len(centre), dtype=np.bool_)
    owner = _first_alive(slope, index[chosen], rate)
    for lead in np.unique(owner):
        own = owner == lead
        marks = _mark(x[:, usable[lead]], sampling_rate, centre[own], kind[own])
        samples[own], shift[own], usual[own] = marks
    order = np.argsort(samples, kind="stable")
    order = order[np.diff(samples[order], prepend=-len(x)) > APART_S * sampling_rate]
    if known is not None:
        order = order[known[samples[order]]]
    if not len(order):
        return _no_peaks(x.shape[1])
    main = order[usual[order]] if usual[order].any() else order
    at = np.minimum(samples[main] // step, len(band) - 1)
    return RPeaks(
        samples=samples[order],
        positions=samples[order] + shift[order],
        polarity=np.where(np.median(band[at], axis=0) < 0, -1, 1).astype(np.int64),
        confidence=confidence[order],
    )


def _no_peaks(n_leads: int) -> RPeaks:
    return RPeaks(
        samples=np.empty(0, dtype=np.int64),
        positions=np.empty(0),
        polarity=np.ones(n_leads, dtype=np.int64),
        confidence=np.empty(0, dtype=np.float32),
    )


def _fill_gaps(x: Float64Array) -> tuple[Float64Array, BoolArray | None]:
    """Bridge missing samples by straight lines; also return where any lead is known, if not all."""
    finite = np.isfinite(x)
    if finite.all():
        return x, None
    x = x.copy()
    at = np.arange(len(x))
    for lead in range(x.shape[1]):
        good = finite[:, lead]
        x[:, lead] = np.interp(at, at[good], x[good, lead]) if good.any() else 0.0
    return x, np.asarray(finite.any(axis=1), dtype=np.bool_)


@lru_cache(maxsize=32)
def _sections(rate: float) -> tuple[Float64Array, Float64Array]:
    """Return the band-pass as second-order sections, and their state at rest for an input of 1."""
    sections = np.asarray(scipy.signal.butter(2, BAND_HZ, "bandpass", fs=rate, output="sos"))
    return sections, np.asarray(scipy.signal.sosfilt_zi(sections))


def _band_pass(x: Float64Array, rate: float) -> Float64Array:
    """Keep `BAND_HZ`, without lag.

    `scipy.signal.sosfiltfilt` with the state at rest computed once a rate: on short recordings
    that is half of its time.
    """
    sections, rest = _sections(rate)
    rest = rest.reshape(*rest.shape, *(1,) * (x.ndim - 1))
    n = min(FILTER_PAD, len(x) - 1)
    before, after = 2 * x[0] - x[n:0:-1], 2 * x[-1] - x[-2 : -n - 2 : -1]
    padded = np.concatenate([before, x, after])
    forth, _ = scipy.signal.sosfilt(sections, padded, axis=0, zi=rest * padded[0])
    back, _ = scipy.signal.sosfilt(sections, forth[::-1], axis=0, zi=rest * forth[-1])
    return np.asarray(back[::-1][n : n + len(x)])


def _envelope(x: Float64Array, rate: float) -> Float64Array:
    """Return the root mean square of (n, n_leads) over leads and a triangle of `ENVELOPE_S`."""
    width = round(ENVELOPE_S * rate) | 1
    power = scipy.ndimage.uniform_filter1d(np.einsum("ij,ij->i", x, x), width)
    return np.sqrt(np.maximum(scipy.ndimage.uniform_filter1d(power, width), 0.0))


def _level(envelope: Float64Array, rate: float) -> Float64Array:
    """Return how high beats usually are around each sample, before any is known."""
    n = max(1, round(len(envelope) / (LEVEL_BLOCK_S * rate)))
    edges = np.linspace(0, len(envelope), n + 1).astype(np.int64)
    highest = np.maximum.reduceat(envelope, edges[:-1])
    alive = highest > FLAT * highest.max()
    if not alive.any():
        return np.zeros(len(envelope))
    centres = 0.5 * (edges[1:] + edges[:-1])[alive]
    usual = _running_median(highest[alive], LEVEL_BLOCKS)
    return np.interp(np.arange(len(envelope)), centres, usual)


def _weigh_leads(
    band: Float64Array, largest: Float64Array, rate: float
) -> tuple[IntArray, Float64Array]:
    """Return the leads that are not flat, and the factor that gives each its weight.

    Leads are brought to one height of their beats, then weighted by the inverse of their power
    between beats.
    """
    usable: list[int] = []
    scale: list[float] = []
    for lead in range(band.shape[1]):
        envelope = _envelope(np.gradient(band[:, lead : lead + 1], axis=0), rate)
        beats = float(np.median(_level(envelope, rate)))
        if beats > FLAT * largest[lead]:
            usable.append(lead)
            if band.shape[1] == 1:
                return np.array(usable, dtype=np.int64), np.ones(1)
            between = float(np.median(envelope[envelope > FLAT * beats]))
            scale.append(beats / between**2)
    return np.array(usable, dtype=np.int64), np.array(scale) / max(scale, default=1.0)


def _running_median(values: Float64Array, width: int) -> Float64Array:
    width = min(width, len(values) // 2 * 2 + 1)
    return np.asarray(scipy.ndimage.median_filter(values, width, mode="reflect"))


def _shapes(band: Float64Array, index: IntArray, rate: float) -> FloatArray:
    """Return (n, n_lags, n_values) windows around points, of mean 0 a lead and length 1."""
    half, lag = round(SHAPE_S * rate), round(SHAPE_LAG_S * rate)
    padded = np.pad(band, ((half + lag, half + lag), (0, 0)), mode="edge").astype(np.float32)
    every = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    cut = every[index[:, None] + np.arange(2 * lag + 1)]
    cut = cut - cut.mean(axis=-1, keepdims=True)
    flat = cut.reshape(*cut.shape[:2], -1)
    length = np.sqrt(np.einsum("ijk,ijk->ij", flat, flat))
    return np.asarray(flat / np.maximum(length, np.finfo(np.float32).tiny)[..., None])


def _find_templates(shapes: FloatArray) -> list[FloatArray]:
    """Return the mean shape of each class of beats, found one after the other."""
    middle = shapes.shape[1] // 2
    fewest = max(3, CLASS_SHARE * len(shapes))
    left = shapes
    found: list[FloatArray] = []
    while len(found) < CLASSES and len(left) >= fewest:
        probe = left[np.linspace(0, len(left) - 1, min(64, len(left))).astype(np.int64)]
        alike = (probe @ probe[:, middle].T).max(axis=1) > ALIKE
        template = probe[np.argmax(alike.sum(axis=0)), middle]
        for _ in range(2):
            likeness = left @ template
            hit = likeness.max(axis=1) > ALIKE
            if hit.sum() < fewest:
                return found
            mean = left[hit, likeness[hit].argmax(axis=1)].mean(axis=0)
            template = mean / np.linalg.norm(mean)
        found.append(template)
        left = left[~hit]
    return found


def _choose(c: _Candidates, rough_level: Float64Array) -> tuple[BoolArray, list[FloatArray]]:
    """Choose the most plausible rhythm among the candidates; also return its common shapes."""
    templates: list[FloatArray] = []
    intervals = _intervals(c)
    chosen = _best_rhythm(c, _gain(c.strength / rough_level, THRESHOLD), intervals, None)
    for _ in range(PASSES):
        if chosen.sum() < 3:
            break
        beats = c.time[chosen]
        level = np.interp(c.time, beats, _running_median(c.strength[chosen], LEVEL_BEATS))
        level = np.clip(level, rough_level / LEVEL_TRUST, rough_level * LEVEL_TRUST)
        between = 0.5 * (beats[1:] + beats[:-1])
        rr = np.interp(c.time, between, _running_median(np.diff(beats), LEVEL_BEATS))
        ratio = c.strength / level
        gain = _gain(ratio, _noise_threshold(c.time, ratio, chosen))
        templates = _find_templates(c.shapes[chosen & (ratio > 0.5)])
        if templates:
            likeness = np.max([(c.shapes @ t).max(axis=1) for t in templates], axis=0)
            gain += SHAPE_GAIN * (likeness - SHAPE_MID)
        before, chosen = chosen, _best_rhythm(c, np.clip(gain, *GAIN_LIMITS), intervals, rr)
        if np.array_equal(chosen, before):
            break
    return chosen, templates


def _noise_threshold(time: Float64Array, ratio: Float64Array, chosen: BoolArray) -> Float64Array:
    """Return the threshold at each candidate: higher where candidates between beats are strong."""
    if (~chosen).sum() <= 3:
        return np.full(len(ratio), THRESHOLD)
    usual = np.minimum(_running_median(ratio[~chosen], NOISE_CANDIDATES), NOISE_MOST)
    noise = np.interp(time, time[~chosen], usual)
    return np.maximum(THRESHOLD, noise + NOISE_SHARE * (1 - noise))


def _gain(ratio: Float64Array, threshold: Float64Array | float) -> Float64Array:
    """Return what a candidate of this strength adds: octaves above the threshold, within limits."""
    return np.asarray(np.clip(np.log2(ratio / threshold), *GAIN_LIMITS))


@dataclass(frozen=True, eq=False)
class _Intervals:
    """What lies between each of n candidates and the k-th before it, (n, PREDECESSORS) each.

    Attributes:
        apart: Seconds.
        weaker: 0 where both are equally strong, up to 1 where one is far less.
        cost: Of taking both for beats, by that alone; infinite where that cannot be.
    """

    apart: Float64Array
    weaker: Float64Array
    cost: Float64Array


def _intervals(c: _Candidates) -> _Intervals:
    at = np.arange(len(c.time))[:, None]
    earlier = at - np.arange(1, PREDECESSORS + 1)
    there, earlier = earlier >= 0, np.maximum(earlier, 0)

    def contrast(values: Float64Array) -> Float64Array:
        one, other = values[:, None], values[earlier]
        return np.asarray(1 - np.minimum(one, other) / np.maximum(one, other))

    apart = c.time[:, None] - c.time[earlier]
    weaker = contrast(c.strength)
    near = np.clip((T_WAVE_S - apart) / (T_WAVE_S - REFRACTORY_S), 0, 1)
    cost = T_WAVE_COST * np.sqrt(near) * np.maximum(weaker, contrast(c.sharpness))
    cost[~there | (apart < REFRACTORY_S)] = np.inf
    return _Intervals(apart, weaker, cost)


def _interval_costs(between: _Intervals, rr: Float64Array | None) -> Float64Array:
    """Return (n, PREDECESSORS) what it costs that one candidate follows the k-th before it."""
    if rr is None:
        return between.cost
    relative = between.apart / rr[:, None]
    late = np.clip(LATE_COST * (relative - LATE_RR), 0, LATE_COST_MOST)
    early = EARLY_COST * np.clip(1 - relative / EARLY_RR, 0, 1) * between.weaker
    return between.cost + late + early


def _best_rhythm(
    c: _Candidates, gain: Float64Array, between: _Intervals, rr: Float64Array | None
) -> BoolArray:
    """Choose the candidates whose gains less the costs of their intervals sum up highest."""
    n = len(gain)
    total, before = [0.0] * n, [-1] * n
    gains, costs, time = gain.tolist(), _interval_costs(between, rr).tolist(), c.time.tolist()
    usual = [np.inf] * n if rr is None else rr.tolist()
    far = -1
    for i in range(n):
        best, at = 0.0, -1
        oldest = i - PREDECESSORS - 1
        if oldest >= 0 and total[oldest] > (total[far] if far >= 0 else 0.0):
            far = oldest
        if far >= 0:
            late = LATE_COST * ((time[i] - time[far]) / usual[i] - LATE_RR)
            value = total[far] - min(max(late, 0.0), LATE_COST_MOST)
            if value > best:
                best, at = value, far
        for j, cost in zip(range(i - 1, -1, -1), costs[i], strict=False):
            value = total[j] - cost
            if value > best:
                best, at = value, j
        total[i], before[i] = best + gains[i], at
    chosen = np.zeros(n, dtype=np.bool_)
    i = int(np.argmax(total))
    while i >= 0 and total[i] > 0:
        chosen[i] = True
        i = before[i]
    return chosen


def _classify(
    shapes: FloatArray, templates: list[FloatArray]
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return each beat's lag behind its class, its class (-1 for none) and its likeness to it."""
    n = len(shapes)
    if not templates or not n:
        return np.zeros(n, np.int64), np.full(n, -1), np.zeros(n, np.float32)
    likeness = np.stack([shapes @ t for t in templates], axis=2)
    best = likeness.max(axis=1)
    confidence = best.max(axis=1).clip(0, 1)
    kind = np.where(confidence > MARK_ALIKE, best.argmax(axis=1), -1)
    lag = likeness[np.arange(n), :, np.maximum(kind, 0)].argmax(axis=1) - shapes.shape[1] // 2
    lag[kind < 0] = 0
    return lag, kind, confidence


def _first_alive(slope: Float64Array, index: IntArray, rate: float) -> IntArray:
    """Return, for each beat, the first lead that shows it."""
    n_leads = slope.shape[1]
    if n_leads == 1:
        return np.zeros(len(index), dtype=np.int64)
    height = np.stack([_envelope(slope[:, k : k + 1], rate)[index] for k in range(n_leads)])
    alive = height > DEAD * np.quantile(height, 0.9, axis=1, keepdims=True)
    return np.asarray(alive.argmax(axis=0))


def _mark(
    lead: Float64Array, rate: float, centre: IntArray, kind: IntArray
) -> tuple[IntArray, Float64Array, BoolArray]:
    """Mark all beats of a class at the largest deflection of their median.

    Returns:
        (n,) sample numbers, (n,) the parabola's top less that, and whether the mark is of the
        recording's polarity.
    """
    fine = _band_pass(scipy.ndimage.uniform_filter1d(lead, round(MAINS_S * rate) | 1), rate)
    half = round(MARK_S * rate)
    offsets = np.arange(-half, half + 1)
    windows = fine[np.clip(centre[:, None] + offsets, 0, len(lead) - 1)]
    windows = windows * np.exp(-0.5 * (offsets / half) ** 2)
    sign, place = np.ones(len(centre)), np.zeros(len(centre), np.int64)
    polarity = 0
    sizes = np.bincount(kind[kind >= 0])
    for group in (kind == k for k in np.argsort(-sizes, kind="stable") if sizes[k]):
        median = np.median(windows[group][:300], axis=0)
        own, polarity = _own_polarity(median[None], polarity)
        sign[group], place[group] = own[0], np.argmax(own[0] * median)
    alone = kind < 0
    if alone.any():
        own, polarity = _own_polarity(windows[alone], polarity)
        sign[alone], place[alone] = own, np.argmax(own[:, None] * windows[alone], axis=1)
    reach = max(1, round(MARK_SEARCH_S * rate))
    start = centre + place - half
    around = start[:, None] + np.arange(-reach, reach + 1)
    top = (sign[:, None] * fine[np.clip(around, 0, len(lead) - 1)]).argmax(axis=1)
    samples = np.clip(start + top - reach, 1, len(lead) - 2)
    left, middle, right = (sign * fine[samples + k] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, -1.0), 0.0)
    return samples, np.clip(shift, -0.5, 0.5), sign == polarity


def _own_polarity(shapes: Float64Array, usual: int) -> tuple[IntArray, int]:
    """Return the side on which each shape is marked, and the recording's if it was still open."""
    up, down = shapes.max(axis=1), -shapes.min(axis=1)
    if usual == 0:
        usual = 1 if up.sum() >= down.sum() else -1
    same, other = (up, down) if usual > 0 else (down, up)
    return np.where(OTHER_POLARITY * same >= other, usual, -usual), usual
