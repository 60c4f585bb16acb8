"""Scores of probes and who they truly are -> rank-1, EER, open-set rates, confusion, intervals.

Words: a probe is genuine against its own subject and an impostor against every other; a higher
score is more alike. Rates are shares from 0 to 1. Terms follow ISO/IEC 19795-1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from core.beat_set import BeatSet
from core.recording import IntArray, StrArray

if TYPE_CHECKING:
    from core.models.cnn_lstm import Identifier

Scores = npt.NDArray[np.floating[Any]]

STRANGER = -1
"""Truth of a probe whose subject is not enrolled."""
DET_POINTS = 200
"""Most points of a DET curve that are handed on."""
BOOTSTRAP_DRAWS = 500
CONFIDENCE = 0.95
SHUFFLES = 20
BEATS_IN_A_ROW = 5
UNITS = {
    "beat": "each kept beat alone",
    "five_beats": f"means of {BEATS_IN_A_ROW} beats in a row",
    "recording": "all kept beats of a recording",
}
METHOD_WORDS = {
    "joined": "network and discriminants",
    "network": "network alone",
    "lda": "LDA on the network's input",
    "plain_lda": "LDA on plain beats",
    "template": "mean template, cosine",
}


def truth_of(subjects: StrArray, classes: Sequence[str]) -> IntArray:
    """Return (n,) the column of each subject among `classes`; `STRANGER` if it has none."""
    column = {name: i for i, name in enumerate(classes)}
    return np.asarray([column.get(str(s), STRANGER) for s in subjects], dtype=np.int64)


def rank_k(scores: Scores, truth: IntArray, k: int = 1) -> float:
    """Return the share of probes whose own class is among the `k` highest scores.

    A tie counts against the probe. Strangers are left out.

    Args:
        scores: (n, n_classes).
        truth: (n,) column of each probe's own class.
        k: Places that count.
    """
    known = truth != STRANGER
    return float(np.mean(_places(scores[known], truth[known]) < k)) if known.any() else float("nan")


def split_pairs(scores: Scores, truth: IntArray) -> tuple[Scores, Scores]:
    """Return all genuine and all impostor scores; of a stranger, every score is an impostor's."""
    genuine = np.arange(scores.shape[1])[None, :] == truth[:, None]
    return scores[genuine], scores[~genuine]


def error_rates(genuine: Scores, impostor: Scores) -> tuple[Scores, Scores, Scores]:
    """Return thresholds, ascending, and at each the false match and false non-match rate.

    A score at or above a threshold is a match. The last threshold is infinite.

    Raises:
        ValueError: There is no genuine or no impostor score.
    """
    if not genuine.size or not impostor.size:
        raise ValueError("rates need genuine and impostor scores")
    thresholds = np.append(np.unique(np.concatenate([genuine, impostor])), np.inf)
    false_match = 1 - np.searchsorted(np.sort(impostor), thresholds, side="left") / impostor.size
    false_non_match = np.searchsorted(np.sort(genuine), thresholds, side="left") / genuine.size
    return thresholds, false_match, false_non_match


def equal_error_rate(genuine: Scores, impostor: Scores) -> tuple[float, float]:
    """Return the rate at which false matches and false non-matches are level, and its threshold.

    Between two thresholds the rates are joined by a line.
    """
    thresholds, false_match, false_non_match = error_rates(genuine, impostor)
    gap = false_non_match - false_match
    after = int(np.argmax(gap >= 0))
    before = max(after - 1, 0)
    step = gap[after] - gap[before]
    share = -gap[before] / step if step > 0 else 0.0
    rate = false_match[before] + share * (false_match[after] - false_match[before])
    threshold = thresholds[after] if np.isfinite(thresholds[after]) else thresholds[before]
    return float(rate), float(threshold)


def threshold_at(impostor: Scores, false_match_rate: float) -> float:
    """Return the least threshold at which at most such a share of impostors match."""
    ordered = np.sort(impostor)[::-1]
    allowed = int(np.floor(false_match_rate * len(ordered)))
    if allowed >= len(ordered):
        return float(ordered[-1])
    return float(np.nextafter(ordered[allowed], np.inf))


def det_curve(genuine: Scores, impostor: Scores) -> dict[str, list[float]]:
    """Return a DET curve of at most 200 points: thresholds and both rates, JSON-ready."""
    thresholds, false_match, false_non_match = error_rates(genuine, impostor)
    finite = slice(None, -1)
    last = len(thresholds) - 2
    chosen = np.unique(np.linspace(0, last, min(DET_POINTS, last + 1)).astype(np.int64))
    return {
        "threshold": thresholds[finite][chosen].astype(float).tolist(),
        "false_match_rate": false_match[finite][chosen].tolist(),
        "false_non_match_rate": false_non_match[finite][chosen].tolist(),
    }


