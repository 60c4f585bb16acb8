from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    auc,
    brier_score_loss,
    det_curve,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from core.beat_set import BeatSet
from core.evaluation import identification as figures

RNG = np.random.default_rng(0)


class FakeIdentifier:
    """Scores a beat by the number that stands in its first sample: the column it points to."""

    classes = ("a", "b", "c")
    target = "subject"
    method = "joined"
    threshold = 0.5
    false_accept_rate = 0.05

    def beat_scores(
        self, beats: BeatSet, *, in_a_row: int = 1, method: str | None = None
    ) -> np.ndarray:
        return np.asarray([self._row(v) for v in beats.signals[:, 0, 0]], np.float32)

    def beat_posteriors(
        self, beats: BeatSet, *, in_a_row: int = 1, method: str | None = None
    ) -> np.ndarray:
        return self._posteriors(self.beat_scores(beats))

    def runs(self, beats: BeatSet, in_a_row: int) -> np.ndarray:
        return beats.recording

    def recording_scores(
        self, beats: BeatSet, *, method: str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        names, first = np.unique(beats.recording, return_index=True)
        return names, self.beat_scores(beats)[first]

    def recording_posteriors(
        self, beats: BeatSet, *, method: str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        names, scores = self.recording_scores(beats)
        return names, self._posteriors(scores)

    def left_out_scores(
        self, beats: BeatSet, *, in_a_row: int | None = None, method: str | None = None
    ) -> np.ndarray:
        scores = self.beat_scores(beats) if in_a_row else self.recording_scores(beats)[1]
        recordings = self.runs(beats, 1) if in_a_row else self.recording_scores(beats)[0]
        subject_of = dict(zip(beats.recording, beats.subject, strict=True))
        own = np.asarray([[subject_of[r] == c for c in self.classes] for r in recordings])
        return np.where(own, -np.inf, scores)

    @staticmethod
    def _row(value: float) -> np.ndarray:
        row = np.zeros(3)
        if value >= 0:
            row[int(value)] = 1
        return row + 1e-3 * np.arange(3)

    @staticmethod
    def _posteriors(scores: np.ndarray) -> np.ndarray:
        return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


class FakeLabelIdentifier(FakeIdentifier):
    """The same, of labels; its scores are log-posteriors."""

    target = "label"
    methods = ("network", "of its own")

    def beat_scores(
        self, beats: BeatSet, *, in_a_row: int = 1, method: str | None = None
    ) -> np.ndarray:
        return self._posteriors(super().beat_scores(beats))


def crowd(n_subjects: int, *, each: int, separation: float) -> tuple[np.ndarray, ...]:
    """Scores of probes of subjects, the last of whom is not enrolled; truth; subjects."""
    rng = np.random.default_rng(n_subjects)
    subjects = np.repeat(np.arange(n_subjects), each)
    truth = np.where(subjects < n_subjects - 1, subjects, figures.STRANGER)
    hard = rng.normal(separation, 0.7, n_subjects)[subjects]
    scores = rng.normal(0, 1, (len(truth), n_subjects - 1))
    known = truth != figures.STRANGER
    scores[known, truth[known]] += hard[known]
    return scores, truth, subjects


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


def test_what_is_no_number_is_never_the_best() -> None:
    scores = np.array([[np.nan, 0.0], [0.0, np.nan]])
    assert figures.rank_k(scores, np.array([0, 0])) == 0
    assert figures.confusion(scores, np.array([0, 0]), "ab")["counts"] == [[0, 2], [0, 0]]


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


@pytest.mark.parametrize("decimals", [1, 6], ids=["many ties", "no ties"])
def test_error_rates_are_those_of_sklearn(decimals: int) -> None:
    genuine = RNG.normal(1.5, 1, 400).round(decimals)
    impostor = RNG.normal(0, 1, 3000).round(decimals)
    truth, scores = np.r_[np.ones(400), np.zeros(3000)], np.r_[genuine, impostor]
    match, miss, thresholds = det_curve(truth, scores)
    theirs = {t: (m, n) for t, m, n in zip(thresholds, match, miss, strict=True)}
    curve = figures.det_curve(genuine, impostor)
    ours = {t: i for i, t in enumerate(curve["threshold"])}
    shared = [t for t in ours if t in theirs]
    assert len(shared) > len(ours) / 2
    for t in shared:
        point = curve["false_match_rate"][ours[t]], curve["false_non_match_rate"][ours[t]]
        assert point == pytest.approx(theirs[t])
    _, false_match, false_non_match = figures.error_rates(genuine, impostor)
    area = auc(false_match, 1 - false_non_match)
    assert area == pytest.approx(roc_auc_score(truth, scores))


@pytest.mark.parametrize("far", [0.001, 0.01, 0.05])
def test_true_accepts_are_the_highest_of_sklearns_roc_at_so_many_false_ones(far: float) -> None:
    genuine, impostor = RNG.normal(2, 1, 500).round(2), RNG.normal(0, 1, 2000).round(2)
    false_match, match, _ = roc_curve(
        np.r_[np.ones(500), np.zeros(2000)], np.r_[genuine, impostor], drop_intermediate=False
    )
    highest = match[false_match <= far + 1e-12].max()
    assert figures.tar_at_far(genuine, impostor, far) == pytest.approx(highest)


def test_true_accepts_need_as_many_impostors_as_the_rate_says() -> None:
    genuine = np.array([2.0, 0.5])
    assert figures.tar_at_far(genuine, np.linspace(0, 1, 100), 0.01) == 0.5
    assert figures.tar_at_far(genuine, np.linspace(0, 1, 99), 0.01) is None
    assert figures.tar_at_far(genuine[:0], np.linspace(0, 1, 100), 0.01) is None
    assert figures.tar_at_far(np.full(3, 1.0), np.full(100, 1.0), 0.01) == 0, "a tie"


def test_intervals_of_rates_are_those_of_one_draw_after_the_other() -> None:
    scores, truth, subjects = crowd(20, each=4, separation=2.0)
    found = figures.rate_intervals(scores, truth, subjects, seed=3, draws=60)

    def of_draw(rate):
        def figure(rows: np.ndarray) -> float:
            return rate(*figures.split_pairs(scores[rows], truth[rows]))

        return figures.bootstrap_interval(figure, subjects, seed=3, draws=60)

    assert found["eer"] == pytest.approx(of_draw(lambda g, i: figures.equal_error_rate(g, i)[0]))
    assert found["tar_1"] == pytest.approx(of_draw(lambda g, i: figures.tar_at_far(g, i, 0.01)))
    assert found["tar_01"] == pytest.approx(of_draw(lambda g, i: figures.tar_at_far(g, i, 0.001)))


def test_intervals_of_many_scores_are_read_on_a_grid_that_is_fine_enough() -> None:
    scores, truth, subjects = crowd(40, each=30, separation=2.5)
    rough = figures.rate_intervals(scores, truth, subjects, seed=0, draws=40)

    def eer(rows: np.ndarray) -> float:
        return figures.equal_error_rate(*figures.split_pairs(scores[rows], truth[rows]))[0]

    exact = figures.bootstrap_interval(eer, subjects, seed=0, draws=40)
    assert scores.size > 4 * figures.GRID_POINTS
    assert rough["eer"] == pytest.approx(exact, abs=1e-3)
    assert figures.rate_intervals(scores, truth, np.zeros(len(truth)), seed=0)["eer"] is None


def test_the_mean_over_subjects_does_not_let_one_of_them_have_half_of_it() -> None:
    truth = np.array([0] * 8 + [1, 2])
    scores = np.eye(3)[[0] * 8 + [0, 0]]
    found = figures.figures_of(scores, truth, truth, posteriors=np.log(scores + 0.1))
    assert found["rank_1"] == found["rank_1_posterior"] == 0.8
    assert found["rank_1_subject_mean"] == pytest.approx(1 / 3)
    assert found["rank_1_interval"][0] < 0.8
    assert found["tar_01"] is None


def test_posteriors_flatter_what_scores_do_not() -> None:
    """A probe unlike everybody, itself included, still has a likeliest class."""
    levels = np.linspace(0, 5, 30)
    truth = np.arange(30) % 3
    scores = np.eye(3)[truth] + levels[:, None]
    posteriors = scores - levels[:, None]
    found = figures.figures_of(scores, truth, truth, posteriors=posteriors)
    assert found["rank_1"] == found["rank_1_posterior"] == 1
    assert found["eer_posterior"] == 0 < found["eer"]


def test_detection_and_identification_counts_strangers_and_left_out_columns() -> None:
    scores, truth, subjects = crowd(30, each=5, separation=3.0)
    found = figures.detection_and_identification(scores, truth, subjects)
    known = truth != figures.STRANGER
    alarms = []
    for row, own in zip(scores, truth, strict=True):
        alarms.append(max(v for i, v in enumerate(row) if i != own))
    assert (found["probes"], found["strangers"], found["not_enrolled"]) == (145, 150, 5)
    for name, rate in figures.FALSE_ALARMS.items():
        threshold = sorted(alarms, reverse=True)[int(rate * 150)]
        right = [
            row[own] > threshold and row.argmax() == own
            for row, own in zip(scores[known], truth[known], strict=True)
        ]
        assert found[name] == pytest.approx(np.mean(right))
        low, high = found[f"{name}_interval"]
        assert low <= found[name] <= high
    curve = {name: np.asarray(values) for name, values in found["curve"].items()}
    assert np.all(np.diff(curve["false_alarm_rate"]) <= 0)
    assert np.all(np.diff(curve["identification_rate"]) <= 0)
    rank_1 = figures.rank_k(scores, truth)
    assert curve["identification_rate"][0] == pytest.approx(rank_1) and rank_1 < 1
    few = figures.detection_and_identification(scores[:30], truth[:30], subjects[:30])
    assert few["dir_1"] is None and few["dir_5"] is not None


def test_nobody_can_be_left_out_of_a_gallery_of_one() -> None:
    one = np.array([[1.0], [0.5]])
    found = figures.detection_and_identification(one, np.array([0, 0]), np.array([0, 0]))
    assert (found["strangers"], found["dir_5"]) == (0, None)
    assert figures.open_set_rates(one, np.array([0, 0]), 0.2)["left_out_accepted"] is None


def test_reliability_is_that_of_sklearn() -> None:
    probability = RNG.beta(4, 1, 3000)
    right = RNG.random(3000) < probability**2
    found = figures.reliability(probability, right)
    accuracy, confidence = calibration_curve(right, probability, n_bins=10)
    assert [one["accuracy"] for one in found["bins"]] == pytest.approx(accuracy)
    assert [one["confidence"] for one in found["bins"]] == pytest.approx(confidence)
    counts = np.array([one["count"] for one in found["bins"]])
    assert counts.sum() == found["probes"] == 3000
    assert found["ece"] == pytest.approx(np.abs(accuracy - confidence) @ counts / 3000)
    assert found["brier"] == pytest.approx(brier_score_loss(right, probability))
    assert figures.reliability(probability[:0], right[:0])["ece"] is None


def test_class_figures_are_those_of_sklearn() -> None:
    truth = RNG.choice(4, 800, p=[0.85, 0.1, 0.04, 0.01])
    scores = RNG.normal(0, 1, (800, 5)) + 1.5 * np.eye(5)[truth]
    found = figures.class_figures(scores, truth, "NSVFQ", subjects=np.arange(800) % 20)
    said = scores.argmax(axis=1)
    theirs = precision_recall_fscore_support(truth, said, labels=range(5), zero_division=0)
    for i, name in enumerate("NSVF"):
        row = found["per_class"][name]
        told = [row[k] for k in ("predictivity", "sensitivity", "f1", "support")]
        assert told == pytest.approx([float(figure[i]) for figure in theirs])
    absent = found["per_class"]["Q"]
    assert absent["support"] == 0 and absent["sensitivity"] is None and absent["f1"] is None
    assert absent["predictivity"] == 0, "said of others"
    assert found["macro_f1"] == pytest.approx(theirs[2][:4].mean())
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, said))
    low, high = found["macro_f1_interval"]
    assert low < found["macro_f1"] < high
    json.dumps(found, allow_nan=False)


