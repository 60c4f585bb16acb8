"""Beats of a recording -> what tells a beat from the others of its recording.

Whether a beat is early, wide or upside down shows only beside the beats that its owner usually
has. So each recording is its own yardstick: its rhythm, the height of its beats, its usual beat. No
label is looked at, and nothing of another recording.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from core.beat_set import BeatSet
from core.models.identifier_input import Window
from core.recording import FloatArray, IntArray

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Columns = dict[str, npt.NDArray[np.floating]]

QRS_S = (-0.10, 0.14)
"""Where the QRS complex lies, wide ones too, in s from the R peak."""
PARTS_S = {
    "P": (-0.25, -0.08),
    "PR": (-0.20, -0.04),
    "early QRS": (-0.08, 0.0),
    "late QRS": (0.0, 0.10),
    "ST": (0.10, 0.20),
    "T": (0.20, 0.45),
}
"""Parts of a beat that are compared one by one, in s from the R peak."""
POINTS = 17
"""Places at which beat and difference are read as they are."""
PLAUSIBLE_RR_S = (0.15, 3.0)
"""RR intervals outside are taken for missed or false peaks, in s."""
NEIGHBOURS, WIDE = 10, 30
"""Beats on either side that make the local rhythm, and the wider one: a run of premature beats is
local, but does not fill a minute."""
EARLY = -0.1
"""Logarithm of RR before over the local median, below which a beat is premature."""
ALIKE, MUCH_ALIKE = 0.9, 0.97
"""Correlation of beats of one kind, and of beats that are hardly to be told apart."""
USUAL_AROUND = 15
"""Beats on either side whose mean is the usual beat here: its form drifts."""
USUAL_WEIGHT = 5.0
"""Beats that the recording's usual beat counts for in it."""
AROUND = 15
"""Beats on either side by whose spread a beat is early or not, and its P wave like theirs or not:
where the rhythm is irregular, an early beat means less."""
LEAST_SPREAD = 0.03
"""Added to the spread of the logarithms of RR, which may be 0."""
AROUND_OF = (
    "P fit",
    "P difference",
    "PR fit",
    "PR difference",
    "QRS fit",
)
"""How far a beat is like the usual one, which is looked at beside its neighbours'."""
LIKE_ME = 12
"""Beats of the same form whose rhythm is looked at."""
MOST_TYPICAL, MOST_REFERENCES, CHUNK = 400, 1500, 4096


@dataclass(frozen=True, eq=False)
class Context:
    """What is known of n beats beside those of their recordings.

    Attributes:
        names: Name of each feature.
        features: (n, n_features) float32, 0 where unknown.
        shape: (n, n_samples, n_leads) beats over the height of their recording's usual beat.
        difference: The same, less the usual beat.
    """

    names: tuple[str, ...]
    features: FloatArray
    shape: FloatArray
    difference: FloatArray


def context_codes(beats: BeatSet) -> IntArray:
    """Return (n,) a number for the beats among which each is seen: those of its recording.

    Beats without a recording, such as generated ones, are seen among those of their subject.
    """
    owner = np.char.add(np.char.add(beats.subject.astype(np.str_), "\0"), beats.record)
    named = np.where(beats.recording != "", beats.recording, owner)
    return np.unique(named, return_inverse=True)[1].astype(np.int64)


def beat_context(beats: BeatSet) -> Context:
    """Return the context of every beat; at least one beat, in order of time in each recording."""
    codes = context_codes(beats)
    times = Window(beats.before_s, beats.sampling_rate).times(beats.signals.shape[1])
    shape, difference = np.empty_like(beats.signals), np.empty_like(beats.signals)
    features: FloatArray | None = None
    names: tuple[str, ...] = ()
    for code in np.unique(codes):
        mine = np.flatnonzero(codes == code)
        rhythm = _rhythm(beats.rr_before[mine], beats.rr_after[mine])
        level = beats.signals[mine] - np.median(beats.signals[mine], axis=1, keepdims=True)
        early = np.nan_to_num(rhythm["before / local"]) < EARLY
        usual, height, member = _usual_beats(level, early, times)
        rhythm["share early"] = np.full(len(mine), early.mean())
        rhythm["share usual"] = np.full(len(mine), member.mean())
        form = _form(level, usual, height, times, beats.sampling_rate)
        shape[mine] = level / height
        difference[mine] = (level - usual) / height
        columns = rhythm | form
        columns |= _beside_neighbours(columns)
        columns |= _alike(level, columns)
        columns |= _points(shape[mine], difference[mine], times)
        if features is None:
            names = tuple(columns)
            features = np.empty((len(beats), len(names)), np.float32)
        features[mine] = np.stack([columns[name] for name in names], axis=1)
    assert features is not None
    known = np.nan_to_num(features, nan=0.0, posinf=5.0, neginf=-9.0)
    return Context(names, np.clip(known, -30, 30), shape, difference)


