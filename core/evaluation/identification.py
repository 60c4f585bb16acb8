"""Scores of probes and who they truly are -> rank-1, EER, TAR, open-set rates, calibration.

Words: a probe is genuine against its own subject and an impostor against every other; a higher
score is more alike. Rates are shares from 0 to 1. Terms follow ISO/IEC 19795-1. A tie counts
against the probe, and so does, in ranks, a score that is not a number.

Scores hold for strangers too and do not depend on who else is enrolled. Posteriors are over the
gallery: they sum to one for everybody, which flatters their EER, so theirs is named apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from core.beat_set import BeatSet
from core.models.cnn_lstm import BEATS_IN_A_ROW
from core.recording import IntArray, StrArray

if TYPE_CHECKING:
    from core.models.cnn_lstm import Identifier
    from core.models.label_identifier import LabelIdentifier

Scores = npt.NDArray[np.floating[Any]]

STRANGER = -1
"""Truth of a probe whose subject is not enrolled."""
DET_POINTS = 200
"""Most points of a DET curve that are handed on."""
BOOTSTRAP_DRAWS = 500
GRID_POINTS = 1000
"""Thresholds from genuine scores, and as many from impostors', that resampled rates look at.

Fewer than twice as many different scores are looked at one by one.
"""
CONFIDENCE = 0.95
FALSE_ACCEPTS = {"tar_1": 0.01, "tar_01": 0.001}
"""Shares of impostors let through at which true accepts are told."""
FALSE_ALARMS = {"dir_1": 0.01, "dir_5": 0.05}
"""Shares of strangers taken for somebody at which detection and identification is told."""
RELIABILITY_BINS = 10
SHUFFLES = 20
UNITS = {
    "beat": "each kept beat alone",
    "five_beats": f"means of {BEATS_IN_A_ROW} beats in a row",
    "recording": "all kept beats of a recording",
}
IN_A_ROW: dict[str, int | None] = {"beat": 1, "five_beats": BEATS_IN_A_ROW, "recording": None}
METHOD_WORDS = {
    "joined": "network and discriminants",
    "network": "network alone",
    "lda": "LDA on the network's input",
    "plain_lda": "LDA on plain beats",
    "template": "mean template, cosine",
}
LABEL_METHOD_WORDS = {
    "joined": "network and trees",
    "network": "network alone",
    "features": "trees alone",
}
FIGURE_WORDS = {
    "rank_1_posterior": "rank 1 of posteriors",
    "rank_1_subject_mean": "rank 1, mean over subjects",
    "eer": "EER of scores",
    "eer_posterior": "EER of posteriors over the gallery",
    "tar_1": "true accepts at 1 % false accepts",
    "tar_01": "true accepts at 0.1 % false accepts",
    "dir_1": "detected and identified at 1 % false alarms",
    "dir_5": "detected and identified at 5 % false alarms",
    "macro_f1": "macro F1",
    "f1": "F1",
    "ece": "expected calibration error",
    "brier": "Brier score",
}
"""Words of the figures whose names need them."""


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
    rates, after = _crossings(false_match[None], false_non_match[None])
    at = int(after[0])
    threshold = thresholds[at] if np.isfinite(thresholds[at]) else thresholds[max(at - 1, 0)]
    return float(rates[0]), float(threshold)


def threshold_at(impostor: Scores, false_match_rate: float) -> float:
    """Return the least threshold at which at most such a share of impostors match."""
    ordered = np.sort(impostor)[::-1]
    allowed = int(_allowed(len(ordered), false_match_rate))
    if allowed >= len(ordered):
        return float(ordered[-1])
    return float(np.nextafter(ordered[allowed], np.inf))


def tar_at_far(genuine: Scores, impostor: Scores, far: float) -> float | None:
    """Return the share of genuine scores that match where at most a share of impostors do.

    Args:
        genuine: Scores against the own subject.
        impostor: Scores against another.
        far: False accept rate.

    Returns:
        True accept rate; None where it is not resolvable: fewer impostors than 1 / `far`, or no
        genuine score.
    """
    if not genuine.size or not _resolvable(impostor.size, far):
        return None
    return float(np.mean(genuine >= threshold_at(impostor, far)))


def det_curve(genuine: Scores, impostor: Scores) -> dict[str, list[float]]:
    """Return a DET curve of at most 200 points: thresholds and both rates, JSON-ready.

    Points are dense where a rate is small, as the curve's logarithmic axes are.
    """
    thresholds, false_match, false_non_match = error_rates(genuine, impostor)
    finite = np.flatnonzero(np.isfinite(thresholds))
    chosen = finite[_evenly(false_match[finite], false_non_match[finite])]
    return {
        "threshold": thresholds[chosen].astype(float).tolist(),
        "false_match_rate": false_match[chosen].tolist(),
        "false_non_match_rate": false_non_match[chosen].tolist(),
    }


def rate_intervals(
    scores: Scores,
    truth: IntArray,
    subjects: StrArray | IntArray,
    *,
    seed: int,
    draws: int = BOOTSTRAP_DRAWS,
) -> dict[str, tuple[float, float] | None]:
    """Return 95 % intervals over the probes' subjects of ``eer``, ``tar_1`` and ``tar_01``.

    The same draws as `bootstrap_interval` of each rate, all at once; the gallery stays. With more
    different scores than twice `GRID_POINTS`, thresholds are read on a grid of quantiles.

    Args:
        scores: (n, n_classes).
        truth: (n,) column of each probe's own class.
        subjects: (n,) subject of each probe.
        seed: Of the draws.
        draws: How many.
    """
    names, codes = np.unique(subjects, return_inverse=True)
    result: dict[str, tuple[float, float] | None] = dict.fromkeys(("eer", *FALSE_ACCEPTS))
    genuine = np.arange(scores.shape[1])[None, :] == truth[:, None]
    if len(names) < 2 or not genuine.any() or genuine.all():
        return result
    grid = _grid(scores[genuine], scores[~genuine])
    place = np.searchsorted(grid, scores, side="right") - 1
    cells = codes[:, None] * len(grid) + np.maximum(place, 0)
    shape = (len(names), len(grid))
    of_subject = [
        np.bincount(cells[pairs], minlength=shape[0] * shape[1]).reshape(shape)
        for pairs in (genuine, ~genuine)
    ]
    rng = np.random.default_rng(seed)
    weights = np.stack(
        [
            np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
            for _ in range(draws)
        ]
    ).astype(np.float64)
    mine, others = (weights @ counts for counts in of_subject)
    some = (mine.sum(axis=1) > 0) & (others.sum(axis=1) > 0)
    mine, others = mine[some], others[some]
    nothing = np.zeros((len(mine), 1))
    missed = np.concatenate([nothing, mine.cumsum(axis=1)], axis=1)
    passed = np.concatenate([others[:, ::-1].cumsum(axis=1)[:, ::-1], nothing], axis=1)
    false_non_match = missed / missed[:, -1:]
    result["eer"] = _percentiles(_crossings(passed / passed[:, :1], false_non_match)[0])
    for name, far in FALSE_ACCEPTS.items():
        if _resolvable(int((~genuine).sum()), far):
            at = np.argmax(passed <= _allowed(passed[:, :1], far), axis=1)
            result[name] = _percentiles(1 - false_non_match[np.arange(len(at)), at])
    return result


def detection_and_identification(
    scores: Scores,
    truth: IntArray,
    subjects: StrArray | IntArray,
    *,
    left_out: Scores | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return how often the enrolled are found at which share of false alarms, JSON-ready.

    Detection and identification rate at rank 1 (Grother and Ngan; ISO/IEC 19795-1): the share of
    enrolled probes whose own score is the highest and reaches the threshold. The false alarm rate
    is the share of strangers whose highest score reaches it. Strangers are the probes of subjects
    who are not enrolled, and every other probe with its own column left out.

    Args:
        scores: (n, n_classes) scores that hold for strangers, no posteriors.
        truth: (n,) column of each probe's own class, or `STRANGER`.
        subjects: (n,) subject of each probe.
        left_out: (n, n_classes) scores as if each probe's own class were not there; by default
            `scores`, for those that do not depend on the other columns.
        seed: Of resampling.

    Returns:
        ``dir_1`` and ``dir_5`` at 1 % and 5 % false alarms with intervals, None where there are
        too few strangers to tell; ``curve`` of at most 200 points.
    """
    known = truth != STRANGER
    alarm = _highest_of_others(scores if left_out is None else left_out, truth)
    strange = np.isfinite(alarm)
    found = np.full(len(scores), -np.inf)
    own = scores[np.flatnonzero(known), truth[known]]
    found[known] = np.where(_places(scores[known], truth[known]) < 1, own, -np.inf)

    def rate_at(far: float) -> Callable[[IntArray], float]:
        def rate(rows: IntArray) -> float:
            strangers = alarm[rows[strange[rows]]]
            mine = found[rows[known[rows]]]
            if not strangers.size or not mine.size:
                return float("nan")
            return float(np.mean(mine >= threshold_at(strangers, far)))

        return rate

    figures: dict[str, Any] = {
        "protocol": "strangers: every probe with its own column left out of the gallery, though "
        "the networks may have learned that subject, and the probes of subjects not enrolled",
        "probes": int(known.sum()),
        "strangers": int(strange.sum()),
        "not_enrolled": int((~known).sum()),
    }
    everybody = np.arange(len(scores))
    for name, far in FALSE_ALARMS.items():
        told = bool(known.any()) and _resolvable(int(strange.sum()), far)
        figures[name] = _number(rate_at(far)(everybody)) if told else None
        figures[f"{name}_interval"] = (
            _interval(bootstrap_interval(rate_at(far), subjects, seed=seed)) if told else None
        )
    if known.any() and strange.any():
        curve = det_curve(found[known], alarm[strange])
        figures["curve"] = {
            "threshold": curve["threshold"],
            "false_alarm_rate": curve["false_match_rate"],
            "identification_rate": [1 - rate for rate in curve["false_non_match_rate"]],
        }
    return figures


