"""Figures of how recordings were cleaned, and of how good they are."""

from __future__ import annotations

import numpy as np
import pytest

from core.plots import cohort
from core.plots.style import COLOURS


def stages(offset: float = 0.0) -> dict[str, tuple[str, np.ndarray]]:
    signal = np.linspace(0, 1, 500, dtype=np.float32)
    return {
        "raw": ("Raw", signal * 2 + offset),
        "real": ("Clean", signal),
        "smoothed": ("Smoothed", signal / 2),
    }


def test_all_stages_have_one_scale_wherever_their_baseline_is() -> None:
    figure = cohort.cleaning_stages(
        stages(offset=100.0),
        sampling_rate=250.0,
        unit="mV",
        start_s=10.0,
        peaks=np.array([250]),
        refused=np.array([400]),
    )
    axes = (figure.layout.yaxis, figure.layout.yaxis2, figure.layout.yaxis3)
    heights = [axis.range[1] - axis.range[0] for axis in axes]
    assert heights == pytest.approx([heights[0]] * 3)
    assert heights[0] > 2, "the tallest of them fits"
    assert axes[0].range[0] < 100 and axes[0].range[1] > 102
    assert figure.layout.yaxis2.title.text == "Amplitude (mV)"
    assert [t.line.color for t in figure.data[:3]] == [COLOURS[kind] for kind in stages()]


def test_peaks_stand_at_their_time_and_height() -> None:
    figure = cohort.cleaning_stages(
        stages(),
        sampling_rate=250.0,
        unit="unit unknown",
        start_s=10.0,
        peaks=np.array([250]),
        refused=np.array([400]),
    )
    peak, refused = figure.data[3:]
    assert (peak.x[0], peak.y[0]) == pytest.approx((11.0, 0.25), abs=0.001)
    assert refused.name == "left out"
    assert figure.layout.yaxis2.title.text == "Amplitude (unit unknown)"


def test_a_missing_signal_is_drawn_as_none() -> None:
    figure = cohort.cleaning_stages(
        {"raw": ("Raw", np.full(100, np.nan, dtype=np.float32))},
        sampling_rate=250.0,
        unit="mV",
        start_s=0.0,
        peaks=np.array([], dtype=np.int64),
        refused=np.array([], dtype=np.int64),
    )
    assert figure.layout.yaxis.range[1] > figure.layout.yaxis.range[0]


def test_every_beat_is_counted_once() -> None:
    quality = np.array([0.0, 0.2, 0.95, 1.0, 1.0], dtype=np.float32)
    rejected = np.array(["noise", "noise", "", "", "edge"])
    kept, left = cohort.quality_histogram(quality, rejected).data
    assert (sum(kept.y), sum(left.y)) == (2, 3)
    assert (kept.name, left.name) == ("kept (2)", "left out (3)")


def test_no_beats_draw_an_empty_histogram() -> None:
    none = np.empty(0, dtype=np.float32)
    assert sum(cohort.quality_histogram(none, np.empty(0, dtype="<U1")).data[0].y) == 0


def test_the_worst_recording_comes_first_and_one_of_unknown_quality_counts_as_none() -> None:
    figure = cohort.recording_quality(
        np.array(["a", "b", "c"]),
        np.array([0.9, np.nan, 0.4], dtype=np.float32),
        np.array([True, False, True]),
    )
    used, other = figure.data
    assert (list(used.text), list(used.x)) == (["c", "a"], [2, 3])
    assert (list(other.text), list(other.y)) == (["b"], [0.0])