def _rhythm(rr_before: FloatArray, rr_after: FloatArray) -> Columns:
    """Return how early a beat comes, by the local rhythm and the recording's, and how regular.

    Most are logarithms of ratios, so that a heart rate does not name a recording; NaN if unknown.
    """
    low, high = PLAUSIBLE_RR_S
    before, after = (
        np.where((rr > low) & (rr < high), rr, np.nan).astype(np.float64)
        for rr in (rr_before, rr_after)
    )
    usual = _quiet(lambda: np.asarray(np.nanmedian(before)))
    local = _around(before, np.nanmedian)
    local = np.where(np.isfinite(local), local, usual)
    wide = _around(before, np.nanmedian, WIDE)
    wide = np.where(np.isfinite(wide), wide, usual)
    early_by_wide = np.log(before / wide)
    last = _moved(before, 1)
    early = np.log(before / local)
    jump = np.log(before / last)
    irregular = np.abs(early)
    return {
        "before / local": early,
        "after / local": np.log(after / local),
        "before / usual": np.log(before / usual),
        "after / usual": np.log(after / usual),
        "before / wide": early_by_wide,
        "last / wide": _moved(early_by_wide, 1),
        "next / wide": _moved(early_by_wide, -1),
        "after / wide": np.log(after / wide),
        "local / usual": np.log(local / usual),
        "before / last": jump,
        "after / before": np.log(after / before),
        "last / local": np.log(last / local),
        "one before last / local": np.log(_moved(before, 2) / local),
        "next / local": np.log(_moved(after, -1) / local),
        "one after next / local": np.log(_moved(after, -2) / local),
        "pause made up": np.log((before + after) / (2 * local)),
        "irregular here": _around(irregular, np.nanmedian),
        "irregular here, mean": _around(irregular, np.nanmean),
        "jumps here": _around(np.abs(jump), np.nanmedian),
        "irregular": np.full(len(before), _quiet(lambda: np.asarray(np.nanmedian(irregular)))),
        "early / irregular": early / (_around(irregular, np.nanmedian) + 0.02),
        "local": local,
        "before": before,
        "rank here": _around(before, lambda w, axis: np.nanmean(w < w[:, [NEIGHBOURS]], axis=axis)),
        "rank": np.argsort(np.argsort(before)) / max(1, len(before)),
    }


def _beside_neighbours(columns: Columns) -> Columns:
    """Return how early a beat is for the spread around it, and its form beside its neighbours'."""
    early = np.asarray(columns["before / local"], np.float64)
    wide = np.asarray(columns["before / wide"], np.float64)
    earliest, latest = _around_quantiles(early, (0.1, 0.9), AROUND)
    found: Columns = {
        "early / spread": early / (_around(early, np.nanstd, AROUND) + LEAST_SPREAD),
        "early / wide spread": wide / (_around(wide, np.nanstd, WIDE) + LEAST_SPREAD),
        "early beside earliest": early - earliest,
        "pause beside longest": columns["after / local"] - latest,
        "rank wide": _around(
            np.asarray(columns["before"], np.float64),
            lambda w, axis: np.nanmean(w < w[:, [WIDE]], axis=axis),
            WIDE,
        ),
        "jumps wide": _around(
            (np.abs(columns["before / last"]) > -EARLY).astype(np.float64), np.nanmean, WIDE
        ),
    }
    middle, high = _around_quantiles(np.abs(wide), (0.5, 0.75), WIDE)
    found |= {"irregular wide": middle, "irregular wide, high": high}
    for name in AROUND_OF:
        if name in columns:
            own = np.asarray(columns[name], np.float64)
            theirs = _around(own, np.nanmedian, AROUND)
            found |= {f"{name} around": theirs, f"{name} beside": own - theirs}
    return found


def _around_quantiles(values: Array, levels: tuple[float, float], reach: int) -> list[Array]:
    """Return two quantiles of each value and its neighbours, NaN where none is known."""
    return [
        _around(values, partial(np.nanquantile, q=level), reach)  # type: ignore[arg-type]
        for level in levels
    ]