def test_a_tie_of_classes_is_a_mistake() -> None:
    found = figures.class_figures(np.zeros((4, 2)), np.array([0, 0, 1, 1]), "NV")
    assert found["accuracy"] == found["macro_f1"] == 0
    assert found["macro_f1_interval"] is None


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
    assert (found["enrolled"], found["method"]) == (3, "joined")
    assert (found["subjects"], found["recordings"], found["beats"]) == (4, 8, 48)
    joined = found["methods"]["joined"]
    for unit in figures.UNITS:
        assert joined[unit]["rank_1"] == joined[unit]["rank_1_posterior"] == pytest.approx(2 / 3)
        assert joined[unit]["rank_5"] == 1
    assert found["verification"]["eer"] == joined["recording"]["eer"]
    assert found["confusion"]["counts"] == [[2, 0, 0], [0, 2, 0], [2, 0, 0]]
    assert found["open_set"]["named_wrongly"] == pytest.approx(1 / 3)
    assert found["open_set"]["strangers_accepted"] == 1
    assert found["open_set"]["left_out_accepted"] == pytest.approx(1 / 3)
    assert "5.0% of strangers" in found["open_set"]["protocol"]
    assert found["detection"]["five_beats"]["not_enrolled"] == 12
    assert found["reliability"]["recording"]["probes"] == 6
    confidence = found["reliability"]["recording"]["bins"][0]["confidence"]
    assert confidence == pytest.approx(np.e / (np.e + 2), abs=0.01)


