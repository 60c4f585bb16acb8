"""Intervals of generated beats beside those of real ones, on made beats of known intervals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.beat_set import BeatSet, concatenate
from core.evaluation.clinical import evaluate_intervals
from tests.core.preprocessing.test_delineation import made_beats


def beats_of(subject, *, n=12, rr_s=0.8, **intervals):
    signals, before_s = made_beats(n=n, **intervals)
    return BeatSet.build(
        signals,
        sampling_rate=250.0,
        before_s=before_s,
        leads=("I",),
        subject=subject,
        rr_before=np.full(n, rr_s, dtype=np.float32),
    )


def test_the_same_beats_have_the_same_intervals():
    real = concatenate([beats_of("a"), beats_of("b", pr_s=0.14)])
    figures = evaluate_intervals(real, real)
    for name in ("rr", "pr", "qrs", "qt"):
        assert figures[name]["value"] == 1.0
        assert figures[name]["n"] == 2
        assert figures[name]["by_subject"] == {"a": 0.0, "b": 0.0}
    assert figures["delineation_success"]["value"] == 0.0
    json.dumps(figures, allow_nan=False)


def test_a_longer_qt_is_seen_in_its_subject_only():
    real = concatenate([beats_of("a"), beats_of("b")])
    generated = concatenate([beats_of("a"), beats_of("b", qt_s=0.40)])
    figures = evaluate_intervals(real, generated)
    assert figures["qt"]["value"] == 0.5
    assert figures["qt"]["by_subject"]["a"] == 0.0
    assert figures["qt"]["by_subject"]["b"] == pytest.approx(20, abs=1)
    assert figures["qt"]["median_difference_ms"] == pytest.approx(10, abs=1)
    assert figures["qrs"]["value"] == figures["pr"]["value"] == 1.0


def test_the_ceiling_is_what_other_real_beats_score():
    real, generated = beats_of("a"), beats_of("a", pr_s=0.15)
    figures = evaluate_intervals(real, generated, real_again=real)
    assert figures["pr"]["value"] == 0.0
    assert figures["pr"]["bias_ms"] == pytest.approx(-10, abs=1.5)
    assert figures["pr"]["ceiling"] == 1.0
    assert figures["pr"]["ceiling_median_difference_ms"] == 0.0
    assert figures["pr"]["ceiling_n"] == 1
    assert figures["delineation_success"]["ceiling"] == 0.0


def test_rates_may_differ_by_a_twentieth():
    real = concatenate([beats_of("a"), beats_of("b")])
    generated = concatenate([beats_of("a", rr_s=0.83), beats_of("b", rr_s=0.85)])
    figure = evaluate_intervals(real, generated)["rr"]
    assert figure["value"] == 0.5
    assert figure["by_subject"] == pytest.approx({"a": 30, "b": 50}, abs=0.01)


def test_success_counts_each_subject_alike():
    real = concatenate([beats_of("a"), beats_of("b", n=36)])
    generated = concatenate([beats_of("a", p=0.0), beats_of("b", n=36)])
    figure = evaluate_intervals(real, generated)["delineation_success"]
    assert (figure["real"], figure["generated"], figure["value"]) == (1.0, 0.5, -0.5)


def test_subjects_with_few_measurable_beats_are_left_out_and_counted():
    real = concatenate([beats_of("a"), beats_of("b", n=4), beats_of("c")])
    generated = concatenate([beats_of("a"), beats_of("b"), beats_of("c", p=0.0), beats_of("d")])
    figures = evaluate_intervals(real, generated)
    assert (figures["qt"]["n"], figures["qt"]["left_out"]) == (2, 1)
    assert (figures["pr"]["n"], figures["pr"]["left_out"]) == (1, 2)
    assert "d" not in figures["qt"]["by_subject"]


def test_nothing_in_common_is_not_measurable():
    figures = evaluate_intervals(beats_of("a"), beats_of("b"), real_again=beats_of("a"))
    for figure in figures.values():
        assert figure["value"] is None
        assert figure["n"] == 0
    json.dumps(figures, allow_nan=False)