def reliability(
    probabilities: Scores, right: npt.NDArray[np.bool_], *, bins: int = RELIABILITY_BINS
) -> dict[str, Any]:
    """Return how often a name that was given with some probability was right, JSON-ready.

    Args:
        probabilities: (n,) of the name given, 0 to 1.
        right: (n,) whether the name was right.
        bins: Bins of equal width; empty ones are left out.

    Returns:
        ``bins``: of each its ends, mean ``confidence``, ``accuracy`` and ``count``; ``ece``:
        expected calibration error, the mean gap between the two weighed by count (Naeini et al.
        2015); ``brier``: mean squared error of the probability of the name given.
    """
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], probabilities)
    rows, gap = [], 0.0
    for i in np.unique(place):
        mine = place == i
        confidence, accuracy = float(probabilities[mine].mean()), float(right[mine].mean())
        count = int(mine.sum())
        gap += count * abs(confidence - accuracy)
        rows.append(
            {
                "low": float(edges[i]),
                "high": float(edges[i + 1]),
                "confidence": confidence,
                "accuracy": accuracy,
                "count": count,
            }
        )
    n = len(probabilities)
    return {
        "probes": n,
        "ece": gap / n if n else None,
        "brier": float(np.mean((probabilities - right) ** 2)) if n else None,
        "bins": rows,
    }