def test_an_evaluation_of_strangers_alone_has_no_figures_of_the_enrolled() -> None:
    found = figures.evaluate_identifier(
        FakeIdentifier(),  # type: ignore[arg-type]
        probes({"x": 0, "y": -1}),
        protocol="strangers",
    )
    json.dumps(found, allow_nan=False)
    row = found["methods"]["joined"]["recording"]
    assert row["rank_1"] is row["eer"] is row["eer_posterior"] is row["tar_1"] is None
    assert found["open_set"]["strangers_accepted"] == 0.5


def test_labels_are_told_class_by_class_by_the_methods_there_are() -> None:
    from dataclasses import replace

    beats = probes({"p1": 0, "p2": 1, "p3": 2, "p4": 0})
    labels = np.where(beats.signals[:, 0, 0] == 0, "a", "b")
    labels[beats.subject == "p4"] = "unknown"
    found = figures.evaluate_identifier(
        FakeLabelIdentifier(),  # type: ignore[arg-type]
        replace(beats, label=labels),
        protocol="labels",
    )
    json.dumps(found, allow_nan=False)
    assert list(found["methods"]) == ["network", "of its own"]
    beat = found["methods"]["network"]["beat"]
    assert (beat["probes"], found["subjects"], found["recordings"]) == (36, 3, 6)
    assert beat["per_class"]["a"]["sensitivity"] == 1
    assert beat["per_class"]["b"]["sensitivity"] == 0.5
    assert beat["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert beat["macro_f1_interval"] is not None
    assert found["confusion"]["counts"] == [[12, 0, 0], [0, 12, 12], [0, 0, 0]]
    assert found["reliability"]["beat"]["probes"] == 36


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
