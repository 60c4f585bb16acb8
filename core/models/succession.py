"""Beats of recordings in order -> how they go on from one to the next -> drawn beats in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.beat_set import BeatSet
from core.models.identifier_input import Window
from core.recording import FloatArray, IntArray, StrArray
from core.rhythm import plausible

Array = npt.NDArray[np.float64]

TRAITS = ("level", "height of QRS", "height of T", "height of P")
QRS_S, T_S, P_S = (-0.06, 0.06), (0.1, 0.42), (-0.21, -0.06)
"""Where the heights are measured, in s from the R peak."""
MEMORY = 2
"""Beats before that a trait is told from."""
RR_LAGS = (-1, 0, 1, 2)
"""Intervals that traits go with: that after the beat, that before it, and two more."""
LEAST_STEPS = 200
"""Beats with all that they are told from, below which nothing is known of how they go on."""
LEAST_BEATS = 8
"""Of one recording and label, to have a mean and a spread."""
PERSON_STEPS = 30.0
"""Beats at which a person's own breathing counts as much as everybody's."""
MOST_EXPLAINED = 0.8
"""Of a trait's variance: no more is taken to follow RR."""
POOL = 24
"""Beats drawn for each that is needed: one that fits is then at hand."""
BLOCK = 100
"""Beats of a row that are chosen at once: bounds time and memory."""
SETTLE = 30
"""Beats after which a row has forgotten its beginning."""
TRIALS = 5
"""Draws by which the weights' bias is measured."""
MOST_MEMORY = 0.95
"""Of what a beat is, this much is in the next at most."""
USUAL_SHARE = 0.75
"""Of a recording's beats: these are surely not spoilt."""
MEDIAN_DEVIATION = 0.6745
"""Of normal numbers: the median of their magnitude."""
TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Succession:
    """Which beats of a request are of one recording and day.

    Attributes:
        recording: (n,) the recording that each beat is drawn as one of.
        row: (n,) number of the row that each beat stands in; all beats of a row lie on one day.
        kinds: ``main``: only the most common kind of beat of a recording; ``all``: as they come.
    """

    recording: StrArray
    row: IntArray
    kinds: Literal["main", "all"] = "all"


@dataclass(frozen=True, eq=False)
class Course:
    """How traits of beats go on: ``x[t] = sum(own[j] @ x[t - 1 - j]) + with_rr @ rr + new``.

    Breathing moves the heart's axis and the baseline as it moves RR, in each person in another
    direction; so what goes with RR is each person's own, shrunk to everybody's.

    Attributes:
        own: (`MEMORY`, q, q) of the traits of the beats before.
        new: (q, q) Cholesky factor of what is new in each beat, if RR explains nothing.
        with_rr: For each person (q, n `RR_LAGS`); under "" everybody's.
        explained: For each person (q,) the share of the variance that follows RR.
    """

    own: Array
    new: Array
    with_rr: dict[str, Array]
    explained: dict[str, Array]

    @classmethod
    def fit(cls, beats: BeatSet) -> Course:
        """Learn from the train part; beats of each recording in order of time."""
        q = len(TRAITS)
        x, rr, group, follows = _standardised(beats)
        at = np.flatnonzero(follows & np.isfinite(np.hstack([x, rr])).all(axis=1))
        if len(at) < LEAST_STEPS:
            nothing = np.zeros((q, len(RR_LAGS)))
            return cls(np.zeros((MEMORY, q, q)), np.eye(q), {"": nothing}, {"": np.zeros(q)})
        design = _design(x, rr, at)
        biased = _weights(x, rr, at)
        weights = _without_bias(biased, x[at] - design @ biased, rr, at, group)
        own, usual = _apart(weights)
        rest = x[at] - design[:, : MEMORY * q] @ weights[: MEMORY * q]
        with_rr, explained = {"": usual}, {}
        for name in ["", *np.unique(beats.subject[at])]:
            mine = beats.subject[at] == name if name else np.ones(len(at), bool)
            r = rr[at[mine]]
            if name:
                gram = r.T @ r + PERSON_STEPS * np.eye(r.shape[1])
                more = np.linalg.solve(gram, r.T @ (rest[mine] - r @ usual.T))
                with_rr[str(name)] = usual + more.T
            driven = _follow(own, r @ with_rr[str(name)].T)
            explained[str(name)] = np.minimum(driven.var(axis=0), MOST_EXPLAINED)
        new = rest - rr[at] @ usual.T
        factor = np.linalg.cholesky(np.cov(new.T) + TINY * np.eye(q))
        trial = _follow(own, np.random.default_rng(0).standard_normal((20_000, q)) @ factor.T)
        return cls(own, factor / trial.std(axis=0)[:, None], with_rr, explained)

    def draw(self, subject: str, rr: Array, rng: np.random.Generator) -> Array:
        """Return traits (n, q) of beats in a row, each of variance 1.

        Args:
            subject: Whose rhythm and breathing it is.
            rr: (n + 1,) the interval before each beat and after the last: how far from the mean,
                in standard deviations.
            rng: For what RR does not tell.
        """
        n = len(rr) - 1
        name = subject if subject in self.with_rr else ""
        padded = np.concatenate([np.zeros(SETTLE), rr])
        columns = [np.roll(padded, lag)[:-1] for lag in RR_LAGS]
        driven = _follow(self.own, np.stack(columns, axis=1) @ self.with_rr[name].T)
        new = rng.standard_normal((n + SETTLE, len(self.new))) @ self.new.T
        free = _follow(self.own, new) * np.sqrt(1 - self.explained[name])
        drawn: Array = (driven + free)[SETTLE:]
        return drawn


