"""Beats of a subject -> the same beats as on days that were never recorded, at other heart rates.

From one day to the next the heart rate changes and ST-T follows it, the QT interval drifts by
itself, and the P wave comes earlier or later. That moves waves in time, which no Gaussian in code
space does; what a Gaussian can do (gain, contact, offset, the shape of waves) is
`GaussianMixtureGenerator`'s part of a new day.

How much days differ is learned from pairs of recordings of one subject. Recordings of one day
differ less than those of two, so a published spread is the least where the pairs are of one day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from core.beat_set import BeatSet
from core.models.gaussian_mixture import day_numbers
from core.models.identifier_input import (
    PLAUSIBLE_RR_S,
    RATE_EXPONENT,
    REFERENCE_RR_S,
    ST_START_S,
    Window,
    read_at,
)
from core.recording import IntArray

DoubleArray = npt.NDArray[np.float64]

RATE_SPREAD = 0.17
"""Standard deviation of the logarithm of RR between two days: a resting person's rate varies by
12 % (about 8 beats a minute) from one short recording to another, and two of them differ by the
root of two more."""
EXPONENT_SPREAD = 0.1
"""Standard deviation of the exponent of the rate in the length of ST-T, over days and people."""
LATE_SPREAD = 0.035
"""Standard deviation of the logarithm of the length of ST-T between two days that the rate does
not explain: QTc varies by 10 ms in 400 within a person, and by the root of two more between two."""
EARLY_SPREAD = 0.04
"""The same of the time from the P wave to the QRS: some 5 ms of PR. Small P waves hide it, so it is
not learned."""
LARGEST = 2.5
"""Standard deviations: nothing is drawn further out."""
QRS_START_S = -0.06
P_START_S = -0.21
"""Where the P wave of most people begins, in s from the R peak."""
T_END_S = 0.36
"""Where T ends at 75 beats a minute, in s after the R peak (QT 0.40 s); it follows the rate."""
MARGIN_S = 0.05
"""Beyond the P wave and T, in s: by here the beat stays where it is."""
PRIOR_PAIRS = 20
"""Pairs of days that count as much as what is known of people in general."""
FEWEST_BEATS = 8
"""Beats of a recording below which its mean tells nothing of small shifts."""
LEAST_LIKENESS = 0.8
"""Correlation of two recordings' ST-T below which one is no stretched other."""
STRETCHES = np.exp(np.linspace(-0.3, 0.3, 61))
"""Lengths of ST-T that are tried, over the other recording's."""
LARGEST_RATE_CHANGE = 0.5
"""Of the logarithm of RR: a larger one is a fault of R peaks, or effort."""
MOST_PAIRS = 500
"""Pairs that are compared: enough, whatever the size of a study."""
CHUNK = 8_192
"""Beats that are moved at once."""


@dataclass(frozen=True)
class DayVariation:
    """How much a subject's days differ in time.

    Attributes:
        rate_spread: Standard deviation of the logarithm of RR between two days.
        late_spread: The same of the length of ST-T, beyond what follows the rate.
        usual_rr: Median RR interval of each subject, in s.
        n_pairs: Pairs of recordings that it was learned from.
        between_days: Whether these were of different days.
    """

    rate_spread: float
    late_spread: float
    usual_rr: dict[str, float]
    n_pairs: int
    between_days: bool

    @classmethod
    def fit(cls, beats: BeatSet) -> DayVariation:
        """Learn from recordings of the train part.

        Pairs are successive recordings of a subject; where sessions are known and any subject has
        several, the pairs are of successive sessions only. What is learned from pairs of one day
        holds only where it is more than what is known of people in general.

        Args:
            beats: Real beats, with `rr_before` and, for pairs of days, `session`.
        """
        window = Window(beats.before_s, beats.sampling_rate)
        pairs, between_days = _pairs(beats)
        rates, lates = [], []
        for one, other in pairs:
            rate = np.log(_median_rr(beats.rr_before[other]) / _median_rr(beats.rr_before[one]))
            if not abs(rate) <= LARGEST_RATE_CHANGE:
                continue
            rates.append(rate)
            stretch = _late_stretch(_mean(beats, one), _mean(beats, other), window)
            if stretch is not None:
                lates.append(np.log(stretch) - RATE_EXPONENT * rate)
        return cls(
            rate_spread=_spread(rates, RATE_SPREAD, between_days),
            late_spread=_spread(lates, LATE_SPREAD, between_days),
            usual_rr={
                str(name): _median_rr(beats.rr_before[beats.subject == name])
                for name in np.unique(beats.subject)
            },
            n_pairs=len(pairs),
            between_days=between_days,
        )

    def apply(self, beats: BeatSet, *, seed: int, change_rate: bool = True) -> BeatSet:
        """Return beats of new days: another rate, waves moved in time, the same within a day.

        Args:
            beats: Generated beats at each subject's usual rate; `day_numbers` tells which of a
                subject are of one day.
            seed: Same seed and beats give the same days.
            change_rate: Whether the heart rate is another one, too.

        Returns:
            The beats in their order; ``session`` names the day, and RR is a day's own.
        """
        if not len(beats):
            return beats
        rng = np.random.default_rng([seed, 5])
        day = day_numbers(beats.subject)
        _, first, which = np.unique(
            np.stack([np.unique(beats.subject, return_inverse=True)[1], day], axis=1),
            axis=0,
            return_index=True,
            return_inverse=True,
        )
        which = which.reshape(-1)
        rate, exponent, late, early = np.clip(
            rng.standard_normal((4, len(first))), -LARGEST, LARGEST
        )
        rate = self.rate_spread * rate * change_rate
        late = np.exp((RATE_EXPONENT + EXPONENT_SPREAD * exponent) * rate + self.late_spread * late)
        early = np.exp(EARLY_SPREAD * early)
        usual = np.asarray([self.usual_rr.get(str(s), np.nan) for s in beats.subject[first]])
        window = Window(beats.before_s, beats.sampling_rate)
        times = window.times(beats.signals.shape[1])
        read = _read_times(times, late, early, usual)
        positions = (read + window.before_s) * window.sampling_rate
        factor = np.exp(rate)[which]
        parts = [slice(i, i + CHUNK) for i in range(0, len(beats), CHUNK)]
        moved = [read_at(beats.signals[part], positions[which[part]]) for part in parts]
        names = np.char.add("new day ", (day + 1).astype(np.str_))
        return replace(
            beats,
            signals=np.concatenate(moved).astype(np.float32),
            session=names,
            rr_before=(beats.rr_before * factor).astype(np.float32),
            rr_after=(beats.rr_after * factor).astype(np.float32),
        )