def _usual_beats(
    level: FloatArray, early: BoolArray, times: Array
) -> tuple[FloatArray, np.float32, BoolArray]:
    """Return the usual beat around each beat (itself left out), its height, and who is usual.

    The usual kind is the largest one among beats that are not premature, though many be so.
    """
    n = len(level)
    qrs = (times >= QRS_S[0]) & (times <= QRS_S[1])
    complexes = level[:, qrs]
    on_time = np.flatnonzero(~early)
    some = _thinned(on_time if len(on_time) else np.arange(n), MOST_TYPICAL)
    rows = _unit(complexes[some])
    similar = rows @ rows.T
    kind = some[similar[np.argmax((similar > ALIKE).sum(axis=1))] > ALIKE]
    usual = level[kind if len(kind) else some].mean(axis=0)
    for _ in range(2):
        fit = _correlation(complexes, usual[qrs][None])
        members = np.flatnonzero(fit > ALIKE)
        if len(members) < 3:
            members = np.argsort(-fit)[:3]
        usual = np.median(level[_thinned(members, MOST_TYPICAL)], axis=0)
    member = (_correlation(complexes, usual[qrs][None]) > ALIKE) & ~early
    own = level * member[:, None, None]
    total = np.concatenate([np.zeros((1, *level.shape[1:])), np.cumsum(own, axis=0, dtype=float)])
    count = np.concatenate([[0], np.cumsum(member)])
    first = np.maximum(0, np.arange(n) - USUAL_AROUND)
    last = np.minimum(n, np.arange(n) + USUAL_AROUND + 1)
    around = total[last] - total[first] - own + USUAL_WEIGHT * usual
    weight = count[last] - count[first] - member + USUAL_WEIGHT
    height = np.float32(np.ptp(usual[qrs], axis=0).max() + 1e-6)
    return (around / weight[:, None, None]).astype(np.float32), height, member


def _form(
    level: FloatArray, usual: FloatArray, height: np.float32, times: Array, sampling_rate: float
) -> Columns:
    """Return how a beat differs from the usual one, part by part, all leads together."""
    qrs = (times >= QRS_S[0]) & (times <= QRS_S[1])
    difference = (level - usual) / height
    found: Columns = {
        "fit": _correlation(level, usual),
        "QRS fit": _correlation(level[:, qrs], usual[:, qrs]),
        "difference": np.log(1e-4 + (difference**2).mean(axis=(1, 2))),
    }
    for name, (begin, end) in PARTS_S.items():
        part = (times >= begin) & (times < end)
        if part.sum() < 2:
            continue
        found[f"{name} difference"] = np.log(1e-4 + (difference[:, part] ** 2).mean(axis=(1, 2)))
        found[f"{name} level"] = difference[:, part].mean(axis=(1, 2))
        if "QRS" not in name:
            found[f"{name} fit"] = _correlation(level[:, part], usual[:, part])
    own, theirs = level[:, qrs], usual[:, qrs]
    extent = np.ptp(own, axis=1).max(axis=1)
    found["height"] = np.log(extent / height + 1e-3)
    for name, pick in (("top", np.max), ("bottom", np.min)):
        found[name] = pick(own, axis=(1, 2)) / height
        found[f"{name} difference"] = (pick(own, axis=(1, 2)) - pick(theirs, axis=(1, 2))) / height
    width, steep, slope = widths(level, times, sampling_rate)
    usual_width, usual_steep, usual_slope = widths(usual, times, sampling_rate)
    area = np.abs(own).mean(axis=(1, 2))
    p_wave = (times >= -0.25) & (times < -0.06)
    found |= {
        "width": width,
        "width difference": width - usual_width,
        "steep": steep,
        "steep difference": steep - usual_steep,
        "slope": np.log(slope / np.maximum(usual_slope, 1e-9) + 1e-3),
        "area": np.log(area / (np.abs(theirs).mean(axis=(1, 2)) + 1e-6) + 1e-3),
        "area / height": area / np.maximum(extent, 1e-6),
        "usual area": np.abs(theirs).mean(axis=(1, 2)) / height,
    }
    if p_wave.any():
        size = np.ptp(level[:, p_wave], axis=1).max(axis=1) / height
        usual_size = np.ptp(usual[:, p_wave], axis=1).max(axis=1) / height
        found |= {"P height": size, "P height difference": size - usual_size}
    for name in ("QRS fit", "difference"):
        found[f"last {name}"] = _moved(found[name], 1)
        found[f"next {name}"] = _moved(found[name], -1)
    return found


