"""Figures of models: losses, scores, probabilities, confusion, counts, points in a plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from core.plots.style import (
    COLOURS,
    GENERATED,
    GROUPS,
    NEUTRAL,
    REAL,
    SMOOTHED,
    finish,
    group_style,
)
from core.recording import FloatArray, StrArray

BAR_PX = 26
MOST_NAMED_GROUPS = 14
"""Groups that a legend can name before it fills the figure."""


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


def confusion_matrix(counts: FloatArray, names: Sequence[str]) -> go.Figure:
    """Draw a confusion matrix (n, n): row the truth, column what was said, shares of each row."""
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    figure = go.Figure(
        go.Heatmap(
            z=share,
            x=list(names),
            y=list(names),
            customdata=counts,
            zmin=0,
            zmax=1,
            colorscale="Blues",
            colorbar={"title": "Share"},
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


def projection_scatter(points: FloatArray, groups: StrArray, *, method: str) -> go.Figure:
    """Draw beats as points in a plane, a colour and marker a group.

    Args:
        points: (n_beats, 2).
        groups: (n_beats,) such as the subject of each.
        method: ``PCA`` or ``t-SNE``; of the latter, distances between groups mean nothing.
    """
    figure = go.Figure()
    names = list(dict.fromkeys(groups.tolist()))
    for i, name in enumerate(names):
        own = groups == name
        colour, marker = group_style(i)
        figure.add_scatter(
            x=points[own, 0],
            y=points[own, 1],
            mode="markers",
            name=str(name),
            marker={"color": colour, "symbol": marker, "size": 6, "opacity": 0.8},
            hovertemplate=f"{name}<extra></extra>",
        )
    finish(figure, x_title=f"{method} 1", y_title=f"{method} 2 (no unit)", height=420)
    figure.update_layout(showlegend=len(names) <= MOST_NAMED_GROUPS)
    return figure
