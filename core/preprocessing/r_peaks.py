"""ECG signal, raw or clean, at its own rate -> its R peaks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy import signal as sps

from core.recording import FloatArray, IntArray

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

SHORTEST_S = 1.0
WORKING_RATE_HZ = 120.0
BAND_HZ = (3.0, 20.0)
MAINS_S = 0.018
ENVELOPE_S = 0.08
LEVEL_BLOCK_S = 2.0
LEVEL_BLOCKS = 9
LEVEL_BEATS = 15
FLAT = 1e-6
CANDIDATE = 0.12
THRESHOLD = 0.35
NOISE_CANDIDATES = 41
NOISE_SHARE = 0.3
GAIN_LIMITS = (-3.0, 1.5)
ARTEFACT = 6.0

REFRACTORY_S = 0.2
T_WAVE_S = 0.38
T_WAVE_COST = 3.0
EARLY_RR = 0.65
EARLY_COST = 3.0
LATE_RR = 1.5
LATE_COST = 1.5
LATE_COST_MOST = 2.5
PREDECESSORS = 6

WINDOW_S = 0.12
LAG_S = 0.04
ALIKE = 0.8
CLASSES = 4
CLASS_SHARE = 0.01
SHAPE_MID = 0.7
SHAPE_GAIN = 1.5
SHAPE_MOST = 0.75
P_WAVE_S = 0.3
SATELLITE_SHARE = 0.6
SATELLITE_SHARPNESS = 1.6
SATELLITE_COST = 2.0
PASSES = 2

MARK_WINDOW_S = 0.1
MARK_ALIKE = 0.7
MARK_SEARCH_S = 0.02
OTHER_POLARITY = 1.5
APART_S = 0.12


@dataclass(frozen=True, eq=False)
class RPeaks:
    """R peaks of one recording.

    Attributes:
        samples: (n,) sample numbers at the signal's own rate, ascending, unique.
        positions: (n,) float64 the same at sub-sample precision.
        polarity: (n_leads,) +1 or -1: the sign of the marked deflection in each lead.
        confidence: (n,) 0 to 1: how alike each beat is to the recording's common shapes.
    """

    samples: IntArray
    positions: Float64Array
    polarity: IntArray
    confidence: FloatArray


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Points that may be beats, at the working rate."""

    index: IntArray
    time: Float64Array
    strength: Float64Array
    sharpness: Float64Array
    shapes: FloatArray


