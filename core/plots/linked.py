"""Beats -> an ECharts option: panels side by side on one scale, with one cursor over all of them.

Plotly cannot link the cursor of panels that stand side by side; ECharts can. On a phone's width the
panels stand one above the other: their axes stay as they are, since ECharts 6 fails on axes that a
media query changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from core.plots.signals import BEAT_TIME_TITLE, Panel, Scale, limits, shown_beats, value_title
from core.plots.style import BOLD_PX, COLOURS, GENERATED, SYNTHETIC, THIN_PX
from core.recording import FloatArray

HEIGHT_PX = 480
NARROW_PX = 640
"""Up to this width the panels are stacked."""
TICKS = 5
TOP_PX, BOTTOM_PX = 44, 52
LEFT_SHARE, GAP_SHARE, NARROW_LEFT = 6.5, 4.5, 16.0
"""Room left of the first panel and right of each, in percent of the width; and when stacked."""


def side_by_side(panels: Sequence[Panel], scale: Scale) -> dict[str, Any]:
    """Return the option of panels of beats with their means; a cursor in one shows in all.

    Args:
        panels: What to draw, from left to right.
        scale: Of the beats.
    """
    drawn = [panel for panel in panels if len(panel.beats)]
    low, high, step = nice_axis(*limits([panel.beats for panel in drawn]))
    unit = f" {scale.unit}" if scale.unit == "mV" else ""
    series: list[dict[str, Any]] = []
    for i, panel in enumerate(drawn):
        times = scale.times(panel.beats.shape[1])
        series += [_background(panel, times, i), _mean(panel, times, i)]
    ends = (float(scale.times(p.beats.shape[1])[j]) for p in drawn for j in (0, -1))
    ends_s = sorted(ends) or [0.0, 1.0]
    x_axis = {"type": "value", "min": ends_s[0], "max": ends_s[-1], "axisTick": {"show": False}}
    y_axis = {"type": "value", "min": low, "max": high, "interval": step}
    base = {
        "animation": False,
        "axisPointer": {"link": [{"xAxisIndex": "all"}], "label": {"formatter": "{value} s"}},
        "tooltip": {"trigger": "axis", "confine": True, "valueFormatter": f"%.3f{unit}"},
        "series": series,
        **_axes(drawn, scale, x_axis, y_axis),
        **_beside(drawn),
    }
    narrow = {"query": {"maxWidth": NARROW_PX}, "option": _above(drawn)}
    return {"baseOption": base, "media": [narrow]}


def nice_axis(low: float, high: float) -> tuple[float, float, float]:
    """Return the ends and the step of an axis of round numbers that holds two values."""
    rough = max(high - low, 1e-9) / TICKS
    size = 10.0 ** np.floor(np.log10(rough))
    step = float(size * next(m for m in (1, 2, 5, 10) if m * size >= rough * 0.999))
    digits = max(0, -int(np.floor(np.log10(step))))
    ends = np.floor(low / step) * step, np.ceil(high / step) * step
    return round(float(ends[0]), digits), round(float(ends[1]), digits), round(step, digits)


def _axes(
    panels: Sequence[Panel], scale: Scale, x: dict[str, Any], y: dict[str, Any]
) -> dict[str, Any]:
    """Return the axes of each panel, which both layouts share."""
    named = {"name": value_title(scale.unit), "nameLocation": "middle", "nameGap": 38}
    return {
        "xAxis": [{**x, "gridIndex": i} for i in range(len(panels))],
        "yAxis": [{**y, "gridIndex": i, **({} if i else named)} for i in range(len(panels))],
    }


def _beside(panels: Sequence[Panel]) -> dict[str, Any]:
    share = (100 - LEFT_SHARE) / max(1, len(panels))
    lefts = [f"{LEFT_SHARE + i * share:.1f}%" for i in range(len(panels))]
    width = f"{share - GAP_SHARE:.1f}%"
    grids = [{"left": x, "width": width, "top": TOP_PX, "bottom": BOTTOM_PX} for x in lefts]
    titles = [_title(panel, left, 12) for panel, left in zip(panels, lefts, strict=True)]
    return {"grid": grids, "title": [*titles, _time_title()]}


def _above(panels: Sequence[Panel]) -> dict[str, Any]:
    room = (HEIGHT_PX - 24) / max(1, len(panels))
    tops = [i * room for i in range(len(panels))]
    left, width = f"{NARROW_LEFT:g}%", f"{100 - NARROW_LEFT - 4:g}%"
    grids = [{"left": left, "width": width, "top": t + 26, "height": room - 52} for t in tops]
    titles = [_title(panel, left, top + 4) for panel, top in zip(panels, tops, strict=True)]
    return {"grid": grids, "title": [*titles, _time_title()]}


def _time_title() -> dict[str, Any]:
    """Return the name of the time axes, once below all panels."""
    style = {"fontSize": 12, "fontWeight": "normal"}
    return {
        "text": BEAT_TIME_TITLE,
        "left": "center",
        "bottom": 2,
        "padding": 0,
        "textStyle": style,
    }


def _title(panel: Panel, left: str | int, top: float) -> dict[str, Any]:
    """Return a panel's title in the colour of its kind; of a generated one it says so."""
    synthetic = panel.kind == GENERATED
    return {
        "text": f"{panel.name}  {SYNTHETIC}" if synthetic else panel.name,
        "left": left,
        "top": top,
        "padding": 0,
        "textStyle": {"fontSize": 14, "fontWeight": "bold", "color": COLOURS[panel.kind]},
    }


def _background(panel: Panel, times: npt.NDArray[np.float64], grid: int) -> dict[str, Any]:
    """Return beats as one line with gaps, which no cursor stops at."""
    chosen = shown_beats(panel.beats)
    points: list[list[float | None]] = []
    for beat in chosen:
        points += _points(times, beat)
        points.append([None, None])
    return {
        "type": "line",
        "xAxisIndex": grid,
        "yAxisIndex": grid,
        "data": points,
        "showSymbol": False,
        "silent": True,
        "tooltip": {"show": False},
        "lineStyle": {"color": COLOURS[panel.kind], "width": THIN_PX, "opacity": 0.4},
    }


def _mean(panel: Panel, times: npt.NDArray[np.float64], grid: int) -> dict[str, Any]:
    return {
        "type": "line",
        "name": f"{panel.name}, mean",
        "xAxisIndex": grid,
        "yAxisIndex": grid,
        "data": _points(times, panel.beats.mean(axis=0)),
        "showSymbol": False,
        "lineStyle": {"color": COLOURS[panel.kind], "width": BOLD_PX},
        "itemStyle": {"color": COLOURS[panel.kind]},
    }


def _points(times: npt.NDArray[np.float64], beat: FloatArray) -> list[list[float | None]]:
    rounded: list[list[float | None]] = np.round(
        np.column_stack([times, beat.astype(np.float64)]), 4
    ).tolist()
    return rounded
