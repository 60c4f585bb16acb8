from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from core.beat_set import BeatSet
from core.evaluation import identification as figures

RNG = np.random.default_rng(0)


class FakeIdentifier:
    """Scores a beat by the number that stands in its first sample: the column it points to."""

    classes = ("a", "b", "c")
    target = "subject"
    threshold = 0.5

    def beat_scores(
        self, beats: BeatSet, *, in_a_row: int = 1, method: str = "joined"
    ) -> np.ndarray:
        return np.asarray([self._row(v) for v in beats.signals[:, 0, 0]])

    def runs(self, beats: BeatSet, in_a_row: int) -> np.ndarray:
        return beats.recording

    def recording_scores(
        self, beats: BeatSet, *, method: str = "joined"
    ) -> tuple[np.ndarray, np.ndarray]:
        names, first = np.unique(beats.recording, return_index=True)
        return names, np.asarray([self._row(v) for v in beats.signals[first, 0, 0]])

    @staticmethod
    def _row(value: float) -> np.ndarray:
        row = np.zeros(3)
        if value >= 0:
            row[int(value)] = 1
        return row + 1e-3 * np.arange(3)


def probes(pointers: dict[str, int], *, n: int = 6) -> BeatSet:
    """Two recordings a subject, whose beats all point to one column."""
    subject = np.repeat(list(pointers), 2 * n)
    record = np.tile(np.repeat(["rec_1", "rec_2"], n), len(pointers))
    signals = np.zeros((len(subject), 4, 1), np.float32)
    signals[:, 0, 0] = [pointers[s] for s in subject]
    return BeatSet.build(
        signals,
        sampling_rate=100,
        before_s=0.01,
        leads=("I",),
        subject=subject,
        record=record,
        recording=np.char.add(np.char.add(subject, "/"), record),
    )


def test_rank_k_counts_places_and_a_tie_against_the_probe() -> None:
    scores = np.array([[3.0, 2, 1], [1, 3, 2], [2, 2, 1], [9, 0, 0]])
    truth = np.array([0, 0, 0, figures.STRANGER])
    assert figures.rank_k(scores, truth) == pytest.approx(1 / 3)
    assert figures.rank_k(scores, truth, 2) == pytest.approx(2 / 3)
    assert figures.rank_k(scores, truth, 3) == 1


@pytest.mark.parametrize("decimals", [1, 6], ids=["many ties", "no ties"])
def test_eer_is_where_sklearns_roc_crosses_the_diagonal(decimals: int) -> None:
    genuine = RNG.normal(1.5, 1, 300).round(decimals)
    impostor = RNG.normal(0, 1, 2000).round(decimals)
    false_match, match, _ = roc_curve(
        np.r_[np.ones(300), np.zeros(2000)], np.r_[genuine, impostor], drop_intermediate=False
    )
    fine = np.linspace(0, 1, 2_000_001)
    gap = 1 - np.interp(fine, false_match, match) - fine
    assert figures.equal_error_rate(genuine, impostor)[0] == pytest.approx(
        fine[np.argmin(np.abs(gap))], abs=2e-3 if decimals == 1 else 1e-5
    )


def test_eer_of_separate_scores_is_nought_and_of_swapped_ones_is_one() -> None:
    low, high = np.array([0.0, 0.1, 0.2]), np.array([0.8, 0.9])
    assert figures.equal_error_rate(high, low)[0] == 0
    assert figures.equal_error_rate(low, high)[0] == 1
    assert figures.equal_error_rate(low, low.copy())[0] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="genuine and impostor"):
        figures.equal_error_rate(high, low[:0])


def test_a_threshold_lets_no_more_impostors_through_than_asked() -> None:
    impostor = RNG.normal(size=1000).round(2)
    for rate in (0.0, 0.01, 0.05):
        assert np.mean(impostor >= figures.threshold_at(impostor, rate)) <= rate
    finest = figures.threshold_at(np.arange(100.0), 0.05)
    assert np.mean(np.arange(100.0) >= finest) == 0.05


