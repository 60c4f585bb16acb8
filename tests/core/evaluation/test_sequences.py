"""The judge of sequences: at chance on rows of one kind, sure of rows that no heart beats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.beat_set import BeatSet
from core.errors import UserError
from core.evaluation.sequences import (
    SEQUENCE_BEATS,
    SEQUENCE_JUDGES,
    in_a_row,
    judge_sequences,
    paired_rows,
    row_folds,
    sequence_features,
)
from tests.core.evaluation.simulated import RATE, draw, subject_names

NAMES = subject_names(15)
N_ROWS = 4
ROWS = np.arange(len(NAMES) * N_ROWS * SEQUENCE_BEATS).reshape(-1, SEQUENCE_BEATS)
OWNERS = np.repeat(NAMES, N_ROWS)


def rows_of_beats(seed: int) -> BeatSet:
    """Return rows of beats whose RR intervals and level drift slowly together."""
    rng = np.random.default_rng(seed)
    beats = draw(np.repeat(OWNERS, SEQUENCE_BEATS), seed)
    drift = np.cumsum(rng.normal(size=ROWS.shape), axis=1)
    rr = (0.8 + 0.02 * drift + 0.005 * rng.normal(size=ROWS.shape)).reshape(-1)
    level = 0.02 * drift.reshape(-1, 1, 1)
    signals = (beats.signals + level).astype(np.float32)
    return replace(beats, signals=signals, rr_before=rr.astype(np.float32))


REAL = rows_of_beats(1)
FOLDS = row_folds(OWNERS, np.random.default_rng(0))


def accuracies(other: BeatSet, seed: int = 0) -> dict[str, float]:
    told = judge_sequences(REAL, ROWS, other, ROWS, FOLDS, seed=seed)
    assert tuple(told) == SEQUENCE_JUDGES
    return {judge: float(right.mean()) for judge, right in told.items()}


def test_rows_of_one_kind_are_at_chance() -> None:
    runs = [accuracies(rows_of_beats(seed), seed) for seed in (2, 3, 4)]
    for judge in SEQUENCE_JUDGES:
        error = np.sqrt(0.25 / (2 * len(ROWS)))
        assert np.mean([run[judge] for run in runs]) == pytest.approx(0.5, abs=4 * error)


def test_intervals_out_of_order_are_caught_by_rhythm_and_not_by_shape() -> None:
    other = rows_of_beats(2)
    rng = np.random.default_rng(0)
    shuffled = rng.permuted(other.rr_before[ROWS], axis=1).reshape(-1)
    found = accuracies(replace(other, rr_before=shuffled))
    assert found["rhythm"] > 0.75 and found["boosting"] > 0.75 and found["svm"] > 0.65
    assert found["shape"] == accuracies(other)["shape"]


def test_intervals_that_never_vary_are_caught() -> None:
    other = rows_of_beats(2)
    found = accuracies(replace(other, rr_before=np.full(len(other), 0.8, np.float32)))
    assert found["rhythm"] == 1 and found["boosting"] == 1


def test_beats_out_of_order_are_caught_by_shape() -> None:
    other = rows_of_beats(2)
    order = np.random.default_rng(0).permuted(ROWS, axis=1).reshape(-1)
    found = accuracies(replace(other.take(order), rr_before=other.rr_before))
    assert found["shape"] > 0.75 and found["boosting"] > 0.75
    assert found["rhythm"] == accuracies(other)["rhythm"]


def test_rows_are_of_one_recording_and_leave_no_beat_out() -> None:
    n = 48
    samples = np.cumsum(np.full(n, 200))
    beats = replace(
        draw(np.repeat("S00", n), 0),
        r_sample=samples,
        recording=np.repeat(["a", "b"], [23, 25]),
        rr_before=np.full(n, 200 / RATE, np.float32),
    )
    expected = [range(0, 10), range(10, 20), range(23, 33), range(33, 43)]
    assert in_a_row(beats).tolist() == [list(row) for row in expected]
    kept = np.delete(np.arange(n), 5)
    rows = in_a_row(beats.take(kept))
    assert [kept[row].tolist() for row in rows] == [
        list(range(6, 16)),
        *(list(row) for row in expected[2:]),
    ]
    assert in_a_row(beats.take(slice(0, 9))).shape == (0, SEQUENCE_BEATS)


def test_an_unknown_interval_is_refused() -> None:
    rr = REAL.rr_before.copy()
    rr[0] = np.nan
    sequence_features(replace(REAL, rr_before=rr), ROWS)  # before the row: not of it
    rr[1] = np.nan
    with pytest.raises(UserError, match="RR interval"):
        sequence_features(replace(REAL, rr_before=rr), ROWS)


def test_pairs_have_equal_shares_and_folds_keep_subjects_whole() -> None:
    one = np.repeat(["a", "b", "c"], [4, 2, 5])
    other = np.repeat(["a", "b", "d"], [3, 6, 2])
    of_one, of_other = paired_rows(one, other, np.random.default_rng(0))
    assert one[of_one].tolist() == other[of_other].tolist()
    assert sorted(one[of_one]) == ["a"] * 3 + ["b"] * 2
    assert all(len(set(FOLDS[name == OWNERS])) == 1 for name in NAMES)
    assert len(set(row_folds(np.repeat(["a", "b"], 20), np.random.default_rng(0)))) == 5