def open_set_rates(scores: Scores, truth: IntArray, threshold: float) -> dict[str, Any]:
    """Return what happens to probes when the best score must reach a threshold.

    Returns:
        ``named_rightly``, ``named_wrongly`` and ``refused``: shares of the enrolled probes;
        ``strangers_accepted``: share of the strangers, null where there are none.
    """
    best = scores.argmax(axis=1)
    accepted = scores.max(axis=1) >= threshold
    known = truth != STRANGER
    right = accepted & (best == truth)
    return {
        "threshold": float(threshold),
        "enrolled_probes": int(known.sum()),
        "stranger_probes": int((~known).sum()),
        "named_rightly": _share(right[known]),
        "named_wrongly": _share((accepted & ~right)[known]),
        "refused": _share(~accepted[known]),
        "strangers_accepted": _share(accepted[~known]),
    }


def confusion(scores: Scores, truth: IntArray, classes: Sequence[str]) -> dict[str, Any]:
    """Return how often each class (a row) was named as each class (a column), JSON-ready."""
    known = truth != STRANGER
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (truth[known], scores[known].argmax(axis=1)), 1)
    return {"classes": list(classes), "counts": counts.tolist()}


def bootstrap_interval(
    figure: Callable[[IntArray], float],
    subjects: StrArray | IntArray,
    *,
    seed: int,
    draws: int = BOOTSTRAP_DRAWS,
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of a figure over resampled subjects.

    Probes of one person are alike, so whole subjects are drawn with replacement (Efron 1979).

    Args:
        figure: Takes positions of probes, repeats among them, and returns a figure.
        subjects: (n,) subject of each probe.
        seed: Of the draws.
        draws: How many.

    Returns:
        Lower and upper end; None with fewer than two subjects.
    """
    names, codes = np.unique(subjects, return_inverse=True)
    if len(names) < 2:
        return None
    members = [np.flatnonzero(codes == i) for i in range(len(names))]
    rng = np.random.default_rng(seed)
    figures = [
        figure(np.concatenate([members[i] for i in rng.integers(0, len(names), len(names))]))
        for _ in range(draws)
    ]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(figures, [tail, 1 - tail])
    return float(low), float(high)


def shuffled_rank_1(scores: Scores, truth: IntArray, recordings: StrArray, *, seed: int) -> float:
    """Return rank-1 with the subjects dealt anew to whole recordings, the mean of 20 deals.

    It stands at chance unless the scores know more than the signal tells.
    """
    names, first, codes = np.unique(recordings, return_index=True, return_inverse=True)
    rng = np.random.default_rng(seed)
    if not (truth != STRANGER).any():
        return float("nan")
    dealt = [truth[first][rng.permutation(len(names))][codes] for _ in range(SHUFFLES)]
    return float(np.nanmean([rank_k(scores, one) for one in dealt]))


def chance_rank_1(scores: Scores, truth: IntArray) -> float:
    """Return the rank-1 of probes that are named as often as here, but blindly."""
    known = truth != STRANGER
    if not known.any():
        return float("nan")
    n_classes = scores.shape[1]
    named = np.bincount(scores[known].argmax(axis=1), minlength=n_classes)
    owned = np.bincount(truth[known], minlength=n_classes)
    return float(named @ owned / known.sum() ** 2)


def figures_of(
    scores: Scores, truth: IntArray, subjects: StrArray, *, seed: int = 0
) -> dict[str, Any]:
    """Return rank-1, rank-5 and EER of probes with their intervals over subjects, JSON-ready."""

    known = truth != STRANGER
    hits = _places(scores[known], truth[known]) < 1

    def rank_1(rows: IntArray) -> float:
        return float(hits[rows].mean())

    genuine, impostor = split_pairs(scores, truth)
    has_pairs = genuine.size and impostor.size
    return {
        "probes": len(scores),
        "rank_1": _number(rank_k(scores, truth)),
        "rank_1_interval": _interval(bootstrap_interval(rank_1, subjects[known], seed=seed)),
        "rank_5": _number(rank_k(scores, truth, 5)),
        "eer": equal_error_rate(genuine, impostor)[0] if has_pairs else None,
    }


def evaluate_identifier(
    identifier: Identifier, probes: BeatSet, *, protocol: str, seed: int = 0
) -> dict[str, Any]:
    """Return every figure of an identifier on probes that it never saw, JSON-ready.

    Args:
        identifier: Trained to name subjects, or labels.
        probes: Real beats, in order of time within each recording; of subjects who are not
            enrolled as well, if strangers are to be tried.
        protocol: What was trained on and what the probes are, in a sentence.
        seed: Of resampling.

    Returns:
        ``protocol``; ``methods``: for the identifier, its parts and the yardsticks the figures by
        beat, by five beats in a row and by recording; ``verification``: EER, its threshold,
        interval and DET curve by recording; ``open_set`` at the identifier's threshold;
        ``confusion``; ``shuffled``: rank-1 with labels dealt anew, which must stand at chance.
    """
    if identifier.target == "label":
        return _evaluate_labels(identifier, probes, protocol=protocol, seed=seed)
    subject_of = dict(zip(probes.recording, probes.subject, strict=True))
    rows: dict[str, dict[str, Any]] = {}
    for method in METHOD_WORDS:
        rows[method] = {"name": METHOD_WORDS[method]}
        for unit in UNITS:
            recordings, scores = _unit_scores(identifier, probes, unit, method)
            subjects = np.asarray([subject_of[r] for r in recordings])
            truth = truth_of(subjects, identifier.classes)
            rows[method][unit] = figures_of(scores, truth, subjects, seed=seed)
    recordings, scores = _unit_scores(identifier, probes, "recording", "joined")
    subjects = np.asarray([subject_of[r] for r in recordings])
    truth = truth_of(subjects, identifier.classes)
    return {
        "protocol": protocol,
        "units": UNITS,
        "enrolled": len(identifier.classes),
        "subjects": len(np.unique(probes.subject)),
        "recordings": len(recordings),
        "beats": len(probes),
        "methods": rows,
        "verification": _verification(scores, truth, subjects, seed=seed),
        "open_set": open_set_rates(scores, truth, identifier.threshold),
        "confusion": confusion(scores, truth, identifier.classes),
        "shuffled": {
            "rank_1": _number(shuffled_rank_1(scores, truth, recordings, seed=seed)),
            "chance": _number(chance_rank_1(scores, truth)),
            "protocol": "the same scores, subjects dealt anew to whole recordings, mean of "
            f"{SHUFFLES} deals: must stand at chance, which is the larger the more recordings one "
            "subject has",
        },
    }


def _evaluate_labels(
    identifier: Identifier, probes: BeatSet, *, protocol: str, seed: int
) -> dict[str, Any]:
    probes = probes.take(np.isin(probes.label, identifier.classes))
    truth = truth_of(probes.label, identifier.classes)
    rows: dict[str, dict[str, Any]] = {}
    for method in METHOD_WORDS:
        scores = identifier.beat_scores(probes, method=method)  # type: ignore[arg-type]
        rows[method] = {
            "name": METHOD_WORDS[method],
            "beat": figures_of(scores, truth, probes.subject, seed=seed)
            | {"sensitivity": _sensitivities(scores, truth, identifier.classes)},
        }
    joined = identifier.beat_scores(probes)
    return {
        "protocol": protocol,
        "units": {"beat": UNITS["beat"]},
        "subjects": len(np.unique(probes.subject)),
        "recordings": len(np.unique(probes.recording)),
        "beats": len(probes),
        "methods": rows,
        "confusion": confusion(joined, truth, identifier.classes),
    }


def _unit_scores(
    identifier: Identifier, probes: BeatSet, unit: str, method: Any
) -> tuple[StrArray, Scores]:
    """Return the recording of each probe, and its scores."""
    if unit == "recording":
        return identifier.recording_scores(probes, method=method)
    in_a_row = BEATS_IN_A_ROW if unit == "five_beats" else 1
    return (
        identifier.runs(probes, in_a_row),
        identifier.beat_scores(probes, in_a_row=in_a_row, method=method),
    )


def _verification(
    scores: Scores, truth: IntArray, subjects: StrArray, *, seed: int
) -> dict[str, Any]:
    genuine, impostor = split_pairs(scores, truth)
    if not genuine.size or not impostor.size:
        return {"eer": None, "protocol": "no genuine or no impostor pair"}
    rate, threshold = equal_error_rate(genuine, impostor)

    def eer(rows: IntArray) -> float:
        mine, others = split_pairs(scores[rows], truth[rows])
        return equal_error_rate(mine, others)[0] if mine.size else float("nan")

    return {
        "protocol": "every probe recording against every enrolled subject; who scores as an "
        "impostor is mostly enrolled too",
        "genuine": len(genuine),
        "impostor": len(impostor),
        "eer": rate,
        "eer_interval": _interval(bootstrap_interval(eer, subjects, seed=seed)),
        "eer_threshold": threshold,
        "det": det_curve(genuine, impostor),
    }


def _sensitivities(
    scores: Scores, truth: IntArray, classes: Sequence[str]
) -> dict[str, float | None]:
    best = scores.argmax(axis=1)
    return {name: _share(best[truth == i] == i) for i, name in enumerate(classes)}


def _places(scores: Scores, truth: IntArray) -> IntArray:
    """Return how many other classes score at least as high as the own one."""
    own = scores[np.arange(len(scores)), truth]
    return np.asarray((scores >= own[:, None]).sum(axis=1) - 1, dtype=np.int64)


def _share(hits: npt.NDArray[np.bool_]) -> float | None:
    return float(hits.mean()) if hits.size else None


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _interval(ends: tuple[float, float] | None) -> list[float | None] | None:
    return None if ends is None else [_number(end) for end in ends]
