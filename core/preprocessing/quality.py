"""A signal and its beats -> artefact stretches, a quality for each beat, reasons to reject some.

Every threshold is relative to the recording itself, so that quality cannot know whose heart it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.recording import FloatArray, StrArray

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]

EDGE = "edge"
GAP = "gap"
ARTEFACT = "artefact"
AMPLITUDE = "amplitude"
NOISE = "noise"
REASONS = {
    EDGE: "Its window leaves the recording",
    GAP: "Part of the signal is missing here",
    ARTEFACT: "The signal jumps here as no heart does, or is dead",
    AMPLITUDE: "It is far larger or smaller than the other beats",
    NOISE: "It is noise, or drowned in noise",
}
"""Why a beat is rejected: the word in the tables, and the sentence for people."""

BLOCK_S = 0.2
"""A jump is looked for within this time."""
JUMP_RATIO = 5.0
"""A jump is this many times what the recording usually moves within a second."""
JUMP_BEFORE_S, JUMP_AFTER_S = 0.3, 1.0
"""Spread of a jump before and after it: an amplifier takes its time to settle."""
BETWEEN_JUMPS_S = 2.0
"""What lies between two jumps closer than this is part of them."""
FLAT_S = 1.0
"""A dead stretch lasts at least this long."""
FLAT_MARGIN_S = 0.2
"""Spread of a dead stretch before and after it, over the step that often ends it."""
FLAT_RATIO = 0.005
"""It moves less than this within 0.2 s, over what the recording usually moves within a second."""
FINE_MS = 20.0
"""What a moving average of this window takes from a clean signal is its fine structure."""
HIGHEST, LOWEST = 4.5, 0.1
"""Allowed height of a beat over the median of its recording; ventricular beats reach 3.5."""
OFF_BASELINE = 0.6
"""Allowed distance of a beat's median from zero, over the usual height of a beat."""
LOWEST_QUALITY = 0.5
"""A beat below this is noise: it has nothing like it, and is not clean."""
QRS_BEFORE_S, QRS_AFTER_S = 0.1, 0.15
"""Roughness is looked for outside of this stretch around the R peak."""
ROUGH_RATIO, ROUGH_LIMITS = 3.0, (0.012, 0.04)
"""A beat is half clean at three times its recording's usual roughness, within these limits, in
parts of the height of a beat. On MIT-BIH, the median is 0.003, and false peaks are above 0.02."""
LEAST_COMMON_SHAPE = 0.55
"""A recording whose beats have less of one shape is noise."""
FEWEST_BEATS, FEW_BEATS = 3, 10
"""Fewer beats than the first cannot show a common shape; fewer usable beats than the second may
have it by chance, and are asked together with those that were taken for noise."""
MOST_REFERENCES = 300
"""Beats that each beat is compared with, evenly spread over the recording."""
CHUNK_BEATS = 8192


def artefacts(signal: FloatArray, sampling_rate: float) -> BoolArray:
    """Return where (n_samples, n_leads) a signal jumps as no heart does, or is dead.

    A settling amplifier, a lost electrode, a knock: within 0.2 s the signal moves more than five
    times as far as it usually (the median) does within a second. A dead stretch: it hardly moves
    for a second or more. Flat leads have neither.
    """
    n_samples, n_leads = signal.shape
    found = np.zeros((n_samples, n_leads), dtype=np.bool_)
    block = max(2, int(BLOCK_S * sampling_rate / 2))
    n_blocks = n_samples // block
    if n_blocks < 2:
        return found
    blocks = signal[: n_blocks * block].reshape(n_blocks, block, n_leads)
    highest, lowest = blocks.max(axis=1), blocks.min(axis=1)
    per_second = max(1, round(sampling_rate / block))
    n_seconds = max(1, n_blocks // per_second)
    inside = slice(0, n_seconds * per_second)
    usual = np.median(
        highest[inside].reshape(n_seconds, -1, n_leads).max(axis=1)
        - lowest[inside].reshape(n_seconds, -1, n_leads).min(axis=1),
        axis=0,
    )
    span = np.maximum(highest[1:], highest[:-1]) - np.minimum(lowest[1:], lowest[:-1])
    jumps, still = span > JUMP_RATIO * usual, span < FLAT_RATIO * usual
    dead_margin = round(FLAT_MARGIN_S * sampling_rate)
    margins = round(JUMP_BEFORE_S * sampling_rate), round(JUMP_AFTER_S * sampling_rate)
    for lead in np.flatnonzero((usual > 0) & (jumps | still).any(axis=0)):
        starts, stops = runs(jumps[:, lead])
        apart = (starts[1:] - stops[:-1]) * block >= BETWEEN_JUMPS_S * sampling_rate
        if len(starts):
            starts, stops = starts[np.append(True, apart)], stops[np.append(apart, True)]
        for a, b in zip(starts, stops, strict=True):
            found[max(0, a * block - margins[0]) : (b + 1) * block + margins[1], lead] = True
        for a, b in zip(*runs(still[:, lead]), strict=True):
            if (b + 1 - a) * block >= FLAT_S * sampling_rate:
                start, stop = a * block - dead_margin, (b + 1) * block + dead_margin
                found[max(0, start) : stop, lead] = True
    return found


def runs(mask: BoolArray) -> tuple[Array, Array]:
    """Return where the runs of a mask (n,) start, and where each has stopped."""
    edges = np.diff(mask.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


@dataclass(frozen=True, eq=False)
class Judged:
    """What is thought of the beats of a recording.

    Attributes:
        quality: (n_beats,) float32, from 0 to 1.
        rejected: (n_beats,) a key of `REASONS`; empty for a usable beat.
    """

    quality: FloatArray
    rejected: StrArray


def judge_beats(
    beats: FloatArray,
    fine: FloatArray,
    faults: Mapping[str, BoolArray],
    *,
    n_before: int,
    sampling_rate: float,
    rr_before: FloatArray,
    rr_after: FloatArray,
) -> Judged:
    """Return the quality of the beats of one recording, and why some are rejected.

    A beat is good if others are like it, or, being alone of its kind, it is clean: an ectopic beat
    has few like it but is smooth, noise is neither. So with likeness l and cleanness c, both from 0
    to 1, it is worth 1 - (1 - l) (1 - c), the mean over leads; below `LOWEST_QUALITY` it is taken
    for noise. Its quality is that, less the more the farther it is off the baseline.
    Likeness is the correlation with the second most similar other beat; cleanness falls with the
    fine structure outside of the QRS.

    Args:
        beats: (n_beats, n_samples, n_leads), not normalised.
        fine: (n_beats, n_samples, n_leads) what a moving average of `FINE_MS` takes from them.
        faults: (n_beats,) beats that are rejected for another reason, by reason; first wins.
        n_before: Samples before the R peak.
        sampling_rate: In Hz.
        rr_before: (n_beats,) seconds since the R peak before; NaN if unknown.
        rr_after: (n_beats,) seconds to the next one; NaN if unknown.
    """
    n_beats = len(beats)
    rejected = np.full(n_beats, "", dtype=f"<U{max(map(len, REASONS))}")
    if not n_beats:
        return Judged(np.empty(0, dtype=np.float32), rejected)
    sound = ~np.logical_or.reduce(list(faults.values())) if faults else np.ones(n_beats, np.bool_)
    among = sound if sound.any() else np.ones(n_beats, np.bool_)
    height = np.ptp(beats, axis=1)
    usual = np.median(height[among], axis=0)
    live = usual > 0
    if not live.any():
        return Judged(np.zeros(n_beats, dtype=np.float32), np.full(n_beats, NOISE, rejected.dtype))
    beats, fine, height = beats[:, :, live], fine[:, :, live], height[:, live] / usual[live]
    likeness = np.stack([_likeness(beats[:, :, i], among) for i in range(beats.shape[2])], axis=1)
    outside = _outside_qrs(
        (np.arange(beats.shape[1]) - n_before) / sampling_rate, rr_before, rr_after
    )
    cleanness = _cleanness(fine / usual[live], among, outside)
    score = (1 - (1 - likeness) * (1 - cleanness)).mean(axis=1)
    level = np.abs(np.median(beats, axis=1)) / usual[live]
    far = (height > HIGHEST) | (height < LOWEST) | (level > OFF_BASELINE)
    for reason, mask in (
        (NOISE, score < LOWEST_QUALITY),
        (AMPLITUDE, far.any(axis=1)),
        *reversed(list(faults.items())),
    ):
        rejected[mask] = reason
    steadiness = (1 / (1 + (level / OFF_BASELINE) ** 2)).mean(axis=1)
    return Judged((score * steadiness).astype(np.float32), rejected)


def _likeness(beats: FloatArray, among: BoolArray) -> Array:
    """Return the correlation (n_beats,) of single-lead beats with the second most similar other."""
    rows = beats - beats.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 0)
    references = np.flatnonzero(among)
    references = references[:: max(1, -(-len(references) // MOST_REFERENCES))]
    result = np.zeros(len(beats), dtype=np.float32)
    for start in range(0, len(beats), CHUNK_BEATS):
        part = slice(start, min(start + CHUNK_BEATS, len(beats)))
        alike = rows[part] @ rows[references].T
        alike[np.arange(start, part.stop)[:, None] == references] = -1.0
        rank = min(2, len(references) - 1)
        if rank:
            result[part] = np.partition(alike, -rank, axis=1)[:, -rank]
    return np.clip(result, 0.0, 1.0)


def _outside_qrs(at: Array, rr_before: FloatArray, rr_after: FloatArray) -> BoolArray:
    """Return which samples (n_beats, n_samples), `at` seconds from R, lie in no QRS."""
    before, after = (np.nan_to_num(rr, nan=np.inf)[:, None] for rr in (rr_before, rr_after))
    quiet = (at < -QRS_BEFORE_S) | (at > QRS_AFTER_S)
    return np.asarray(quiet & (at > QRS_AFTER_S - before) & (at < after - QRS_BEFORE_S))


def _cleanness(fine: FloatArray, among: BoolArray, outside: BoolArray) -> Array:
    """Return how free of fine structure outside the QRS beats are, (n_beats, n_leads), 0 to 1.

    `fine` is relative to the usual height of a beat. What the recording always has counts little.
    """
    count = np.maximum(1, outside.sum(axis=1))[:, None]
    rough = np.sqrt(np.einsum("ijk,ijk,ij->ik", fine, fine, outside) / count)
    limit = np.clip(ROUGH_RATIO * np.median(rough[among], axis=0), *ROUGH_LIMITS)
    return np.asarray(1 / (1 + (rough / limit) ** 4))


def recording_quality(judged: Judged, likeness: float) -> float:
    """Return the quality of a recording, 0 to 1: that of its beats, times how alike they are.

    The mean over beats, where a rejected one counts 0.
    """
    if not len(judged.quality):
        return 0.0
    mean = np.where(judged.rejected == "", judged.quality, 0.0).mean()
    return float(mean) * max(0.0, likeness)


def telling(judged: Judged) -> BoolArray:
    """Return the beats (n_beats,) that tell whether a recording is of a heart or of noise."""
    usable = judged.rejected == ""
    few = np.count_nonzero(usable) < FEW_BEATS
    return np.asarray(usable | (few & (judged.rejected == NOISE)))


def common_shape(beats: FloatArray) -> float:
    """Return how much beats have one shape, in the lead where they have it most: at most 1.

    The median correlation of the slopes of beats (n_beats, n_samples, n_leads) with those of their
    median. Hearts are above 0.85, in all of ECG-ID and MIT-BIH's DS1; windows around the peaks of
    noise are below 0.5, which is what tells one from the other. Fewer than three beats tell
    nothing: 1.
    """
    if len(beats) < FEWEST_BEATS:
        return 1.0
    step = -(-len(beats) // MOST_REFERENCES)
    slopes = np.diff(beats[::step], axis=1)
    median = np.median(slopes, axis=0)
    product = np.einsum("ijk,jk->ik", slopes, median)
    norm = np.linalg.norm(slopes, axis=1) * np.linalg.norm(median, axis=0)
    correlation = np.divide(product, norm, out=np.zeros_like(product), where=norm > 0)
    return float(np.median(correlation, axis=0).max())