def _follow(own: Array, moved: Array) -> Array:
    """Return (n, q) what beats become that remember those before, from what moves each (n, q)."""
    x = np.zeros((len(moved) + len(own), moved.shape[1]))
    for t in range(len(moved)):
        x[t + len(own)] = moved[t] + sum(w @ x[t + len(own) - 1 - j] for j, w in enumerate(own))
    return x[len(own) :]


def _design(x: Array, rr: Array, at: IntArray) -> Array:
    return np.hstack([*(x[at - 1 - j] for j in range(MEMORY)), rr[at]])


def _weights(x: Array, rr: Array, at: IntArray) -> Array:
    """Return (`MEMORY` q + n `RR_LAGS`, q) from what each trait is told best, by least squares."""
    weights = np.linalg.lstsq(_design(x, rr, at), x[at], rcond=None)[0]
    return np.asarray(weights, dtype=np.float64)


def _apart(weights: Array) -> tuple[Array, Array]:
    """Return what comes from the beats before (`MEMORY`, q, q), and from RR (q, n `RR_LAGS`)."""
    q = weights.shape[1]
    own = weights[: MEMORY * q].reshape(MEMORY, q, q).transpose(0, 2, 1)
    return own, weights[MEMORY * q :].T


def _without_bias(weights: Array, rest: Array, rr: Array, at: IntArray, group: IntArray) -> Array:
    """Return weights, less what they lose where a mean is that of a few beats only.

    By indirect inference: recordings as long as the real ones are drawn with the weights and
    fitted again; what is lost on the way is added. Weights that would then not settle stay.
    """
    rng = np.random.default_rng(0)
    own, usual = _apart(weights)
    driven = np.nan_to_num(rr) @ usual.T
    found = []
    for _ in range(TRIALS):
        drawn = _follow(own, driven + rest[rng.integers(0, len(rest), len(rr))])
        for i in range(group.max() + 1):
            mine = group == i
            drawn[mine] = _unit(drawn[mine])
        found.append(_weights(drawn, rr, at))
    better: Array = 2 * weights - np.mean(found, axis=0)
    q = weights.shape[1]
    step = np.eye(MEMORY * q, k=-q)
    step[:q] = better[: MEMORY * q].T
    return better if np.abs(np.linalg.eigvals(step)).max() < MOST_MEMORY else weights


def _unit(values: Array) -> Array:
    """Return values (n, q) with mean 0 and variance 1."""
    centred = values - values.mean(axis=0)
    unit: Array = centred / np.maximum(centred.std(axis=0), TINY)
    return unit


