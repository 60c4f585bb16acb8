"""Figures that compare: linked panels, ECG paper of true proportions, points, distances."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from core.plots import comparisons, linked, paper
from core.plots.signals import Panel, Scale
from core.plots.style import COLOURS

SCALE = Scale(sampling_rate=250.0, before_s=0.25, unit="mV")


def panel(kind: str, offset: float = 0.0, n: int = 60) -> Panel:
    rng = np.random.default_rng(3)
    return Panel(kind.title(), kind, rng.normal(offset, 1, (n, 175)).astype(np.float32))


def test_linked_panels_hold_every_beat_shown_and_the_mean_of_all() -> None:
    one, other = panel("smoothed"), panel("generated", 2.0, n=3)
    base = linked.side_by_side([one, other], SCALE)["baseOption"]
    background, mean, few, _ = base["series"]
    np.testing.assert_allclose([y for _, y in mean["data"]], one.beats.mean(axis=0), atol=1e-4)
    assert sum(y is None for _, y in background["data"]) == 40, "at most 40 beats are drawn"
    assert sum(y is None for _, y in few["data"]) == 3
    low, high = base["yAxis"][0]["min"], base["yAxis"][0]["max"]
    assert low < min(one.beats.min(), other.beats.min())
    assert high > max(one.beats.max(), other.beats.max())
    assert "SYNTHETIC" not in base["title"][0]["text"]
    assert "SYNTHETIC" in base["title"][1]["text"]
    json.dumps(base, allow_nan=False)


def test_panels_side_by_side_do_not_overlap_and_are_alike_wide() -> None:
    panels = [panel("real"), panel("smoothed"), panel("generated")]
    grids = linked.side_by_side(panels, SCALE)["baseOption"]["grid"]
    spans = [(float(g["left"][:-1]), float(g["width"][:-1])) for g in grids]
    assert len({width for _, width in spans}) == 1
    assert all(a + width < b for (a, width), (b, _) in itertools.pairwise(spans))
    assert spans[-1][0] + spans[-1][1] <= 100


def test_no_beats_leave_no_panel() -> None:
    empty = Panel("Real", "real", np.empty((0, 175), np.float32))
    assert linked.side_by_side([empty], SCALE)["baseOption"]["series"] == []


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [
        (-0.31, 1.24, (-0.5, 1.5, 0.5)),
        (0.0, 1.0, (0.0, 1.0, 0.2)),
        (-120.0, 900.0, (-500.0, 1000.0, 500.0)),
        (-0.002, 0.003, (-0.002, 0.003, 0.001)),
    ],
)
def test_axes_have_round_ends(low: float, high: float, ends: tuple[float, ...]) -> None:
    assert linked.nice_axis(low, high) == pytest.approx(ends)


def test_paper_has_square_millimetres_of_40_ms_and_a_tenth_of_a_millivolt() -> None:
    signal = np.sin(np.arange(1250) / 40).astype(np.float32)
    figure = paper.strip(signal, sampling_rate=250.0, unit="mV", start_s=5.0, peaks=np.array([250]))
    x, y = figure.layout.xaxis, figure.layout.yaxis
    assert (x.dtick, x.minor.dtick, y.dtick, y.minor.dtick) == (0.2, 0.04, 0.5, 0.1)
    assert y.scaleanchor == "x"
    assert y.scaleratio * 25 == pytest.approx(10), "25 mm a second, 10 mm a millivolt"
    assert tuple(x.range) == (5.0, 10.0)
    assert figure.data[1].x[0] == 6.0
    assert "SYNTHETIC" in str(figure.layout.annotations)
    assert figure.layout.yaxis.title.text == "Amplitude (mV)"


def test_paper_of_an_unknown_unit_claims_no_scale() -> None:
    figure = paper.strip(np.arange(500, dtype=np.float32), sampling_rate=250.0, unit="unit unknown")
    assert figure.layout.yaxis.scaleanchor is None
    assert figure.layout.yaxis.minor.dtick is None
    assert figure.layout.yaxis.title.text == "Amplitude (unit unknown)"


def test_a_row_marks_only_what_was_exchanged() -> None:
    beats = panel("real", n=4).beats
    plain = paper.beat_row(beats, SCALE)
    assert {trace.line.color for trace in plain.data} == {COLOURS["raw"]}
    assert "SYNTHETIC" not in str(plain.layout)
    marked = paper.beat_row(beats, SCALE, first=6, marked={2}, within_s=(-0.06, 0.08))
    part = next(trace for trace in marked.data if trace.line.color == COLOURS["generated"])
    assert len(part.x) == 35, "140 ms at 250 Hz"
    texts = [a.text for a in marked.layout.annotations]
    assert texts == ["<b>6</b>", "<b>7</b>", "<b>8</b>", "<b>9</b>", "<b>SYNTHETIC</b>"]


def test_rows_hold_all() -> None:
    assert [(r.start, r.stop) for r in paper.rows_of(12, 5)] == [(0, 5), (5, 10), (10, 12)]


def test_distances_are_drawn_as_shares_of_each_kind() -> None:
    figure = comparisons.distance_histogram(
        np.full(4, 0.2, np.float32), np.full(400, 0.1, np.float32), copy_below=0.03
    )
    unseen, generated, line = figure.data
    assert max(unseen.y) == max(generated.y) == 1.0
    assert list(line.x) == [0.03, 0.03]
    assert max(line.y) == 1.0


def test_one_beat_over_another_says_which_is_synthetic() -> None:
    figure = comparisons.one_over_another(panel("smoothed"), panel("generated"), SCALE)
    assert [trace.line.dash for trace in figure.data] == ["solid", "dash"]
    assert "SYNTHETIC" in str(figure.layout.annotations)
    assert figure.layout.hovermode == "x unified"