def _read_times(
    times: DoubleArray, late: DoubleArray, early: DoubleArray, usual_rr: DoubleArray
) -> DoubleArray:
    """Return (m, n_samples) the times at which beats of m days are to be read, in s.

    ST-T is `late` times as long, and the P wave `early` times as far from the QRS; before the one
    and after the other the beat meets where it was.

    Args:
        times: (n_samples,) of the beat, from the R peak.
        late: (m,) length of ST-T over the usual one.
        early: (m,) distance of P over the usual one.
        usual_rr: (m,) RR interval of the beats as they are, in s; NaN counts as 0.8.
    """
    rr = np.where(np.isfinite(usual_rr), usual_rr, REFERENCE_RR_S)
    t_end = T_END_S * (rr / REFERENCE_RR_S) ** RATE_EXPONENT
    read = np.empty((len(late), len(times)))
    for i in range(len(late)):
        p_start, end = QRS_START_S + (P_START_S - QRS_START_S) * early[i], t_end[i] - ST_START_S
        last = max(times[-1], ST_START_S + end * max(late[i], 1) + MARGIN_S)
        first = min(times[0], p_start, P_START_S) - MARGIN_S
        seen = [first, p_start, QRS_START_S, ST_START_S, ST_START_S + end * late[i], last]
        meant = [first, P_START_S, QRS_START_S, ST_START_S, t_end[i], last]
        read[i] = np.interp(times, seen, meant)
    return read


def _pairs(beats: BeatSet) -> tuple[list[tuple[IntArray, IntArray]], bool]:
    """Return the rows of the recordings of each pair, and whether the pairs are of two days."""
    recordings: dict[str, list[tuple[str, IntArray]]] = {}
    for name in dict.fromkeys(beats.recording.tolist()):
        rows = np.flatnonzero(beats.recording == name)
        if name and len(rows) >= FEWEST_BEATS:
            own = recordings.setdefault(str(beats.subject[rows[0]]), [])
            own.append((str(beats.session[rows[0]]), rows))
    steps = [
        (one[0] != other[0] and "" not in (one[0], other[0]), one[1], other[1])
        for own in recordings.values()
        for one, other in pairwise(own)
    ]
    between_days = any(apart for apart, _, _ in steps)
    chosen = [(one, other) for apart, one, other in steps if apart or not between_days]
    return chosen[:: max(1, len(chosen) // MOST_PAIRS)], between_days


def _mean(beats: BeatSet, rows: IntArray) -> DoubleArray:
    return np.asarray(beats.signals[rows].mean(axis=0, dtype=np.float64))


def _late_stretch(one: DoubleArray, other: DoubleArray, window: Window) -> float | None:
    """Return how many times as long ST-T of a mean beat is as another's; None if they differ.

    Args:
        one: (n_samples, n_leads).
        other: (n_samples, n_leads) of the longer or shorter ST-T.
        window: How both are cut.
    """
    times = window.times(len(one))
    late = (times > ST_START_S) & (times < T_END_S + MARGIN_S)
    read = ST_START_S + (times[late] - ST_START_S) / STRETCHES[:, None]
    positions = (read + window.before_s) * window.sampling_rate
    tried = read_at(np.broadcast_to(one, (len(STRETCHES), *one.shape)), positions)
    meant = other[late] - other[late].mean(axis=0)
    tried = tried - tried.mean(axis=1, keepdims=True)
    size = np.sqrt(np.square(tried).sum(axis=(1, 2)) * np.square(meant).sum())
    likeness = (tried * meant).sum(axis=(1, 2)) / np.maximum(size, np.finfo(np.float64).tiny)
    best = int(likeness.argmax())
    if likeness[best] < LEAST_LIKENESS or best in (0, len(STRETCHES) - 1):
        return None
    return float(STRETCHES[best])


def _spread(differences: list[float], known: float, between_days: bool) -> float:
    """Return a standard deviation between days, from differences and what is known of people."""
    n = len(differences)
    if not n:
        return known
    own = float(np.sqrt(np.mean(np.square(differences))))
    if not between_days:
        return max(own, known)
    return float(np.sqrt((n * own**2 + PRIOR_PAIRS * known**2) / (n + PRIOR_PAIRS)))


def _median_rr(rr: npt.NDArray[np.floating]) -> float:
    """Return the median of the plausible intervals, in s; NaN if there are none."""
    low, high = PLAUSIBLE_RR_S
    known = rr[(rr >= low) & (rr <= high)]
    return float(np.median(known)) if len(known) else float("nan")
