"""Figures of models: losses, scores, error rates, calibration, confusion, counts, points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import plotly.graph_objects as go
import scipy

from core.plots.style import (
    COLOURS,
    GENERATED,
    GROUPS,
    MARKERS,
    NEUTRAL,
    REAL,
    SMOOTHED,
    finish,
    group_style,
    translucent,
)
from core.recording import FloatArray

BAR_PX = 26
ROW_PX = 24
RATE_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
"""Rates that an axis of normal deviates names."""
MOST_TITLED_CLASSES = 12
"""Classes of which a confusion matrix has room to write the numbers."""


def loss_curves(
    history: Sequence[Mapping[str, float]],
    *,
    steps: Sequence[int] | None = None,
    x_title: str = "Epoch",
) -> go.Figure:
    """Draw each metric of a training over its epochs or steps.

    Args:
        history: One entry an epoch: metric -> value; an entry without a metric is a gap.
        steps: Where each entry stands along the axis; 1, 2, ... by default.
        x_title: What is counted along the axis.
    """
    figure = go.Figure()
    places = steps if steps is not None else range(1, len(history) + 1)
    names = list(dict.fromkeys(name for entry in history for name in entry))
    for i, name in enumerate(names):
        points = [
            (step, entry[name])
            for step, entry in zip(places, history, strict=True)
            if entry.get(name) is not None
        ]
        figure.add_scatter(
            x=[p[0] for p in points],
            y=[p[1] for p in points],
            mode="lines" if len(points) > 1 else "markers",
            name=name.replace("_", " "),
            line={"color": GROUPS[i % len(GROUPS)], "width": 2},
            hovertemplate="%{x}: %{y:.4g}",
        )
    finish(figure, x_title=x_title, y_title="Value (no unit)", height=280)
    if len(history) < 6:
        figure.update_xaxes(tickvals=list(places))
    return figure


def score_bars(
    scores: Mapping[str, float], *, threshold: float | None = None, shown: int = 8
) -> go.Figure:
    """Draw the best scores, the highest on top and in colour, with the line to pass.

    Bars begin at zero, or left of the lowest score where some are below zero.

    Args:
        scores: Name -> score; a higher one is more alike.
        threshold: Score from which a name is accepted.
        shown: How many names.
    """
    best = sorted(scores.items(), key=lambda item: -item[1])[:shown][::-1]
    figure = go.Figure()
    marks = [*scores.values(), *([] if threshold is None else [threshold])]
    left = min(marks) - 0.05 * (max(marks) - min(marks) or 1.0) if min(marks) < 0 else 0.0
    figure.add_bar(
        base=left,
        x=[score - left for _, score in best],
        customdata=[score for _, score in best],
        y=[f"{name} " for name, _ in best],
        orientation="h",
        marker_color=[NEUTRAL] * (len(best) - 1) + [COLOURS[SMOOTHED]],
        text=[f"{score:.3g}" for _, score in best],
        textposition="auto",
        insidetextanchor="start",
        textangle=0,
        hovertemplate="%{y}: %{customdata:.4g}<extra></extra>",
    )
    if threshold is not None:
        figure.add_vline(
            x=threshold,
            line={"color": COLOURS[GENERATED], "dash": "dash"},
            layer="below",
            annotation_text="accepted from here",
            annotation_position="top",
        )
    height = 110 + BAR_PX * max(2, len(best))
    finish(figure, x_title="Score (higher is more alike)", y_title="", height=height)
    figure.update_yaxes(type="category")
    return figure


def probability_histogram(probability: Sequence[float], *, threshold: float = 0.5) -> go.Figure:
    """Draw how many beats have which probability of being synthetic, and the line between."""
    counts, edges = np.histogram(np.asarray(probability, dtype=float), bins=20, range=(0, 1))
    middle = (edges[:-1] + edges[1:]) / 2
    figure = go.Figure()
    figure.add_bar(
        x=middle,
        y=counts,
        width=0.048,
        marker_color=[COLOURS[GENERATED] if m > threshold else COLOURS[REAL] for m in middle],
        hovertemplate="%{x:.3f}: %{y} beats<extra></extra>",
    )
    figure.add_vline(x=threshold, line={"color": NEUTRAL, "dash": "dash"})
    for x, text, kind in ((0.02, "real", REAL), (0.98, "synthetic", GENERATED)):
        figure.add_annotation(
            x=x,
            y=1.0,
            xref="x",
            yref="paper",
            yanchor="bottom",
            xanchor="left" if x < threshold else "right",
            text=f"<b>{text}</b>",
            showarrow=False,
            font={"color": COLOURS[kind], "size": 13},
        )
    finish(figure, x_title="Probability that a beat is synthetic", y_title="Beats", height=280)
    figure.update_xaxes(range=[0, 1])
    figure.update_layout(showlegend=False)
    return figure


def det_plot(
    curves: Mapping[str, Mapping[str, Sequence[float]]], *, eer: Mapping[str, float] | None = None
) -> go.Figure:
    """Draw false non-matches over false matches on axes of normal deviates, and mark each EER.

    A rate of nought is beyond such an axis: it is drawn at half the least rate of its curve.

    Args:
        curves: Name -> what `core.evaluation.identification.det_curve` returns.
        eer: Name -> equal error rate of the curve.
    """
    figure = go.Figure()
    least, most = 0.5, max([0.5, *(eer or {}).values()])
    for i, (name, curve) in enumerate(curves.items()):
        told = [np.asarray(curve[f"false_{kind}_rate"], float) for kind in ("match", "non_match")]
        drawn = [_within(rates) for rates in told]
        colour, marker = group_style(i)
        figure.add_scatter(
            x=scipy.special.ndtri(drawn[0]),
            y=scipy.special.ndtri(drawn[1]),
            customdata=np.stack([*told, curve["threshold"]], axis=1),
            mode="lines",
            name=name,
            line={"color": colour, "width": 2},
            hovertemplate="false match %{customdata[0]:.2%}, non-match %{customdata[1]:.2%}"
            "<br>threshold %{customdata[2]:.3g}",
        )
        least = min(least, *(rates.min() for rates in drawn))
        if eer is not None and name in eer:
            x, y = (float(scipy.special.ndtri(max(eer[name], rates.min()))) for rates in drawn)
            figure.add_scatter(
                x=[x],
                y=[y],
                mode="markers",
                name=f"EER {eer[name]:.2%}",
                marker={"color": colour, "symbol": marker, "size": 10},
                hoverinfo="name",
            )
    finish(figure, x_title="False match rate (%)", y_title="False non-match rate (%)", height=380)
    ends = scipy.special.ndtri([max(least, RATE_TICKS[0] / 2), min(most * 1.05, RATE_TICKS[-1])])
    axis = {
        "range": ends.tolist(),
        "tickvals": scipy.special.ndtri(RATE_TICKS).tolist(),
        "ticktext": [f"{100 * rate:g}" for rate in RATE_TICKS],
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def open_set_curve(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> go.Figure:
    """Draw how many of the enrolled are found over how many strangers raise a false alarm.

    A rate of nought is beyond a logarithmic axis: it is drawn at half the least rate.

    Args:
        curves: Name -> ``curve`` of `core.evaluation.identification.detection_and_identification`.
    """
    figure = go.Figure()
    for i, (name, curve) in enumerate(curves.items()):
        alarms = np.asarray(curve["false_alarm_rate"], float)
        figure.add_scatter(
            x=_within(alarms),
            y=list(curve["identification_rate"]),
            customdata=np.stack([alarms, curve["threshold"]], axis=1),
            mode="lines",
            name=name,
            line={"color": GROUPS[i % len(GROUPS)], "width": 2},
            hovertemplate="false alarms %{customdata[0]:.2%}, found %{y:.2%}"
            "<br>threshold %{customdata[1]:.3g}",
        )
    finish(
        figure,
        x_title="False alarms (share of strangers)",
        y_title="Detected and identified (share)",
        height=320,
    )
    figure.update_xaxes(type="log", tickformat="~%", dtick=1)
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return figure


def reliability_diagram(bins: Sequence[Mapping[str, float]]) -> go.Figure:
    """Draw how often a name was right over how probable it was said to be, with the counts.

    Args:
        bins: ``bins`` of `core.evaluation.identification.reliability`.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        name="calibrated",
        line={"color": NEUTRAL, "dash": "dash", "width": 1},
        hoverinfo="skip",
    )
    confidence = [one["confidence"] for one in bins]
    figure.add_scatter(
        x=confidence,
        y=[one["accuracy"] for one in bins],
        customdata=[one["count"] for one in bins],
        mode="lines+markers",
        name="named rightly",
        line={"color": COLOURS[SMOOTHED], "width": 2},
        marker={"size": 8},
        hovertemplate="said %{x:.1%}, right %{y:.1%} of %{customdata}<extra></extra>",
    )
    figure.add_bar(
        x=[(one["low"] + one["high"]) / 2 for one in bins],
        y=[one["count"] for one in bins],
        width=[0.9 * (one["high"] - one["low"]) for one in bins],
        yaxis="y2",
        name="probes",
        marker_color=NEUTRAL,
        text=[f"{one['count']:.0f}" for one in bins],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y} probes<extra></extra>",
    )
    finish(figure, x_title="Probability of the name given", y_title="Right (share)", height=400)
    figure.update_xaxes(range=[0, 1.02], dtick=0.2, tickformat=".0%", tickangle=0, anchor="y2")
    figure.update_layout(
        yaxis={"range": [0, 1.02], "domain": [0.4, 1.0], "tickformat": ".0%"},
        yaxis2={
            "domain": [0.0, 0.25],
            "title": {"text": "Probes"},
            "automargin": True,
            "nticks": 3,
        },
    )
    return figure


