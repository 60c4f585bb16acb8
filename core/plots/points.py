"""Beats as points, and values by group -> an ECharts option, or a Plotly figure.

The points are drawn by ECharts: Plotly in Streamlit forgets zoom and selection whenever its figure
changes, so that the point that was clicked could not be ringed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from core.plots import paper
from core.plots.signals import Panel, Scale
from core.plots.style import (
    BOLD_PX,
    COLOURS,
    GENERATED,
    GROUPS,
    NEUTRAL,
    SMOOTHED,
    SYNTHETIC,
    finish,
    mark_synthetic,
    translucent,
)
from core.recording import FloatArray, IntArray, StrArray

MOST_NAMED = 12
"""Groups in a colour and marker of their own; further ones are grey."""
CROSS = "path://M0,2L2,0L5,3L8,0L10,2L7,5L10,8L8,10L5,7L2,10L0,8L3,5Z"
PLUS = "path://M3,0L5,0L5,3L8,3L8,5L5,5L5,8L3,8L3,5L0,5L0,3L3,3Z"
POINTING_DOWN = "path://M0,0L8,0L4,7Z"
SYMBOLS: tuple[str, ...] = ("circle", "triangle", "rect", "diamond", PLUS, POINTING_DOWN)
HUES = tuple(colour for colour in GROUPS if colour != GROUPS[-1])
"""Colours of groups; grey is for the others."""
SIZE_PX, OTHER_PX, RING_PX = 8, 5, 24
HEIGHT_PX, BEAT_PX = 540, 320
ROW_PX = 24
MOST_BOXES = 40
MOST_CURVES = 3
"""Groups that histograms can tell apart; of more, boxes are drawn."""
BINS = 30
RING = "ring"
OTHERS = "Others"

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Group:
    """Points of one colour and marker.

    Attributes:
        name: In the legend.
        rows: (n,) positions of its points.
        colour: ``#rrggbb``.
        symbol: Of ECharts.
        faint: Whether it stands behind, grey and small.
        synthetic: Whether its points are generated beats.
    """

    name: str
    rows: IntArray
    colour: str
    symbol: str
    faint: bool = False
    synthetic: bool = False


def groups_of(names: StrArray, *, shown: Array | None = None, chosen: str = "") -> list[Group]:
    """Return groups by name, the largest in a colour of their own, the others grey and first.

    Colours go by name, so that they stay when another group is chosen.

    Args:
        names: (n,) the group of each point.
        shown: (n,) bool, which points may be coloured; all by default.
        chosen: A group that is named whatever its size. Where it is given, colours are those that
            groups have where all points are shown.
    """
    coloured = np.ones(len(names), dtype=np.bool_) if shown is None else shown
    found, counts = np.unique(names if chosen else names[coloured], return_counts=True)
    largest = found[np.argsort(-counts, kind="stable")][:MOST_NAMED]
    named = sorted(largest.tolist())
    if chosen in found and chosen not in named:
        named.append(chosen)
    groups = []
    for i, name in enumerate(named):
        turn = i // len(HUES)
        symbol = SYMBOLS[(i + 2 * turn) % len(SYMBOLS)]
        rows = np.flatnonzero((names == name) & coloured)
        if len(rows):
            groups.append(Group(name or "none", rows, HUES[i % len(HUES)], symbol))
    left = np.flatnonzero(~np.isin(names, named) | ~coloured)
    return [*([others(left)] if len(left) else []), *groups]


def others(rows: IntArray, name: str = OTHERS) -> Group:
    """Return a grey group that stands behind."""
    return Group(name, rows, NEUTRAL, "circle", faint=True)


def real_and_generated(synthetic: Array, compared: Array) -> list[Group]:
    """Return real and generated points, and, grey, the real ones that are not compared.

    Args:
        synthetic: (n,) bool.
        compared: (n,) bool, such as those of the subjects for whom beats were generated.
    """
    rest = np.flatnonzero(~synthetic & ~compared)
    kinds = (
        Group("Real, smoothed", np.flatnonzero(~synthetic & compared), COLOURS[SMOOTHED], "circle"),
        Group("Generated", np.flatnonzero(synthetic), COLOURS[GENERATED], CROSS, synthetic=True),
    )
    return [*([others(rest, "Real, of others")] if len(rest) else []), *kinds]


def scatter(
    points: FloatArray,
    groups: Sequence[Group],
    told: StrArray,
    *,
    titles: tuple[str, str],
    ring: int | None = None,
    ink: str = NEUTRAL,
    numbers: bool = True,
) -> dict[str, Any]:
    """Return the option of points that can be clicked, and a ring around one of them.

    The series of a group has its name as ``id``, and its points in the order of its ``rows``.

    Args:
        points: (n, 2); a point with a value that is not finite is not drawn.
        groups: Of the points.
        told: (n,) what is said of each where it is pointed at.
        titles: Of both axes.
        ring: Position of the point that is chosen.
        ink: Colour of the ring.
        numbers: Whether the numbers along the axes mean something.
    """
    series = [
        {
            "type": "scatter",
            "id": group.name,
            "name": group.name,
            "datasetIndex": i,
            "encode": {"x": "x", "y": "y"},
            "symbol": group.symbol,
            "symbolSize": OTHER_PX if group.faint else SIZE_PX,
            "itemStyle": {"color": group.colour, "opacity": 0.4 if group.faint else 0.85},
            "selectedMode": "single",
            "select": {"itemStyle": {"color": group.colour, "borderWidth": 0}},
            "tooltip": {"formatter": "{a}<br>{@told}"},
            "cursor": "pointer",
            "z": 2 + (not group.faint) + group.synthetic,
        }
        for i, group in enumerate(groups)
    ]
    ring_at = points[[ring]] if ring is not None else points[:0]
    series.append(
        {
            "type": "scatter",
            "id": RING,
            "name": RING,
            "datasetIndex": len(groups),
            "encode": {"x": "x", "y": "y"},
            "symbol": "circle",
            "symbolSize": RING_PX,
            "itemStyle": {"color": "transparent", "borderColor": ink, "borderWidth": 2.5},
            "silent": True,
            "tooltip": {"show": False},
            "zlevel": 1,
        }
    )
    sources = [_source(points[group.rows], told[group.rows]) for group in groups]
    ring_source = _source(ring_at, np.full(len(ring_at), ""))
    axis = {
        "type": "value",
        "scale": True,
        "nameLocation": "middle",
        "axisLabel": {"show": numbers},
        "axisTick": {"show": numbers},
    }
    synthetic = any(group.synthetic for group in groups)
    mark = {"color": COLOURS[GENERATED], "fontSize": 14, "fontWeight": "bold"}
    return {
        "animation": False,
        "dataset": [{"source": source} for source in [*sources, ring_source]],
        "series": series,
        "legend": {
            "type": "scroll",
            "top": 0,
            "left": 0,
            "right": 8,
            "itemWidth": 12,
            "itemHeight": 12,
            "data": [group.name for group in groups],
            "selectedMode": False,
        },
        "toolbox": {
            "right": 8,
            "top": 30,
            "feature": {
                "dataZoom": {"title": {"zoom": "Zoom: drag a box", "back": "Zoom back"}},
                "restore": {"title": "Show all"},
            },
        },
        "tooltip": {"trigger": "item", "confine": True},
        "grid": {"left": 16, "right": 12, "top": 64, "bottom": 16},
        "xAxis": {**axis, "name": titles[0], "nameGap": 28 if numbers else 14},
        "yAxis": {**axis, "name": titles[1], "nameGap": 40 if numbers else 14},
        "title": {
            "text": SYNTHETIC if synthetic else "",
            "left": 8,
            "top": 38,
            "padding": 0,
            "textStyle": mark,
        },
    }


def _source(points: FloatArray, told: StrArray) -> pd.DataFrame:
    return pd.DataFrame({"x": points[:, 0], "y": points[:, 1], "told": told})


def clicked(groups: Sequence[Group], selected: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the positions of the points that a chart reports as selected.

    Args:
        groups: As they were drawn.
        selected: Entries with ``series_id`` and ``data_indices``.
    """
    rows = {group.name: group.rows for group in groups}
    return [
        int(rows[entry["series_id"]][i])
        for entry in selected
        if entry.get("series_id") in rows
        for i in entry["data_indices"]
        if i < len(rows[entry["series_id"]])
    ]