def _alike(level: FloatArray, columns: Columns) -> Columns:
    """Return how many beats of the recording look alike, and whether those are early."""
    rows = _unit(level)
    references = _thinned(np.arange(len(rows)), MOST_REFERENCES)
    size = min(LIKE_ME, len(references) - 1)
    asked = ("before / local", "after / local", "pause made up", "before / last")
    names = ("many alike", "many much alike", "most alike", *(f"alike: {name}" for name in asked))
    found: Columns = {name: np.full(len(rows), np.nan) for name in names}
    if size < 1:
        return found
    for begin in range(0, len(rows), CHUNK):
        part = slice(begin, begin + CHUNK)
        similar = rows[part] @ rows[references].T
        similar[np.arange(begin, begin + len(similar))[:, None] == references] = -1
        nearest = np.argpartition(-similar, size - 1, axis=1)[:, :size]
        found["many alike"][part] = (similar > ALIKE).mean(axis=1)
        found["many much alike"][part] = (similar > MUCH_ALIKE).mean(axis=1)
        found["most alike"][part] = np.take_along_axis(similar, nearest, axis=1).mean(axis=1)
        for name in asked:
            theirs = columns[name][references][nearest]
            found[f"alike: {name}"][part] = _mean_of_known(theirs)
    return found


def _points(shape: FloatArray, difference: FloatArray, times: Array) -> Columns:
    """Return beat and difference at places evenly spread, the mean of 20 ms each."""
    found: Columns = {}
    for at in np.linspace(times[0] + 0.03, times[-1] - 0.03, POINTS):
        near = np.abs(times - at) <= max(0.01, np.abs(times - at).min() + 1e-9)
        for lead in range(shape.shape[2]):
            found[f"lead {lead} at {at:+.2f} s"] = shape[:, near, lead].mean(axis=1)
            found[f"lead {lead} difference at {at:+.2f} s"] = difference[:, near, lead].mean(axis=1)
    return found


def widths(beats: FloatArray, times: Array, rate: float) -> tuple[Array, Array, Array]:
    """Return first to last slope and steep slope around R, in s, and the steepest slope.

    Args:
        beats: (n, n_samples, n_leads).
        times: (n_samples,) in s from the R peak.
        rate: Sampling rate in Hz.
    """
    near = (times > -0.15) & (times < 0.20)
    slope = np.abs(np.gradient(beats, axis=1)).sum(axis=2)[:, near]
    steepest = slope.max(axis=1, keepdims=True)
    moving = slope > 0.15 * steepest
    last = moving.shape[1] - 1 - moving[:, ::-1].argmax(axis=1)
    width = (last - moving.argmax(axis=1)) / rate
    return width, (slope > 0.3 * steepest).sum(axis=1) / rate, steepest[:, 0]


def _around(values: Array, figure: Callable[..., Array], reach: int = NEIGHBOURS) -> Array:
    """Return a figure of each value and its neighbours, NaN where none is known."""
    padded = np.pad(values, reach, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return _quiet(lambda: figure(windows, axis=1))


def _moved(values: npt.NDArray[np.floating], by: int) -> Array:
    """Return the value `by` places before each (after, if negative); NaN beyond the ends."""
    moved = np.full(len(values), np.nan)
    if by > 0:
        moved[by:] = values[:-by]
    else:
        moved[:by] = values[-by:]
    return moved


def _thinned(rows: IntArray, most: int) -> IntArray:
    """Return at most so many of the rows, evenly spread."""
    return rows[:: max(1, -(-len(rows) // most))]


def _unit(beats: FloatArray) -> FloatArray:
    """Return beats as rows of mean 0 and length 1."""
    rows = beats.reshape(len(beats), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))


def _correlation(one: FloatArray, other: FloatArray) -> Array:
    """Return (n,) the correlation of each beat with its counterpart, all leads together."""
    return np.asarray((_unit(one) * _unit(other)).sum(axis=1))


def _mean_of_known(rows: npt.NDArray[np.floating]) -> Array:
    """Return the mean of each row, NaN where nothing in it is known."""
    return _quiet(lambda: np.asarray(np.nanmean(rows, axis=1)))


def _quiet(figure: Callable[[], Array]) -> Array:
    """Return a figure of which nothing may be known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return figure()
