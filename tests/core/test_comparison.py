"""Comparison: rounds that tell nothing, parts exchanged without a step, nearest beats, luck."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from core import comparison, workflow
from core.beat_set import BeatSet
from core.errors import UserError
from core.recording import FloatArray, StrArray
from core.study import Study

RATE, BEFORE_S, N_SAMPLES = 250.0, 0.25, 175
TIMES = np.arange(N_SAMPLES) / RATE - BEFORE_S


def beats(subjects: list[str], value: float = 0.0, recording: str = "r") -> BeatSet:
    signals = np.full((len(subjects), N_SAMPLES, 1), value, np.float32)
    signals += np.arange(len(subjects), dtype=np.float32)[:, None, None] / 1000
    return BeatSet.build(
        signals,
        sampling_rate=RATE,
        before_s=BEFORE_S,
        leads=("I",),
        subject=np.asarray(subjects),
        recording=recording,
    )


def draw(subjects: StrArray) -> BeatSet:
    return beats([str(s) for s in subjects], 5.0)


def test_a_round_has_as_many_generated_as_real_beats_of_each_subject() -> None:
    real = beats(["A"] * 9 + ["B"] * 9 + ["C"] * 9)
    for seed in range(20):
        found = comparison.mixed_round(real, draw, seed=seed)
        assert found.exchanged.sum() == 5
        assert ((found.beats.signals[:, 0, 0] > 4) == found.exchanged).all()
        of_real, of_generated = (
            sorted(found.beats.subject[found.exchanged == kind]) for kind in (False, True)
        )
        assert of_real == of_generated
        assert set(of_real) == {"A", "B", "C"}
        assert len({float(v) for v in found.beats.signals[~found.exchanged, 0, 0]}) == 5
        assert not any(found.beats.recording)


def test_the_order_of_a_round_tells_nothing_and_comes_from_the_seed() -> None:
    real = beats(["A"] * 30)
    rounds = [comparison.mixed_round(real, draw, seed=seed).exchanged for seed in range(200)]
    share = np.mean(rounds, axis=0)
    assert np.all(np.abs(share - 0.5) < 0.15)
    again = comparison.mixed_round(real, draw, seed=7).exchanged
    assert (again == rounds[7]).all()


def test_too_few_real_beats_are_told() -> None:
    with pytest.raises(UserError, match="4 real beats are too few"):
        comparison.mixed_round(beats(["A"] * 4), draw, seed=0)
    with pytest.raises(UserError, match="10 beats in a row"):
        comparison.exchanged_row(beats(["A"] * 9), draw, seed=0)
    with pytest.raises(UserError, match="no part of a beat"):
        comparison.exchanged_row(beats(["A"] * 12), draw, part="t wave", seed=0)


def test_a_row_is_of_one_recording_in_its_order_and_three_are_exchanged() -> None:
    one, other = beats(["A"] * 6, recording="one"), beats(["A"] * 12, 1.0, recording="other")
    real = comparison.concatenate([one, other])
    assert comparison.is_enough(real, in_a_row=True)
    assert not comparison.is_enough(one, in_a_row=True)
    found = comparison.exchanged_row(real, draw, seed=4)
    first = found.beats.signals[~found.exchanged, 0, 0]
    assert found.exchanged.sum() == comparison.EXCHANGED_BEATS
    assert (first >= 1).all() and (np.diff(first) > 0).all()
    assert (found.beats.signals[found.exchanged, 0, 0] > 4).all()


@pytest.mark.parametrize("part", ["p", "qrs", "st-t"])
def test_an_exchanged_part_begins_and_ends_on_the_beat_without_a_step(part: str) -> None:
    rng = np.random.default_rng(2)
    real = np.cumsum(rng.normal(0, 0.01, (3, N_SAMPLES, 2)), axis=1).astype(np.float32)
    other = (np.cumsum(rng.normal(0, 0.01, (3, N_SAMPLES, 2)), axis=1) + 3).astype(np.float32)
    low, high = comparison.PARTS[part]
    made = comparison.exchange(real, other, TIMES, (low, high))
    before, after = low - TIMES, TIMES - high
    outside = (before > comparison.JOIN_S) | (after > comparison.JOIN_S)
    np.testing.assert_array_equal(made[:, outside], real[:, outside])
    inside = (before < -comparison.JOIN_S) & (after < -comparison.JOIN_S)
    assert (np.abs(made[:, inside] - real[:, inside]) > 1e-6).any()
    largest = max(np.abs(np.diff(x, axis=1)).max() for x in (real, other))
    assert np.abs(np.diff(made, axis=1)).max() < 3 * largest, "the offset of 3 leaves no step"


def test_a_whole_beat_is_exchanged_as_it_is() -> None:
    real, other = beats(["A"]).signals, beats(["A"], 2.0).signals
    made = comparison.exchange(real, other, TIMES, comparison.PARTS["beat"])
    np.testing.assert_array_equal(made, other)


def test_the_nearest_beat_is_found_under_gain_and_offset() -> None:
    rng = np.random.default_rng(0)
    train = rng.normal(0, 1, (20, N_SAMPLES, 1)).astype(np.float32)
    assert comparison.nearest_beat(2 * train[13] + 0.7, train, RATE) == 13


def test_all_beats_of_a_round_are_told_to_as_many_digits() -> None:
    signals = np.asarray([[[1.23456789]], [[0.00012345]]], np.float32)
    assert comparison.told_values(signals) == [[[1.235]], [[0.0]]]
    assert comparison.told_values(signals * 1000) == [[[1235.0]], [[0.0]]]


def test_luck_is_the_binomial_distributions() -> None:
    assert comparison.by_luck(0, 10) == 1.0
    assert comparison.by_luck(8, 10) == pytest.approx(56 / 1024)
    assert comparison.by_luck(10, 10) == pytest.approx(binom.pmf(10, 10, 0.5))


def _furthest(beats: FloatArray, others: FloatArray) -> float:
    """Return how far the farthest of some beats is from the nearest of others."""
    return float(np.abs(beats[:, None] - others[None]).max(axis=(2, 3)).min(axis=1).max())


@pytest.mark.parametrize("model", ["gan", "mixture"])
def test_the_quiz_mixes_validation_beats_with_generated_ones(
    trained_study: Path, model: str
) -> None:
    found = workflow.quiz(trained_study, model=model, seed=7)
    assert workflow.quiz(trained_study, model=model, seed=7) == found
    assert workflow.quiz(trained_study, model=model, seed=8)["signals"] != found["signals"]
    synthetic = np.asarray(found["synthetic"])
    signals = np.asarray(found["signals"], np.float32)
    kept = Study.open(trained_study).beats("validation")
    assert found["partition"] == "validation"
    assert synthetic.sum() == 5
    assert len(found["judge"]) == len(found["subjects"]) == len(signals) == 10
    assert all(0 <= p <= 1 for p in found["judge"])
    assert _furthest(signals[~synthetic], kept.signals) < 1e-3
    assert all(_furthest(one[None], kept.signals) > 1e-3 for one in signals[synthetic])


def test_the_swap_test_takes_a_row_of_one_subject(trained_study: Path) -> None:
    found = workflow.quiz(trained_study, subject="S02", part="qrs", seed=7)
    synthetic = np.asarray(found["synthetic"])
    signals = np.asarray(found["signals"], np.float32)
    kept = Study.open(trained_study).beats(found["partition"])
    assert found["part"] == "qrs"
    assert synthetic.sum() == comparison.EXCHANGED_BEATS
    assert set(found["subjects"]) == {"S02"}
    assert _furthest(signals[~synthetic], kept.take(kept.subject == "S02").signals) < 1e-3


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"subject": "S99"}, "--subject S99"),
        ({"subject": "S01", "part": "u"}, "--part"),
        ({"model": "none"}, "none"),
    ],
)
def test_the_quiz_says_what_is_wrong(
    trained_study: Path, wrong: dict[str, str], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        workflow.quiz(trained_study, **wrong)  # type: ignore[arg-type]