def robustness_lines(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Draw how many are named rightly, a line a disturbance, the undisturbed dashed.

    Args:
        rows: ``rows`` of `core.evaluation.robustness.robustness`, the undisturbed one first.
    """
    figure = go.Figure()
    names = [f"{row_name(row)} " for row in rows]
    for i, (unit, words) in enumerate((("beat", "single beats"), ("recording", "recordings"))):
        if all(row[unit] is None for row in rows):
            continue
        colour, marker = group_style(i)[0], MARKERS[i]
        x: list[float | None] = []
        y: list[str | None] = []
        places = iter(names)
        for _, group in groupby(rows, key=lambda row: row["disturbance"]):
            for row in group:
                x.append(100 * row[unit])
                y.append(next(places))
            x.append(None)
            y.append(None)
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines+markers",
            name=words,
            line={"color": colour, "width": 2},
            marker={"symbol": marker, "size": 9},
            hovertemplate="%{y}: %{x:.1f} %",
        )
        figure.add_vline(
            x=100 * rows[0][unit], line={"color": colour, "dash": "dash", "width": 1}, layer="below"
        )
    height = 110 + ROW_PX * len(rows)
    finish(figure, x_title="Named rightly (%)", y_title="", height=height)
    figure.update_xaxes(range=[-4, 104], dtick=25, tickangle=0)
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=names[::-1], tickmode="linear"
    )
    return figure


def confusion_matrix(counts: FloatArray, names: Sequence[str]) -> go.Figure:
    """Draw a confusion matrix (n, n): row the truth, column what was said, shares of each row.

    With few classes, how many there are is written into each cell.
    """
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    figure = go.Figure(
        go.Heatmap(
            z=share,
            x=list(names),
            y=list(names),
            customdata=counts,
            text=counts.astype(int),
            zmin=0,
            zmax=1,
            colorscale=[[0, translucent(COLOURS[SMOOTHED], 0.04)], [1, COLOURS[SMOOTHED]]],
            colorbar={"title": "Share", "thickness": 12},
            texttemplate="%{text}" if len(names) <= MOST_TITLED_CLASSES else None,
            hovertemplate="is %{y}, said %{x}: %{customdata:.0f} (%{z:.0%})<extra></extra>",
        )
    )
    height = min(720, 180 + 18 * len(names))
    finish(figure, x_title="Said", y_title="Is", height=height)
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category", autorange="reversed")
    return figure


def count_bars(counts: Mapping[str, Mapping[str, int]], *, x_title: str) -> go.Figure:
    """Draw stacked counts of beats: name -> part (train, validation, test) -> beats."""
    figure = go.Figure()
    parts = list(dict.fromkeys(part for own in counts.values() for part in own))
    for i, part in enumerate(parts):
        figure.add_bar(
            x=list(counts),
            y=[own.get(part, 0) for own in counts.values()],
            name=part,
            marker_color=GROUPS[i % len(GROUPS)],
            hovertemplate="%{x}: %{y} beats",
        )
    figure.update_layout(barmode="stack")
    finish(figure, x_title=x_title, y_title="Beats", height=300)
    figure.update_xaxes(type="category")
    return figure


def row_name(row: Mapping[str, Any]) -> str:
    """Return a row of a robustness table in words: what is disturbed, and how far."""
    level, unit = row["level"], row["unit"]
    told = "" if level is None else f"{level:g}" if isinstance(level, int | float) else str(level)
    sign = "±" if unit == "ms" else ""
    return " ".join(part for part in (row["disturbance"], sign + told, unit) if part)


def _within(rates: FloatArray) -> FloatArray:
    """Return rates with 0 moved to half the least above it, and 1 as near to 1."""
    inside = rates[(rates > 0) & (rates < 1)]
    least = min(inside.min(initial=0.5), 1 - inside.max(initial=0.5)) / 2
    return np.clip(rates, least, 1 - least)
