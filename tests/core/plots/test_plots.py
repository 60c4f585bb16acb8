"""Figures: what they draw, on which scale, in colours that everybody can tell apart."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from core.evaluation.identification import (
    det_curve,
    detection_and_identification,
    equal_error_rate,
    reliability,
)
from core.plots import figures, signals, style
from core.plots.signals import Panel, Scale

CONFIG = Path(__file__).resolve().parents[3] / ".streamlit" / "config.toml"
SCALE = Scale(sampling_rate=250.0, before_s=0.25, unit="mV")

MACHADO: dict[str, list[list[float]]] = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
"""How linear RGB is seen at full severity (Machado, Oliveira and Fernandes 2009)."""
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
LEAST_DISTANCE = 15.0
"""CIE76 distance of two colours that are told apart at a glance."""


def linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    return float(linear(colour) @ TO_XYZ[1])


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def panel(kind: str, offset: float = 0.0, n: int = 5) -> Panel:
    rng = np.random.default_rng(3)
    return Panel(kind.title(), kind, rng.normal(offset, 1, (n, 175)).astype(np.float32))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", style.COLOURS)
def test_each_colour_stands_out_from_the_page(kind: str, theme: str) -> None:
    page = tomllib.loads(CONFIG.read_text())["theme"][theme]["backgroundColor"]
    pair = sorted([luminance(style.COLOURS[kind]), luminance(page)])
    assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 3.0


@pytest.mark.parametrize("sight", ["full", *MACHADO])
def test_kinds_of_signal_are_told_apart_by_everybody(sight: str) -> None:
    seen = np.eye(3) if sight == "full" else np.array(MACHADO[sight])
    colours = [lab(seen @ linear(c)) for c in style.COLOURS.values()]
    nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(colours, 2))
    assert nearest >= LEAST_DISTANCE


def test_panels_have_one_scale_and_only_generated_ones_say_synthetic() -> None:
    figure = signals.beats_side_by_side(
        [panel("real"), panel("smoothed", 4.0), panel("generated", -4.0)], SCALE
    )
    shown = figure.to_dict()["layout"]
    low, high = shown["yaxis"]["range"]
    every = np.concatenate([np.asarray(t.y, float) for t in figure.data])
    assert low < np.nanmin(every) < np.nanmax(every) < high
    assert [tuple(shown[f"yaxis{i}"]["range"]) for i in ("2", "3")] == [(low, high)] * 2
    assert shown["yaxis2"]["matches"] == shown["yaxis3"]["matches"] == "y"
    assert shown["xaxis2"]["matches"] == shown["xaxis3"]["matches"] == "x"
    marks = [a for a in shown["annotations"] if "SYNTHETIC" in a["text"]]
    assert [m["xref"] for m in marks] == ["x3 domain"]
    alone = signals.beats_side_by_side([panel("real"), panel("smoothed")], SCALE)
    assert "SYNTHETIC" not in str(alone.to_dict()["layout"])


@pytest.mark.parametrize("stacked", [False, True])
def test_time_is_counted_from_the_r_peak_in_seconds(stacked: bool) -> None:
    figure = signals.beats_side_by_side([panel("real")], SCALE, stacked=stacked)
    mean = figure.data[1]
    assert (mean.x[0], mean.x[-1]) == pytest.approx((-0.25, 0.446))
    assert "Time from the R peak (s)" in str(figure.layout)
    assert figure.layout.yaxis.title.text == "Amplitude (mV)"


def test_mean_and_spread_are_those_of_the_beats() -> None:
    one = panel("smoothed", n=40)
    figure = signals.mean_and_spread([one, panel("generated")], SCALE)
    band, mean = figure.data[:2]
    np.testing.assert_allclose(mean.y, one.beats.mean(axis=0))
    upper = np.asarray(band.y)[:175]
    np.testing.assert_allclose(upper, one.beats.mean(axis=0) + one.beats.std(axis=0))
    assert figure.data[3].line.dash == "dash"
    assert "SYNTHETIC" in str(figure.layout.annotations)


def test_an_unknown_unit_is_never_called_millivolt() -> None:
    scale = Scale(sampling_rate=250.0, before_s=0.25, unit="unit unknown")
    figures_ = (
        signals.beats_overlay(panel("real"), scale),
        signals.mean_and_spread([panel("real")], scale),
        signals.beats_side_by_side([panel("real")], scale),
        signals.beats_over_mean(panel("real"), panel("smoothed"), scale),
    )
    for figure in figures_:
        assert figure.layout.yaxis.title.text == "Amplitude (unit unknown)"


def test_no_beats_draw_nothing_and_do_not_fail() -> None:
    empty = Panel("Real", "real", np.empty((0, 175), np.float32))
    assert len(signals.beats_side_by_side([empty], SCALE).data) == 0
    assert len(signals.mean_and_spread([empty], SCALE).data) == 0


def test_loss_curves_leave_gaps_and_count_steps() -> None:
    figure = figures.loss_curves([{"loss": 2.0}, {"accuracy": 0.5}, {"loss": 1.0}], steps=[5, 6, 9])
    loss, accuracy = figure.data
    assert (list(loss.x), list(loss.y)) == ([5, 9], [2.0, 1.0])
    assert (list(accuracy.x), accuracy.mode) == ([6], "markers")


def test_scores_stand_in_order_with_the_line_to_pass() -> None:
    scores = {f"S{i}": -float(i) for i in range(12)}
    figure = figures.score_bars(scores, threshold=0.5, shown=3)
    bar = figure.data[0]
    assert [name.strip() for name in bar.y] == ["S2", "S1", "S0"]
    np.testing.assert_allclose(bar.base + np.asarray(bar.x), [-2.0, -1.0, 0.0])
    assert all(width > 0 for width in bar.x)
    assert figure.layout.shapes[0].x0 == 0.5


def test_the_histogram_counts_every_beat() -> None:
    figure = figures.probability_histogram([0.0, 0.49, 0.51, 1.0])
    bar = figure.data[0]
    assert sum(bar.y) == 4
    colours = {c for c, n in zip(bar.marker.color, bar.y, strict=True) if n}
    assert colours == {style.COLOURS["real"], style.COLOURS["generated"]}


def test_a_confusion_matrix_shows_shares_of_each_row() -> None:
    counts = np.array([[3.0, 1.0], [0.0, 0.0]], dtype=np.float32)
    heat = figures.confusion_matrix(counts, ["A", "B"]).data[0]
    np.testing.assert_allclose(np.asarray(heat.z), [[0.75, 0.25], [0.0, 0.0]])


@pytest.mark.parametrize(("classes", "written"), [(4, True), (45, False)])
def test_a_confusion_matrix_writes_its_numbers_where_there_is_room(
    classes: int, written: bool
) -> None:
    counts = np.arange(classes**2, dtype=np.float32).reshape(classes, classes)
    figure = figures.confusion_matrix(counts, [f"Person_{i:02d}" for i in range(classes)])
    heat = figure.data[0]
    assert np.asarray(heat.z).shape == (classes, classes)
    assert bool(heat.texttemplate) is written
    assert figure.layout.height <= 720


def test_a_det_plot_has_normal_deviates_for_axes_and_marks_the_eer() -> None:
    """Of two normal distributions of equal spread a DET curve is a straight line of slope -1."""
    even = norm.ppf((np.arange(4000) + 0.5) / 4000)
    genuine, impostor = even + 2.0, even
    curve, eer = det_curve(genuine, impostor), equal_error_rate(genuine, impostor)[0]
    figure = figures.det_plot({"recordings": curve, "beats": curve}, eer={"recordings": eer})
    line, mark, other = figure.data
    x, y = np.asarray(line.x), np.asarray(line.y)
    inner = (np.abs(x) < 2) & (np.abs(y) < 2)
    assert np.abs(x[inner] + y[inner] + 2.0).max() < 0.02
    assert (mark.x[0], mark.y[0]) == pytest.approx((-1.0, -1.0), abs=0.01)
    assert mark.name == "EER 15.87%"
    assert (line.name, other.name) == ("recordings", "beats")
    assert line.line.color != other.line.color
    ticks = dict(zip(figure.layout.xaxis.ticktext, figure.layout.xaxis.tickvals, strict=True))
    assert ticks["50"] == 0 and ticks["1"] == pytest.approx(norm.ppf(0.01))
    assert figure.layout.xaxis.range == figure.layout.yaxis.range
    assert figure.layout.xaxis.title.text == "False match rate (%)"


def test_a_det_plot_of_perfect_scores_stays_within_its_axes() -> None:
    genuine, impostor = np.linspace(2, 3, 20), np.linspace(0, 1, 400)
    figure = figures.det_plot({"all": det_curve(genuine, impostor)}, eer={"all": 0.0})
    for trace in figure.data:
        assert np.isfinite(np.asarray(trace.x)).all() and np.isfinite(np.asarray(trace.y)).all()
    low, high = figure.layout.xaxis.range
    mark = figure.data[1]
    assert low <= mark.x[0] <= high and low <= mark.y[0] <= high


def test_the_open_set_curve_is_over_logarithmic_false_alarms() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(200) % 20
    scores = rng.normal(0, 1, (200, 20)) + 3 * np.eye(20)[truth]
    curve = detection_and_identification(scores, truth, truth)["curve"]
    figure = figures.open_set_curve({"recordings": curve})
    (line,) = figure.data
    assert figure.layout.xaxis.type == "log" and min(line.x) > 0
    assert list(line.y) == curve["identification_rate"]
    assert "strangers" in figure.layout.xaxis.title.text


def test_a_reliability_diagram_counts_every_probe() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(500)
    bins = reliability(probability, rng.random(500) < probability)["bins"]
    diagonal, line, bars = figures.reliability_diagram(bins).data
    assert list(diagonal.x) == list(diagonal.y) == [0, 1]
    assert list(line.y) == [one["accuracy"] for one in bins]
    assert sum(bars.y) == 500 and bars.yaxis == "y2"
    assert len(figures.reliability_diagram([]).data) == 3


def row(name: str, level: float | str | None, unit: str, beat: float, recording: float | None):
    told = {"disturbance": name, "level": level, "unit": unit}
    return told | {"beat": beat, "recording": recording}


def test_robustness_is_a_line_a_disturbance_beside_the_undisturbed() -> None:
    rows = [
        row("undisturbed", None, "", 0.9, 1.0),
        row("noise", 20, "dB", 0.8, 1.0),
        row("noise", 0, "dB", 0.3, 0.5),
        row("time shift", 10, "ms", 0.7, 0.9),
        row("missing lead", "II", "", 0.1, 0.2),
    ]
    figure = figures.robustness_lines(rows)
    beats, recordings = figure.data
    assert [x for x in beats.x if x is not None] == pytest.approx([90, 80, 30, 70, 10])
    names = [y.strip() for y in recordings.y if y is not None]
    assert names == [
        "undisturbed",
        "noise 20 dB",
        "noise 0 dB",
        "time shift ±10 ms",
        "missing lead II",
    ]
    gaps = [i for i, x in enumerate(beats.x) if x is None]
    assert gaps == [1, 4, 6, 8], "lines do not join different disturbances"
    assert [s.x0 for s in figure.layout.shapes] == [90, 100]
    of_labels = figures.robustness_lines([r | {"recording": None} for r in rows])
    assert [trace.name for trace in of_labels.data] == ["single beats"]


def test_counts_are_stacked_by_part() -> None:
    figure = figures.count_bars({"A": {"train": 3, "test": 1}, "B": {"train": 2}}, x_title="x")
    found = {t.name: list(t.y) for t in figure.data}
    assert found == {"train": [3, 2], "test": [1, 0]}
