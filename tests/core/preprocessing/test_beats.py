from __future__ import annotations

import numpy as np
import pytest

from core.preprocessing import beats as cutting
from core.recording import Annotations

RATE = 250.0
FIXED = cutting.beat_window(RATE, 0.25, 0.45, kind="fixed")
R_TO_R = cutting.beat_window(RATE, 0.25, 0.45, kind="r_to_r")


def ramp(n: int = 1000, n_leads: int = 2):
    return (np.arange(1, n + 1)[:, None] + 10_000 * np.arange(n_leads)).astype(np.float32)


def test_the_default_window_is_175_samples():
    assert (FIXED.n_samples, FIXED.n_before) == (175, 62)
    assert (R_TO_R.n_samples, R_TO_R.n_before) == (175, 0)


def test_a_fixed_beat_is_the_signal_around_its_peak():
    peaks = np.array([61, 62, 500, 887, 888], dtype=np.int64)
    beats, outside = cutting.cut_beats(ramp(), peaks, FIXED)
    assert beats.shape == (5, 175, 2)
    assert np.array_equal(beats[2], ramp()[438:613])
    assert outside.tolist() == [True, False, False, False, True]
    assert beats[0, 0, 0] == beats[0, 1, 0] == 1
    assert beats[4, -1, 1] == 11_000


def test_from_r_to_r_a_beat_is_padded_or_truncated():
    peaks = np.array([100, 200, 600], dtype=np.int64)
    beats, outside = cutting.cut_beats(ramp(), peaks, R_TO_R)
    assert np.array_equal(beats[0, :100], ramp()[100:200])
    assert not beats[0, 100:].any()
    assert np.array_equal(beats[1], ramp()[200:375])
    assert outside.tolist() == [False, False, True]


@pytest.mark.parametrize("window", [FIXED, R_TO_R])
def test_a_beat_is_touched_by_a_mark_inside_it_only(window):
    peaks = np.array([200, 300, 600], dtype=np.int64)
    for at in range(0, 1000, 7):
        mask = np.zeros(1000, dtype=np.bool_)
        mask[at] = True
        marked = np.zeros((1000, 1), np.float32)
        marked[at] = 1
        expected = cutting.cut_beats(marked, peaks, window)[0].any(axis=(1, 2))
        assert np.array_equal(cutting.touched(mask, peaks, window), expected)


def test_no_peaks_give_no_beats():
    beats, outside = cutting.cut_beats(ramp(), np.empty(0, np.int64), FIXED)
    assert beats.shape == (0, 175, 2)
    assert not len(outside)
    assert cutting.normalise(beats, "zscore").shape == (0, 175, 2)
    before, after = cutting.rr_intervals(np.empty(0))
    assert len(before) == len(after) == 0


@pytest.mark.parametrize("how", ["none", "zscore", "minmax"])
def test_normalisation_is_of_each_lead_of_each_beat(how):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((4, 175, 2)) * [1, 50] + [0, 7]).astype(np.float32)
    x[3, :, 1] = 5
    y = cutting.normalise(x, how)
    assert y.dtype == np.float32
    if how == "none":
        assert np.array_equal(y, x)
        return
    low, high = (y.mean(1), y.std(1)) if how == "zscore" else (y.min(1), y.max(1))
    usual = np.ones((4, 2))
    usual[3, 1] = 0
    assert low == pytest.approx(np.zeros((4, 2)), abs=1e-6)
    assert high == pytest.approx(usual, abs=1e-6)


def test_intervals_are_unknown_at_the_ends():
    before, after = cutting.rr_intervals(np.array([0.5, 1.25, 2.25]))
    assert before[1:].tolist() == after[:-1].tolist() == [0.75, 1.0]
    assert np.isnan(before[0])
    assert np.isnan(after[-1])


def annotations(*marks: tuple[int, str]) -> Annotations:
    samples = np.array([m[0] for m in marks], dtype=np.int64)
    symbols = np.array([m[1] for m in marks], dtype=np.str_)
    return Annotations(samples, symbols, np.full(len(marks), ""))


def test_each_mark_goes_to_the_nearest_peak_within_150_ms():
    peaks = np.array([1.0, 2.0, 2.2, 3.0, 4.0])
    marks = annotations(
        (350, "+"), (360, "N"), (740, "V"), (1020, "A"), (1080, "~"), (1385, "L"), (1441, "R")
    )
    found = cutting.match_symbols(peaks, marks, 360.0)
    # 740 / 360 = 2.06 s: nearer to 2.0; 1020 / 360 = 2.83 s: 167 ms from 3.0; L and R both claim 4.
    assert found.tolist() == ["N", "V", "", "", "R"]


def test_symbols_with_one_peak_or_without_marks():
    assert cutting.match_symbols(np.array([1.0]), annotations((365, "N")), 360.0).tolist() == ["N"]
    assert cutting.match_symbols(np.array([1.0]), None, 360.0).tolist() == [""]
    assert cutting.match_symbols(np.array([1.0]), annotations((360, "+")), 360.0).tolist() == [""]