def class_figures(
    scores: Scores,
    truth: IntArray,
    classes: Sequence[str],
    *,
    subjects: StrArray | IntArray | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return how well each class is told from the others, JSON-ready.

    Args:
        scores: (n, n_classes); the highest says which class it is.
        truth: (n,) column of the true class.
        classes: Names of the columns.
        subjects: (n,) subject of each; gives intervals over subjects.
        seed: Of resampling.

    Returns:
        ``accuracy``; ``macro_f1``: mean F1 of the classes that occur; ``per_class``: of each its
        ``support``, ``sensitivity`` (recall), ``predictivity`` (precision; null if it was never
        said) and ``f1``, null where it does not occur.
    """
    known = truth != STRANGER
    owners = np.zeros(len(truth)) if subjects is None else np.asarray(subjects)
    names, codes = np.unique(owners[known], return_inverse=True)
    tables = np.zeros((len(names), len(classes), len(classes)), dtype=np.int64)
    np.add.at(tables, (codes, truth[known], _named(scores[known], truth[known])), 1)
    counts: IntArray = tables.sum(axis=0)
    support, said, hits = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    f1 = _f1(counts)

    def ends(figure: Callable[[IntArray], float]) -> list[float] | None:
        return _interval(
            bootstrap_interval(
                lambda rows: figure(tables[rows].sum(axis=0)), np.arange(len(names)), seed=seed
            )
        )

    return {
        "probes": int(support.sum()),
        "accuracy": _number(_accuracy(counts)),
        "accuracy_interval": ends(_accuracy),
        "macro_f1": _number(_macro_f1(counts)),
        "macro_f1_interval": ends(_macro_f1),
        "per_class": {
            name: {
                "support": int(support[i]),
                "sensitivity": float(hits[i] / support[i]) if support[i] else None,
                "predictivity": float(hits[i] / said[i]) if said[i] else None,
                "f1": _number(float(f1[i])),
            }
            for i, name in enumerate(classes)
        },
    }


def open_set_rates(
    scores: Scores, truth: IntArray, threshold: float, *, left_out: Scores | None = None
) -> dict[str, Any]:
    """Return what happens to probes when the best score must reach a threshold.

    `left_out` is as in `detection_and_identification`.

    Returns:
        ``named_rightly``, ``named_wrongly`` and ``refused``: shares of the enrolled probes;
        ``strangers_accepted``: share of the strangers, null where there are none;
        ``left_out_accepted``: share of the enrolled probes that are taken for another when their
        own column is left out, as in `detection_and_identification`.
    """
    accepted = scores.max(axis=1) >= threshold
    known = truth != STRANGER
    right = accepted & (_named(scores, truth) == truth)
    others = _highest_of_others(scores if left_out is None else left_out, truth)[known]
    return {
        "threshold": float(threshold),
        "enrolled_probes": int(known.sum()),
        "stranger_probes": int((~known).sum()),
        "named_rightly": _share(right[known]),
        "named_wrongly": _share((accepted & ~right)[known]),
        "refused": _share(~accepted[known]),
        "strangers_accepted": _share(accepted[~known]),
        "left_out_accepted": _share(others[np.isfinite(others)] >= threshold),
    }


def confusion(scores: Scores, truth: IntArray, classes: Sequence[str]) -> dict[str, Any]:
    """Return how often each class (a row) was named as each class (a column), JSON-ready."""
    known = truth != STRANGER
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (truth[known], _named(scores[known], truth[known])), 1)
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
    return _percentiles(np.asarray(figures))


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
    scores: Scores,
    truth: IntArray,
    subjects: StrArray,
    *,
    posteriors: Scores | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return ranks and error rates of probes with their intervals over subjects, JSON-ready.

    Args:
        scores: (n, n_classes) scores that hold for strangers.
        truth: (n,) column of each probe's own class, or `STRANGER`.
        subjects: (n,) subject of each probe.
        posteriors: (n, n_classes) log-posteriors over the gallery.
        seed: Of resampling.

    Returns:
        ``rank_1``, ``rank_5``, ``rank_1_subject_mean`` (one subject may own half of the probes);
        ``eer``, ``tar_1``, ``tar_01`` (None where not resolvable) of the scores;
        ``rank_1_posterior``, ``eer_posterior`` of the enrolled probes' posteriors, if given.
    """
    known = truth != STRANGER
    figures: dict[str, Any] = {
        "probes": len(scores),
        **_rank_1_figures(scores[known], truth[known], subjects[known], seed=seed),
        "rank_5": _number(rank_k(scores, truth, 5)),
        **_rate_figures(scores, truth, subjects, seed=seed),
    }
    if posteriors is not None:
        closed = posteriors[known], truth[known], subjects[known]
        ranks, rates = _rank_1_figures(*closed, seed=seed), _rate_figures(*closed, seed=seed)
        for name, of in (("rank_1", ranks), ("eer", rates)):
            figures |= {
                f"{name}_posterior": of[name],
                f"{name}_posterior_interval": of[f"{name}_interval"],
            }
    return figures


def evaluate_identifier(
    identifier: Identifier | LabelIdentifier, probes: BeatSet, *, protocol: str, seed: int = 0
) -> dict[str, Any]:
    """Return every figure of an identifier on probes that it never saw, JSON-ready.

    Args:
        identifier: Trained to name subjects, or labels.
        probes: Real beats, in order of time within each recording; of subjects who are not
            enrolled as well, if strangers are to be tried.
        protocol: What was trained on and what the probes are, in a sentence.
        seed: Of resampling.

    Returns:
        ``protocol``; ``methods``: for the identifier, its parts and the yardsticks `figures_of`
        by beat, by five beats in a row and by recording. By the method that identifies:
        ``verification``: error rates and DET curve of the recordings; ``open_set`` at the
        identifier's threshold; ``detection``: `detection_and_identification` and ``reliability``
        of the posteriors, by five beats and by recording; ``confusion``; ``shuffled``: rank-1
        with subjects dealt anew, which must stand at chance. Of labels: ``methods`` with
        `class_figures` by beat, ``reliability`` and ``confusion``.
    """
    if identifier.target == "label":
        return _evaluate_labels(
            cast("LabelIdentifier", identifier), probes, protocol=protocol, seed=seed
        )
    return _evaluate_subjects(cast("Identifier", identifier), probes, protocol=protocol, seed=seed)


def _evaluate_subjects(
    identifier: Identifier, probes: BeatSet, *, protocol: str, seed: int
) -> dict[str, Any]:
    subject_of = dict(zip(probes.recording, probes.subject, strict=True))
    rows: dict[str, dict[str, Any]] = {}
    detection: dict[str, Any] = {}
    calibration: dict[str, Any] = {
        "protocol": "posteriors over the gallery of enrolled probes, by "
        + METHOD_WORDS[identifier.method]
    }
    for method, words in METHOD_WORDS.items():
        rows[method] = {"name": words}
        for unit in UNITS:
            recordings, scores, posteriors = _unit_scores(identifier, probes, unit, method)
            subjects = np.asarray([subject_of[r] for r in recordings])
            truth = truth_of(subjects, identifier.classes)
            rows[method][unit] = figures_of(
                scores, truth, subjects, posteriors=posteriors, seed=seed
            )
            if method == identifier.method and unit != "beat":
                detection[unit] = detection_and_identification(
                    scores,
                    truth,
                    subjects,
                    left_out=identifier.left_out_scores(probes, in_a_row=IN_A_ROW[unit]),
                    seed=seed,
                )
                calibration[unit] = _reliability_of(posteriors, truth)
    recordings, scores = identifier.recording_scores(probes)
    subjects = np.asarray([subject_of[r] for r in recordings])
    truth = truth_of(subjects, identifier.classes)
    left_out = identifier.left_out_scores(probes)
    return {
        "protocol": protocol,
        "units": UNITS,
        "enrolled": len(identifier.classes),
        "method": identifier.method,
        "subjects": len(np.unique(probes.subject)),
        "recordings": len(recordings),
        "beats": len(probes),
        "methods": rows,
        "verification": _verification(
            scores, left_out, truth, rows[identifier.method]["recording"]
        ),
        "open_set": open_set_rates(scores, truth, identifier.threshold, left_out=left_out)
        | {
            "protocol": "best score of a recording against the identifier's threshold, "
            + _threshold_words(identifier.false_accept_rate),
            "false_accept_rate_stated": identifier.false_accept_rate,
        },
        "detection": detection,
        "reliability": calibration,
        "confusion": confusion(scores, truth, identifier.classes),
        "shuffled": {
            "rank_1": _number(shuffled_rank_1(scores, truth, recordings, seed=seed)),
            "chance": _number(chance_rank_1(scores, truth)),
            "protocol": "the same scores, subjects dealt anew to whole recordings, mean of "
            f"{SHUFFLES} deals: must stand at chance, which is the larger the more recordings one "
            "subject has",
        },
    }


def _threshold_words(false_accept_rate: float | None) -> str:
    if false_accept_rate is None:
        return "a default: train has too few subjects to choose one, or the preset was quick"
    return (
        f"which {false_accept_rate:.1%} of strangers on the train side would pass; they were tried "
        "on short trainings with a third fewer subjects"
    )


def _evaluate_labels(
    identifier: LabelIdentifier, probes: BeatSet, *, protocol: str, seed: int
) -> dict[str, Any]:
    asked = np.isin(probes.label, identifier.classes)
    everything, probes = probes, probes.take(asked)
    truth = truth_of(probes.label, identifier.classes)
    rows: dict[str, dict[str, Any]] = {}
    for method in identifier.methods:
        scores = identifier.beat_scores(everything, method=method)[asked]
        rows[method] = {
            "name": LABEL_METHOD_WORDS.get(method, method),
            "beat": class_figures(
                scores, truth, identifier.classes, subjects=probes.subject, seed=seed
            ),
        }
    posteriors = identifier.beat_scores(everything)[asked]
    return {
        "protocol": protocol,
        "units": {"beat": UNITS["beat"]},
        "classes": list(identifier.classes),
        "subjects": len(np.unique(probes.subject)),
        "recordings": len(np.unique(probes.recording)),
        "beats": len(probes),
        "methods": rows,
        "reliability": {"beat": _reliability_of(posteriors, truth)},
        "confusion": confusion(posteriors, truth, identifier.classes),
    }


def _unit_scores(
    identifier: Identifier, probes: BeatSet, unit: str, method: Any
) -> tuple[StrArray, Scores, Scores]:
    """Return the recording of each probe, its scores and its log-posteriors."""
    if unit == "recording":
        recordings, scores = identifier.recording_scores(probes, method=method)
        return recordings, scores, identifier.recording_posteriors(probes, method=method)[1]
    in_a_row = IN_A_ROW[unit] or 1
    return (
        identifier.runs(probes, in_a_row),
        identifier.beat_scores(probes, in_a_row=in_a_row, method=method),
        identifier.beat_posteriors(probes, in_a_row=in_a_row, method=method),
    )


def _verification(
    scores: Scores, left_out: Scores, truth: IntArray, figures: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a DET curve beside the rates that `figures_of` told of the same recordings."""
    genuine, impostor = split_pairs(scores, truth)
    if not genuine.size or not impostor.size:
        return {"eer": None, "protocol": "no genuine or no impostor pair"}
    names = ("eer", *FALSE_ACCEPTS, "eer_posterior")
    return {
        "protocol": "every probe recording against every enrolled subject; who scores as an "
        "impostor is mostly enrolled too; eer_left_out scores impostors as if they were not",
        "probes": len(scores),
        "genuine": len(genuine),
        "impostor": len(impostor),
        **{key: figures[key] for name in names for key in (name, f"{name}_interval")},
        "eer_left_out": equal_error_rate(genuine, left_out[np.isfinite(left_out)])[0],
        "eer_threshold": equal_error_rate(genuine, impostor)[1],
        "det": det_curve(genuine, impostor),
    }


def _rank_1_figures(
    scores: Scores, truth: IntArray, subjects: StrArray, *, seed: int
) -> dict[str, Any]:
    """Return rank-1 of enrolled probes, pooled with its interval, and the mean over subjects."""
    hits = _places(scores, truth) < 1
    names, codes = np.unique(subjects, return_inverse=True)
    right = np.bincount(codes, weights=hits, minlength=len(names))
    probes = np.bincount(codes, minlength=len(names))

    def rank_1(rows: IntArray) -> float:
        return float(right[rows].sum() / probes[rows].sum())

    ends = bootstrap_interval(rank_1, np.arange(len(names)), seed=seed)
    return {
        "rank_1": _share(hits),
        "rank_1_interval": _interval(ends),
        "rank_1_subject_mean": float(np.mean(right / probes)) if len(names) else None,
    }


def _rate_figures(
    scores: Scores, truth: IntArray, subjects: StrArray, *, seed: int
) -> dict[str, Any]:
    """Return EER and true accept rates with their intervals; None where there are no pairs."""
    genuine, impostor = split_pairs(scores, truth)
    pairs = bool(genuine.size and impostor.size)
    ends = rate_intervals(scores, truth, subjects, seed=seed)
    values = {"eer": equal_error_rate(genuine, impostor)[0] if pairs else None}
    values |= {name: tar_at_far(genuine, impostor, far) for name, far in FALSE_ACCEPTS.items()}
    figures: dict[str, Any] = {}
    for name, value in values.items():
        figures |= {name: value, f"{name}_interval": _interval(ends[name])}
    return figures


def _reliability_of(log_posteriors: Scores, truth: IntArray) -> dict[str, Any]:
    """Return the reliability of the likeliest class of each enrolled probe."""
    known = truth != STRANGER
    likeliest = np.exp(log_posteriors[known].astype(np.float64)).max(axis=1, initial=0.0)
    right = _places(log_posteriors[known], truth[known]) < 1
    return reliability(np.clip(likeliest, 0, 1), right)


def _places(scores: Scores, truth: IntArray) -> IntArray:
    """Return how many other classes do not score lower than the own one."""
    own = scores[np.arange(len(scores)), truth]
    return np.asarray((~(scores < own[:, None])).sum(axis=1) - 1, dtype=np.int64)


def _named(scores: Scores, truth: IntArray) -> IntArray:
    """Return the class that scores highest; of several, one that is not the probe's own."""
    rows = np.arange(len(scores))
    known = np.flatnonzero(truth != STRANGER)
    ranked = np.where(np.isnan(scores), np.inf, scores)
    ranked[known, truth[known]] = np.nan_to_num(scores[known, truth[known]], nan=-np.inf)
    first = ranked.argmax(axis=1)
    tied = ranked == ranked[rows, first][:, None]
    tied[known, truth[known]] = False
    return np.where(tied.any(axis=1), tied.argmax(axis=1), first).astype(np.int64)


def _highest_of_others(scores: Scores, truth: IntArray) -> Scores:
    """Return (n,) the highest score against somebody else; -inf where there is nobody."""
    others = scores.astype(np.float64)
    known = np.flatnonzero(truth != STRANGER)
    others[known, truth[known]] = -np.inf
    return np.asarray(others.max(axis=1, initial=-np.inf))


def _f1(counts: IntArray) -> Scores:
    """Return the F1 of each class; NaN of one that does not occur."""
    total = counts.sum(axis=1) + counts.sum(axis=0)
    f1 = np.full(len(counts), np.nan)
    return np.divide(2 * np.diag(counts), total, out=f1, where=counts.sum(axis=1) > 0)


def _macro_f1(counts: IntArray) -> float:
    f1 = _f1(counts)
    return float(np.nanmean(f1)) if np.isfinite(f1).any() else float("nan")


def _accuracy(counts: IntArray) -> float:
    return float(np.trace(counts) / counts.sum()) if counts.any() else float("nan")


def _allowed(n: Any, share: float) -> Any:
    """Return how many of `n` are at most such a share, safe against rounding."""
    return np.floor(share * n + 1e-9)


def _resolvable(n: int, share: float) -> bool:
    """Tell whether one of `n` is at most such a share."""
    return bool(_allowed(n, share) >= 1)


def _crossings(false_match: Scores, false_non_match: Scores) -> tuple[Scores, IntArray]:
    """Return where rates (m, n_thresholds) are level, and the first threshold after each."""
    rows = np.arange(len(false_match))
    gap = false_non_match - false_match
    after = np.argmax(gap >= 0, axis=1)
    before = np.maximum(after - 1, 0)
    step = gap[rows, after] - gap[rows, before]
    share = np.divide(-gap[rows, before], step, out=np.zeros(len(rows)), where=step > 0)
    low, high = false_match[rows, before], false_match[rows, after]
    return low + share * (high - low), after


def _grid(genuine: Scores, impostor: Scores) -> Scores:
    """Return thresholds, ascending, the lowest score first: all scores, or quantiles of many."""
    everything = np.unique(np.concatenate([genuine, impostor]))
    if len(everything) <= 2 * GRID_POINTS:
        return everything
    even = np.linspace(0, 1, GRID_POINTS)
    tail = 1 - np.geomspace(1 / len(impostor), 1, GRID_POINTS)
    return np.unique(
        np.concatenate(
            [
                everything[:1],
                np.quantile(genuine, even, method="inverted_cdf"),
                np.quantile(impostor, np.clip(tail, 0, 1), method="inverted_cdf"),
            ]
        )
    )


def _evenly(false_match: Scores, false_non_match: Scores) -> IntArray:
    """Return positions of at most `DET_POINTS` points of a curve, even on logarithmic axes."""
    last = len(false_match) - 1
    if last < DET_POINTS:
        return np.arange(last + 1)
    along = np.zeros(last + 1)
    for rate in (false_match, false_non_match):
        logs = np.log(np.maximum(rate, rate[rate > 0].min(initial=1.0) / 2))
        along[1:] += np.abs(np.diff(logs))
    along = along.cumsum()
    places = np.searchsorted(along, np.linspace(0, along[-1], DET_POINTS))
    return np.unique(np.clip(places, 0, last))


def _percentiles(figures: Scores) -> tuple[float, float]:
    """Return both ends of the interval; NaN if no figure is a number."""
    tail = (1 - CONFIDENCE) / 2
    told = figures[np.isfinite(figures)]
    if not told.size:
        return float("nan"), float("nan")
    low, high = np.quantile(told, [tail, 1 - tail])
    return float(low), float(high)


def _share(hits: npt.NDArray[np.bool_]) -> float | None:
    return float(hits.mean()) if hits.size else None


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _interval(ends: tuple[float, float] | None) -> list[float] | None:
    return None if ends is None or not np.isfinite(ends).all() else list(ends)