def test_det_curve_is_monotone_and_agrees_with_counting() -> None:
    genuine, impostor = RNG.normal(1, 1, 500), RNG.normal(0, 1, 900)
    curve = figures.det_curve(genuine, impostor)
    assert len(curve["threshold"]) <= figures.DET_POINTS
    assert np.all(np.diff(curve["false_match_rate"]) <= 0)
    assert np.all(np.diff(curve["false_non_match_rate"]) >= 0)
    middle = len(curve["threshold"]) // 2
    threshold = curve["threshold"][middle]
    assert curve["false_match_rate"][middle] == pytest.approx(np.mean(impostor >= threshold))
    assert curve["false_non_match_rate"][middle] == pytest.approx(np.mean(genuine < threshold))


def test_open_set_rates_tell_refused_wrong_and_strange_apart() -> None:
    scores = np.array([[0.9, 0], [0.2, 0.8], [0.1, 0.3], [0.7, 0], [0, 0.1]])
    truth = np.array([0, 0, 1, figures.STRANGER, figures.STRANGER])
    rates = figures.open_set_rates(scores, truth, 0.5)
    assert [rates[k] for k in ("named_rightly", "named_wrongly", "refused")] == pytest.approx(
        [1 / 3] * 3
    )
    assert rates["strangers_accepted"] == 0.5
    assert figures.open_set_rates(scores[:3], truth[:3], 0.5)["strangers_accepted"] is None


def test_the_interval_is_over_subjects_not_over_probes() -> None:
    hits = np.repeat([1.0, 0.0] * 20, 50)
    subjects = np.repeat(np.arange(40), 50)
    ends = figures.bootstrap_interval(lambda rows: float(hits[rows].mean()), subjects, seed=0)
    assert ends is not None
    expected = 1.96 * 0.5 / np.sqrt(40)
    assert 0.5 - ends[0] == pytest.approx(expected, rel=0.2)
    assert ends[1] - 0.5 == pytest.approx(expected, rel=0.2)
    assert figures.bootstrap_interval(lambda rows: 1.0, subjects[:50], seed=0) is None


def test_an_evaluation_counts_every_unit_and_is_json() -> None:
    found = figures.evaluate_identifier(
        FakeIdentifier(),  # type: ignore[arg-type]
        probes({"a": 0, "b": 1, "c": 0, "stranger": 2}),
        protocol="made up",
    )
    json.dumps(found, allow_nan=False)
    assert found["protocol"] == "made up"
    assert (found["subjects"], found["recordings"], found["beats"]) == (4, 8, 48)
    joined = found["methods"]["joined"]
    for unit in figures.UNITS:
        assert joined[unit]["rank_1"] == pytest.approx(2 / 3)
    assert found["confusion"]["counts"] == [[2, 0, 0], [0, 2, 0], [2, 0, 0]]
    assert found["open_set"]["named_wrongly"] == pytest.approx(1 / 3)
    assert found["open_set"]["strangers_accepted"] == 1


@pytest.mark.parametrize("of_one_subject", [2, 60], ids=["equal shares", "one has most"])
def test_dealing_subjects_anew_brings_rank_1_to_chance(of_one_subject: int) -> None:
    owners = np.r_[np.repeat(np.arange(1, 45), 2), np.zeros(of_one_subject, np.int64)]
    truth = np.repeat(owners, 5)
    recordings = np.repeat([f"r{i}" for i in range(len(owners))], 5)
    scores = np.eye(45)[truth]
    chance = float(np.sum((np.bincount(owners) / len(owners)) ** 2))
    assert figures.rank_k(scores, truth) == 1
    assert figures.chance_rank_1(scores, truth) == pytest.approx(chance)
    dealt = figures.shuffled_rank_1(scores, truth, recordings, seed=0)
    assert dealt == pytest.approx(chance, abs=0.02)
