"""Real and generated beats -> what a viewer compares: nearest beats, mixed rounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.beat_set import BeatSet, BoolArray, concatenate
from core.errors import UserError, did_you_mean
from core.recording import FloatArray, IntArray, StrArray

ROUND_BEATS = 10
EXCHANGED_BEATS = 3
"""Beats of a row that are exchanged."""
JOIN_S = 0.02
"""Over which one beat goes over into another, in seconds."""
PARTS: dict[str, tuple[float, float]] = {
    "beat": (-np.inf, np.inf),
    "p": (-np.inf, -0.06),
    "qrs": (-0.06, 0.08),
    "st-t": (0.08, np.inf),
}
"""What of a beat can be exchanged: from and to, in seconds from its R peak. A QRS complex of
80 to 120 ms lies within its window."""
KEPT_DIGITS = 4
"""Decimal digits of a round's largest value: real and generated beats are told to as many."""


@dataclass(frozen=True, eq=False)
class Round:
    """Real beats among which some, or a part of them, are generated.

    Attributes:
        beats: What is shown, in its order.
        exchanged: (n,) which of them are generated, wholly or in part.
        part: A key of `PARTS`: what of them is.
    """

    beats: BeatSet
    exchanged: BoolArray
    part: str = "beat"


def nearest_beat(beat: FloatArray, others: FloatArray, sampling_rate: float) -> int:
    """Return the position of the beat that is closest to one beat, as privacy's figures have it.

    Args:
        beat: (n_samples, n_leads).
        others: (n, n_samples, n_leads), at least one.
        sampling_rate: In Hz.
    """
    from core.evaluation.privacy import nearest_distances

    return int(np.argmin(nearest_distances(others, beat[None], sampling_rate)))


def is_enough(real: BeatSet, *, in_a_row: bool, n: int = ROUND_BEATS) -> bool:
    """Tell whether there are real beats enough for a round of n, or for a row of one recording."""
    return bool(_row_starts(real, n)) if in_a_row else len(real) >= n // 2


def mixed_round(
    real: BeatSet, draw: Callable[[StrArray], BeatSet], *, seed: int, n: int = ROUND_BEATS
) -> Round:
    """Return real and generated beats in random order, half of each, of the same subjects.

    Each subject has as many of one kind as of the other, so that who it is tells nothing.

    Args:
        real: Real beats to choose from.
        draw: Draws a generated beat for each of the subjects it is given.
        seed: Of every choice.
        n: How many in all.

    Raises:
        UserError: There are too few real beats.
    """
    half = n // 2
    if len(real) < half:
        raise UserError(
            "quiz", f"{len(real)} real beats are too few", f"Prepare a study with {half} or more"
        )
    rng = np.random.default_rng(seed)
    chosen = real.take(_of_many_subjects(real.subject, half, rng))
    both = concatenate([_bare(chosen), _bare(draw(chosen.subject))])
    order = rng.permutation(2 * half)
    return Round(both.take(order), order >= half)


def exchanged_row(
    real: BeatSet,
    draw: Callable[[StrArray], BeatSet],
    *,
    part: str = "beat",
    seed: int,
    n: int = ROUND_BEATS,
) -> Round:
    """Return beats in a row of one recording, some of them or a part of each exchanged.

    Args:
        real: Real beats of one subject, in order of recording and time.
        draw: Draws a generated beat for each of the subjects it is given.
        part: A key of `PARTS`.
        seed: Of every choice.
        n: How many in a row.

    Raises:
        UserError: No recording has as many beats, or there is no such part.
    """
    if part not in PARTS:
        raise UserError("--part", f"{part!r} is no part of a beat", did_you_mean(part, PARTS))
    rng = np.random.default_rng(seed)
    starts = _row_starts(real, n)
    if not starts:
        raise UserError(
            "swap test", f"no recording has {n} beats in a row", "Choose another subject"
        )
    start = int(rng.choice(starts))
    row = _bare(real.take(slice(start, start + n)))
    where = np.sort(rng.choice(n, EXCHANGED_BEATS, replace=False))
    new = draw(row.subject[where]).signals
    signals = row.signals.copy()
    times = np.arange(signals.shape[1]) / row.sampling_rate - row.before_s
    signals[where] = exchange(signals[where], new, times, PARTS[part])
    exchanged = np.isin(np.arange(n), where)
    return Round(_with_signals(row, signals, exchanged), exchanged, part)


def exchange(
    beats: FloatArray,
    others: FloatArray,
    times: npt.NDArray[np.float64],
    limits: tuple[float, float],
) -> FloatArray:
    """Return beats of which what lies within limits comes from others, without a step.

    What is put in is moved by a straight line, so that it meets the beat at both limits; a limit
    outside the window moves nothing.

    Args:
        beats: (n, n_samples, n_leads).
        others: (n, n_samples, n_leads).
        times: (n_samples,) seconds from the R peak.
        limits: From and to, in seconds from the R peak.
    """
    low, high = limits
    share = np.clip((times - low) / JOIN_S + 0.5, 0, 1) * np.clip(
        (high - times) / JOIN_S + 0.5, 0, 1
    )
    inside = [at for at in limits if times[0] < at < times[-1]]
    put_in = others.astype(np.float64)
    if inside:
        at = np.searchsorted(times, inside)
        gaps = beats[:, at] - others[:, at]
        slope = np.interp(times, inside, np.arange(len(inside)))[None, :, None]
        put_in = put_in + gaps[:, :1] * (1 - slope) + gaps[:, -1:] * slope
    weight = share[None, :, None]
    return np.asarray(beats * (1 - weight) + put_in * weight, dtype=np.float32)


def told_values(signals: FloatArray) -> list[list[list[float]]]:
    """Return signals as lists, all rounded alike, so that no digit tells where they come from."""
    peak = float(np.abs(signals).max(initial=0.0)) or 1.0
    decimals = KEPT_DIGITS - 1 - int(np.floor(np.log10(peak)))
    rounded: list[list[list[float]]] = np.round(signals.astype(np.float64), decimals).tolist()
    return rounded


def by_luck(right: int, asked: int) -> float:
    """Return how likely at least so many right answers are by guessing, each with chance 1/2."""
    return sum(math.comb(asked, k) for k in range(right, asked + 1)) / 2**asked


def _row_starts(beats: BeatSet, n: int) -> list[int]:
    """Return the positions from which n beats are of one recording."""
    names = beats.recording
    return [i for i in range(len(beats) - n + 1) if names[i] == names[i + n - 1]]


def _of_many_subjects(subjects: StrArray, n: int, rng: np.random.Generator) -> IntArray:
    """Return positions of n beats, of as many subjects as there are."""
    order = rng.permutation(len(subjects))
    turn = np.empty(len(order), dtype=np.int64)
    seen: dict[str, int] = {}
    for place in order:
        name = str(subjects[place])
        turn[place] = seen[name] = seen.get(name, -1) + 1
    return order[np.argsort(turn[order], kind="stable")][:n]


def _bare(beats: BeatSet) -> BeatSet:
    """Return beats of which only the subject is told beside the signal."""
    return BeatSet.build(
        beats.signals,
        sampling_rate=beats.sampling_rate,
        before_s=beats.before_s,
        leads=beats.leads,
        subject=beats.subject,
        synthetic=beats.synthetic,
    )


def _with_signals(beats: BeatSet, signals: FloatArray, synthetic: BoolArray) -> BeatSet:
    return BeatSet.build(
        signals,
        sampling_rate=beats.sampling_rate,
        before_s=beats.before_s,
        leads=beats.leads,
        subject=beats.subject,
        synthetic=synthetic,
    )