def beat_over_mean(
    beat: Panel, mean: FloatArray, mean_name: str, scale: Scale, limits: tuple[float, float]
) -> go.Figure:
    """Draw one beat over the mean of others, on the grid of ECG paper.

    Args:
        beat: The first of its beats is drawn.
        mean: (n_samples,); empty where there is none.
        mean_name: What it is the mean of.
        scale: Of both.
        limits: Lowest and highest value.
    """
    figure = paper.one_beat(mean if len(mean) else beat.beats[0], scale, limits)
    figure.data[0].update(name=mean_name, showlegend=True, visible=bool(len(mean)))
    figure.add_scatter(
        x=scale.times(beat.beats.shape[1]).astype(np.float32),
        y=beat.beats[0],
        mode="lines",
        name=beat.name,
        line={"color": COLOURS[beat.kind], "width": BOLD_PX},
        hovertemplate="%{x:.3f} s, %{y:.3f}<extra></extra>",
    )
    if beat.kind == GENERATED:
        mark_synthetic(figure)
    return figure.update_layout(showlegend=True, margin={"t": 32}, dragmode=False, height=BEAT_PX)


def value_boxes(
    values: Mapping[str, FloatArray],
    *,
    title: str,
    chosen: Collection[str] = (),
    synthetic: str = "",
) -> go.Figure:
    """Draw the quartiles of values, a box a group: lines go to the last value within 1.5 of it.

    Args:
        values: Group -> (n,) finite values, at least one.
        title: Of the values, with their unit.
        chosen: Groups that are drawn in colour, the others in grey; all in colour by default.
        synthetic: The group of generated beats.
    """
    figure = go.Figure()
    for name, own in list(values.items())[::-1]:
        q1, median, q3 = np.quantile(own, [0.25, 0.5, 0.75])
        reach = 1.5 * (q3 - q1)
        colour = COLOURS[SMOOTHED] if not chosen or name in chosen else NEUTRAL
        colour = COLOURS[GENERATED] if name == synthetic else colour
        figure.add_box(
            y=[f"{name} "],
            orientation="h",
            q1=[float(q1)],
            median=[float(median)],
            q3=[float(q3)],
            lowerfence=[float(own[own >= q1 - reach].min())],
            upperfence=[float(own[own <= q3 + reach].max())],
            name=f"{name}, {len(own):,} beats",
            line={"color": colour, "width": 1.5},
            fillcolor=translucent(colour, 0.25),
            showlegend=False,
        )
    if synthetic in values:
        mark_synthetic(figure, above=True)
    finish(figure, x_title=title, y_title="", height=100 + ROW_PX * max(3, len(values)))
    figure.update_yaxes(type="category", tickmode="linear")
    return figure


