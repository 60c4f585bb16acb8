"""What a report draws: arrays and stored figures onto a Matplotlib figure, for paper and screen.

The pages of the dashboard draw the same with Plotly, in the same colours; these stand still, weigh
little and can be printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.plots.signals import BEAT_TIME_TITLE, Panel, Scale, value_title
from core.plots.style import COLOURS, GENERATED, GROUPS, NEUTRAL, SMOOTHED, SYNTHETIC

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

THIN_PT, LINE_PT = 0.5, 1.6
MOST_NAMED = 40
"""Bars that an axis has room to name."""
PARTITION_COLOURS = {"train": GROUPS[0], "validation": GROUPS[4], "test": GROUPS[2]}
ROOM = 0.3
"""Above curves, of their height, for the legend."""
GUIDE: Any = {"color": NEUTRAL, "linewidth": 0.8, "linestyle": "--"}


def draw_beats(figure: FigureBase, panels: Sequence[Panel], scale: Scale) -> None:
    """Draw beats of each kind side by side on one scale, with their means; generated are marked."""
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=True):
        times = scale.times(panel.beats.shape[1])
        colour = COLOURS[panel.kind]
        axis.plot(times, panel.beats.T, color=colour, linewidth=THIN_PT, alpha=0.35)
        if len(panel.beats):
            axis.plot(times, panel.beats.mean(axis=0), color=colour, linewidth=LINE_PT)
        axis.set_title(panel.name, fontsize=9)
        axis.set_xlabel(BEAT_TIME_TITLE)
        if panel.kind == GENERATED:
            axis.text(
                0.98,
                0.97,
                SYNTHETIC,
                transform=axis.transAxes,
                ha="right",
                va="top",
                fontsize=8,
                fontweight="bold",
                color=colour,
            )
        _finish(axis)
    axes[0].set_ylabel(value_title(scale.unit))


def draw_counts(
    figure: FigureBase, counts: Mapping[str, Mapping[str, int]], *, x_title: str
) -> None:
    """Draw how many beats each class has in each part, one above the other.

    Args:
        figure: Where to draw.
        counts: Part -> class -> beats; every part has every class.
        x_title: What the classes are.
    """
    axis = figure.subplots()
    names = list(next(iter(counts.values())))
    below = np.zeros(len(names))
    for part, of_part in counts.items():
        height = np.array([of_part[name] for name in names], dtype=float)
        colour = PARTITION_COLOURS.get(part, NEUTRAL)
        axis.bar(range(len(names)), height, bottom=below, color=colour, label=part, width=0.8)
        below += height
    if len(names) <= MOST_NAMED:
        axis.set_xticks(range(len(names)), names, rotation=90 if len(names) > 12 else 0)
    else:
        axis.set_xticks([])
    axis.set_xlabel(x_title)
    axis.set_ylabel("Beats")
    axis.set_ylim(0, 1.2 * max(1.0, float(below.max(initial=0))))
    _legend(axis, loc="upper left", ncol=3)
    _finish(axis)


def draw_training(
    figure: FigureBase, histories: Mapping[str, Sequence[Mapping[str, float]]]
) -> None:
    """Draw the metrics of each model's training over its epochs, a panel a model."""
    rows = -(-len(histories) // 2)
    grid = figure.subplots(rows, 2 if len(histories) > 1 else 1, squeeze=False).ravel()
    for axis, (model, history) in zip(grid, histories.items(), strict=False):
        for i, name in enumerate(dict.fromkeys(key for entry in history for key in entry)):
            points = [
                (epoch, entry[name])
                for epoch, entry in enumerate(history, start=1)
                if isinstance(entry.get(name), int | float)
            ]
            axis.plot(
                *zip(*points, strict=True) if points else ((), ()),
                color=GROUPS[i % len(GROUPS)],
                label=name.replace("_", " "),
                marker="." if len(points) < 3 else None,
                linewidth=LINE_PT,
            )
        axis.set_title(model, fontsize=9)
        axis.set_xlabel("Epoch")
        low, high = axis.get_ylim()
        axis.set_ylim(low, high + ROOM * (high - low))
        _legend(axis, loc="upper right", ncol=3)
        _finish(axis)
    for axis in grid[len(histories) :]:
        axis.set_axis_off()


def draw_identification(figure: FigureBase, real: Mapping[str, Any]) -> None:
    """Draw the curves that the identifier's stored figures hold: DET, open set, reliability."""
    drawn = [draw for name, draw in _CURVES.items() if _told(real, name)]
    axes = figure.subplots(1, len(drawn), squeeze=False)[0]
    for axis, draw in zip(axes, drawn, strict=True):
        draw(axis, real)
        axis.set_box_aspect(1)
        _finish(axis)


def has_curves(real: Mapping[str, Any]) -> bool:
    """Return whether `draw_identification` has anything to draw."""
    return any(_told(real, name) for name in _CURVES)


def draw_robustness(figure: FigureBase, rows: Sequence[Mapping[str, Any]], names: Any) -> None:
    """Draw what is named rightly under each disturbance, as bars of a beat and of a recording.

    Args:
        figure: Where to draw.
        rows: Of a robustness table.
        names: A function of a row that gives its name.
    """
    axis = figure.subplots()
    at = np.arange(len(rows))[::-1]
    for shift, unit, colour in ((0.2, "beat", GROUPS[0]), (-0.2, "recording", GROUPS[4])):
        values = [row[unit] if row[unit] is not None else np.nan for row in rows]
        axis.barh(at + shift, values, height=0.38, color=colour, label=f"a {unit}")
    axis.set_yticks(at, [names(row) for row in rows])
    axis.set_xlim(0, 1)
    axis.set_xlabel("Named rightly (share)")
    _legend(axis, loc="lower left", bbox_to_anchor=(0, 1), ncol=2)
    _finish(axis)


def _told(real: Mapping[str, Any], name: str) -> Any:
    """Return what a curve is drawn from; nothing if it is not there."""
    if name == "det":
        return (real.get("verification") or {}).get("det")
    if name == "open_set":
        found = real.get("detection") or {}
        return {unit: one["curve"] for unit, one in found.items() if one.get("curve")}
    found = real.get("reliability") or {}
    return {u: one["bins"] for u, one in found.items() if isinstance(one, dict) and one.get("bins")}


def _draw_det(axis: Axes, real: Mapping[str, Any]) -> None:
    curve, equal = _told(real, "det"), real["verification"]["eer"]
    axis.plot(
        curve["false_match_rate"],
        curve["false_non_match_rate"],
        color=COLOURS[SMOOTHED],
        linewidth=LINE_PT,
        drawstyle="steps-post",
    )
    axis.plot([0, 1], [0, 1], **GUIDE)
    if equal is not None:
        axis.plot([equal], [equal], "o", color=COLOURS[GENERATED], markersize=5)
    axis.set_xscale("symlog", linthresh=0.001)
    axis.set_yscale("symlog", linthresh=0.001)
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter("{x:g}")
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    axis.set_title("Verification, recordings (DET)", fontsize=9)
    axis.set_xlabel("False matches (share of impostors)")
    axis.set_ylabel("False non-matches (share of genuine)")


def _draw_open_set(axis: Axes, real: Mapping[str, Any]) -> None:
    for i, (unit, curve) in enumerate(_told(real, "open_set").items()):
        axis.plot(
            curve["false_alarm_rate"],
            curve["identification_rate"],
            color=GROUPS[i],
            label=unit.replace("_", " "),
            linewidth=LINE_PT,
        )
    axis.set_xlim(-0.02, 1.02)
    axis.set_ylim(-0.02, 1.02)
    axis.set_title("People not enrolled", fontsize=9)
    axis.set_xlabel("False alarms (share of strangers)")
    axis.set_ylabel("Detected and identified (share)")
    _legend(axis)


def _draw_reliability(axis: Axes, real: Mapping[str, Any]) -> None:
    axis.plot([0, 1], [0, 1], **GUIDE)
    for i, (unit, bins) in enumerate(_told(real, "reliability").items()):
        axis.plot(
            [one["confidence"] for one in bins],
            [one["accuracy"] for one in bins],
            marker="o",
            markersize=4,
            color=GROUPS[i],
            label=unit.replace("_", " "),
            linewidth=LINE_PT,
        )
    axis.set_xlim(-0.02, 1.02)
    axis.set_ylim(-0.02, 1.02)
    axis.set_title("Are probabilities true?", fontsize=9)
    axis.set_xlabel("Probability that was told")
    axis.set_ylabel("Named rightly (share)")
    _legend(axis)


_CURVES = {"det": _draw_det, "open_set": _draw_open_set, "reliability": _draw_reliability}


def _legend(axis: Axes, **where: Any) -> None:
    axis.legend(fontsize=7, frameon=False, **where)


def _finish(axis: Axes) -> None:
    axis.grid(visible=True, color=NEUTRAL, alpha=0.25, linewidth=0.5)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