def detect_r_peaks(signal: FloatArray, sampling_rate: float) -> RPeaks:
    """Find the R peaks of a recording.

    Args:
        signal: (n_samples,) or (n_samples, n_leads), raw or clean, any unit, NaN where missing.
        sampling_rate: In Hz.
    """
    x = np.asarray(signal, dtype=np.float64)
    x = x.reshape(len(x), -1)
    polarity = np.ones(x.shape[1], np.int64)
    nothing = RPeaks(
        np.empty(0, np.int64), np.empty(0), polarity, np.empty(0, dtype=np.float32)
    )
    if len(x) < SHORTEST_S * sampling_rate:
        return nothing
    x, known = _fill_gaps(x)
    step = max(1, int(sampling_rate // WORKING_RATE_HZ))
    rate = sampling_rate / step
    coarse = x[: len(x) // step * step].reshape(-1, step, x.shape[1]).mean(axis=1)
    band = _band_pass(coarse, rate)
    slope = np.gradient(band, axis=0)
    envelopes = _envelope(slope, rate)
    levels = [_level(envelopes[:, lead], rate) for lead in range(x.shape[1])]
    usable = [
        lead
        for lead, level in enumerate(levels)
        if np.median(level) > FLAT * np.abs(x[:, lead]).max()
    ]
    if not usable:
        return nothing
    scaled = np.stack([_weight(envelopes[:, c]) / np.median(levels[c]) for c in usable])
    scaled /= scaled.max() if len(usable) > 1 else 1.0
    band = band[:, usable] * scaled
    if len(usable) == 1:
        envelope, level = envelopes[:, usable[0]] * scaled[0], levels[usable[0]] * scaled[0]
    else:
        envelope = np.sqrt(((envelopes[:, usable] * scaled) ** 2).sum(axis=1))
        level = _level(envelope, rate)
    sharp = _envelope(np.gradient(slope[:, usable] * scaled, axis=0), rate)
    sharp = np.sqrt((sharp**2).sum(axis=1))
    index = sps.argrelmax(envelope)[0]
    index = index[envelope[index] > CANDIDATE * level[index]]
    if known is not None:
        index = index[known[index * step + step // 2]]
    if not len(index):
        return nothing
    candidates = _Candidates(
        index=index,
        time=index / rate,
        strength=envelope[index],
        sharpness=sharp[index],
        shapes=_shapes(band, index, rate),
    )
    chosen, templates = _choose(candidates, level[index])
    if not chosen.any():
        return nothing
    return _mark(x, sampling_rate, usable, candidates, chosen, templates, step, known)


def _fill_gaps(x: Float64Array) -> tuple[Float64Array, BoolArray | None]:
    """Bridge missing samples by straight lines; also return where any lead is known."""
    finite = np.isfinite(x)
    if finite.all():
        return x, None
    x = x.copy()
    at = np.arange(len(x))
    for lead in range(x.shape[1]):
        good = finite[:, lead]
        x[:, lead] = np.interp(at, at[good], x[good, lead]) if good.any() else 0.0
    return x, finite.any(axis=1)


@lru_cache(maxsize=32)
def _sections(rate: float) -> Float64Array:
    return np.asarray(sps.butter(2, BAND_HZ, "bandpass", fs=rate, output="sos"))


def _band_pass(x: Float64Array, rate: float) -> Float64Array:
    """Keep what QRS complexes are made of, wide ones too; no lag."""
    return np.asarray(sps.sosfiltfilt(_sections(rate), x, axis=0))


def _envelope(x: Float64Array, rate: float) -> Float64Array:
    """Root of the mean square in a triangle about twice `ENVELOPE_S` long."""
    width = round(ENVELOPE_S * rate) | 1
    once = ndimage.uniform_filter1d(x * x, width, axis=0)
    return np.sqrt(np.maximum(ndimage.uniform_filter1d(once, width, axis=0), 0.0))


def _level(envelope: Float64Array, rate: float) -> Float64Array:
    """Return the usual height of a beat's peak around each sample, before any beat is known."""
    n = max(1, round(len(envelope) / (LEVEL_BLOCK_S * rate)))
    edges = np.linspace(0, len(envelope), n + 1).astype(np.int64)
    highest = np.maximum.reduceat(envelope, edges[:-1])
    alive = highest > FLAT * highest.max()
    centres = 0.5 * (edges[1:] + edges[:-1])
    if not alive.any():
        return np.zeros(len(envelope))
    usual = ndimage.median_filter(highest[alive], LEVEL_BLOCKS, mode="reflect")
    return np.interp(np.arange(len(envelope)), centres[alive], usual)


def _weight(envelope: Float64Array) -> float:
    """Return how far a lead's beats stand out of what lies between them."""
    return float(np.percentile(envelope, 95) / max(np.median(envelope), 1e-300))


def _running_median(values: Float64Array, width: int) -> Float64Array:
    return np.asarray(
        ndimage.median_filter(values, min(width, len(values) // 2 * 2 + 1), mode="reflect")
    )


def _shapes(band: Float64Array, index: IntArray, rate: float) -> FloatArray:
    """Return (n, n_lags, n_values) windows around points, each of mean 0 and length 1."""
    half, lag = round(WINDOW_S * rate), round(LAG_S * rate)
    padded = np.pad(band, ((half + lag, half + lag), (0, 0)), mode="edge").astype(np.float32)
    every = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    cut = every[index[:, None] + np.arange(2 * lag + 1)]
    cut = cut - cut.mean(axis=-1, keepdims=True)
    flat = cut.reshape(*cut.shape[:2], -1)
    length = np.sqrt(np.einsum("ijk,ijk->ij", flat, flat))
    return np.asarray(flat / np.maximum(length, 1e-20)[..., None])


def _templates(shapes: FloatArray) -> list[FloatArray]:
    """Return the mean shape of each class of beats, largest class first."""
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
            best = likeness.argmax(axis=1)
            hit = likeness.max(axis=1) > ALIKE
            if hit.sum() < fewest:
                return found
            mean = left[hit, best[hit]].mean(axis=0)
            template = mean / np.linalg.norm(mean)
        found.append(template)
        left = left[~hit]
    return found


def _satellites(c: _Candidates, kind: IntArray, n_kinds: int) -> BoolArray:
    """Tell which classes are P or T waves: most of them lie beside a sharper beat."""
    beside = np.zeros(len(kind), dtype=np.bool_)
    for away in (-2, -1, 1, 2):
        other = np.clip(np.arange(len(kind)) + away, 0, len(kind) - 1)
        apart = c.time[other] - c.time
        near = (apart < P_WAVE_S) & (apart > -T_WAVE_S) & (apart != 0)
        beside |= near & (c.sharpness[other] > SATELLITE_SHARPNESS * c.sharpness)
    members = [kind == k for k in range(n_kinds)]
    return np.array([m.any() and beside[m].mean() > SATELLITE_SHARE for m in members])


def _choose(c: _Candidates, level: Float64Array) -> tuple[BoolArray, list[FloatArray]]:
    """Choose the most plausible rhythm among the candidates, refined by what it shows."""
    templates: list[FloatArray] = []
    chosen = _best_rhythm(c, _gain(c.strength / level), None)
    for _ in range(PASSES):
        if chosen.sum() < 3:
            break
        beats = c.time[chosen]
        level = np.interp(c.time, beats, _running_median(c.strength[chosen], LEVEL_BEATS))
        rr = np.interp(
            c.time,
            0.5 * (beats[1:] + beats[:-1]),
            _running_median(np.diff(beats), LEVEL_BEATS),
        )
        ratio = c.strength / level
        threshold = np.full(len(ratio), THRESHOLD)
        if (~chosen).sum() > 3:
            noise = _running_median(ratio[~chosen], NOISE_CANDIDATES)
            noise = np.interp(c.time, c.time[~chosen], noise)
            threshold = np.maximum(threshold, noise + NOISE_SHARE * (1 - noise))
        gain = _gain(ratio, threshold)
        templates = _templates(c.shapes[chosen & (ratio > 0.5)])
        if templates:
            likeness = np.stack([(c.shapes @ t).max(axis=1) for t in templates], axis=1)
            kind = np.where(likeness.max(axis=1) > ALIKE, likeness.argmax(axis=1), -1)
            at = np.flatnonzero(chosen)
            sub = _Candidates(
                c.index[at], c.time[at], c.strength[at], c.sharpness[at], c.shapes[:0]
            )
            wave = _satellites(sub, kind[at], len(templates))
            if wave.all():
                wave[:] = False
            beat_like = likeness[:, ~wave].max(axis=1)
            gain = gain + SHAPE_GAIN * np.maximum(beat_like - SHAPE_MID, -SHAPE_MOST)
            if wave.any():
                wave_like = likeness[:, wave].max(axis=1)
                gain -= SATELLITE_COST * (wave_like > np.maximum(beat_like, ALIKE))
            gain = np.clip(gain, *GAIN_LIMITS)
            templates = [t for t, w in zip(templates, wave, strict=True) if not w]
        chosen = _best_rhythm(c, gain, rr)
    return chosen, templates


def _gain(ratio: Float64Array, threshold: Float64Array | float = THRESHOLD) -> Float64Array:
    gain = np.log2(np.maximum(ratio, 1e-9) / threshold)
    gain = np.clip(gain, *GAIN_LIMITS)
    return np.asarray(gain - 2 * np.log2(np.maximum(ratio, ARTEFACT) / ARTEFACT))


def _contrast(values: Float64Array, k: int) -> Float64Array:
    """Return 0 where values `k` places apart are equal, up to 1 where one of them is far less."""
    later, earlier = values[k:], values[:-k]
    return np.asarray(1 - np.minimum(later, earlier) / np.maximum(later, earlier))


def _best_rhythm(c: _Candidates, gain: Float64Array, rr: Float64Array | None) -> BoolArray:
    """Choose the candidates whose gains less the costs of their intervals are highest."""
    n = len(gain)
    cost = np.full((n, PREDECESSORS), np.inf)
    for k in range(1, min(PREDECESSORS, n - 1) + 1):
        apart = c.time[k:] - c.time[:-k]
        weak = _contrast(c.strength, k)
        blunt = np.maximum(weak, _contrast(c.sharpness, k))
        near = np.clip((T_WAVE_S - apart) / (T_WAVE_S - REFRACTORY_S), 0, 1)
        one = T_WAVE_COST * np.sqrt(near) * blunt
        if rr is not None:
            relative = apart / rr[k:]
            one += np.minimum(LATE_COST * np.maximum(relative - LATE_RR, 0), LATE_COST_MOST)
            one += EARLY_COST * np.clip(1 - relative / EARLY_RR, 0, 1) * weak
        one[apart < REFRACTORY_S] = np.inf
        cost[k:, k - 1] = one
    total = [0.0] * n
    before = [-1] * n
    far, far_at = 0.0, -1
    gains, costs, time = gain.tolist(), cost.tolist(), c.time.tolist()
    usual = [np.inf] * n if rr is None else rr.tolist()
    for i in range(n):
        best, at = 0.0, -1
        if i > PREDECESSORS:
            if total[i - PREDECESSORS - 1] > far:
                far_at = i - PREDECESSORS - 1
                far = total[far_at]
            late = (time[i] - time[far_at]) / usual[i] - LATE_RR
            best, at = far - min(max(LATE_COST * late, 0.0), LATE_COST_MOST), far_at
        for j, one_cost in zip(range(i - 1, -1, -1), costs[i], strict=False):
            value = total[j] - one_cost
            if value > best:
                best, at = value, j
        total[i], before[i] = best + gains[i], at
    chosen = np.zeros(n, dtype=np.bool_)
    i = int(np.argmax(total))
    while i >= 0 and total[i] > 0:
        chosen[i] = True
        i = before[i]
    return chosen


def _mark(
    x: Float64Array,
    rate: float,
    usable: list[int],
    c: _Candidates,
    chosen: BoolArray,
    templates: list[FloatArray],
    step: int,
    known: BoolArray | None,
) -> RPeaks:
    """Mark every beat of a class at the same feature, at the signal's own rate."""
    shapes = c.shapes[chosen]
    n = len(shapes)
    middle = shapes.shape[1] // 2
    kind, lag, confidence = np.full(n, -1), np.zeros(n, np.int64), np.zeros(n, np.float32)
    if templates:
        likeness = np.stack([shapes @ t for t in templates], axis=2)
        best = likeness.max(axis=1)
        confidence = best.max(axis=1).clip(0, 1)
        kind = np.where(confidence > MARK_ALIKE, best.argmax(axis=1), -1)
        lag = likeness[np.arange(n), :, np.maximum(kind, 0)].argmax(axis=1) - middle
        lag[kind < 0] = 0
    centre = (c.index[chosen] + lag) * step + step // 2
    lead = x[:, usable[0]]
    fine = _band_pass(ndimage.uniform_filter1d(lead, round(MAINS_S * rate) | 1), rate)
    half, reach = round(MARK_WINDOW_S * rate), round(MARK_SEARCH_S * rate)
    offsets = np.arange(-half, half + 1)
    windows = fine[np.clip(centre[:, None] + offsets, 0, len(x) - 1)]
    windows = windows * np.exp(-0.5 * (offsets / half) ** 2)
    sign, place = np.ones(n), np.zeros(n, np.int64)
    polarity = 0
    sizes = np.bincount(kind[kind >= 0], minlength=len(templates))
    groups = [kind == k for k in np.argsort(-sizes, kind="stable") if sizes[k]]
    for group in groups:
        mean = np.median(windows[group][:300], axis=0)
        own, polarity = _own_polarity(mean[None], polarity)
        sign[group], place[group] = own[0], np.argmax(own[0] * mean)
    rest = kind < 0
    if rest.any():
        own, polarity = _own_polarity(windows[rest], polarity)
        sign[rest], place[rest] = own, np.argmax(own[:, None] * windows[rest], axis=1)
    start = centre + place - half
    near = np.arange(-reach, reach + 1)
    around = sign[:, None] * fine[np.clip(start[:, None] + near, 0, len(x) - 1)]
    samples = np.clip(start + around.argmax(axis=1) - reach, 1, len(x) - 2)
    order = np.argsort(samples, kind="stable")
    order = order[np.diff(samples[order], prepend=-len(x)) > APART_S * rate]
    if known is not None:
        order = order[known[samples[order]]]
    samples, sign, confidence = samples[order], sign[order], confidence[order]
    left, top, right = (sign * fine[samples + k] for k in (-1, 0, 1))
    bend = left - 2 * top + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, -1.0), 0.0)
    polarities = np.ones(x.shape[1], np.int64)
    polarities[:] = polarity
    return RPeaks(samples, samples + np.clip(shift, -0.5, 0.5), polarities, confidence)


def _own_polarity(shapes: Float64Array, usual: int) -> tuple[IntArray, int]:
    """Return the sign of each shape's main deflection: the usual one unless far smaller."""
    up, down = shapes.max(axis=1), -shapes.min(axis=1)
    if usual == 0:
        usual = 1 if up.sum() >= down.sum() else -1
    same, other = (up, down) if usual > 0 else (down, up)
    return np.where(OTHER_POLARITY * same >= other, usual, -usual), usual