def traits(signals: FloatArray, window: Window) -> Array:
    """Return (n, q) the `TRAITS` of beats of one recording and kind, mean 0 and variance 1.

    The height of QRS is from its lowest to its highest sample, the mean over leads; those of T and
    P are how much of the mean beat's wave each beat has, over all leads.
    """
    x = signals.astype(np.float64)
    mean = x.mean(axis=0)
    times = window.times(x.shape[1])
    qrs = x[:, (times >= QRS_S[0]) & (times <= QRS_S[1])]
    columns = [x.mean(axis=(1, 2)), np.ptp(qrs, axis=1).mean(axis=1)]
    for begin, end in (T_S, P_S):
        part = (times >= begin) & (times <= end)
        wave = mean[part] - mean[part].mean(axis=0)
        columns.append(np.einsum("ntl,tl->n", x[:, part], wave))
    return _unit(np.stack(columns, axis=1))


@dataclass(frozen=True, eq=False)
class Usual:
    """What most beats of a recording look like: a few spoilt ones do not count.

    Attributes:
        median: (n_samples, n_leads).
        spread: (n_samples, n_leads) of the beats around it, as the median deviation tells.
        limit: Mean square of deviations over spread that `USUAL_SHARE` of the beats stay below.
    """

    median: Array
    spread: Array
    limit: float

    @classmethod
    def fit(cls, signals: FloatArray) -> Usual:
        """Learn from the beats (n, n_samples, n_leads) of one recording and label."""
        median = np.median(signals, axis=0).astype(np.float64)
        spread = np.median(np.abs(signals - median), axis=0) / MEDIAN_DEVIATION
        spread = np.maximum(spread, max(float(np.median(spread)) / 10, TINY))
        square = np.square((signals - median) / spread).mean(axis=(1, 2))
        return cls(median, spread, float(np.quantile(square, USUAL_SHARE)))

    def excess(self, signals: FloatArray) -> Array:
        """Return (n,) by how much more beats deviate than usual ones do, in the limit's units."""
        square = np.square((signals - self.median) / self.spread).mean(axis=(1, 2))
        return np.asarray(np.maximum(square / max(self.limit, TINY) - 1, 0))


def chosen(pool: Array, wanted: Array, unwanted: Array | None = None) -> IntArray:
    """Return (n,) which of a pool of beats to take in which order, none twice.

    The assignment with the least squared difference from the traits that are wanted.

    Args:
        pool: (m, q) traits of what was drawn, m no less than n.
        wanted: (n, q) traits in order.
        unwanted: (m,) what speaks against each; nothing by default.
    """
    from scipy.optimize import linear_sum_assignment

    cost = (wanted**2).sum(axis=1)[:, None] + (pool**2).sum(axis=1) - 2 * wanted @ pool.T
    if unwanted is not None:
        cost = cost + unwanted
    return np.asarray(linear_sum_assignment(cost)[1], dtype=np.int64)


def _standardised(
    beats: BeatSet,
) -> tuple[Array, Array, IntArray, npt.NDArray[np.bool_]]:
    """Return traits (n, q), intervals (n, n `RR_LAGS`), group (n,), and whether two stand before.

    Within recording and label of mean 0 and variance 1; NaN where that is not known.
    """
    n, window = len(beats), Window(beats.before_s, beats.sampling_rate)
    x, z = np.full((n, len(TRAITS)), np.nan), np.full(n, np.nan)
    group = np.char.add(np.char.add(beats.recording, "\0"), beats.label)
    names, number = np.unique(group, return_inverse=True)
    number = number.reshape(-1)
    rr = np.full(n, np.nan)
    for name in np.unique(beats.recording):
        mine = np.flatnonzero(beats.recording == name)
        rr[mine] = plausible(beats.rr_before[mine])
    for i in range(len(names)):
        mine = np.flatnonzero(number == i)
        if len(mine) < LEAST_BEATS:
            continue
        x[mine] = traits(beats.signals[mine], window)
        if np.isfinite(rr[mine]).sum() >= LEAST_BEATS:
            spread = max(float(np.nanstd(rr[mine])), TINY)
            z[mine] = (rr[mine] - np.nanmean(rr[mine])) / spread
    gap = np.diff(beats.r_sample) / beats.sampling_rate
    near = np.abs(gap - beats.rr_before[1:]) <= 1.5 / beats.sampling_rate
    joined = np.append(False, near & (number[1:] == number[:-1]))
    follows = joined & np.roll(joined, 1)
    intervals = np.stack([np.roll(z, lag) for lag in RR_LAGS], axis=1)
    intervals[~np.roll(joined, -1), 0] = np.nan
    return x, intervals, number.astype(np.int64), follows