def value_histogram(
    values: Mapping[str, FloatArray], *, title: str, synthetic: str = ""
) -> go.Figure:
    """Draw how values of up to three groups are distributed, as shares of each group's beats.

    Args:
        values: Group -> (n,) finite values.
        title: Of the values, with their unit.
        synthetic: The group of generated beats.
    """
    figure = go.Figure()
    everything = np.concatenate([*values.values()])
    edges = np.histogram_bin_edges(everything, bins=BINS)
    dashes = ("solid", "dash", "dot")
    for i, (name, own) in enumerate(values.items()):
        counts = np.histogram(own, bins=edges)[0] / max(1, len(own))
        colour = COLOURS[GENERATED] if name == synthetic else HUES[(0, 2, 3)[i % MOST_CURVES]]
        figure.add_scatter(
            x=np.repeat(edges, 2)[1:-1],
            y=np.repeat(counts, 2),
            mode="lines",
            name=f"{name} ({len(own):,})",
            line={"color": colour, "width": 2, "dash": dashes[i % MOST_CURVES]},
            fill="tozeroy",
            fillcolor=translucent(colour, 0.18),
            hovertemplate="%{x:.4g}: %{y:.0%}",
        )
    if synthetic in values:
        mark_synthetic(figure)
    finish(figure, x_title=title, y_title="Share of beats", height=360)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure
