"""Fusion beats imitated, because few people have them: sinus and ventricular beat in one.

A fusion beat is what a ventricular beat and a sinus beat give when they meet: the sum of two waves
of one heart. Recordings that have both kinds show what their fusion would look like.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from core.beat_set import BeatSet
from core.models.beat_context import context_codes
from core.recording import FloatArray, IntArray

NORMAL, VENTRICULAR, FUSION = "N", "V", "F"

SHARE = 0.06
"""Share of a recording's sinus beats that is replaced, and the fewest that are."""
FEWEST = 10
FEWEST_VENTRICULAR, FEWEST_NORMAL = 5, 50
"""Beats of each kind that a recording needs."""
SINUS_PART = (0.3, 0.7)
"""How much of a fusion beat is sinus beat."""
SHIFT_S = 0.05
"""How far apart the R peaks of the two may be, in s."""
ADVANCE = (-0.02, 0.12)
"""How early a fusion beat comes, in parts of RR: about when the sinus beat was due."""
MOST_PER_VENTRICULAR = 0.33
"""Fusion beats a ventricular beat that a recording may have, unless train beats say better: a
ventricular focus seldom meets the sinus beat more often than it fires alone."""


def has_fusion(classes: Collection[str]) -> bool:
    """Tell whether labels are beat types among which fusion is one."""
    return {NORMAL, VENTRICULAR, FUSION} <= set(classes)


def with_fusion_beats(beats: BeatSet, *, seed: int) -> tuple[BeatSet, npt.NDArray[np.bool_]]:
    """Return the beats with some sinus beats made fusion beats, and which of them were.

    Args:
        beats: With labels ``N`` and ``V``, in order of time within each recording.
        seed: Of the choice.
    """
    rng = np.random.default_rng([seed, len(beats)])
    codes = context_codes(beats)
    signals = np.array(beats.signals)
    before, after = beats.rr_before.copy(), beats.rr_after.copy()
    made = np.zeros(len(beats), dtype=np.bool_)
    far = round(SHIFT_S * beats.sampling_rate)
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        ventricular = rows[beats.label[rows] == VENTRICULAR]
        inner = np.flatnonzero(beats.label[rows] == NORMAL)
        inner = inner[(inner > 0) & (inner < len(rows) - 1)]
        if len(ventricular) < FEWEST_VENTRICULAR or len(inner) < FEWEST_NORMAL:
            continue
        chosen = np.sort(rng.choice(inner, max(FEWEST, int(SHARE * len(inner))), replace=False))
        chosen = chosen[np.append(True, np.diff(chosen) > 1)]
        for place in chosen:
            row = rows[place]
            other = _moved(beats.signals[rng.choice(ventricular)], int(rng.integers(-far, far + 1)))
            part = np.float32(rng.uniform(*SINUS_PART))
            signals[row] = part * signals[row] + (1 - part) * other
            advance = np.float32(rng.uniform(*ADVANCE)) * np.nan_to_num(before[row])
            before[row] -= advance
            after[row] += advance
            after[rows[place - 1]] -= advance
            before[rows[place + 1]] += advance
        made[rows[chosen]] = True
    label = np.where(made, FUSION, beats.label)
    return replace(beats, signals=signals, rr_before=before, rr_after=after, label=label), made


def limit_fusion(
    scores: FloatArray, codes: IntArray, classes: Sequence[str], most: float = MOST_PER_VENTRICULAR
) -> FloatArray:
    """Return log-posteriors (n, n_classes) with fusion made less likely where it is said too often.

    In each recording, the odds of fusion are lowered by one factor, just so that there are no more
    than `most` of it to a ventricular beat.

    Args:
        scores: (n, n_classes) log-posteriors.
        codes: (n,) number of each beat's recording; see `context_codes`.
        classes: Names of the columns.
        most: Fusion beats a ventricular beat.
    """
    fusion, ventricular = classes.index(FUSION), classes.index(VENTRICULAR)
    others = np.delete(scores, fusion, axis=1)
    margin = scores[:, fusion] - others.max(axis=1)
    rest = np.array(scores)
    rest[:, fusion] = -np.inf
    is_ventricular = rest.argmax(axis=1) == ventricular
    limited = np.array(scores)
    for code in np.unique(codes):
        mine = np.flatnonzero(codes == code)
        allowed = int(most * is_ventricular[mine].sum())
        if allowed < len(mine):
            first_out = np.sort(margin[mine])[::-1][allowed]
            limited[mine, fusion] -= max(0.0, float(first_out) + 1e-4)
    return limited


def _moved(beat: FloatArray, by: int) -> FloatArray:
    """Return a beat (n_samples, n_leads) `by` samples later (earlier, if negative), ends held."""
    at = np.clip(np.arange(len(beat)) - by, 0, len(beat) - 1)
    return beat[at]
